import { copyValue } from '../../src/core/copy-value.ts'
import type { Operator, OperatorContext } from '../../src/core/operator.ts'
import { keyedContext } from './keyed-context.ts'

/**
 * How many records each key has had; a result for each record.
 *
 * ```ts
 * from(['the', 'cat', 'the']).keyBy((word) => word).count()
 * // -> { key: 'the', count: 1 }, { key: 'cat', count: 1 }, { key: 'the', count: 2 }
 * ```
 */
export function countOperator(): (context: OperatorContext) => Operator {
  return (context) => {
    const keyed = keyedContext(context)
    const counts = keyed.table<number>('count')
    const { output } = context
    return {
      onRecord() {
        const count = (counts.get() ?? 0) + 1
        counts.set(count)
        output.onRecord({ key: copyValue(keyed.key), count })
      },
    }
  }
}
