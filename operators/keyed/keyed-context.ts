import { SluiceError } from '../../src/core/errors.ts'
import type { KeyedContext } from '../../src/core/keyed-state.ts'
import type { OperatorContext } from '../../src/core/operator.ts'

/** The keyed state of an operator that cannot do without. */
export function keyedContext(context: OperatorContext): KeyedContext {
  if (context.keyed !== undefined) return context.keyed
  throw new SluiceError('STATE_WITHOUT_KEY', `'${context.operatorId}' uses keyed state on a stream without a key`, {
    hint: 'put keyBy before it',
  })
}
