import type { AsyncCall } from './async-call.ts'

/** The records under way of one subtask, from their arrival until their result is out: which result comes next, and behind which watermark. */
export interface ResultQueue extends Iterable<AsyncCall> {
  readonly size: number
  /** The watermark that the next result follows; `undefined` when nothing is under way. */
  readonly watermark: number | undefined
  add(call: AsyncCall): void
  /** A call that was added has a result. */
  completed(call: AsyncCall): void
  /** Removes the next call whose result may go out when the watermark `passed` is out and none after it. */
  take(passed: number): AsyncCall | undefined
}

/** Results in the order of the records. */
export class OrderedResults implements ResultQueue {
  #calls: AsyncCall[] = []
  /** Where the queue begins; what lies before it is gone. */
  #head = 0

  get size(): number {
    return this.#calls.length - this.#head
  }

  get watermark(): number | undefined {
    return this.#calls[this.#head]?.watermark
  }

  add(call: AsyncCall): void {
    this.#calls.push(call)
  }

  completed(): void {}

  take(passed: number): AsyncCall | undefined {
    const call = this.#calls[this.#head]
    if (call === undefined || call.state !== 'done' || call.watermark > passed) return undefined
    this.#head++
    if (this.#head === this.#calls.length || this.#head === DROPPED_MAX) {
      this.#calls = this.#calls.slice(this.#head)
      this.#head = 0
    }
    return call
  }

  *[Symbol.iterator](): Iterator<AsyncCall> {
    for (let index = this.#head; index < this.#calls.length; index++) yield this.#calls[index]!
  }
}

/** How many calls that are gone an ordered queue may still refer to. */
const DROPPED_MAX = 64

/** The records between two watermarks. */
interface Segment {
  readonly calls: Set<AsyncCall>
  /** Those with a result, as they came. */
  done: AsyncCall[]
  taken: number
}

/** Results as they come, but only those of the first segment that has any calls left: none crosses a watermark. */
export class UnorderedResults implements ResultQueue {
  /** By the watermark that they follow, which only rises: the first one is the oldest. */
  readonly #segments = new Map<number, Segment>()
  size = 0

  get watermark(): number | undefined {
    for (const watermark of this.#segments.keys()) return watermark
    return undefined
  }

  add(call: AsyncCall): void {
    let segment = this.#segments.get(call.watermark)
    if (segment === undefined) this.#segments.set(call.watermark, (segment = { calls: new Set(), done: [], taken: 0 }))
    segment.calls.add(call)
    this.size++
  }

  completed(call: AsyncCall): void {
    this.#segments.get(call.watermark)!.done.push(call)
  }

  take(passed: number): AsyncCall | undefined {
    const { watermark } = this
    if (watermark === undefined || watermark > passed) return undefined
    const segment = this.#segments.get(watermark)!
    const call = segment.done[segment.taken]
    if (call === undefined) return undefined
    if (++segment.taken === segment.done.length) {
      segment.done = []
      segment.taken = 0
    }
    segment.calls.delete(call)
    if (segment.calls.size === 0) this.#segments.delete(watermark)
    this.size--
    return call
  }

  *[Symbol.iterator](): Iterator<AsyncCall> {
    for (const segment of this.#segments.values()) yield* segment.calls
  }
}
