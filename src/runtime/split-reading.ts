import type { SluiceError } from '../core/errors.ts'
import { locateError } from '../core/errors.ts'
import type { Source, SourceContext, SplitReader } from '../core/source.ts'
import { decodeValue, encodeValue } from '../core/value-codec.ts'
import type { SplitState } from '../protocol/messages.ts'

/** What the next look at a source found. */
export type Reading =
  | { readonly type: 'records'; readonly records: readonly unknown[] }
  /** Nothing just now; ask again in a few milliseconds. */
  | { readonly type: 'nothing' }
  /** A promise is under way; `wake` will be called. */
  | { readonly type: 'waiting' }
  | { readonly type: 'end' }

const NOTHING: Reading = { type: 'nothing' }
const WAITING: Reading = { type: 'waiting' }
const END: Reading = { type: 'end' }

interface OwnSplit {
  readonly index: number
  readonly encoded: Uint8Array<ArrayBuffer>
  position: unknown
  started: boolean
  done: boolean
}

/**
 * Reads the splits of one source subtask, one after the other. What always holds:
 *
 * - `positions()` speaks of the records up to the last `handedOn()`: a batch that was polled but not handed on in full is not counted, so
 *   a barrier between two batches and the positions are one atomic step.
 * - At most one promise of the reader is under way.
 */
export class SplitReading {
  readonly #source: Source<unknown>
  readonly #context: SourceContext
  readonly #wake: () => void
  readonly #splits: readonly OwnSplit[]
  #reader: SplitReader<unknown> | undefined
  #settled: { readonly value: unknown } | { readonly error: unknown } | undefined
  #opening = false
  #pending = false
  #closed = false

  constructor(source: Source<unknown>, context: SourceContext, splits: readonly SplitState[], wake: () => void) {
    this.#source = source
    this.#context = context
    this.#wake = wake
    this.#splits = splits.map((state) => ({
      index: state.index,
      encoded: state.split,
      position: state.position === undefined ? undefined : decodeValue(state.position),
      started: state.position !== undefined,
      done: state.done,
    }))
  }

  next(max: number): Reading {
    if (this.#pending) return WAITING
    try {
      return this.#read(max)
    } catch (error) {
      throw this.#failure(error)
    }
  }

  #read(max: number): Reading {
    let arrived = this.#takeSettled()
    // A loop, because any number of splits in a row may be empty.
    for (;;) {
      if (this.#reader === undefined) {
        const split = this.#current()
        if (split === undefined) return END
        const opened = this.#source.open(decodeValue(split.encoded), split.started ? split.position : undefined, this.#context)
        if (isPromise(opened)) {
          this.#opening = true
          return this.#await(opened)
        }
        this.#reader = opened
      }
      const answer = arrived === undefined ? this.#reader.poll(max) : (arrived.value as readonly unknown[] | null)
      arrived = undefined
      if (isPromise(answer)) return this.#await(answer)
      if (answer !== null) return answer.length === 0 ? NOTHING : { type: 'records', records: answer }
      const closing = this.#finishSplit(this.#reader)
      if (isPromise(closing)) return this.#await(closing)
    }
  }

  #finishSplit(reader: SplitReader<unknown>): void | Promise<void> {
    const split = this.#current()!
    split.position = reader.position()
    split.started = true
    split.done = true
    this.#reader = undefined
    return reader.close?.()
  }

  /** All records of the last reading have been handed on. */
  handedOn(): void {
    const split = this.#current()!
    try {
      split.position = this.#reader!.position()
    } catch (error) {
      throw this.#failure(error)
    }
    split.started = true
  }

  positions(): readonly SplitState[] {
    return this.#splits.map((split) => ({
      index: split.index,
      split: split.encoded,
      done: split.done,
      ...(split.started ? { position: encodeValue(split.position) } : {}),
    }))
  }

  close(): void {
    this.#closed = true
    const closing = this.#reader?.close?.()
    this.#reader = undefined
    // The attempt is over: a reader that cannot let go has nobody left to tell.
    if (isPromise(closing)) closing.then(undefined, () => undefined)
  }

  #current(): OwnSplit | undefined {
    return this.#splits.find((split) => !split.done)
  }

  #await(promise: Promise<unknown>): Reading {
    this.#pending = true
    const settle = (outcome: { readonly value: unknown } | { readonly error: unknown }): void => {
      this.#pending = false
      this.#settled = outcome
      if (this.#closed) this.#closeLate(outcome)
      this.#wake()
    }
    promise.then(
      (value) => settle({ value }),
      (error: unknown) => settle({ error }),
    )
    return WAITING
  }

  /** The settled answer to a `poll`; an `open` or `close` that settled leaves nothing to interpret. */
  #takeSettled(): { readonly value: unknown } | undefined {
    const settled = this.#settled
    this.#settled = undefined
    if (settled === undefined) return undefined
    if ('error' in settled) throw settled.error
    if (this.#opening) {
      this.#opening = false
      this.#reader = settled.value as SplitReader<unknown>
      return undefined
    }
    return this.#reader === undefined ? undefined : settled
  }

  #closeLate(outcome: { readonly value: unknown } | { readonly error: unknown }): void {
    if (!this.#opening || 'error' in outcome) return
    this.#reader = outcome.value as SplitReader<unknown>
    try {
      this.close()
    } catch {
      // As for every reader that is closed at the end of an attempt.
    }
  }

  #failure(error: unknown): SluiceError {
    const { operator, subtask } = this.#context
    return locateError(error, { operator, subtask }, 'SOURCE_FAILED', `'${operator}' cannot read`)
  }
}

function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function'
}
