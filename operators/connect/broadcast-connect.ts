import type { Operator, OperatorContext } from '../../src/core/operator.ts'
import { emitAll } from '../flat-map.ts'
import { guarded, PlainProcessContext, processOperator } from '../process.ts'
import type { SideHandler } from './both-sides.ts'
import type { BroadcastDeclarations } from './broadcast-state.ts'
import { BroadcastStates, checkBroadcast } from './broadcast-state.ts'
import type { ConnectHandlers } from './connect.ts'

/** The handlers of a stream and a broadcast one, as the operator sees them. */
export interface BroadcastHandlers extends ConnectHandlers {
  broadcast?: BroadcastDeclarations
}

/**
 * A stream beside one that every subtask gets in full, such as rules or settings: `onRight` keeps what it needs of that one in broadcast
 * state, `onLeft` reads it.
 *
 * ```ts
 * const rules = from([{ id: 'short', length: 3 }]).broadcast()
 *
 * from([]).connect(rules).process({
 *   broadcast: { lengths: mapState() },
 *   onLeft: (word, ctx) => [...ctx.broadcast.lengths.entries()].filter(([, length]) => word.length <= length),
 *   *onRight(rule, ctx) {
 *     ctx.broadcast.lengths.set(rule.id, rule.length)
 *     yield { rules: ctx.broadcast.lengths.size }
 *   },
 * })
 * // -> { rules: 1 }
 * ```
 *
 * In which order the records of the two sides come is not said: a record may be there before the rule that it would have met. Each subtask
 * runs `onRight` for each broadcast record, so what `onRight` emits is emitted once by each.
 *
 * @throws SluiceError `INVALID_OPTION` for broadcast state that is not a map
 */
export function broadcastConnectOperator(handlers: BroadcastHandlers): (context: OperatorContext) => Operator {
  checkBroadcast(handlers.broadcast ?? {})
  return (context) => {
    const states = new BroadcastStates(handlers.broadcast ?? {}, context)
    const operator = processOperator({
      open(record) {
        Object.assign(record, { broadcast: states.readable })
        handlers.open?.(record)
      },
      onRecord: (value, record) => handlers.onLeft(value, record),
      close: () => handlers.close?.(),
    })(context)
    return withBroadcast(operator, (value, record) => handlers.onRight(value, record), states, {}, context)
  }
}

/**
 * Gives an operator a second side that is broadcast, and with it the state that both share.
 *
 * @param more what the context of `onRight` has beside the state
 */
export function withBroadcast(
  operator: Operator,
  onRight: SideHandler,
  states: BroadcastStates,
  more: object,
  context: OperatorContext,
): Operator {
  const record = Object.assign(new PlainProcessContext(context), { broadcast: states.writable }, more)
  operator.onSecond = (value) => {
    const results = guarded(context, () => onRight(value as never, record as never))
    if (results !== undefined) emitAll(results, context.output, context)
  }
  operator.snapshot = () => states.snapshot()
  operator.restore = (stored, rescaled) => states.restore(stored, rescaled)
  return operator
}
