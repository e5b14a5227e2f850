import { SluiceError } from '../../src/core/errors.ts'
import type { KeyedContext } from '../../src/core/keyed-state.ts'
import type { Operator, OperatorContext } from '../../src/core/operator.ts'
import { keyedContext } from '../keyed/keyed-context.ts'
import { keyedProcessOperator } from '../keyed/process.ts'
import type { MapState, StateDeclaration, StateDeclarations, ValueState } from '../keyed/state.ts'
import type { BroadcastHandlers } from './broadcast-connect.ts'
import { withBroadcast } from './broadcast-connect.ts'
import { BroadcastStates, checkBroadcast } from './broadcast-state.ts'

/** The handlers of a keyed stream and a broadcast one, as the operator sees them. */
export interface KeyedBroadcastHandlers extends BroadcastHandlers {
  state?: StateDeclarations
  onTimer?: (time: number, context: never) => Iterable<unknown> | void
}

/**
 * A keyed stream beside one that every subtask gets in full: `onLeft` has the state and timers of its key and reads the broadcast state;
 * `onRight` writes the broadcast state and has no key, but may visit the state of all keys of its subtask with `ctx.forEachKey`.
 *
 * ```ts
 * const limits = from([{ name: 'visits', most: 2 }]).broadcast()
 *
 * from([]).keyBy((visit) => visit.user).connect(limits).process({
 *   state: { visits: valueState() },
 *   broadcast: { limits: mapState() },
 *   *onLeft(visit, ctx) {
 *     const visits = (ctx.state.visits.get() ?? 0) + 1
 *     ctx.state.visits.set(visits)
 *     if (visits > (ctx.broadcast.limits.get('visits') ?? Infinity)) yield `${ctx.key} came too often`
 *   },
 *   *onRight(limit, ctx) {
 *     ctx.broadcast.limits.set(limit.name, limit.most)
 *     const over = []
 *     ctx.forEachKey('visits', (user, visits) => {
 *       if (visits.get() > limit.most) over.push(`${user} has come too often`)
 *     })
 *     yield* over
 *     yield `at most ${limit.most} ${limit.name}`
 *   },
 * })
 * // -> 'at most 2 visits'
 * ```
 *
 * @throws SluiceError `INVALID_OPTION` for broadcast state that is not a map
 */
export function keyedBroadcastConnectOperator(handlers: KeyedBroadcastHandlers): (context: OperatorContext) => Operator {
  checkBroadcast(handlers.broadcast ?? {})
  return (context) => {
    const states = new BroadcastStates(handlers.broadcast ?? {}, context)
    const keys = new AllKeys(handlers.state ?? {}, keyedContext(context))
    const operator = keyedProcessOperator({
      ...(handlers.state && { state: handlers.state }),
      open(record) {
        keys.handles = (record as unknown as { readonly state: Handles }).state
        Object.assign(record, { broadcast: states.readable })
        handlers.open?.(record)
      },
      onRecord: (value, record) => handlers.onLeft(value, record),
      onTimer: (time, record) => handlers.onTimer?.(time, record),
      close: () => handlers.close?.(),
    })(context)
    const forEachKey: AllKeys['forEachKey'] = (state, visit) => keys.forEachKey(state, visit)
    return withBroadcast(operator, (value, record) => handlers.onRight(value, record), states, { forEachKey }, context)
  }
}

type Handles = Readonly<Record<string, unknown>>

/** The state of all keys of the subtask, for a handler that has no key of its own. */
class AllKeys {
  readonly #declarations: StateDeclarations
  readonly #keyed: KeyedContext
  /** Those that the handlers of keyed records use: they speak of the current key. Known once the operator is open. */
  handles: Handles = {}

  constructor(declarations: StateDeclarations, keyed: KeyedContext) {
    this.#declarations = declarations
    this.#keyed = keyed
  }

  forEachKey(state: string, visit: (key: unknown, handle: unknown) => void): void {
    if (!Object.hasOwn(this.handles, state)) throw unknownState(state, Object.keys(this.handles))
    const handle = this.handles[state]
    const { kind, options } = this.#declarations[state]!
    this.#keyed.forEachKey(state, (key) => {
      // What has expired may still be waiting for its removal.
      if (options.ttlMs === undefined || !isEmpty(kind, handle)) visit(key, handle)
    })
  }
}

function isEmpty(kind: StateDeclaration<unknown>['kind'], handle: unknown): boolean {
  if (kind === 'map') return (handle as MapState<unknown, unknown>).size === 0
  const value = (handle as ValueState<unknown>).get()
  return kind === 'list' ? (value as readonly unknown[]).length === 0 : value === undefined
}

function unknownState(state: string, names: readonly string[]): SluiceError {
  return new SluiceError('INVALID_OPTION', `forEachKey: no state has the name '${state}'`, {
    hint: names.length === 0 ? 'declare it: state: { ... }' : `declared are: ${names.join(', ')}`,
  })
}
