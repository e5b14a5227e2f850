import type { TimeWindow, WindowAssigner } from '../../../operators/windows/assigners.ts'
import { ALL_TIME } from '../../../operators/windows/assigners.ts'
import type { Trigger } from '../../../operators/windows/triggers.ts'
import { windowsOf } from './window-model.ts'

/** What a window held when it fired. */
export interface FiredWindow<V> extends TimeWindow {
  readonly values: readonly V[]
}

interface ModelWindow<V> {
  start: number
  end: number
  values: V[]
  /** Values since it last fired. */
  fresh: number
}

/**
 * The windows of a single key, the slow way: no timers, no purged window is forgotten before its time, and time goes step by step through every
 * instant at which anything may happen. The rules are those of Apache Flink's `WindowOperator` and of its triggers.
 */
export class KeyedModel<V> {
  readonly #assigner: WindowAssigner
  readonly #trigger: Trigger
  readonly #latenessMs: number
  readonly #event: boolean
  readonly #byClock: boolean
  #windows: ModelWindow<V>[] = []
  #fired: FiredWindow<V>[] = []
  readonly late: V[] = []
  watermark = Number.NEGATIVE_INFINITY
  nowMs: number

  constructor(assigner: WindowAssigner, trigger: Trigger, latenessMs: number, nowMs: number) {
    this.#assigner = assigner
    this.#trigger = trigger
    this.#latenessMs = latenessMs
    this.#event = 'time' in assigner && assigner.time === 'event'
    this.#byClock = 'time' in assigner && assigner.time === 'processing'
    this.nowMs = nowMs
  }

  record(value: V, timestamp: number): FiredWindow<V>[] {
    const windows = this.#assign(this.#byClock ? this.nowMs : timestamp)
    if (windows.length === 0) this.late.push(value)
    for (const window of windows) {
      window.values.push(value)
      window.fresh++
      if (this.#firesAtOnce(window)) this.#fire(window)
    }
    return this.#taken()
  }

  #assign(time: number): ModelWindow<V>[] {
    const assigner = this.#assigner
    if (assigner.kind === 'session') return this.#merged(time, time + assigner.gapMs)
    const windows: readonly TimeWindow[] =
      assigner.kind === 'tumbling'
        ? windowsOf(time, { ...assigner, slideMs: assigner.sizeMs })
        : assigner.kind === 'sliding'
          ? windowsOf(time, assigner)
          : [ALL_TIME]
    const open = windows.filter((window) => !this.#isGone(window))
    return open
      .toReversed()
      .map(({ start, end }) => this.#windows.find((each) => each.start === start) ?? this.#open(start, end, [], 0))
  }

  #open(start: number, end: number, values: V[], fresh: number): ModelWindow<V> {
    const window = { start, end, values, fresh }
    this.#windows.push(window)
    return window
  }

  /** The session of a record: all that overlap or touch, again and again until nothing is added. */
  #merged(start: number, end: number): ModelWindow<V>[] {
    let bounds = { start, end }
    for (;;) {
      const touching = this.#windows.filter((each) => each.start <= bounds.end && each.end >= bounds.start)
      const all = [bounds, ...touching]
      const next = { start: Math.min(...all.map((each) => each.start)), end: Math.max(...all.map((each) => each.end)) }
      if (next.start !== bounds.start || next.end !== bounds.end) {
        bounds = next
        continue
      }
      if (this.#isGone(bounds)) return []
      touching.sort((a, b) => a.start - b.start)
      this.#windows = this.#windows.filter((each) => !touching.includes(each))
      const values = touching.flatMap((each) => each.values)
      const fresh = touching.reduce((sum, each) => sum + each.fresh, 0)
      return [this.#open(bounds.start, bounds.end, values, fresh)]
    }
  }

  #isGone({ end }: TimeWindow): boolean {
    return this.#event && end - 1 + this.#latenessMs <= this.watermark
  }

  #firesAtOnce(window: ModelWindow<V>): boolean {
    const trigger = this.#trigger
    const ended = !this.#byClock && window.end - 1 <= this.watermark
    if (trigger.kind === 'count') return window.fresh >= trigger.count || (ended && trigger.endOfWindow === 'fire')
    return ended && trigger.kind !== 'processing-time'
  }

  onWatermark(watermark: number): FiredWindow<V>[] {
    if (watermark <= this.watermark) return []
    if (this.#byClock) {
      if (watermark === Number.POSITIVE_INFINITY) this.#endByClock(watermark)
    } else {
      const instants = this.#windows.flatMap(({ end }) => [end - 1, end - 1 + this.#latenessMs])
      for (const instant of steps(instants, this.watermark, watermark)) {
        for (const window of this.#inOrder()) if (window.end - 1 === instant && this.#firesAtEnd(window)) this.#fire(window)
        this.#windows = this.#windows.filter(({ end }) => end - 1 + this.#latenessMs !== instant)
      }
    }
    this.watermark = watermark
    return this.#taken()
  }

  onClock(nowMs: number): FiredWindow<V>[] {
    this.#endByClock(this.nowMs)
    for (let instant = this.nowMs + 1; instant <= nowMs; instant++) {
      this.#endByClock(instant)
      for (const window of this.#inOrder()) if (this.#ticks(window, instant)) this.#fire(window)
    }
    this.nowMs = nowMs
    return this.#taken()
  }

  #endByClock(nowMs: number): void {
    if (!this.#byClock) return
    const due = this.#inOrder().filter(({ end }) => end <= nowMs)
    for (const window of due) if (this.#firesAtEnd(window)) this.#fire(window)
    this.#windows = this.#windows.filter((window) => !due.includes(window))
  }

  #firesAtEnd(window: ModelWindow<V>): boolean {
    const trigger = this.#trigger
    if (trigger.kind === 'count') return trigger.endOfWindow === 'fire' && window.fresh > 0
    return trigger.kind !== 'processing-time' || this.#byClock
  }

  #ticks(window: ModelWindow<V>, instant: number): boolean {
    const trigger = this.#trigger
    if (trigger.kind !== 'processing-time' && trigger.kind !== 'early') return false
    return instant % trigger.everyMs === 0 && (trigger.kind === 'processing-time' || window.fresh > 0)
  }

  #inOrder(): ModelWindow<V>[] {
    return this.#windows.toSorted((a, b) => a.start - b.start)
  }

  #fire(window: ModelWindow<V>): void {
    window.fresh = 0
    if (window.values.length === 0) return
    this.#fired.push({ start: window.start, end: window.end, values: [...window.values] })
    if (this.#trigger.purge) window.values = []
  }

  #taken(): FiredWindow<V>[] {
    const fired = this.#fired
    this.#fired = []
    return fired
  }
}

/** The distinct instants after `from` and up to `to`, in order. */
function steps(instants: readonly number[], from: number, to: number): number[] {
  return [...new Set(instants)].filter((instant) => instant > from && instant <= to).sort((a, b) => a - b)
}
