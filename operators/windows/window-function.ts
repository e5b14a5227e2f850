import type { TimeWindow } from './assigners.ts'

/**
 * A fold over the records of a window and what becomes of it when the window fires: the part that `count`, `reduce`, `aggregate`, `process`
 * and joins differ in. All of it may throw what the user's functions throw.
 */
export interface WindowFunction {
  readonly create: () => unknown
  /** May change the accumulator and return it, or return a new one. */
  readonly add: (accumulator: unknown, value: unknown) => unknown
  /** Takes records of the second input; only of joins. */
  readonly addSecond?: (accumulator: unknown, value: unknown) => unknown
  /** Two accumulators as one, the earlier one first; may change the first. Sessions need it. */
  readonly merge?: (earlier: unknown, later: unknown) => unknown
  /**
   * Whether an accumulator may be put together from parts of the window by `merge`. False where the order in which records came would be
   * lost that way.
   */
  readonly divisible: boolean
  /** All results of one key's window. They may show the accumulator or parts of it: the caller copies it first if it lives on. */
  readonly results: (accumulator: unknown, key: unknown, window: TimeWindow) => Iterable<unknown>
}
