import { copyValue } from '../../src/core/copy-value.ts'
import type { Operator, OperatorContext } from '../../src/core/operator.ts'
import { keyedContext } from './keyed-context.ts'

/**
 * Combines the records of each key, two at a time; the running value for each record. The first record of a key is its first value.
 *
 * ```ts
 * from([3, 10, 4, 7]).keyBy((n) => n % 2 === 0).reduce((a, b) => Math.max(a, b)) // -> 3, 10, 10, 7
 * ```
 *
 * The function may change its first argument and return it: what is kept shares nothing with what was emitted or came in.
 */
export function reduceOperator<T>(fn: (sum: T, value: T) => T): (context: OperatorContext) => Operator<T> {
  return (context) => {
    const values = keyedContext(context).table<T>('reduce')
    const { output } = context
    return {
      onRecord(value) {
        // The function may change it.
        const before = values.edit()
        let sum = value
        if (before !== undefined || values.has()) {
          try {
            sum = fn(before as T, value)
          } catch (error) {
            throw context.failure(error)
          }
        }
        values.set(copyValue(sum))
        output.onRecord(sum)
      },
    }
  }
}
