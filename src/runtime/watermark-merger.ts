import { WATERMARK_END, WATERMARK_NONE } from '../core/time.ts'

interface ChannelTime {
  watermark: number
  status: 'active' | 'idle' | 'finished'
  /** False for a channel that came back from idleness with a watermark behind the output: it counts again once it has caught up. */
  caughtUp: boolean
}

/** What changed for the readers downstream. */
export interface MergedTime {
  readonly watermark: number
  readonly idle: boolean
}

/**
 * The watermark of a task from those of its channels (rules of Apache Flink's `StatusWatermarkValve`, with finished channels kept apart
 * from idle ones, FLINK-38477). What always holds:
 *
 * 1. The output never goes back.
 * 2. While any channel is active it is the minimum over the active channels that have caught up.
 * 3. When all that are left turn idle it is the maximum over the idle ones, and the task is idle itself.
 * 4. Only when every channel is finished it is the end of time: a finished channel among idle ones must not make everything late.
 */
export class WatermarkMerger {
  readonly #channels: ChannelTime[]
  #output: number
  #idle = false

  /** @param watermarks of the channels, and @param output the merged one, as a checkpoint stored them together */
  constructor(watermarks: readonly number[], output: number = WATERMARK_NONE) {
    this.#channels = watermarks.map((watermark) => ({ watermark, status: 'active', caughtUp: watermark >= output }))
    this.#output = output
  }

  get output(): number {
    return this.#output
  }

  /** The last watermark of each channel. */
  get watermarks(): readonly number[] {
    return this.#channels.map((channel) => channel.watermark)
  }

  get finished(): boolean {
    return this.#channels.every((channel) => channel.status === 'finished')
  }

  onWatermark(channel: number, watermark: number): MergedTime {
    const state = this.#channels[channel]!
    if (watermark > state.watermark) state.watermark = watermark
    if (state.watermark >= this.#output) state.caughtUp = true
    return this.#merge()
  }

  /** A watermark between two records, short of the end of time. True when the output rose. */
  raise(channel: number, watermark: number): boolean {
    const state = this.#channels[channel]!
    if (watermark <= state.watermark) return false
    state.watermark = watermark
    if (watermark >= this.#output) state.caughtUp = true
    const candidate = this.#candidate()
    if (candidate <= this.#output) return false
    this.#output = candidate
    return true
  }

  onIdle(channel: number): MergedTime {
    const state = this.#channels[channel]!
    if (state.status === 'active') state.status = 'idle'
    return this.#merge()
  }

  onActive(channel: number): MergedTime {
    const state = this.#channels[channel]!
    if (state.status === 'idle') {
      state.status = 'active'
      state.caughtUp = state.watermark >= this.#output
    }
    return this.#merge()
  }

  onEnd(channel: number): MergedTime {
    this.#channels[channel]!.status = 'finished'
    return this.#merge()
  }

  #merge(): MergedTime {
    const watermark = this.#candidate()
    if (watermark > this.#output) this.#output = watermark
    const open = this.#channels.filter((channel) => channel.watermark !== WATERMARK_END)
    this.#idle = !open.some((channel) => channel.status === 'active') && open.some((channel) => channel.status === 'idle')
    return { watermark: this.#output, idle: this.#idle }
  }

  #candidate(): number {
    let minimum = WATERMARK_END
    let maximumIdle = WATERMARK_NONE
    let active = 0
    let counted = 0
    let idle = 0
    for (const channel of this.#channels) {
      // Nothing follows on a channel whose time has ended: it is finished, whether its end has been said or not.
      if (channel.watermark === WATERMARK_END) continue
      if (channel.status === 'active') {
        active++
        if (!channel.caughtUp) continue
        counted++
        if (channel.watermark < minimum) minimum = channel.watermark
      } else if (channel.status === 'idle') {
        idle++
        if (channel.watermark > maximumIdle) maximumIdle = channel.watermark
      }
    }
    // Active channels that are all still catching up say nothing new.
    if (active > 0) return counted > 0 ? minimum : this.#output
    return idle > 0 ? maximumIdle : WATERMARK_END
  }
}
