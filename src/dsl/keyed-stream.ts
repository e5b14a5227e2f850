import type { KeyedAsyncContext, KeyedAsyncMapOptions } from '../../operators/async/async-options.ts'
import { asyncSettings } from '../../operators/async/async-options.ts'
import { keyedAsyncMapOperator } from '../../operators/async/keyed-async-map.ts'
import type { Aggregate } from '../../operators/keyed/aggregate.ts'
import { aggregateOperator } from '../../operators/keyed/aggregate.ts'
import { countOperator } from '../../operators/keyed/count.ts'
import type { DistinctOptions } from '../../operators/keyed/distinct.ts'
import { distinctOperator, distinctState } from '../../operators/keyed/distinct.ts'
import type { IntervalBounds } from '../../operators/keyed/interval-join.ts'
import type { KeyedProcessContext, StateDeclarations } from '../../operators/keyed/process.ts'
import { keyedProcessOperator } from '../../operators/keyed/process.ts'
import { reduceOperator } from '../../operators/keyed/reduce.ts'
import { asksForEventTime, stateSettings } from '../../operators/keyed/state.ts'
import type { OutputType, SideOutputs } from '../../operators/process.ts'
import { checkHandlers } from '../../operators/synchronous.ts'
import type { SessionWindow, WindowAssigner } from '../../operators/windows/assigners.ts'
import { SluiceError } from '../core/errors.ts'
import type { Key } from '../core/keyed-state.ts'
import type { Operator, OperatorContext } from '../core/operator.ts'
import type { ConnectedInput, IntervalJoined } from './connected-stream.ts'
import { intervalJoined, KeyedBroadcastConnectedStream, KeyedConnectedStream } from './connected-stream.ts'
import type { DraftInput, GraphBuilder, NodeDraft, OutputReference } from './graph-builder.ts'
import type { SideStreams } from './stream.ts'
import { BroadcastStream, Stream, withSides } from './stream.ts'
import type { SessionWindowedStream, WindowOptions, WindowResults } from './windowed-stream.ts'
import { WindowedStream, windowJoined } from './windowed-stream.ts'

/** What a keyed `process` is given. */
export interface KeyedProcessOptions<K, T, Returned, Fired, Out, Side extends SideOutputs, S extends StateDeclarations> {
  /** State of each key, by name: `{ last: valueState<Payment>() }`. */
  state?: S
  out?: OutputType<Out>
  side?: Side
  open?(context: { readonly subtask: number }): void
  onRecord: (value: T, context: KeyedProcessContext<K, Out, Side, S>) => Iterable<Returned> | void
  /** A timer of a key is due; `context.key` is that key. */
  onTimer?(time: number, context: KeyedProcessContext<K, Out, Side, S>): Iterable<Fired> | void
  close?(): void
}

/** Records with a key. Equal keys meet in one subtask, in the order in which each sender sent them. */
export class KeyedStream<K, T> {
  readonly #builder: GraphBuilder
  readonly #outputs: readonly OutputReference[]
  readonly #keyOf: (value: never) => K

  constructor(builder: GraphBuilder, outputs: readonly OutputReference[], keyOf: (value: T) => K) {
    this.#builder = builder
    this.#outputs = outputs
    this.#keyOf = keyOf
  }

  /** How many records the key has had so far; a result for each record. */
  count(): Stream<{ key: K; count: number }> {
    return this.#add('count', countOperator())
  }

  /** The records of a key combined two at a time; the running value for each record. */
  reduce(fn: (sum: T, value: T) => T): Stream<T> {
    return this.#add('reduce', reduceOperator(fn))
  }

  /** The records of a key folded into an accumulator; the running result for each record. */
  aggregate<A, R>(aggregate: {
    create: () => A
    add: (accumulator: A, value: T) => A
    result: (accumulator: A, key: K) => R
  }): Stream<R>
  aggregate<A>(aggregate: { create: () => A; add: (accumulator: A, value: T) => A }): Stream<A>
  aggregate<A, R>(aggregate: {
    create: () => A
    add: (accumulator: A, value: T) => A
    result?: (accumulator: A, key: K) => R
  }): Stream<R> {
    return this.#add('aggregate', aggregateOperator(aggregate as Aggregate<T, A, R>))
  }

  /**
   * The first record of each key. With a `ttl` a key counts as new again once that long has passed since its first record; duplicates do not
   * prolong it.
   * @throws SluiceError `INVALID_DURATION`, `INVALID_OPTION`
   */
  distinct(options: DistinctOptions = {}): Stream<T> {
    const draft = this.#draft('distinct', distinctOperator(options), stateDraft(distinctState(options)))
    return new Stream<T>(this.#builder, [this.#builder.add(draft, [this.#input])])
  }

  /** Anything, with state and timers for each key. */
  process<
    Returned = never,
    Fired = never,
    Out = never,
    Side extends SideOutputs = Record<never, never>,
    S extends StateDeclarations = Record<never, never>,
  >(options: KeyedProcessOptions<K, T, Returned, Fired, Out, Side, S>): Stream<Returned | Fired | Out> & SideStreams<Side> {
    checkHandlers('process', options, ['onRecord'])
    const draft = this.#draft('process', keyedProcessOperator(options), stateDraft(options.state ?? {}))
    const sides = Object.keys(options.side ?? {})
    return withSides(this.#builder, this.#builder.add({ ...draft, sides }, [this.#input]), options.side)
  }

  /**
   * One result for each record, from a function that may return a promise. The records of a key are handled one after the other, those of
   * different keys at the same time. Each result comes out once; after a failure a call may be made again.
   * @throws SluiceError `INVALID_OPTION`, `INVALID_DURATION`
   */
  asyncMap<R, Late = R>(
    fn: (value: T, context: KeyedAsyncContext<K>) => Promise<R> | R,
    options: KeyedAsyncMapOptions<T, Late, KeyedAsyncContext<K>> = {},
  ): Stream<R | Late> {
    const settings = asyncSettings(fn, options as KeyedAsyncMapOptions<T, Late>)
    const draft = this.#draft('async-map', keyedAsyncMapOperator(fn, settings), {
      settings: { concurrency: settings.concurrency },
    })
    return new Stream<R | Late>(this.#builder, [this.#builder.add(draft, [this.#input])])
  }

  /**
   * This stream and another one in one operator, with a handler for each. Another keyed stream shares state and timers of equal keys; a
   * broadcast one brings state that all subtasks have.
   * @throws SluiceError `INVALID_OPTION` for a stream of another job
   */
  connect<U>(other: KeyedStream<K, U>): KeyedConnectedStream<K, T, U>
  connect<U>(other: BroadcastStream<U>): KeyedBroadcastConnectedStream<K, T, U>
  connect<U>(
    other: KeyedStream<K, U> | BroadcastStream<U>,
  ): KeyedConnectedStream<K, T, U> | KeyedBroadcastConnectedStream<K, T, U> {
    if (other instanceof KeyedStream) return new KeyedConnectedStream<K, T, U>(this.#connected, other.#connected)
    if (other instanceof BroadcastStream) return new KeyedBroadcastConnectedStream<K, T, U>(this.#connected, Stream.input(other))
    throw notKeyed('connect', 'keyBy, or broadcast() for rules that every subtask needs')
  }

  /**
   * Pairs of records with equal keys whose times are close: `left.time + lower <= right.time <= left.time + upper`, where left is this stream
   * and right the other one. A result bears the later of the two times. What comes at or before the watermark goes to `.lateLeft` and `.lateRight`.
   * @throws SluiceError `INVALID_OPTION` when `lower` is above `upper` and for a stream of another job, `INVALID_DURATION`
   */
  intervalJoin<U, R>(other: KeyedStream<K, U>, bounds: IntervalBounds, fn: (left: T, right: U) => R): IntervalJoined<R, T, U> {
    if (!(other instanceof KeyedStream)) throw notKeyed('intervalJoin', 'keyBy')
    return intervalJoined(this.#connected, other.#connected, bounds, fn)
  }

  /** The records of a key in windows. @throws SluiceError `INVALID_OPTION` when windows, trigger and lateness do not go together */
  window(assigner: SessionWindow, options?: WindowOptions): SessionWindowedStream<K, T>
  window(assigner: Exclude<WindowAssigner, SessionWindow>, options?: WindowOptions): WindowedStream<K, T>
  window(assigner: WindowAssigner, options?: WindowOptions): SessionWindowedStream<K, T>
  window(assigner: WindowAssigner, options: WindowOptions = {}): WindowedStream<K, T> | SessionWindowedStream<K, T> {
    return new WindowedStream<K, T>(this.#builder, this.#input, assigner, options)
  }

  /**
   * Pairs of records with equal keys that share a window, made when the window fires. A result bears the timestamp `window.end - 1`. `.late` has the
   * records of both sides whose windows were gone when they came.
   * @throws SluiceError `INVALID_OPTION` for countWindow, for a stream of another job, and when windows, trigger and lateness do not go together
   */
  windowJoin<U, R>(
    other: KeyedStream<K, U>,
    assigner: WindowAssigner,
    fn: (left: T, right: U) => R,
    options: WindowOptions = {},
  ): WindowResults<R, T | U> {
    if (!(other instanceof KeyedStream)) throw notKeyed('windowJoin', 'keyBy')
    return windowJoined(this.#connected, other.#connected, assigner, fn, options)
  }

  #add<R>(kind: string, create: (context: OperatorContext) => Operator<T>): Stream<R> {
    return new Stream<R>(this.#builder, [
      this.#builder.add(this.#draft(kind, create as (context: OperatorContext) => Operator), [this.#input]),
    ])
  }

  #draft(kind: string, create: (context: OperatorContext) => Operator, more: Partial<NodeDraft> = {}): NodeDraft {
    return { kind, body: { type: 'operator', create }, ...more }
  }

  get #connected(): ConnectedInput {
    return { builder: this.#builder, outputs: this.#outputs, keyOf: this.#keyOf as (value: unknown) => unknown }
  }

  get #input(): DraftInput {
    return { outputs: this.#outputs, keyOf: this.#keyOf as (value: unknown) => unknown }
  }
}

function notKeyed(verb: string, what: string): SluiceError {
  return new SluiceError('INVALID_OPTION', `${verb} of a keyed stream was given a stream without a key`, {
    hint: `call ${what} on it first`,
  })
}

/** What declared states say about their node. */
function stateDraft(states: StateDeclarations): Partial<NodeDraft> {
  return { settings: { states: stateSettings(states) }, ...(asksForEventTime(states) ? { needsTimestamps: true } : {}) }
}

export type { Key }
