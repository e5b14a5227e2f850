import { SluiceError } from '../../src/core/errors.ts'
import type { Duration } from '../../src/core/time.ts'
import { durationMs } from '../../src/core/time.ts'

/** A stretch of time: from `start`, included, to `end`, excluded, in milliseconds since 1970. */
export interface TimeWindow {
  readonly start: number
  readonly end: number
}

/** Whose time counts: that of the record, or that of the clock when the record is handled. */
export type WindowTime = 'event' | 'processing'

/** Windows of one size, side by side. */
export interface TumblingWindow {
  readonly kind: 'tumbling'
  readonly time: WindowTime
  readonly sizeMs: number
  readonly offsetMs: number
}

/** Windows of one size, of which one begins at every slide: a record falls into several. */
export interface SlidingWindow {
  readonly kind: 'sliding'
  readonly time: WindowTime
  readonly sizeMs: number
  readonly slideMs: number
  readonly offsetMs: number
}

/** Windows of each key that last as long as records follow each other within the gap. */
export interface SessionWindow {
  readonly kind: 'session'
  readonly time: WindowTime
  readonly gapMs: number
}

/** Windows of each key that hold a number of records. */
export interface CountWindow {
  readonly kind: 'count'
  readonly count: number
}

/** One window for each key that never ends. */
export interface GlobalWindow {
  readonly kind: 'global'
}

/** Says into which windows a record falls. */
export type WindowAssigner = TumblingWindow | SlidingWindow | SessionWindow | CountWindow | GlobalWindow

/** The window of `countWindow` and `globalWindow`: all of time. */
export const ALL_TIME: TimeWindow = { start: Number.NEGATIVE_INFINITY, end: Number.POSITIVE_INFINITY }

export interface WindowTimeOptions {
  /** Default: `'event'`. */
  readonly time?: WindowTime
}

export interface AlignedWindowOptions extends WindowTimeOptions {
  /** Moves all windows; shorter than the size (of sliding windows: than the slide), and may be negative. Default: 0, windows begin at 1970. */
  readonly offset?: Duration | `-${Duration}`
}

/**
 * Windows of one size, side by side: each record falls into exactly one.
 *
 * ```ts
 * from([1, 7, 12]).withTimestamps((n) => n).keyBy(() => 'all').window(tumblingWindow(10)).count()
 * // -> { key: 'all', window: { start: 0, end: 10 }, count: 2 }, { key: 'all', window: { start: 10, end: 20 }, count: 1 }
 * ```
 *
 * `tumblingWindow('1d', { offset: '-8h' })` are days that begin at midnight in Beijing.
 *
 * @param size longer than 0
 * @throws SluiceError `INVALID_OPTION`, `INVALID_DURATION`
 */
export function tumblingWindow(size: Duration, options: AlignedWindowOptions = {}): TumblingWindow {
  const sizeMs = positiveMs(size, 'the size of a window')
  return { kind: 'tumbling', time: timeOf(options), sizeMs, offsetMs: offsetMs(options, sizeMs, 'size') }
}

/**
 * Windows of one size, of which one begins at every slide: a record falls into `size / slide` of them.
 *
 * ```ts
 * from([1, 7]).withTimestamps((n) => n).keyBy(() => 'all').window(slidingWindow(10, 5)).reduce((a, b) => a + b)
 * // -> { key: 'all', window: { start: -5, end: 5 }, value: 1 }, { key: 'all', window: { start: 0, end: 10 }, value: 8 },
 * //    { key: 'all', window: { start: 5, end: 15 }, value: 7 }
 * ```
 *
 * @param size longer than 0
 * @param slide longer than 0 and not longer than the size: records between two windows would belong to none
 * @throws SluiceError `INVALID_OPTION`, `INVALID_DURATION`
 */
export function slidingWindow(size: Duration, slide: Duration, options: AlignedWindowOptions = {}): SlidingWindow {
  const sizeMs = positiveMs(size, 'the size of a window')
  const slideMs = positiveMs(slide, 'the slide of a window')
  if (slideMs > sizeMs) {
    throw new SluiceError('INVALID_OPTION', `a slide of ${slideMs} ms is longer than the window of ${sizeMs} ms`, {
      hint: `records between two windows would belong to none: write slidingWindow(size, slide) with a slide of at most ${sizeMs} ms, or filter those records before it`,
    })
  }
  return { kind: 'sliding', time: timeOf(options), sizeMs, slideMs, offsetMs: offsetMs(options, slideMs, 'slide') }
}

/**
 * Windows of each key that last as long as its records follow each other within the gap. A session begins at its first record and ends one
 * gap after its last. Two records exactly one gap apart are one session.
 *
 * ```ts
 * from([1, 7, 17, 30]).withTimestamps((n) => n).keyBy(() => 'all').window(sessionWindow(10)).count()
 * // -> { key: 'all', window: { start: 1, end: 27 }, count: 3 }, { key: 'all', window: { start: 30, end: 40 }, count: 1 }
 * ```
 *
 * @param gap longer than 0
 * @throws SluiceError `INVALID_OPTION`, `INVALID_DURATION`
 */
export function sessionWindow(gap: Duration, options: WindowTimeOptions = {}): SessionWindow {
  return { kind: 'session', time: timeOf(options), gapMs: positiveMs(gap, 'the gap of a session') }
}

/**
 * Windows of each key that hold `count` records, in the order in which they come. A window that is not full at the end of the input gives no
 * result. Its `start` and `end` are `-Infinity` and `Infinity`.
 *
 * ```ts
 * from([1, 2, 3, 4, 5]).keyBy((n) => n % 2).window(countWindow(2)).process((records) => [records])
 * // -> [1, 3], [2, 4]
 * ```
 *
 * @throws SluiceError `INVALID_OPTION`
 */
export function countWindow(count: number): CountWindow {
  return { kind: 'count', count: wholeCount(count, 'a count window') }
}

/**
 * One window for each key that never ends: it fires when its trigger says so, without one at the end of the input. Its `start` and `end` are
 * `-Infinity` and `Infinity`.
 *
 * ```ts
 * from([1, 2, 3, 4, 5]).keyBy(() => 'all').window(globalWindow(), { trigger: onCount(2) }).process((records) => [records])
 * // -> [1, 2], [1, 2, 3, 4]
 * ```
 */
export function globalWindow(): GlobalWindow {
  return { kind: 'global' }
}

/** @throws SluiceError `INVALID_OPTION` for anything but a whole number of 1 or more */
export function wholeCount(count: number, what: string): number {
  if (Number.isSafeInteger(count) && count >= 1) return count
  throw new SluiceError('INVALID_OPTION', `${what} takes a whole number of records of 1 or more, not ${String(count)}`)
}

/** @throws SluiceError `INVALID_OPTION` for zero, `INVALID_DURATION` */
export function positiveMs(duration: Duration, what: string): number {
  const ms = durationMs(duration, what)
  if (ms > LONGEST_MS)
    throw new SluiceError('INVALID_OPTION', `${what} is ${ms} ms, longer than all dates`, { hint: 'globalWindow() has no end' })
  if (ms > 0) return ms
  throw new SluiceError('INVALID_OPTION', `${what} is zero`, {
    hint: "write a length of time of at least a millisecond, such as '1m'",
  })
}

/** From the first to the last instant that a `Date` can be. */
const LONGEST_MS = 2 * 8.64e15

/** @throws SluiceError `INVALID_OPTION` for anything that none of the functions above has made */
export function checkAssigner(assigner: WindowAssigner): void {
  if (['tumbling', 'sliding', 'session', 'count', 'global'].includes((assigner as WindowAssigner | null)?.kind as string)) return
  throw new SluiceError('INVALID_OPTION', 'window takes what one of the window functions returns', {
    hint: "write window(tumblingWindow('1h')), or slidingWindow, sessionWindow, countWindow, globalWindow, with the brackets",
  })
}

function timeOf({ time = 'event' }: WindowTimeOptions): WindowTime {
  if (time === 'event' || time === 'processing') return time
  throw new SluiceError('INVALID_OPTION', `the time of a window is 'event' or 'processing', not ${JSON.stringify(time)}`)
}

function offsetMs({ offset = 0 }: AlignedWindowOptions, limitMs: number, limit: string): number {
  const ms = signedMs(offset, 'the offset of a window')
  if (Math.abs(ms) < limitMs) return ms
  throw new SluiceError('INVALID_OPTION', `the offset of a window (${ms} ms) is not shorter than its ${limit} (${limitMs} ms)`)
}

/** A duration that may be negative: a number, or a literal such as `'-8h'`. @throws SluiceError `INVALID_DURATION` */
export function signedMs(duration: Duration | `-${Duration}`, what: string): number {
  if (typeof duration === 'number') return duration < 0 ? -durationMs(-duration, what) : durationMs(duration, what)
  const negative = typeof duration === 'string' && duration.startsWith('-')
  const ms = durationMs((negative ? duration.slice(1) : duration) as Duration, what)
  return negative ? -ms : ms
}

/** The start of the window that `timestamp` falls into. Rule and vectors: Apache Flink, `TimeWindow.getWindowStartWithOffset`. */
export function windowStart(timestamp: number, sizeMs: number, offsetMs: number): number {
  const rest = (timestamp - offsetMs) % sizeMs
  // Adding zero turns a -0, which a difference can yield, into the 0 that it equals.
  return timestamp - (rest < 0 ? rest + sizeMs : rest) + 0
}
