import FlatQueue from 'flatqueue'
import { copyValue } from '../../src/core/copy-value.ts'
import { SluiceError } from '../../src/core/errors.ts'
import type { KeyedContext, PaneCursor, PaneTable } from '../../src/core/keyed-state.ts'
import type { Operator, OperatorContext } from '../../src/core/operator.ts'
import { WATERMARK_END, WATERMARK_NONE } from '../../src/core/time.ts'
import { emitAll } from '../flat-map.ts'
import { keyedContext } from '../keyed/keyed-context.ts'
import type { AlignedContents } from './aligned-contents.ts'
import { SharedPanes, WholeWindows } from './aligned-contents.ts'
import { AlignedLayout } from './aligned-layout.ts'
import type { SlidingWindow, TumblingWindow } from './assigners.ts'
import { LATE_OUTPUT } from './late-output.ts'
import { checkTimestamp } from './timestamp-check.ts'
import type { WindowFunction } from './window-function.ts'

/**
 * Tumbling and sliding windows over keyed records, which are the same for all keys.
 *
 * ```ts
 * from([1, 12, 3, 25, 4]).withTimestamps((n) => n).keyBy(() => 'all').window(tumblingWindow(10), { allowedLateness: 5 }).process((all) => [all])
 * // -> [1], [1, 3], [12], [25]
 * ```
 *
 * What always holds for windows of event time:
 *
 * 1. A window fires when the watermark reaches its last millisecond (`end - 1`), for all keys at once; its results bear that timestamp. Windows
 *    fire in the order of their ends. A key of which a window holds nothing gets no result.
 * 2. It is kept for `allowedLateness` more. A record that comes in that time fires its key again, at once, in each of its windows that have
 *    fired and are kept, the oldest first.
 * 3. A window whose end and lateness the watermark has passed is gone. A record counts in those of its windows that are not gone; when all
 *    are, it goes to the late output, untouched.
 * 4. A window has fired exactly if the watermark has reached its last millisecond, so the state needs no mark for it: firing is over
 *    before the watermark goes on and before any barrier is met. After a change of parallelism that is the watermark which the key's group
 *    had seen, when the operator's own has fallen behind it.
 *
 * In windows of processing time the clock takes the place of the watermark. A record falls into the windows of the instant at which it is
 * handled, nothing is late, and a window is gone once it has fired; what comes after that in its last millisecond makes it anew and
 * fires it again. At the end of the input the open ones fire without waiting for the clock, so that nothing is lost.
 *
 * State is (window, key) -> accumulator, or (pane, key) -> accumulator for overlapping windows of event time whose accumulators can be merged: there
 * each record is added once, whatever number of windows it falls into. No timer for each key, and what is gone is dropped in one step.
 */
export class AlignedWindowOperator implements Operator {
  readonly #context: OperatorContext
  readonly #keyed: KeyedContext
  readonly #fn: WindowFunction
  /** What a firing throws concerns all records of the window. */
  readonly #ofWindow = { failure: (error: unknown) => this.#context.failure(error, true) }
  readonly #byClock: boolean
  readonly #latenessMs: number
  readonly #layout: AlignedLayout
  readonly #paned: boolean
  readonly #cells: PaneTable<unknown>
  readonly #contents: AlignedContents
  /** Windows that have not fired, by their last millisecond; one may turn out to hold nothing. */
  readonly #toFire = new FlatQueue<number>()
  readonly #unfired = new Set<number>()
  /** Cells that hold anything, by the instant at which the last of their windows is gone. */
  readonly #toDrop = new FlatQueue<number>()
  readonly #known = new Set<number>()
  #firing: { readonly start: number; readonly entries: PaneCursor<unknown> } | undefined
  /** How far the watermark, or the clock, has come in firing. */
  #reached = WATERMARK_NONE

  constructor(context: OperatorContext, assigner: TumblingWindow | SlidingWindow, latenessMs: number, fn: WindowFunction) {
    const layout = new AlignedLayout(assigner)
    const { merge } = fn
    this.#context = context
    this.#keyed = keyedContext(context)
    this.#fn = fn
    this.#byClock = assigner.time === 'processing'
    this.#latenessMs = latenessMs
    this.#layout = layout
    // A pane does not know which of its windows have fired. In event time the watermark does; the clock has been stored nowhere.
    this.#paned = layout.overlapping && fn.divisible && merge !== undefined && !this.#byClock
    this.#cells = this.#keyed.panes(this.#paned ? 'pane' : 'window')
    this.#contents = this.#paned ? new SharedPanes(this.#cells, layout, merge!) : new WholeWindows(this.#cells)
  }

  open(): void {
    // An aggregate that got or lost its `merge` since then would look for its accumulators in the wrong place, and lose them without a word.
    const others = this.#keyed.panes(this.#paned ? 'window' : 'pane').windows()
    if ([...others].length > 0) throw this.#context.failure(otherCells(this.#paned))
    for (const cell of this.#cells.windows()) this.#register(cell)
  }

  onRecord(value: unknown): void {
    this.#take(value, false)
  }

  onSecond(value: unknown): void {
    this.#take(value, true)
  }

  #take(value: unknown, second: boolean): void {
    const time = this.#byClock ? this.#context.clock.now() : this.#context.cell.timestamp
    checkTimestamp(time, this.#context)
    const watermark = this.#watermark()
    const newest = this.#layout.newest(time)
    if (this.#isGone(newest, watermark)) return this.#late(value)
    if (!this.#layout.overlapping) this.#add(newest, value, second)
    else if (this.#paned) this.#add(this.#layout.pane(time), value, second)
    else this.#addToAll(time, watermark, value, second)
    if (this.#latenessMs > 0) this.#fireAgain(time, watermark)
  }

  /** Adds a record to each of its windows that is not gone. */
  #addToAll(time: number, watermark: number, value: unknown, second: boolean): void {
    const { sizeMs, slideMs } = this.#layout
    for (let start = this.#layout.newest(time); start > time - sizeMs && !this.#isGone(start, watermark); start -= slideMs) {
      this.#add(start, value, second)
    }
  }

  /** What the current key's group has seen; by the clock nothing is late, and what is due fires by itself. */
  #watermark(): number {
    if (this.#byClock) return WATERMARK_NONE
    return Math.max(this.#context.watermark, this.#keyed.watermarkFloor)
  }

  #isGone(start: number, watermark: number): boolean {
    return this.#lastOf(start) + this.#latenessMs <= watermark
  }

  #lastOf(start: number): number {
    return start + this.#layout.sizeMs - 1
  }

  #late(value: unknown): void {
    this.#context.late()
    this.#context.side(LATE_OUTPUT).onRecord(value)
  }

  #add(cell: number, value: unknown, second: boolean): void {
    // The function that adds may change it.
    const before = this.#cells.edit(cell)
    const first = before === undefined && !this.#cells.has(cell)
    try {
      // What `create` returns may be one object for all keys and windows.
      const accumulator = first ? copyValue(this.#fn.create()) : before
      this.#cells.set(cell, second ? this.#fn.addSecond!(accumulator, value) : this.#fn.add(accumulator, value))
    } catch (error) {
      throw this.#context.failure(error)
    }
    if (first && !this.#known.has(cell)) this.#register(cell)
  }

  /** Notes when a cell that is new is to be dropped, and those of its windows that have not fired and nobody knows of yet. */
  #register(cell: number): void {
    const newest = this.#contents.newest(cell)
    this.#known.add(cell)
    this.#toDrop.push(cell, this.#lastOf(newest) + this.#latenessMs)
    const watermark = this.#byClock ? WATERMARK_NONE : this.#context.watermark
    for (let start = this.#contents.oldest(cell); start <= newest; start += this.#layout.slideMs) {
      if (this.#lastOf(start) <= watermark || this.#unfired.has(start)) continue
      this.#unfired.add(start)
      this.#toFire.push(start, this.#lastOf(start))
    }
  }

  #fireAgain(time: number, watermark: number): void {
    const { slideMs } = this.#layout
    for (let start = this.#layout.oldest(time); this.#lastOf(start) <= watermark && start <= time; start += slideMs) {
      if (!this.#isGone(start, watermark)) this.#emit(this.#current(start), this.#keyed.key, start, true)
    }
  }

  onWatermark(watermark: number): boolean {
    return (this.#byClock && watermark !== WATERMARK_END) || this.#advance(watermark)
  }

  nextEventTime(): number {
    if (this.#byClock) return WATERMARK_END
    if (this.#firing !== undefined) return WATERMARK_NONE
    return Math.min(this.#toFire.peekValue() ?? WATERMARK_END, this.#toDrop.peekValue() ?? WATERMARK_END)
  }

  nextProcessingTime(): number {
    if (!this.#byClock) return Number.POSITIVE_INFINITY
    // What has begun goes on at once, also when the clock has been set back meanwhile.
    if (this.#firing !== undefined) return Number.NEGATIVE_INFINITY
    // The last millisecond of a window is over only when the clock shows the next one.
    return (this.#toFire.peekValue() ?? Number.POSITIVE_INFINITY) + 1
  }

  onProcessingTime(nowMs: number): boolean {
    return !this.#byClock || this.#advance(nowMs - 1)
  }

  /** Fires what is due by then, and drops what is gone. False: an output is full, call again. */
  #advance(reached: number): boolean {
    this.#reached = reached
    while (this.#firing !== undefined || this.#nextToFire()) if (!this.#continueFiring()) return false
    while (this.#toDrop.length > 0 && this.#toDrop.peekValue()! <= reached) {
      const cell = this.#toDrop.pop()!
      this.#known.delete(cell)
      this.#cells.drop(cell)
    }
    return true
  }

  #nextToFire(): boolean {
    if (this.#toFire.length === 0 || this.#toFire.peekValue()! > this.#reached) return false
    const start = this.#toFire.pop()!
    this.#unfired.delete(start)
    this.#firing = { start, entries: this.#entries(start) }
    return true
  }

  #entries(start: number): PaneCursor<unknown> {
    const last = this.#lastOf(start)
    const hasFired = (group: number): boolean => !this.#byClock && this.#keyed.watermarkFloorOf(group) >= last
    try {
      return this.#contents.entries(start, hasFired)
    } catch (error) {
      throw this.#ofWindow.failure(error)
    }
  }

  #current(start: number): unknown {
    try {
      return this.#contents.get(start)
    } catch (error) {
      throw this.#ofWindow.failure(error)
    }
  }

  /** Emits the firing window key by key. False: an output is full. */
  #continueFiring(): boolean {
    const { start, entries } = this.#firing!
    // Records of overlapping windows are in the accumulators of several of them.
    const livesOn = this.#layout.overlapping || this.#lastOf(start) + this.#latenessMs > this.#reached
    while (this.#context.hasRoom) {
      if (!entries.next()) {
        this.#firing = undefined
        return true
      }
      this.#emit(entries.value, entries.key, start, livesOn)
    }
    return false
  }

  #emit(accumulator: unknown, key: unknown, start: number, livesOn: boolean): void {
    const { cell, output } = this.#context
    const shown = livesOn && this.#contents.live ? copyValue(accumulator) : accumulator
    let results: Iterable<unknown>
    try {
      results = this.#fn.results(shown, copyValue(key), { start, end: start + this.#layout.sizeMs })
    } catch (error) {
      throw this.#ofWindow.failure(error)
    }
    const before = cell.timestamp
    cell.timestamp = this.#lastOf(start)
    emitAll(results, output, this.#ofWindow)
    cell.timestamp = before
  }
}

function otherCells(paned: boolean): SluiceError {
  const [stored, now] = paned ? ['window by window', 'with'] : ['pane by pane', 'without']
  return new SluiceError(
    'STATE_OF_ANOTHER_GRAPH',
    `the state holds sliding windows ${stored}, and the aggregate is now one ${now} merge`,
    {
      hint: 'put the aggregate back as it was, or forget the state with --fresh',
    },
  )
}
