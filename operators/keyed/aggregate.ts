import { copyValue } from '../../src/core/copy-value.ts'
import type { Operator, OperatorContext } from '../../src/core/operator.ts'
import { keyedContext } from './keyed-context.ts'

/** How records become one value: a first accumulator, a step, and what to show of it. */
export interface Aggregate<T, A, R = A> {
  create: () => A
  add: (accumulator: A, value: T) => A
  result?: (accumulator: A, key: unknown) => R
}

/**
 * Folds the records of each key into an accumulator; the running result for each record.
 *
 * ```ts
 * const flights = from([{ origin: 'SEA', delay: 12 }, { origin: 'LAX', delay: 1 }, { origin: 'SEA', delay: 3 }])
 *
 * flights.keyBy((flight) => flight.origin).aggregate({ create: () => 0, add: (minutes, flight) => minutes + flight.delay })
 * // -> 12, 1, 15
 * ```
 *
 * `add` may change the accumulator and return it, `result` may not. What is emitted is a copy, so later records do not change it.
 */
export function aggregateOperator<T, A, R>(aggregate: Aggregate<T, A, R>): (context: OperatorContext) => Operator<T> {
  return (context) => {
    const keyed = keyedContext(context)
    const accumulators = keyed.table<A>('aggregate')
    const { create, add, result } = aggregate
    const { output } = context
    return {
      onRecord(value) {
        let shown: unknown
        try {
          // `add` may change it.
          const before = accumulators.edit()
          // What `create` returns may be one object for all keys.
          const after = add(before === undefined && !accumulators.has() ? copyValue(create()) : (before as A), value)
          shown = copyValue(result === undefined ? after : result(after, copyValue(keyed.key)))
          accumulators.set(after)
        } catch (error) {
          throw context.failure(error)
        }
        output.onRecord(shown)
      },
    }
  }
}
