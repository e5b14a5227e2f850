import type { Operator, OperatorContext } from '../../src/core/operator.ts'
import { keyedContext } from './keyed-context.ts'
import type { StateOptions } from './state/declaration.ts'
import { StateTime } from './state/state-time.ts'
import { valueState } from './state.ts'

/** For how long a key counts as seen. */
export type DistinctOptions = Pick<StateOptions<true>, 'ttl' | 'ttlTime'>

/** The state of a `distinct`: whether the key was seen. */
export function distinctState(options: DistinctOptions) {
  return { seen: valueState<true>(options) }
}

/**
 * The first record of each key; the others are duplicates and go nowhere.
 *
 * ```ts
 * from([1, 2, 1, 3, 2]).keyBy((n) => n).distinct() // -> 1, 2, 3
 * ```
 *
 * Without a `ttl` every key is kept for ever. With one, a key counts as new once time has reached `ttl` after its first record: duplicates do
 * not prolong that. Time is the watermark when records have timestamps, else the clock. A record that is later than `ttl` behind the
 * watermark is passed on when its key is not known, and not remembered.
 */
export function distinctOperator(options: DistinctOptions): (context: OperatorContext) => Operator {
  const declared = distinctState(options)
  return (context) => {
    const keyed = keyedContext(context)
    const time = new StateTime(context, keyed)
    const seen = declared.seen.open(keyed, 'seen', time)
    const { output } = context
    return {
      onRecord(value) {
        if (seen.get() !== undefined) return
        seen.set(true)
        output.onRecord(value)
      },
      onWatermark(watermark) {
        time.endWatermark(watermark)
        return true
      },
      nextProcessingTime: () => time.nextProcessingTime(),
      onProcessingTime(nowMs) {
        time.onProcessingTime(nowMs)
        return true
      },
    }
  }
}
