import type { BarrierAligner } from '../checkpoint/barrier-aligner.ts'
import { decodeValue } from '../core/value-codec.ts'
import type { ChannelReader } from '../protocol/channel.ts'
import type { Element } from '../protocol/element.ts'
import type { InFlightBatch } from '../protocol/messages.ts'
import type { ChannelRecorder } from './channel-recorder.ts'

/** An element that was taken out of its channel before its turn. */
interface Ahead {
  readonly element: Element
  /** Whether it still counts as on its way in the channel. */
  readonly counts: boolean
}

/**
 * All inputs of a task, read in turn; channels that the aligner holds are passed over. What always holds:
 *
 * 1. What was on its way when a restored snapshot was taken comes before everything that comes in, on whatever channel: after a change of parallelism
 *    the next records of a key may come from another sender than those on their way.
 * 2. What an unaligned snapshot had to look at comes before everything else of its channel.
 * 3. Where what was on its way comes first in the whole job (`holdNew`), a channel that has brought all of it is held until all have.
 */
export class InputGate {
  readonly #channels: readonly ChannelReader[]
  readonly #aligner: BarrierAligner
  readonly #ahead: Ahead[][]
  /** Elements on their way since the restore that are not read yet. */
  #restored = 0
  #cursor = 0
  #recorder: ChannelRecorder | undefined
  /** By channel, whether it has brought everything that was on its way to those before it; absent when nobody asks. */
  #isThrough: boolean[] | undefined

  constructor(channels: readonly ChannelReader[], aligner: BarrierAligner) {
    this.#channels = channels
    this.#aligner = aligner
    this.#ahead = channels.map(() => [])
  }

  /** The channel of the last element. */
  channel = 0

  /** The next element of the next channel that has one. */
  poll(): Element | undefined {
    for (let tried = 0; tried < this.#channels.length; tried++) {
      const channel = this.#cursor
      this.#cursor = channel + 1 === this.#channels.length ? 0 : channel + 1
      if (!this.#isInTurn(channel)) continue
      const element = this.#next(channel)
      if (element !== undefined) {
        this.channel = channel
        return element
      }
    }
    return undefined
  }

  #isInTurn(channel: number): boolean {
    if (this.#isThrough?.[channel]) return false
    return !this.#aligner.isHeld(channel) && (this.#restored === 0 || this.#ahead[channel]![0]?.counts === false)
  }

  #next(channel: number): Element | undefined {
    const ahead = this.#ahead[channel]!
    // What comes in before a barrier that is waited for is recorded on its way, or it would be in no snapshot.
    if (this.#recorder?.waitsFor(channel)) this.takeAhead(this.#recorder)
    // The sender is another thread: what it has written since that look must be recorded before it is handed on.
    if (ahead.length === 0) return this.#recorder?.waitsFor(channel) ? undefined : this.#channels[channel]!.poll()
    const { element, counts } = ahead.shift()!
    if (!counts) this.#restored--
    else if (element.kind === 'records') this.#channels[channel]!.handled(element.values.length)
    return element
  }

  /** Whether `poll` would find something. */
  get readable(): boolean {
    return this.#channels.some((channel, index) => this.#isInTurn(index) && (this.#ahead[index]!.length > 0 || channel.readable))
  }

  /** Channels are held once everything that was on its way has come through them, until it has through all. */
  holdNew(): void {
    this.#isThrough = this.#channels.map(() => false)
  }

  /** Everything that was on its way has come through this channel. True when it has through all: from now on what is new is read. */
  onThrough(channel: number): boolean {
    if (this.#isThrough === undefined) return false
    this.#isThrough[channel] = true
    if (!this.#isThrough.every((each) => each)) return false
    this.#isThrough = undefined
    return true
  }

  /** What was on its way in a channel when the restored snapshot was taken. */
  restore(channel: number, batches: readonly InFlightBatch[]): void {
    for (const { values, timestamps, watermarks } of batches) {
      const element: Element = {
        kind: 'records',
        values: decodeValue(values) as unknown[],
        timestamps: [...timestamps],
        ...(watermarks === undefined ? {} : { watermarks }),
      }
      this.#ahead[channel]!.push({ element, counts: false })
      this.#restored++
    }
  }

  /** From now on everything that comes before the barriers that a recorder waits for is shown to it, what was taken out already first. */
  beginRecording(recorder: ChannelRecorder): void {
    this.#recorder = recorder
    this.#ahead.forEach((ahead, channel) => {
      if (recorder.waitsFor(channel)) for (const { element } of ahead) recorder.onElement(channel, element)
    })
  }

  /** Takes what has come out of the channels, up to the barriers that the recorder waits for. True when there was anything. */
  takeAhead(recorder: ChannelRecorder): boolean {
    let took = false
    this.#channels.forEach((reader, channel) => {
      while (recorder.waitsFor(channel)) {
        const element = reader.takeAhead()
        if (element === undefined) return
        took = true
        recorder.onElement(channel, element)
        const isOwn = element.kind === 'barrier' && element.checkpoint === recorder.checkpoint
        if (!isOwn) this.#ahead[channel]!.push({ element, counts: true })
      }
    })
    return took
  }

  /** Whether `takeAhead` would find something. */
  canTakeAhead(recorder: ChannelRecorder): boolean {
    return this.#channels.some((reader, channel) => recorder.waitsFor(channel) && reader.readable)
  }
}
