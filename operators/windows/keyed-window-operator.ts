import { copyValue } from '../../src/core/copy-value.ts'
import type { KeyedContext, KeyedTable, KeyedTimers } from '../../src/core/keyed-state.ts'
import type { Operator, OperatorContext } from '../../src/core/operator.ts'
import { NO_TIMESTAMP, WATERMARK_END, WATERMARK_NONE } from '../../src/core/time.ts'
import { emitAll } from '../flat-map.ts'
import { keyedContext } from '../keyed/keyed-context.ts'
import { AlignedLayout } from './aligned-layout.ts'
import type { SessionWindow, TimeWindow, WindowAssigner } from './assigners.ts'
import { ALL_TIME } from './assigners.ts'
import { advanceTick, firesAtEnd, firesOnRecord, firesOnTick } from './keyed-trigger.ts'
import type { OpenWindow } from './keyed-window-state.ts'
import { NEVER, openWindow, placeOf } from './keyed-window-state.ts'
import { END_OF_INPUT, WindowTimers } from './keyed-window-timers.ts'
import { LATE_OUTPUT } from './late-output.ts'
import type { MetSessions } from './session-windows.ts'
import { contentsOf, joinMet, meet } from './session-windows.ts'
import { checkTimestamp } from './timestamp-check.ts'
import type { Trigger } from './triggers.ts'
import type { WindowFunction } from './window-function.ts'

/**
 * Windows of every kind with every trigger, kept key by key.
 *
 * ```ts
 * const words = from(['a', 'b', 'a', 'a'])
 *
 * words.keyBy((word) => word).window(countWindow(2)).process((records) => [records.join('')]) // -> 'aa'
 * ```
 *
 * Model: Apache Flink's `WindowOperator`. What always holds:
 *
 * 1. The state of a key is the row of its open windows, ordered by time; a key without any has no state and no timers.
 * 2. A window of event time is gone once the watermark has reached its last millisecond (`end - 1`) plus the allowed lateness, one of processing
 *    time once the clock has reached its end, one of all time (count and global windows) with the end of the input.
 * 3. Whether a record is late is known before any state is touched, for sessions by what they would be after merging. It goes to the late output
 *    only if all its windows are gone.
 * 4. For each record and window: add, ask the trigger, fire, purge, set the timers. A window without records never fires.
 * 5. A purge takes the records out of a window. The window itself lives on where that can be seen, which is in sessions alone: the next record
 *    still joins it.
 * 6. Between two calls everything is in the state: a firing that a full output interrupts goes on from there, and a window that has fired at its
 *    end says so (`ended`).
 */
export class KeyedWindowOperator implements Operator {
  readonly #context: OperatorContext
  readonly #keyed: KeyedContext
  readonly #table: KeyedTable<OpenWindow[]>
  readonly #timers: KeyedTimers
  readonly #windowTimers: WindowTimers
  readonly #layout: AlignedLayout | undefined
  readonly #session: SessionWindow | undefined
  readonly #trigger: Trigger
  readonly #latenessMs: number
  readonly #fn: WindowFunction
  /** What a firing throws concerns all records of the window. */
  readonly #ofWindow = { failure: (error: unknown) => this.#context.failure(error, true) }
  readonly #byClock: boolean
  readonly #byTimestamp: boolean
  /** What the group of the key at hand has seen. */
  #watermark = WATERMARK_NONE
  /** The sessions that the record at hand meets. */
  readonly #met: MetSessions = { first: 0, behind: 0, start: 0, end: 0 }
  readonly #hasRoom = (): boolean => this.#context.hasRoom
  readonly #fireEventTime = (time: number): void => this.#onEventTime(time)
  readonly #fireClock = (time: number): void => this.#onClock(time)
  readonly #fireLast = (): void => this.#onClock(NEVER)

  constructor(context: OperatorContext, assigner: WindowAssigner, trigger: Trigger, latenessMs: number, fn: WindowFunction) {
    this.#context = context
    this.#keyed = keyedContext(context)
    this.#table = this.#keyed.table('windows')
    this.#timers = this.#keyed.timers('window')
    this.#windowTimers = new WindowTimers(this.#timers)
    this.#layout = assigner.kind === 'tumbling' || assigner.kind === 'sliding' ? new AlignedLayout(assigner) : undefined
    this.#session = assigner.kind === 'session' ? assigner : undefined
    this.#trigger = trigger
    this.#latenessMs = latenessMs
    this.#fn = fn
    this.#byClock = 'time' in assigner && assigner.time === 'processing'
    this.#byTimestamp = 'time' in assigner && assigner.time === 'event'
  }

  // Records

  onRecord(value: unknown): void {
    this.#take(value, false)
  }

  onSecond(value: unknown): void {
    this.#take(value, true)
  }

  #take(value: unknown, second: boolean): void {
    this.#watermark = Math.max(this.#context.watermark, this.#keyed.watermarkFloor)
    const time = this.#time()
    // Late records leave the state as it is, so that it does not count as changed.
    if (this.#isLate(time)) return this.#late(value)
    const stored = this.#table.edit()
    const windows = stored ?? []
    this.#assign(windows, time, value, second)
    if (windows.length === 0) this.#table.delete()
    else if (stored === undefined) this.#table.set(windows)
  }

  #late(value: unknown): void {
    this.#context.late()
    this.#context.side(LATE_OUTPUT).onRecord(value)
  }

  /** Whether all windows of a record are gone. Notes the sessions that it meets. */
  #isLate(time: number): boolean {
    if (this.#layout !== undefined) return this.#isGone(this.#layout.newest(time) + this.#layout.sizeMs)
    if (this.#session === undefined) return false
    meet(this.#table.get() ?? NO_WINDOWS, time, time + this.#session.gapMs, this.#met)
    return this.#isGone(this.#met.end)
  }

  /** Adds a record to all its windows that are not gone. */
  #assign(windows: OpenWindow[], time: number, value: unknown, second: boolean): void {
    if (this.#layout !== undefined) this.#addToAligned(this.#layout, windows, time, value, second)
    else if (this.#session !== undefined) this.#addToSession(windows, value, second)
    else this.#addAt(windows, 0, ALL_TIME, value, second)
  }

  /** The newest window first. */
  #addToAligned(layout: AlignedLayout, windows: OpenWindow[], time: number, value: unknown, second: boolean): void {
    const { sizeMs, slideMs } = layout
    let place = windows.length
    for (let start = layout.newest(time); start > time - sizeMs && !this.#isGone(start + sizeMs); start -= slideMs) {
      place = placeOf(windows, start, place)
      this.#addAt(windows, place, { start, end: start + sizeMs }, value, second)
    }
  }

  /** To the window that begins then, which is at that place of the row or belongs there. */
  #addAt(windows: OpenWindow[], place: number, { start, end }: TimeWindow, value: unknown, second: boolean): void {
    const found = windows[place]?.start === start ? windows[place] : undefined
    const contents = this.#folded(found === undefined ? [] : [found], value, second)
    const window = found ?? openWindow(start, end)
    if (found === undefined) windows.splice(place, 0, window)
    this.#added(windows, window, contents)
  }

  #addToSession(windows: OpenWindow[], value: unknown, second: boolean): void {
    const met = this.#met
    const contents = this.#folded(windows.slice(met.first, met.behind), value, second)
    this.#added(windows, joinMet(windows, met, this.#windowTimers), contents)
  }

  /** What these windows hold together with one more record. All that a function may throw at comes before the row changes. */
  #folded(windows: readonly OpenWindow[], value: unknown, second: boolean): unknown {
    const fn = this.#fn
    try {
      let contents = contentsOf(windows, fn.merge, this.#context.passesOverBadRecords)
      // What `create` returns may be one object for all keys and windows.
      if (!windows.some(({ filled }) => filled)) contents = copyValue(fn.create())
      return second ? fn.addSecond!(contents, value) : fn.add(contents, value)
    } catch (error) {
      throw this.#context.failure(error)
    }
  }

  /** By which the record at hand falls into its windows; none where they are of all time. */
  #time(): number {
    if (!this.#byClock && !this.#byTimestamp) return NO_TIMESTAMP
    const time = this.#byClock ? this.#context.clock.now() : this.#context.cell.timestamp
    checkTimestamp(time, this.#context)
    return time
  }

  #isGone(end: number): boolean {
    return this.#byTimestamp && end - 1 + this.#latenessMs <= this.#watermark
  }

  #added(windows: OpenWindow[], window: OpenWindow, contents: unknown): void {
    window.contents = contents
    window.filled = true
    window.pending++
    window.ended = !this.#byClock && window.end - 1 <= this.#watermark
    if (firesOnRecord(this.#trigger, window, this.#context.clock)) this.#fire(window, true)
    this.#settle(windows, window, false)
  }

  // Time

  nextEventTime(): number {
    return this.#timers.nextEventTime()
  }

  onWatermark(watermark: number): boolean {
    if (!this.#timers.fireEventTime(watermark, this.#fireEventTime, this.#hasRoom)) return false
    if (!this.#byClock || watermark !== WATERMARK_END) return true
    // Every open window has a timer by the clock, which is not waited for.
    return this.#timers.fireProcessingTime(NEVER, this.#fireLast, this.#hasRoom)
  }

  nextProcessingTime(): number {
    return this.#timers.nextProcessingTime()
  }

  onProcessingTime(nowMs: number): boolean {
    return this.#timers.fireProcessingTime(nowMs, this.#fireClock, this.#hasRoom)
  }

  #onEventTime(timer: number): void {
    const watermark = timer === END_OF_INPUT ? WATERMARK_END : timer
    this.#forEachWindow((windows, window) => {
      if (window.eventTimer <= timer) window.eventTimer = NEVER
      const gone = this.#goneAt(window) <= watermark
      if (!window.ended && window.end - 1 <= watermark) {
        window.ended = true
        if (firesAtEnd(this.#trigger, window, false)) this.#fire(window, !gone)
      }
      this.#settle(windows, window, gone)
    })
  }

  #onClock(nowMs: number): void {
    this.#forEachWindow((windows, window) => {
      if (window.clockTimer <= nowMs) window.clockTimer = NEVER
      const gone = this.#byClock && window.end <= nowMs
      if (gone) {
        if (firesAtEnd(this.#trigger, window, true)) this.#fire(window, false)
      } else if (window.tickMs <= nowMs) {
        if (firesOnTick(this.#trigger, window)) this.#fire(window, true)
        advanceTick(this.#trigger, window)
      }
      this.#settle(windows, window, gone)
    })
  }

  /**
   * The open windows of the current key in the order of time; `visit` may take out the one that it is given. Its timer fires, which changes at
   * least one of them.
   */
  #forEachWindow(visit: (windows: OpenWindow[], window: OpenWindow) => void): void {
    const windows = this.#table.edit()
    if (windows === undefined) return
    for (let place = 0; place < windows.length; ) {
      const window = windows[place]!
      visit(windows, window)
      if (windows[place] === window) place++
    }
    if (windows.length === 0) this.#table.delete()
  }

  #goneAt(window: OpenWindow): number {
    return window.end - 1 + this.#latenessMs
  }

  /** After something has happened to a window: it is taken out when it is gone or empty, or else gets the timers that it needs. */
  #settle(windows: OpenWindow[], window: OpenWindow, gone: boolean): void {
    if (gone || (!window.filled && this.#session === undefined)) {
      windows.splice(windows.lastIndexOf(window), 1)
      this.#windowTimers.release(windows, window)
      return
    }
    const eventTime = this.#byClock ? NEVER : Math.min(window.ended ? this.#goneAt(window) : window.end - 1, END_OF_INPUT)
    // Its last millisecond is over only when the clock shows the next one.
    const clockTime = this.#byClock ? Math.min(window.tickMs, window.end) : window.tickMs
    this.#windowTimers.arm(windows, window, eventTime, clockTime)
  }

  #fire(window: OpenWindow, livesOn: boolean): void {
    if (!window.filled) return
    const { purge } = this.#trigger
    const { start, end, contents } = window
    window.pending = 0
    // What is handed out may be changed by whoever gets it. Records of overlapping windows are in the contents of several of them.
    const shared = this.#layout?.overlapping === true || (livesOn && !purge)
    this.#emit(shared ? copyValue(contents) : contents, start, end)
    if (!purge) return
    window.filled = false
    window.contents = undefined
  }

  #emit(contents: unknown, start: number, end: number): void {
    const { cell, output } = this.#context
    let results: Iterable<unknown>
    try {
      results = this.#fn.results(contents, copyValue(this.#keyed.key), { start, end })
    } catch (error) {
      throw this.#ofWindow.failure(error)
    }
    const before = cell.timestamp
    cell.timestamp = end === Number.POSITIVE_INFINITY ? NO_TIMESTAMP : end - 1
    emitAll(results, output, this.#ofWindow)
    cell.timestamp = before
  }
}

const NO_WINDOWS: readonly OpenWindow[] = []
