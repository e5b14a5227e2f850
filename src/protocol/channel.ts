import type { BatchCodec } from './batch-codec.ts'
import type { Element } from './element.ts'
import type { RingReader, RingWriter } from './ring.ts'
import { BUDGET_DEFAULT } from './ring.ts'

/**
 * The sending end of a channel between two subtasks. `write` always takes the element, because a record's results cannot be given back
 * half way; in exchange the task stops at the next record once `full` is true. That bounds what waits here to one record's results.
 */
export interface ChannelWriter {
  write(element: Element): void
  /** True while something waits for room in the channel, or while more records are on their way than the reader wants. */
  readonly full: boolean
  /** Elements that were written and that nobody has taken: one record's results at most beyond what makes the channel full. */
  readonly waiting: number
  /** Records that a batch should hold at most: less than usual for a slow reader. */
  readonly batchRecords: number
  /** Passes on what waits. True when nothing is left. */
  flush(): boolean
}

/** The receiving end of a channel. */
export interface ChannelReader {
  /** The next element; `undefined` when none has come. */
  poll(): Element | undefined
  /** The next element, before its turn: its records count as on their way until `handled` says that they are not. */
  takeAhead(): Element | undefined
  handled(records: number): void
  readonly readable: boolean
  /**
   * Records that should be on their way in this channel at most. A slow reader asks for few, because barriers wait behind them: what is on
   * its way is bounded by time and not only by bytes.
   */
  setBudget(records: number): void
}

/** Records in a full batch. Large enough that a frame's fixed cost disappears, small enough that it stays in the processor's cache. */
export const BATCH_RECORDS = 512

const LOCAL_CAPACITY = 8

/** A channel between two subtasks of one worker: elements pass by reference. */
export class LocalChannel implements ChannelReader, ChannelWriter {
  readonly #elements: Element[] = []
  #records = 0
  #budget = BUDGET_DEFAULT

  write(element: Element): void {
    this.#elements.push(element)
    if (element.kind === 'records') this.#records += element.values.length
  }

  get full(): boolean {
    return this.#elements.length >= LOCAL_CAPACITY || this.#records >= this.#budget
  }

  get waiting(): number {
    return this.#elements.length
  }

  get batchRecords(): number {
    return batchWithin(this.#budget)
  }

  setBudget(records: number): void {
    this.#budget = records
  }

  flush(): boolean {
    return !this.full
  }

  poll(): Element | undefined {
    const element = this.#elements.shift()
    if (element?.kind === 'records') this.#records -= element.values.length
    return element
  }

  takeAhead(): Element | undefined {
    return this.#elements.shift()
  }

  handled(records: number): void {
    this.#records -= records
  }

  get readable(): boolean {
    return this.#elements.length > 0
  }
}

/** Two batches within the budget, so that one is on its way while the other is handled. */
function batchWithin(budget: number): number {
  return Math.max(1, Math.min(BATCH_RECORDS, budget >>> 1))
}

/** Sends to another thread: encodes at once, so that the records may be forgotten, and keeps the bytes that found no room. */
export class RemoteWriter implements ChannelWriter {
  readonly #ring: RingWriter
  readonly #codec: BatchCodec
  readonly #wakeReader: () => void
  readonly #waiting: Uint8Array[] = []
  #writtenOfFirst = 0
  /** Records written so far; wraps at 2^32, as the reader's count does. */
  #sent = 0

  constructor(ring: RingWriter, codec: BatchCodec, wakeReader: () => void) {
    this.#ring = ring
    this.#codec = codec
    this.#wakeReader = wakeReader
  }

  write(element: Element): void {
    const bytes = this.#codec.encode(element)
    if (element.kind === 'records') this.#sent = (this.#sent + element.values.length) >>> 0
    if (this.#waiting.length > 0) {
      this.#waiting.push(bytes.slice())
      return
    }
    const written = this.#ring.write(bytes, 0)
    if (written < bytes.byteLength) {
      this.#waiting.push(bytes.slice(written))
      this.#writtenOfFirst = 0
    }
    // A part of a message is worth waking for as well: taking it makes the room that the rest needs.
    if (written > 0) this.#wakeReader()
  }

  get full(): boolean {
    return this.#waiting.length > 0 || (this.#sent - this.#ring.taken) >>> 0 >= this.#ring.budget
  }

  /** Without those that are in the ring, which has its bounds. */
  get waiting(): number {
    return this.#waiting.length
  }

  get batchRecords(): number {
    return batchWithin(this.#ring.budget)
  }

  flush(): boolean {
    let progressed = false
    while (this.#waiting.length > 0) {
      const first = this.#waiting[0]!
      const written = this.#ring.write(first, this.#writtenOfFirst)
      progressed ||= written > this.#writtenOfFirst
      this.#writtenOfFirst = written
      if (written < first.byteLength) break
      this.#waiting.shift()
      this.#writtenOfFirst = 0
    }
    if (progressed) this.#wakeReader()
    return !this.full
  }
}

/** Receives from another thread, and wakes the writer after making room. */
export class RemoteReader implements ChannelReader {
  readonly #ring: RingReader
  readonly #codec: BatchCodec
  readonly #wakeWriter: () => void

  constructor(ring: RingReader, codec: BatchCodec, wakeWriter: () => void) {
    this.#ring = ring
    this.#codec = codec
    this.#wakeWriter = wakeWriter
  }

  poll(): Element | undefined {
    if (!this.#ring.readable) return undefined
    const bytes = this.#ring.read()
    const element = bytes === undefined ? undefined : this.#codec.decode(bytes)
    if (element?.kind === 'records') this.#ring.countTaken(element.values.length)
    this.#wakeWriter()
    return element
  }

  takeAhead(): Element | undefined {
    if (!this.#ring.readable) return undefined
    const bytes = this.#ring.read()
    // Taking it makes room for what is cut in parts, or waits behind it.
    this.#wakeWriter()
    return bytes === undefined ? undefined : this.#codec.decode(bytes)
  }

  handled(records: number): void {
    this.#ring.countTaken(records)
    this.#wakeWriter()
  }

  setBudget(records: number): void {
    this.#ring.budget = records
  }

  get readable(): boolean {
    return this.#ring.readable
  }
}
