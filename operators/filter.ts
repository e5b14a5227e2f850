import type { Operator, OperatorContext } from '../src/core/operator.ts'
import { refuseAsync } from '../src/core/refuse-async.ts'
import type { RecordContext } from './record-context.ts'
import { CurrentRecord } from './record-context.ts'

/**
 * Only the records that a predicate accepts. A type guard narrows the type of the stream.
 *
 * ```ts
 * from([12, -3, 7]).filter((delay) => delay > 0) // -> 12, 7
 * ```
 */
export function filterOperator<T>(
  predicate: (value: T, context: RecordContext) => unknown,
): (context: OperatorContext) => Operator<T> {
  return (context) => {
    const record = new CurrentRecord(context)
    const { output } = context
    return {
      step: { kind: 'filter', fn: predicate, context: record, failure: (error) => context.failure(error), output },
      onRecord(value) {
        let accepted: unknown
        try {
          accepted = predicate(value, record)
          refuseAsync(accepted)
        } catch (error) {
          throw context.failure(error)
        }
        if (accepted) output.onRecord(value)
      },
    }
  }
}
