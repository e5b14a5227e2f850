import type { Operator, OperatorContext } from '../../src/core/operator.ts'
import { keyedProcessOperator } from '../keyed/process.ts'
import type { StateDeclarations } from '../keyed/state.ts'
import { bothSides } from './both-sides.ts'
import type { ConnectHandlers } from './connect.ts'

/** The handlers of two connected keyed streams, as the operator sees them. */
export interface KeyedConnectHandlers extends ConnectHandlers {
  state?: StateDeclarations
  onTimer?: (time: number, context: never) => Iterable<unknown> | void
}

/**
 * Two keyed streams in one operator: records of both sides with equal keys share one state and one set of timers.
 *
 * ```ts
 * const orders = from([{ id: 1, item: 'tea' }, { id: 2, item: 'milk' }])
 * const payments = from([{ order: 2, cents: 120 }])
 *
 * orders.keyBy((order) => order.id).connect(payments.keyBy((payment) => payment.order)).process({
 *   state: { item: valueState(), cents: valueState() },
 *   *onLeft(order, ctx) {
 *     ctx.state.item.set(order.item)
 *     if (ctx.state.cents.get() !== undefined) yield { item: order.item, cents: ctx.state.cents.get() }
 *   },
 *   *onRight(payment, ctx) {
 *     ctx.state.cents.set(payment.cents)
 *     if (ctx.state.item.get() !== undefined) yield { item: ctx.state.item.get(), cents: payment.cents }
 *   },
 * })
 * // -> { item: 'milk', cents: 120 }
 * ```
 *
 * In which order the records of the two sides come is not said, so each handler must be ready for the other one to come first or later.
 */
export function keyedConnectOperator(handlers: KeyedConnectHandlers): (context: OperatorContext) => Operator {
  return (context) =>
    bothSides(
      (value, record) => handlers.onLeft(value, record),
      (value, record) => handlers.onRight(value, record),
      (onRecord) =>
        keyedProcessOperator({
          ...(handlers.state && { state: handlers.state }),
          open: (record) => handlers.open?.(record),
          onRecord,
          onTimer: (time, record) => handlers.onTimer?.(time, record),
          close: () => handlers.close?.(),
        })(context),
    )
}
