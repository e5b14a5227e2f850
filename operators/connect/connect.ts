import type { Operator, OperatorContext } from '../../src/core/operator.ts'
import { processOperator } from '../process.ts'
import type { SideHandler } from './both-sides.ts'
import { bothSides } from './both-sides.ts'

/** The handlers of two connected streams, as the operator sees them. */
export interface ConnectHandlers {
  open?: (context: { readonly subtask: number }) => void
  onLeft: SideHandler
  onRight: SideHandler
  close?: () => void
}

/**
 * Two streams of different types in one operator, record by record, each with a handler of its own. In which order the records of the two
 * sides come is not said.
 *
 * ```ts
 * const orders = from(['tea', 'milk'])
 * const cancelled = from([1, 2]).filter((id) => id > 2)
 *
 * orders.connect(cancelled).process({
 *   onLeft: (name) => [`ordered ${name}`],
 *   onRight: (id) => [`cancelled ${id}`],
 * })
 * // -> 'ordered tea', 'ordered milk'
 * ```
 */
export function connectOperator(handlers: ConnectHandlers): (context: OperatorContext) => Operator {
  return (context) =>
    bothSides(
      (value, record) => handlers.onLeft(value, record),
      (value, record) => handlers.onRight(value, record),
      (onRecord) =>
        processOperator({ open: (record) => handlers.open?.(record), onRecord, close: () => handlers.close?.() })(context),
    )
}
