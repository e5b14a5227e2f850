import { assert } from '../core/assert.ts'
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

/**
 * Reads the splits of one source subtask: one after the other, or all of them in turn, as the source says. What always holds:
 *
 * - `positions()` speaks of the records up to the last `handedOn()`: a batch that was polled but not handed on in full is not counted, so
 *   a barrier between two batches and the positions are one atomic step.
 * - At most one promise of each reader is under way.
 */
export class SplitReading {
  readonly #inTurn: boolean
  readonly #context: SourceContext
  readonly #splits: readonly OwnSplit[]
  #turn = 0
  #lastRead: OwnSplit | undefined

  constructor(source: Source<unknown>, context: SourceContext, splits: readonly SplitState[], wake: () => void) {
    this.#inTurn = source.inTurn === true
    this.#context = context
    this.#splits = splits.map((state) => new OwnSplit(source, context, state, wake))
  }

  /** @throws SluiceError what the source threw, with its place */
  next(max: number): Reading {
    try {
      // A loop, because any number of splits in a row may be empty.
      for (;;) {
        const reading = this.#inTurn
          ? this.#nextInTurn(max)
          : (this.#splits.find((split) => !split.done)?.next(max, this.#hold) ?? END)
        if (reading.type !== 'end' || this.#splits.every((split) => split.done)) return reading
      }
    } catch (error) {
      throw this.#failure(error)
    }
  }

  /** Remembers whose records are on their way, so that `handedOn` moves the right position. */
  readonly #hold = (split: OwnSplit): void => {
    this.#lastRead = split
  }

  #nextInTurn(max: number): Reading {
    let best: Reading = END
    for (let tried = 0; tried < this.#splits.length; tried++) {
      const split = this.#splits[this.#turn++ % this.#splits.length]!
      if (split.done) continue
      const reading = split.next(max, this.#hold)
      if (reading.type === 'records') return reading
      // Somebody who has nothing now is asked again soon, whatever the others wait for.
      if (reading.type === 'nothing' || best.type === 'end') best = reading
    }
    return best
  }

  /** All records of the last reading have been handed on. */
  handedOn(): void {
    assert(this.#lastRead !== undefined, 'records were handed on before any was read')
    try {
      this.#lastRead.handedOn()
    } catch (error) {
      throw this.#failure(error)
    }
  }

  positions(): readonly SplitState[] {
    return this.#splits.map((split) => split.state())
  }

  /** Closes all readers. @throws the first error of theirs */
  close(): void {
    const errors: unknown[] = []
    for (const split of this.#splits) {
      try {
        split.close()
      } catch (error) {
        errors.push(error)
      }
    }
    if (errors.length > 0) throw errors[0]
  }

  #failure(error: unknown): SluiceError {
    const { operator, subtask } = this.#context
    return locateError(error, { operator, subtask }, 'SOURCE_FAILED', `'${operator}' cannot read`)
  }
}

/** One split and its reader: not open, open, or done. */
class OwnSplit {
  readonly #source: Source<unknown>
  readonly #context: SourceContext
  readonly #wake: () => void
  readonly #index: number
  readonly #encoded: Uint8Array<ArrayBuffer>
  #position: unknown
  #started: boolean
  #reader: SplitReader<unknown> | undefined
  #settled: { readonly value: unknown } | { readonly error: unknown } | undefined
  #opening = false
  #pending = false
  #closed = false
  done: boolean

  constructor(source: Source<unknown>, context: SourceContext, state: SplitState, wake: () => void) {
    this.#source = source
    this.#context = context
    this.#wake = wake
    this.#index = state.index
    this.#encoded = state.split
    this.#position = state.position === undefined ? undefined : decodeValue(state.position)
    this.#started = state.position !== undefined
    this.done = state.done
  }

  /** @param hold is told that this split's records are on their way */
  next(max: number, hold: (split: OwnSplit) => void): Reading {
    if (this.#pending) return WAITING
    const arrived = this.#takeSettled()
    if (this.done) return END
    if (this.#reader === undefined) {
      const opened = this.#source.open(decodeValue(this.#encoded), this.#started ? this.#position : undefined, this.#context)
      if (isPromise(opened)) {
        this.#opening = true
        return this.#await(opened)
      }
      this.#reader = opened
    }
    const answer = arrived === undefined ? this.#reader.poll(max) : (arrived.value as readonly unknown[] | null)
    if (isPromise(answer)) return this.#await(answer)
    if (answer === null) return this.#finish(this.#reader)
    if (answer.length === 0) return NOTHING
    hold(this)
    return { type: 'records', records: answer }
  }

  #finish(reader: SplitReader<unknown>): Reading {
    this.#position = reader.position()
    this.#started = true
    this.#reader = undefined
    this.done = true
    const closing = reader.close?.()
    if (!isPromise(closing)) return END
    // Done only when the reader has let go, or an error of that would be lost.
    this.done = false
    this.#finishing = true
    return this.#await(closing)
  }

  #finishing = false

  handedOn(): void {
    this.#position = this.#reader!.position()
    this.#started = true
  }

  state(): SplitState {
    const position = this.#started ? { position: encodeValue(this.#position) } : {}
    return { index: this.#index, split: this.#encoded, done: this.done, ...position }
  }

  close(): void {
    this.#closed = true
    const closing = this.#reader?.close?.()
    this.#reader = undefined
    // The attempt is over: a reader that cannot let go has nobody left to tell.
    if (isPromise(closing)) closing.then(undefined, () => undefined)
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
    if (this.#finishing) {
      this.#finishing = false
      this.done = true
      return undefined
    }
    return settled
  }

  #closeLate(outcome: { readonly value: unknown } | { readonly error: unknown }): void {
    if (!this.#opening || 'error' in outcome) return
    this.#reader = outcome.value as SplitReader<unknown>
    try {
      this.close()
    } catch {
      // As for every reader that is closed at the end of an attempt: nobody is left to tell.
    }
  }
}

function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function'
}
