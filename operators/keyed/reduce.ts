import type { Operator, OperatorContext } from '../../src/core/operator.ts'
import { keyedContext } from './keyed-context.ts'

/**
 * Combines the records of each key, two at a time; the running value for each record. The first record of a key is its first value.
 *
 * ```ts
 * flights.keyBy((flight) => flight.origin).reduce((a, b) => (a.delay > b.delay ? a : b))
 * ```
 */
export function reduceOperator<T>(fn: (sum: T, value: T) => T): (context: OperatorContext) => Operator<T> {
  return (context) => {
    const values = keyedContext(context).table<T>('reduce')
    const { output } = context
    return {
      onRecord(value) {
        const before = values.get()
        let sum = value
        if (before !== undefined || values.has()) {
          try {
            sum = fn(before as T, value)
          } catch (error) {
            throw context.failure(error)
          }
        }
        values.set(sum)
        output.onRecord(sum)
      },
    }
  }
}
