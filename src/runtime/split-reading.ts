import { assert } from '../core/assert.ts'
import { UnreadRecord } from '../core/bad-record.ts'
import { locateError, SluiceError } from '../core/errors.ts'
import type { SourceSplits } from '../core/operator.ts'
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

/** How a task reads its source. */
export interface SourceReading extends SourceSplits {
  /** At most about `max` records; 0: only what has been read before. */
  next(max: number): Reading
  /** Reads nothing more: the input ends with what has been read. */
  end(): void
  /** The split whose records are on their way, by its place in the enumeration. */
  readonly split: number
  /** Nothing that was read waits to be handed on: a barrier may pass. */
  readonly idle: boolean
  /** True when `reading` has changed since this was last asked. */
  takeChange(): boolean
  /** The task stands still because of those behind it: meanwhile nobody listens to the source. */
  block(): void
  unblock(): void
  /** All records of the last reading have been handed on. */
  handedOn(): void
  positions(): readonly SplitState[]
  /** Closes all readers. @throws the first error of theirs */
  close(): void
}

/**
 * Reads the splits of one source subtask: one after the other, or all of them in turn, as the source says. What always holds:
 *
 * - `positions()` speaks of the records up to the last `handedOn()`: a batch that was polled but not handed on in full is not counted, so
 *   a barrier between two batches and the positions are one atomic step.
 * - At most one promise of each reader is under way.
 * - `reading` are the splits that are read side by side. Of a source that is read in turn: all that are not done. Of any other: those up to
 *   the furthest one that was ever begun. That is one, unless a change of parallelism brought together what several subtasks were
 *   reading; these then go on side by side as before, or one would run to its end while another stands where the watermark does.
 */
export class SplitReading implements SourceReading {
  readonly idle = true

  readonly #inTurn: boolean
  readonly #context: SourceContext
  readonly #splits: readonly OwnSplit[]
  readonly #byIndex: ReadonlyMap<number, OwnSplit>
  readonly #heldUp = new HeldUpClock()
  readonly #gates: ((split: number) => boolean)[] = []
  /** Splits that are being read, in order. */
  #active: OwnSplit[]
  /** Place of the first split that is not being read yet. */
  #next: number
  #reading: readonly number[] = []
  #changed = true
  #turn = 0
  #lastRead: OwnSplit | undefined

  /** @param splits in the order of their index */
  constructor(source: Source<unknown>, context: SourceContext, splits: readonly SplitState[], wake: () => void) {
    this.#inTurn = source.inTurn === true
    this.#context = context
    this.#splits = splits.map((state) => new OwnSplit(source, context, state, wake, this.#heldUp))
    this.#byIndex = new Map(this.#splits.map((split) => [split.index, split]))
    this.#next = this.#inTurn ? splits.length : splits.findLastIndex(isBegun) + 1
    this.#active = this.#splits.slice(0, this.#next)
    this.#settle()
  }

  /** @throws SluiceError what the source threw, with its place */
  next(max: number): Reading {
    try {
      // A loop, because any number of splits in a row may be empty.
      for (;;) {
        const reading = this.#round(max)
        if (reading.type !== 'end' || this.#active.length === 0) return reading
      }
    } catch (error) {
      throw this.#failure(error)
    }
  }

  /** Remembers whose records are on their way, so that `handedOn` moves the right position. */
  readonly #hold = (split: OwnSplit): void => {
    this.#lastRead = split
  }

  /** Asks the active splits in turn until one has records, or comes to its end. */
  #round(max: number): Reading {
    let best: Reading = END
    for (let tried = this.#active.length; tried > 0; tried--) {
      this.#turn = this.#turn < this.#active.length ? this.#turn : 0
      const split = this.#active[this.#turn++]!
      const reading = this.#ask(split, max)
      if (reading.type === 'records') return reading
      if (split.done) {
        this.#turn--
        this.#settle()
        return END
      }
      // Somebody who has nothing now is asked again soon, whatever the others wait for.
      if (reading.type === 'nothing' || best.type === 'end') best = reading
    }
    return best
  }

  #ask(split: OwnSplit, max: number): Reading {
    for (const held of this.#gates) if (held(split.index)) return split.leaveAlone()
    return split.next(max, this.#hold)
  }

  /** Takes what is done out of the active splits, and goes on to the next one when none is left. */
  #settle(): void {
    this.#active = this.#active.filter((split) => !split.done)
    while (this.#active.length === 0 && this.#next < this.#splits.length) {
      const split = this.#splits[this.#next++]!
      if (!split.done) this.#active.push(split)
    }
    this.#reading = this.#active.map((split) => split.index)
    this.#changed = true
  }

  end(): void {}

  // What operators that make watermarks ask

  get reading(): readonly number[] {
    return this.#reading
  }

  listenedMs(split: number): number {
    return this.#byIndex.get(split)?.listenedMs ?? 0
  }

  holdBack(held: (split: number) => boolean): void {
    this.#gates.push(held)
  }

  // What the task says and asks

  get split(): number {
    return this.#lastRead?.index ?? -1
  }

  takeChange(): boolean {
    const changed = this.#changed
    this.#changed = false
    return changed
  }

  block(): void {
    this.#heldUp.begin(this.#context.now())
  }

  unblock(): void {
    if (this.#heldUp.running) this.#heldUp.end(this.#context.now())
  }

  handedOn(): void {
    assert(this.#lastRead !== undefined, 'records were handed on before any was read')
    try {
      this.#lastRead.handedOn()
    } catch (error) {
      throw this.#failure(error)
    }
  }

  positions(): readonly SplitState[] {
    return this.#splits.map((split) => split.state(this.#active.includes(split)))
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

/** Whether a checkpoint says that a split has been begun: with a record, or while it waited for its first one. */
function isBegun({ position, reading = false }: SplitState): boolean {
  return position !== undefined || reading
}

/** How long a task has been held up in all. */
class HeldUpClock {
  #sinceMs: number | undefined
  #totalMs = 0

  get running(): boolean {
    return this.#sinceMs !== undefined
  }

  begin(nowMs: number): void {
    this.#sinceMs ??= nowMs
  }

  end(nowMs: number): void {
    this.#totalMs = this.totalMs(nowMs)
    this.#sinceMs = undefined
  }

  totalMs(nowMs: number): number {
    return this.#totalMs + (this.#sinceMs === undefined ? 0 : Math.max(0, nowMs - this.#sinceMs))
  }
}

/** One split and its reader: not open, open, or done. */
class OwnSplit {
  readonly index: number
  readonly #source: Source<unknown>
  readonly #context: SourceContext
  readonly #wake: () => void
  readonly #heldUp: HeldUpClock
  readonly #encoded: Uint8Array<ArrayBuffer>
  #position: unknown
  #started: boolean
  #reader: SplitReader<unknown> | undefined
  #settled: { readonly value: unknown } | { readonly error: unknown } | undefined
  #opening = false
  #pending = false
  #closed = false
  /** Where the reader was before it was asked; only in a job that passes over bad records. */
  #stoodAt: Uint8Array | undefined
  done: boolean
  /** For how long the split has been asked for records, in all. */
  listenedMs = 0
  /** When it was last asked, and how long the task had been held up by then; absent when it was left alone since. */
  #askedMs: number | undefined
  #heldUpMs = 0

  constructor(source: Source<unknown>, context: SourceContext, state: SplitState, wake: () => void, heldUp: HeldUpClock) {
    this.#heldUp = heldUp
    this.#source = source
    this.#context = context
    this.#wake = wake
    this.index = state.index
    this.#encoded = state.split
    this.#position = state.position === undefined ? undefined : decodeValue(state.position)
    this.#started = state.position !== undefined
    this.done = state.done
  }

  /** @param hold is told that this split's records are on their way */
  next(max: number, hold: (split: OwnSplit) => void): Reading {
    this.#listen()
    if (this.#pending) return WAITING
    const arrived = this.#takeSettled()
    if (this.done) return END
    if (this.#reader === undefined) {
      const opened = this.#source.open(decodeValue(this.#encoded), this.#started ? this.#position : undefined, this.#context)
      if (isPromise(opened)) {
        this.#opening = true
        return this.#await(opened)
      }
      this.#begin(opened)
    }
    const reader = this.#reader!
    const answer = arrived === undefined ? this.#poll(reader, max) : (arrived.value as readonly unknown[] | null)
    if (isPromise(answer)) return this.#await(answer)
    if (answer === null) return this.#finish(reader)
    if (answer.length === 0) return NOTHING
    hold(this)
    return { type: 'records', records: answer }
  }

  #begin(reader: SplitReader<unknown>): void {
    this.#reader = reader
    if (this.#passesOver) this.#stoodAt = encodeValue(reader.position())
  }

  #poll(reader: SplitReader<unknown>, max: number): ReturnType<SplitReader<unknown>['poll']> {
    try {
      const answer = reader.poll(max)
      if (!this.#passesOver || !isPromise(answer)) return answer
      return Promise.resolve(answer).catch((error: unknown) => this.#unread(error, reader))
    } catch (error) {
      return this.#unread(error, reader)
    }
  }

  /** What stands for a record that cannot be read. @throws the error, where it is not passed over, or the reader has not passed it either */
  #unread(error: unknown, reader: SplitReader<unknown>): readonly unknown[] {
    const isUnread = error instanceof SluiceError && error.code === 'MALFORMED_RECORD'
    if (!isUnread || !this.#passesOver || this.#standsWhereItStood(reader)) throw error
    return [new UnreadRecord(locateError(error, this.#context))]
  }

  get #passesOver(): boolean {
    return this.#context.passesOverBadRecords === true
  }

  /** Or it would be asked for the same record for ever. What it has given out since is handed on, or it would not have been asked. */
  #standsWhereItStood(reader: SplitReader<unknown>): boolean {
    const before = this.#stoodAt!
    this.#stoodAt = encodeValue(reader.position())
    return Buffer.compare(before, this.#stoodAt) === 0
  }

  /** The time since the last question counts: whatever comes now was not there then. */
  #listen(): void {
    const nowMs = this.#context.now()
    const heldUpMs = this.#heldUp.totalMs(nowMs)
    if (this.#askedMs !== undefined) this.listenedMs += Math.max(0, nowMs - this.#askedMs - (heldUpMs - this.#heldUpMs))
    this.#askedMs = nowMs
    this.#heldUpMs = heldUpMs
  }

  /** Held back: not asked, and not listened to until it is asked again. */
  leaveAlone(): Reading {
    this.#askedMs = undefined
    return NOTHING
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
    if (this.#passesOver) this.#stoodAt = encodeValue(this.#position)
  }

  state(reading: boolean): SplitState {
    const position = this.#started ? { position: encodeValue(this.#position) } : {}
    return { index: this.index, split: this.#encoded, done: this.done, ...position, ...(reading ? { reading } : {}) }
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
      this.#begin(settled.value as SplitReader<unknown>)
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
