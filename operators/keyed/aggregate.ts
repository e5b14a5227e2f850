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
 * flights.keyBy((flight) => flight.origin).aggregate({ create: () => 0, add: (minutes, flight) => minutes + flight.delay })
 * ```
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
          const before = accumulators.get()
          const after = add(before === undefined && !accumulators.has() ? create() : (before as A), value)
          accumulators.set(after)
          shown = result === undefined ? after : result(after, keyed.key)
        } catch (error) {
          throw context.failure(error)
        }
        output.onRecord(shown)
      },
    }
  }
}
