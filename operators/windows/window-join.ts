import type { WindowFunction } from './window-function.ts'

/** The records of both sides in the order in which they came. */
interface Sides {
  readonly left: unknown[]
  readonly right: unknown[]
}

/**
 * All pairs of records with equal keys that share a window, made when the window fires.
 *
 * ```ts
 * const clicks = from([{ user: 'a', at: 1 }, { user: 'a', at: 4 }, { user: 'b', at: 5 }]).withTimestamps((click) => click.at)
 * const views = from([{ user: 'a', at: 2 }, { user: 'b', at: 11 }]).withTimestamps((view) => view.at)
 *
 * clicks
 *   .keyBy((click) => click.user)
 *   .windowJoin(views.keyBy((view) => view.user), tumblingWindow(10), (click, view) => [click.at, view.at])
 * // -> [1, 2], [4, 2]
 * ```
 *
 * Contract:
 *
 * 1. Inner: a record whose window holds none of the other side gives nothing.
 * 2. A result bears the last millisecond of the window. Pairs come in the order of their left records, those of one left record in the
 *    order of the right ones, both as they arrived; where sessions have grown together, the records of the earlier one come first.
 * 3. A window that fires again, because of its trigger or a record within the allowed lateness, gives all its pairs again, unless its records
 *    were purged.
 */
export function windowJoinFunction<A, B, R>(fn: (a: A, b: B) => R): WindowFunction {
  return {
    create: (): Sides => ({ left: [], right: [] }),
    add(sides, value) {
      ;(sides as Sides).left.push(value)
      return sides
    },
    addSecond(sides, value) {
      ;(sides as Sides).right.push(value)
      return sides
    },
    merge(earlier, later) {
      append((earlier as Sides).left, (later as Sides).left)
      append((earlier as Sides).right, (later as Sides).right)
      return earlier
    },
    // Parts put together would have the records in the order of time and not in that of their arrival.
    divisible: false,
    results: (sides) => pairs((sides as Sides).left as A[], (sides as Sides).right as B[], fn),
  }
}

/** One by one: a window of a thousand records on each side has a million pairs. */
function* pairs<A, B, R>(left: readonly A[], right: readonly B[], fn: (a: A, b: B) => R): Iterable<R> {
  for (const a of left) for (const b of right) yield fn(a, b)
}

function append(list: unknown[], more: readonly unknown[]): void {
  for (const value of more) list.push(value)
}
