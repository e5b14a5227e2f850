import type { Operator, OperatorContext } from '../../src/core/operator.ts'
import type { WindowAssigner } from './assigners.ts'
import type { Trigger } from './triggers.ts'
import type { WindowFunction } from './window-function.ts'

export class KeyedWindowOperator implements Operator {
  constructor(_context: OperatorContext, _assigner: WindowAssigner, _trigger: Trigger, _latenessMs: number, _fn: WindowFunction) {
    throw new Error('not written yet')
  }

  onRecord(): void {}
}
