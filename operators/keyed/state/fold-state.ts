import { copyValue } from '../../../src/core/copy-value.ts'
import type { KeyedContext } from '../../../src/core/keyed-state.ts'
import { openCell } from './cell.ts'
import type { CheckedOptions, StateDeclaration, StateOptions } from './declaration.ts'
import { checkedOptions } from './declaration.ts'
import type { StateTime } from './state-time.ts'

/** A value for each key that grows by combining. */
export interface FoldState<In, Out> {
  add(value: In): void
  get(): Out | undefined
  clear(): void
}

/**
 * Values of a key combined two at a time; the first one is the first sum.
 *
 * ```ts
 * from([3, 1, 5]).keyBy(() => 'all').process({
 *   state: { most: reducingState((a, b) => Math.max(a, b)) },
 *   *onRecord(value, ctx) {
 *     ctx.state.most.add(value)
 *     yield ctx.state.most.get()
 *   },
 * })
 * // -> 3, 3, 5
 * ```
 *
 * The function may change its first argument and return it. What is added and what `get` returns are copied.
 */
export function reducingState<V>(
  fn: (a: V, b: V) => V,
  options: StateOptions<NoInfer<V>> = {},
): StateDeclaration<FoldState<V, V>> {
  const checked = checkedOptions(options)
  return {
    kind: 'reducing',
    options: checked,
    open: (keyed, name, time) =>
      openFold<V, V, V>(keyed, name, time, checked, {
        first: (value) => value,
        next: fn,
        show: (sum) => sum,
      }),
  }
}

/**
 * Values of a key folded into an accumulator.
 *
 * ```ts
 * from([3, 1, 5]).keyBy(() => 'all').process({
 *   state: {
 *     mean: aggregatingState({
 *       create: () => ({ sum: 0, count: 0 }),
 *       add: (mean, value) => ({ sum: mean.sum + value, count: mean.count + 1 }),
 *       result: (mean) => mean.sum / mean.count,
 *     }),
 *   },
 *   *onRecord(value, ctx) {
 *     ctx.state.mean.add(value)
 *     yield ctx.state.mean.get()
 *   },
 * })
 * // -> 3, 2, 3
 * ```
 *
 * `add` may change the accumulator and return it; `result` may not change it. What is added and what `get` returns are copied.
 */
export function aggregatingState<In, A, Out = A>(
  aggregate: {
    create: () => A
    add: (accumulator: A, value: In) => A
    result?: (accumulator: A) => Out
  },
  options: StateOptions<NoInfer<A>> = {},
): StateDeclaration<FoldState<In, Out>> {
  const { create, add, result } = aggregate
  const checked = checkedOptions(options)
  return {
    kind: 'aggregating',
    options: checked,
    open: (keyed, name, time) =>
      openFold<In, A, Out>(keyed, name, time, checked, {
        first: (value) => add(copyValue(create()), value),
        next: add,
        show: (accumulator) => (result === undefined ? (accumulator as unknown as Out) : result(accumulator)),
      }),
  }
}

interface Fold<In, A, Out> {
  first(value: In): A
  next(accumulator: A, value: In): A
  show(accumulator: A): Out
}

function openFold<In, A, Out>(
  keyed: KeyedContext,
  name: string,
  time: StateTime,
  options: CheckedOptions<A>,
  { first, next, show }: Fold<In, A, Out>,
): FoldState<In, Out> {
  const cell = openCell<A>(keyed, { name, options, time, expiry: time.expiryOf(name, options) })
  return {
    add(value) {
      const own = copyValue(value)
      const known = cell.has()
      // The function may change it.
      const before = cell.edit() as A
      const after = known ? next(before, own) : first(own)
      // An accumulator that was changed in place is the state's own already; copying a growing one each time would take longer and longer.
      cell.set(known && after === before ? after : copyValue(after))
    },
    get: () => (cell.has() ? copyValue(show(cell.get() as A)) : undefined),
    clear: () => cell.clear(),
  }
}
