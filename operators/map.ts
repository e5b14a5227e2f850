import type { Operator, OperatorContext } from '../src/core/operator.ts'
import { refuseAsync } from '../src/core/refuse-async.ts'
import type { RecordContext } from './record-context.ts'
import { CurrentRecord } from './record-context.ts'

/**
 * One result for each record.
 *
 * ```ts
 * from([1, 2, 3]).map((n) => n * 10) // -> 10, 20, 30
 * ```
 *
 * Records are values: return a new one, and do not change the one you were given, because others may hold it. A function may close over
 * anything in its module, but each thread has a copy of the module of its own: variables that look shared are not.
 */
export function mapOperator<T, R>(fn: (value: T, context: RecordContext) => R): (context: OperatorContext) => Operator<T> {
  return (context) => {
    const record = new CurrentRecord(context)
    const { output } = context
    return {
      step: { kind: 'map', fn, context: record, failure: (error) => context.failure(error), output },
      onRecord(value) {
        let result: R
        try {
          result = fn(value, record)
          refuseAsync(result)
        } catch (error) {
          throw context.failure(error)
        }
        output.onRecord(result)
      },
    }
  }
}
