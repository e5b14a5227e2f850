import type { Operator, OperatorContext } from '../../src/core/operator.ts'
import { AlignedWindowOperator } from './aligned-window-operator.ts'
import type { WindowAssigner } from './assigners.ts'
import { KeyedWindowOperator } from './keyed-window-operator.ts'
import type { Trigger } from './triggers.ts'
import type { WindowFunction } from './window-function.ts'

export { LATE_OUTPUT } from './late-output.ts'

/**
 * The operator for a kind of window and a trigger. Windows of time that are the same for all keys and fire at their end are kept window by
 * window; all others key by key.
 *
 * ```ts
 * from([1, 2, 3]).keyBy(() => 'all').window(countWindow(2)).reduce((a, b) => a + b).map(({ key, value }) => [key, value])
 * // -> ['all', 3]
 * ```
 */
export function windowOperator(
  assigner: WindowAssigner,
  trigger: Trigger,
  latenessMs: number,
  fn: WindowFunction,
): (context: OperatorContext) => Operator {
  const aligned = assigner.kind === 'tumbling' || assigner.kind === 'sliding'
  if (aligned && trigger.kind === 'watermark' && !trigger.purge) {
    return (context) => new AlignedWindowOperator(context, assigner, latenessMs, fn)
  }
  return (context) => new KeyedWindowOperator(context, assigner, trigger, latenessMs, fn)
}
