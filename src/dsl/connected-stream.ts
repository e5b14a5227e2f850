import { broadcastConnectOperator } from '../../operators/connect/broadcast-connect.ts'
import type { BroadcastDeclarations, ReadonlyBroadcast, WritableBroadcast } from '../../operators/connect/broadcast-state.ts'
import { connectOperator } from '../../operators/connect/connect.ts'
import { keyedBroadcastConnectOperator } from '../../operators/connect/keyed-broadcast-connect.ts'
import { keyedConnectOperator } from '../../operators/connect/keyed-connect.ts'
import type { IntervalBounds } from '../../operators/keyed/interval-join.ts'
import { intervalJoinOperator, intervalMs, LATE_LEFT_OUTPUT, LATE_RIGHT_OUTPUT } from '../../operators/keyed/interval-join.ts'
import type { KeyedProcessContext } from '../../operators/keyed/process.ts'
import type { StateDeclarations, StateHandles } from '../../operators/keyed/state.ts'
import { asksForEventTime, stateSettings } from '../../operators/keyed/state.ts'
import type { OutputType, ProcessContext, SideOutputs } from '../../operators/process.ts'
import { checkHandlers } from '../../operators/synchronous.ts'
import { SluiceError } from '../core/errors.ts'
import type { Json } from '../core/json.ts'
import type { Operator, OperatorContext } from '../core/operator.ts'
import type { DraftInput, GraphBuilder, OutputReference } from './graph-builder.ts'
import type { SideStreams } from './stream.ts'
import { Stream, withSides } from './stream.ts'

/** What every `process` of two streams takes beside its handlers. */
export interface ConnectedOptions<Out, Side extends SideOutputs> {
  /** Declares what `ctx.emit` takes; not needed when results are returned or yielded. */
  out?: OutputType<Out>
  /** Side outputs by name: `{ alerts: output<Alert>() }`. */
  side?: Side
  /** Once in each subtask, before its first record. */
  open?(context: { readonly subtask: number }): void
  close?(): void
}

/** What `process` of two plain streams is given. */
export interface ConnectOptions<T, U, Left, Right, Out, Side extends SideOutputs> extends ConnectedOptions<Out, Side> {
  /** A record of the stream that `connect` was called on. What is returned or yielded, and what is emitted, are results. */
  onLeft: (value: T, context: ProcessContext<Out, Side>) => Iterable<Left> | void
  /** A record of the other stream. */
  onRight: (value: U, context: ProcessContext<Out, Side>) => Iterable<Right> | void
}

/** What `process` of two keyed streams is given. */
export interface KeyedConnectOptions<K, T, U, Left, Right, Fired, Out, Side extends SideOutputs, S extends StateDeclarations>
  extends ConnectedOptions<Out, Side> {
  /** State of each key, shared by both sides. */
  state?: S
  onLeft: (value: T, context: KeyedProcessContext<K, Out, Side, S>) => Iterable<Left> | void
  onRight: (value: U, context: KeyedProcessContext<K, Out, Side, S>) => Iterable<Right> | void
  /** A timer of a key is due, whichever side set it. */
  onTimer?(time: number, context: KeyedProcessContext<K, Out, Side, S>): Iterable<Fired> | void
}

/** What `onLeft` beside a broadcast stream is given: the broadcast state can only be read. */
export interface BesideBroadcastContext<Out, Side extends SideOutputs, B extends BroadcastDeclarations>
  extends ProcessContext<Out, Side> {
  readonly broadcast: ReadonlyBroadcast<B>
}

/** What `onRight` is given for a broadcast record. */
export interface BroadcastContext<Out, Side extends SideOutputs, B extends BroadcastDeclarations>
  extends ProcessContext<Out, Side> {
  readonly broadcast: WritableBroadcast<B>
}

/** What `onLeft` and `onTimer` of a keyed stream beside a broadcast one are given. */
export interface KeyedBesideBroadcastContext<
  K,
  Out,
  Side extends SideOutputs,
  S extends StateDeclarations,
  B extends BroadcastDeclarations,
> extends KeyedProcessContext<K, Out, Side, S> {
  readonly broadcast: ReadonlyBroadcast<B>
}

/** What `onRight` beside a keyed stream is given: a broadcast record has no key, but may visit all of them. */
export interface KeyedBroadcastContext<
  K,
  Out,
  Side extends SideOutputs,
  S extends StateDeclarations,
  B extends BroadcastDeclarations,
> extends BroadcastContext<Out, Side, B> {
  /**
   * Visits each key of this subtask that has a state of that name, with the handle of that state, which speaks of that key during the visit
   * and not longer. All subtasks together visit all keys.
   */
  forEachKey<Name extends keyof S & string>(state: Name, visit: (key: K, handle: StateHandles<S>[Name]) => void): void
}

/** What `process` of a stream and a broadcast one is given. */
export interface BroadcastConnectOptions<T, U, Left, Right, Out, Side extends SideOutputs, B extends BroadcastDeclarations>
  extends ConnectedOptions<Out, Side> {
  /** Broadcast state, of which every subtask has a copy: `{ rules: mapState<string, Rule>() }`. */
  broadcast?: B
  onLeft: (value: T, context: BesideBroadcastContext<Out, Side, B>) => Iterable<Left> | void
  /** A broadcast record; every subtask sees each of them, and emits what this gives. */
  onRight: (value: U, context: BroadcastContext<Out, Side, B>) => Iterable<Right> | void
}

/** What `process` of a keyed stream and a broadcast one is given. */
export interface KeyedBroadcastConnectOptions<
  K,
  T,
  U,
  Left,
  Right,
  Fired,
  Out,
  Side extends SideOutputs,
  S extends StateDeclarations,
  B extends BroadcastDeclarations,
> extends ConnectedOptions<Out, Side> {
  /** State of each key. */
  state?: S
  /** Broadcast state, of which every subtask has a copy: `{ rules: mapState<string, Rule>() }`. */
  broadcast?: B
  onLeft: (value: T, context: KeyedBesideBroadcastContext<K, Out, Side, S, B>) => Iterable<Left> | void
  /** A broadcast record; every subtask sees each of them, and emits what this gives. */
  onRight: (value: U, context: KeyedBroadcastContext<K, Out, Side, S, B>) => Iterable<Right> | void
  onTimer?(time: number, context: KeyedBesideBroadcastContext<K, Out, Side, S, B>): Iterable<Fired> | void
}

/** The results of an interval join, and beside them what came too late on either side. */
export type IntervalJoined<R, T, U> = Stream<R> & {
  /** Left records at or before the watermark when they came, as they were. */
  readonly lateLeft: Stream<T>
  /** The same of the right ones. */
  readonly lateRight: Stream<U>
}

/** A side of two connected streams as the builder takes it. */
export interface ConnectedInput {
  readonly builder: GraphBuilder
  readonly outputs: readonly OutputReference[]
  readonly keyOf?: (value: unknown) => unknown
}

/** Two streams of one job on their way into one operator. */
abstract class TwoStreams {
  readonly #left: ConnectedInput
  readonly #right: ConnectedInput

  constructor(left: ConnectedInput, right: ConnectedInput) {
    checkSameJob('connect', left, right)
    this.#left = left
    this.#right = right
  }

  protected add<R, Side extends SideOutputs>(draft: TwoSidedDraft, side: Side | undefined): Stream<R> & SideStreams<Side> {
    return withSides(this.#left.builder, addTwoSided(this.#left, this.#right, { ...draft, sides: Object.keys(side ?? {}) }), side)
  }
}

/** Two streams in one operator, each record to one of its subtasks. */
export class ConnectedStream<T, U> extends TwoStreams {
  /** Anything, record by record, with a handler for each side. */
  process<Left = never, Right = never, Out = never, Side extends SideOutputs = Record<never, never>>(
    options: ConnectOptions<T, U, Left, Right, Out, Side>,
  ): Stream<Left | Right | Out> & SideStreams<Side> {
    checkHandlers('process', options, ['onLeft', 'onRight'])
    return this.add({ kind: 'connect', create: connectOperator(options), settings: null }, options.side)
  }
}

/** Two keyed streams in one operator: records with equal keys meet. */
export class KeyedConnectedStream<K, T, U> extends TwoStreams {
  /** Anything, with a handler for each side, and state and timers for each key that both share. */
  process<
    Left = never,
    Right = never,
    Fired = never,
    Out = never,
    Side extends SideOutputs = Record<never, never>,
    S extends StateDeclarations = Record<never, never>,
  >(
    options: KeyedConnectOptions<K, T, U, Left, Right, Fired, Out, Side, S>,
  ): Stream<Left | Right | Fired | Out> & SideStreams<Side> {
    checkHandlers('process', options, ['onLeft', 'onRight'])
    const draft = { kind: 'connect', create: keyedConnectOperator(options), settings: described(options.state) }
    return this.add({ ...draft, needsTimestamps: asksForEventTime(options.state ?? {}) }, options.side)
  }
}

/** A stream in an operator of which every subtask gets all records of another one. */
export class BroadcastConnectedStream<T, U> extends TwoStreams {
  /** Anything, with a handler for each side, and state that the broadcast side writes and the other one reads. */
  process<
    Left = never,
    Right = never,
    Out = never,
    Side extends SideOutputs = Record<never, never>,
    B extends BroadcastDeclarations = Record<never, never>,
  >(options: BroadcastConnectOptions<T, U, Left, Right, Out, Side, B>): Stream<Left | Right | Out> & SideStreams<Side> {
    checkHandlers('process', options, ['onLeft', 'onRight'])
    const create = broadcastConnectOperator(options)
    return this.add({ kind: 'connect-broadcast', create, settings: described({}, options.broadcast) }, options.side)
  }
}

/** A keyed stream in an operator of which every subtask gets all records of another one. */
export class KeyedBroadcastConnectedStream<K, T, U> extends TwoStreams {
  /** Anything, with a handler for each side, state and timers for each key, and state that the broadcast side writes and the other one reads. */
  process<
    Left = never,
    Right = never,
    Fired = never,
    Out = never,
    Side extends SideOutputs = Record<never, never>,
    S extends StateDeclarations = Record<never, never>,
    B extends BroadcastDeclarations = Record<never, never>,
  >(
    options: KeyedBroadcastConnectOptions<K, T, U, Left, Right, Fired, Out, Side, S, B>,
  ): Stream<Left | Right | Fired | Out> & SideStreams<Side> {
    checkHandlers('process', options, ['onLeft', 'onRight'])
    const create = keyedBroadcastConnectOperator(options)
    const draft = { kind: 'connect-broadcast', create, settings: described(options.state, options.broadcast) }
    return this.add({ ...draft, needsTimestamps: asksForEventTime(options.state ?? {}) }, options.side)
  }
}

/** The node of an interval join, and its outputs. @throws SluiceError `INVALID_OPTION`, `INVALID_DURATION` */
export function intervalJoined<R, T, U>(
  left: ConnectedInput,
  right: ConnectedInput,
  bounds: IntervalBounds,
  fn: (left: T, right: U) => R,
): IntervalJoined<R, T, U> {
  checkSameJob('intervalJoin', left, right)
  const create = intervalJoinOperator(bounds, fn)
  const reference = addTwoSided(left, right, {
    kind: 'interval-join',
    create,
    settings: { ...intervalMs(bounds) },
    needsTimestamps: true,
  })
  const { builder } = left
  return Object.assign(new Stream<R>(builder, [reference]), {
    lateLeft: new Stream<T>(builder, [{ node: reference.node, output: LATE_LEFT_OUTPUT }]),
    lateRight: new Stream<U>(builder, [{ node: reference.node, output: LATE_RIGHT_OUTPUT }]),
  })
}

interface TwoSidedDraft {
  readonly kind: string
  readonly create: (context: OperatorContext) => Operator
  readonly settings: Json
  readonly needsTimestamps?: boolean
  readonly sides?: readonly string[]
}

function addTwoSided(left: ConnectedInput, right: ConnectedInput, { create, ...draft }: TwoSidedDraft): OutputReference {
  const sides: readonly DraftInput[] = [
    { outputs: left.outputs, keyOf: left.keyOf, side: 'first' },
    { outputs: right.outputs, keyOf: right.keyOf, side: 'second' },
  ]
  return left.builder.add({ ...draft, body: { type: 'operator', create } }, sides)
}

/** @throws SluiceError `INVALID_OPTION` */
export function checkSameJob(verb: string, left: ConnectedInput, right: ConnectedInput): void {
  if (left.builder === right.builder) return
  throw new SluiceError('INVALID_OPTION', `${verb} takes streams of the same job`, {
    hint: 'begin both with .from() of one job; a stream of another job is read from what that one writes',
  })
}

/** What the graph says about the states of a node: by this a restore compares them. */
function described(state: StateDeclarations = {}, broadcast: BroadcastDeclarations = {}): Json {
  const shared = stateSettings(broadcast).map((settings) => ({ ...settings, name: `broadcast:${settings.name}` }))
  return { states: [...stateSettings(state), ...shared] }
}
