import FlatQueue from 'flatqueue'
import { SluiceError } from '../../src/core/errors.ts'
import type { KeyedContext, KeyedEntry, PaneTable } from '../../src/core/keyed-state.ts'
import type { Operator, OperatorContext } from '../../src/core/operator.ts'
import { keyedContext } from '../keyed/keyed-context.ts'
import type { SlidingWindow, TimeWindow, TumblingWindow } from './assigners.ts'
import { windowStart } from './assigners.ts'
import { LATE_OUTPUT } from './late-output.ts'
import type { WindowFunction } from './window-function.ts'

/**
 * Event-time windows over keyed records, side by side. What always holds:
 *
 * 1. A window fires when the watermark reaches its last millisecond (`end - 1`), for all keys at once; its results bear that timestamp.
 * 2. It is kept for `allowedLateness` more. A record that comes in that time fires its key again, at once.
 * 3. A window whose end and lateness the watermark has passed is gone; a record for it goes to the late output, untouched.
 * 4. A window has fired exactly if the watermark has reached its last millisecond, so the state needs no mark for it: firing is over
 *    before the watermark goes on and before any barrier is met.
 *
 * State is window -> key -> accumulator: no timer for each key, and a window that is gone is dropped in one step.
 */
export class AlignedWindowOperator implements Operator {
  readonly #context: OperatorContext
  readonly #keyed: KeyedContext
  readonly #panes: PaneTable<unknown>
  readonly #assigner: TumblingWindow | SlidingWindow
  readonly #latenessMs: number
  readonly #fn: WindowFunction
  /** Starts of open windows that have not fired, and of fired ones that are kept for late records; both may hold more than is left. */
  readonly #toFire = new FlatQueue<number>()
  readonly #toDrop = new FlatQueue<number>()
  readonly #known = new Set<number>()
  #firing: { readonly window: TimeWindow; readonly entries: Iterator<KeyedEntry<unknown>> } | undefined

  constructor(context: OperatorContext, assigner: TumblingWindow | SlidingWindow, latenessMs: number, fn: WindowFunction) {
    this.#context = context
    this.#keyed = keyedContext(context)
    this.#panes = this.#keyed.panes('window')
    this.#assigner = assigner
    this.#latenessMs = latenessMs
    this.#fn = fn
  }

  open(): void {
    for (const start of this.#panes.windows()) this.#register(start)
  }

  onRecord(value: unknown): void {
    const { timestamp } = this.#context.cell
    if (Number.isNaN(timestamp)) throw this.#context.failure(noTimestamp())
    const { sizeMs, offsetMs } = this.#assigner
    const start = windowStart(timestamp, sizeMs, offsetMs)
    const { watermark } = this.#context
    if (start + sizeMs - 1 + this.#latenessMs <= watermark) return this.#late(value)
    this.#add(start, value)
    if (start + sizeMs - 1 <= watermark) this.#fireAgain(start)
  }

  #add(start: number, value: unknown): void {
    const before = this.#panes.get(start)
    const first = before === undefined && !this.#panes.has(start)
    try {
      this.#panes.set(start, this.#fn.add(first ? this.#fn.create() : before, value))
    } catch (error) {
      throw this.#context.failure(error)
    }
    if (first && !this.#known.has(start)) this.#register(start)
  }

  #register(start: number): void {
    this.#known.add(start)
    const last = start + this.#assigner.sizeMs - 1
    if (last > this.#context.watermark) this.#toFire.push(start, last)
    this.#toDrop.push(start, last + this.#latenessMs)
  }

  #late(value: unknown): void {
    this.#context.late()
    this.#context.side(LATE_OUTPUT).onRecord(value)
  }

  onWatermark(watermark: number): boolean {
    while (this.#firing !== undefined || this.#nextToFire(watermark)) if (!this.#continueFiring()) return false
    while (this.#toDrop.length > 0 && this.#toDrop.peekValue()! <= watermark) {
      const start = this.#toDrop.pop()!
      this.#known.delete(start)
      this.#panes.drop(start)
    }
    return true
  }

  #nextToFire(watermark: number): boolean {
    if (this.#toFire.length === 0 || this.#toFire.peekValue()! > watermark) return false
    const start = this.#toFire.pop()!
    this.#firing = { window: { start, end: start + this.#assigner.sizeMs }, entries: this.#panes.entries(start) }
    return true
  }

  /** Emits the firing window key by key. False: an output is full. */
  #continueFiring(): boolean {
    const { window, entries } = this.#firing!
    while (this.#context.hasRoom) {
      const next = entries.next()
      if (next.done) {
        this.#firing = undefined
        return true
      }
      this.#emit(next.value.value, next.value.key, window)
    }
    return false
  }

  #fireAgain(start: number): void {
    const window = { start, end: start + this.#assigner.sizeMs }
    this.#emit(this.#panes.get(start), this.#keyed.key, window)
  }

  #emit(accumulator: unknown, key: unknown, window: TimeWindow): void {
    const { cell, output } = this.#context
    let results: Iterable<unknown>
    try {
      results = this.#fn.results(accumulator, key, window)
    } catch (error) {
      throw this.#context.failure(error)
    }
    const before = cell.timestamp
    cell.timestamp = window.end - 1
    for (const result of results) output.onRecord(result)
    cell.timestamp = before
  }
}

function noTimestamp(): SluiceError {
  return new SluiceError('NO_TIMESTAMPS', 'a record without a timestamp came to an event-time window', {
    hint: 'call .withTimestamps((record) => milliseconds, { maxOutOfOrderness }) before it',
  })
}
