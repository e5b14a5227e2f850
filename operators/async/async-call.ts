import type { KeyedAsyncContext } from './async-options.ts'

/** A record under way as a checkpoint stores it. */
export type StoredCall = readonly [value: unknown, timestamp: number, watermark: number, split: number]

/**
 * One record on its way through `asyncMap`: what came in, and what has become of it.
 *
 *   waiting      not called yet
 *   running      a call is in flight
 *   backing-off  a call failed, the next one waits for its time
 *   done         there is a result; it waits for its turn
 */
export class AsyncCall {
  readonly value: unknown
  readonly timestamp: number
  /** The watermark when the record came: results may not go out before it, nor be overtaken by a later one. */
  readonly watermark: number
  readonly split: number
  readonly key: unknown
  state: 'waiting' | 'running' | 'backing-off' | 'done' = 'waiting'
  attempt = 0
  result: unknown
  /** What the last attempt failed with. */
  error: unknown
  /** There is no result: the job passes over the record, when its turn comes. */
  isRefused = false
  /** When it has taken too long; `Infinity` for never. */
  deadlineMs = Number.POSITIVE_INFINITY
  /** Neighbours among the calls under way, in the order in which they began. */
  previous: AsyncCall | undefined
  next: AsyncCall | undefined
  #controller: AbortController | undefined

  constructor([value, timestamp, watermark, split]: StoredCall, key: unknown) {
    this.value = value
    this.timestamp = timestamp
    this.watermark = watermark
    this.split = split
    this.key = key
  }

  /** Most functions never look at it, so it is made when it is asked for. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    return this.#controller.signal
  }

  abort(reason: unknown): void {
    this.#controller ??= new AbortController()
    this.#controller.abort(reason)
  }

  get stored(): StoredCall {
    return [this.value, this.timestamp, this.watermark, this.split]
  }
}

/** A call as the user's function sees it. */
export class CallContext implements KeyedAsyncContext<unknown> {
  readonly subtask: number
  readonly attempt: number
  readonly #call: AsyncCall

  constructor(call: AsyncCall, subtask: number) {
    this.#call = call
    this.subtask = subtask
    this.attempt = call.attempt
  }

  get timestamp(): number | undefined {
    const { timestamp } = this.#call
    return Number.isNaN(timestamp) ? undefined : timestamp
  }

  get watermark(): number {
    return this.#call.watermark
  }

  get key(): unknown {
    return this.#call.key
  }

  get signal(): AbortSignal {
    return this.#call.signal
  }
}

/**
 * Stored records in the order in which they are called again: by the watermark that they had seen, and else as stored. None keeps a watermark
 * that is ahead of `received`, the one that this subtask has been given: after a change of parallelism that is the smallest of all, and
 * others may still send records that are not late by it.
 */
export function restoredCalls(stored: readonly { call: StoredCall; key?: unknown }[], received: number): AsyncCall[] {
  return stored
    .map(({ call: [value, timestamp, watermark, split], key }) => {
      return new AsyncCall([value, timestamp, Math.min(watermark, received), split], key)
    })
    .sort((a, b) => (a.watermark < b.watermark ? -1 : a.watermark > b.watermark ? 1 : 0))
}
