import { asyncMapOperator } from '../../operators/async/async-map.ts'
import type { AsyncContext, AsyncMapOptions } from '../../operators/async/async-options.ts'
import { asyncSettings } from '../../operators/async/async-options.ts'
import { filterOperator } from '../../operators/filter.ts'
import { flatMapOperator } from '../../operators/flat-map.ts'
import { mapOperator } from '../../operators/map.ts'
import type { OperatorStateDeclarations } from '../../operators/operator-state.ts'
import { operatorStateSettings } from '../../operators/operator-state.ts'
import type { OutputType, SideOutputs, StatefulProcessContext, TypeOf } from '../../operators/process.ts'
import { processOperator } from '../../operators/process.ts'
import type { RecordContext } from '../../operators/record-context.ts'
import type { Predicate } from '../../operators/split.ts'
import { branchNames, splitOperator } from '../../operators/split.ts'
import { checkHandlers } from '../../operators/synchronous.ts'
import type { TimestampOptions } from '../../operators/timestamps.ts'
import { timestampSettings, timestampsOperator } from '../../operators/timestamps.ts'
import { SluiceError } from '../core/errors.ts'
import type { Key } from '../core/keyed-state.ts'
import type { Operator, OperatorContext } from '../core/operator.ts'
import type { Sink } from '../core/sink.ts'
import type { ConnectedInput } from './connected-stream.ts'
import { BroadcastConnectedStream, ConnectedStream } from './connected-stream.ts'
import type { GraphBuilder, NodeDraft, OutputReference } from './graph-builder.ts'
import { KeyedStream } from './keyed-stream.ts'

/** What `process` is given. */
export interface ProcessOptions<
  T,
  Returned,
  Out,
  Side extends SideOutputs,
  S extends OperatorStateDeclarations = Record<never, never>,
> {
  /** State of each subtask, by name: `{ waiting: operatorListState<Payment>() }`. */
  state?: S
  /** Declares what `ctx.emit` takes; not needed when results are returned or yielded. */
  out?: OutputType<Out>
  /** Side outputs by name: `{ alerts: output<Alert>() }`. */
  side?: Side
  /** Once in each subtask, before its first record. */
  open?(context: { readonly subtask: number }): void
  /** What it returns or yields, and what it emits, are results. */
  onRecord: (value: T, context: StatefulProcessContext<Out, Side, S>) => Iterable<Returned> | void
  close?(): void
}

/** A stream with side outputs. */
export interface SideStreams<Side extends SideOutputs> {
  readonly side: { readonly [Name in keyof Side]: Stream<TypeOf<Side[Name]>> }
}

/**
 * Records of one type on their way. A handle is cheap: a verb adds a node to the job and returns a new handle, and using one twice makes a
 * branch. Nothing runs before the job does.
 */
export class Stream<T> {
  readonly #builder: GraphBuilder
  readonly #outputs: readonly OutputReference[]

  constructor(builder: GraphBuilder, outputs: readonly OutputReference[]) {
    this.#builder = builder
    this.#outputs = outputs
  }

  /** One result for each record. Records are values: return a new one, do not change the one you were given. */
  map<R>(fn: (value: T, context: RecordContext) => R): Stream<R> {
    return this.#add('map', mapOperator(fn))
  }

  /** Only the records that the predicate accepts; a type guard narrows the type. */
  filter<R extends T>(predicate: (value: T, context: RecordContext) => value is R): Stream<R>
  filter<B>(predicate: (value: T, context: RecordContext) => B extends PromiseLike<unknown> ? never : B): Stream<T>
  filter(predicate: (value: T, context: RecordContext) => unknown): Stream<T> {
    return this.#add('filter', filterOperator(predicate))
  }

  /** Any number of results for each record: the function returns an iterable, or is a generator. */
  flatMap<R>(fn: (value: T, context: RecordContext) => Iterable<R>): Stream<R> {
    return this.#add('flatMap', flatMapOperator(fn))
  }

  /**
   * Event time for each record, in milliseconds since 1970, and watermarks that follow the latest one by `maxOutOfOrderness`. Directly behind
   * a source each split is followed by itself, and the slowest counts.
   * @throws SluiceError `INVALID_DURATION`, `INVALID_OPTION`
   */
  withTimestamps(fn: (value: T, context: RecordContext) => number, options: TimestampOptions = {}): Stream<T> {
    const settings = timestampSettings(options)
    return this.#add('withTimestamps', timestampsOperator(fn, options), {
      settings: { ...settings },
      assignsTimestamps: true,
      ...(settings.alignment === null ? {} : { alignmentGroup: settings.alignment.group }),
    })
  }

  /** Brings records with equal keys together, and gives each key state of its own. */
  keyBy<const K extends Key>(fn: (value: T) => K): KeyedStream<K, T> {
    return new KeyedStream<K, T>(this.#builder, this.#outputs, fn)
  }

  /** The records of several streams of one type. */
  union(...streams: readonly Stream<T>[]): Stream<T> {
    for (const stream of streams) {
      if (stream.#builder !== this.#builder) throw new SluiceError('INVALID_OPTION', 'union takes streams of the same job')
    }
    return new Stream<T>(this.#builder, [...this.#outputs, ...streams.flatMap((stream) => stream.#outputs)])
  }

  /** The records in turn to the subtasks of whoever reads them, so that each has the same share of the work. */
  rebalance(): Stream<T> {
    return new Stream<T>(
      this.#builder,
      this.#outputs.map((output) => ({ ...output, partitioning: 'rebalance' })),
    )
  }

  /** Every record to every subtask of whoever reads them: rules and settings that all must know. Goes with `connect`. */
  broadcast(): BroadcastStream<T> {
    return new BroadcastStream<T>(
      this.#builder,
      this.#outputs.map((output) => ({ ...output, partitioning: 'broadcast' })),
    )
  }

  /**
   * This stream and another one in one operator, with a handler for each; a broadcast one brings state that all subtasks have.
   * @throws SluiceError `INVALID_OPTION` for a stream of another job
   */
  connect<U>(other: BroadcastStream<U>): BroadcastConnectedStream<T, U>
  connect<U>(other: Stream<U>): ConnectedStream<T, U>
  connect<U>(other: Stream<U>): BroadcastConnectedStream<T, U> | ConnectedStream<T, U> {
    if (!(other instanceof Stream)) throw notPlain()
    return other instanceof BroadcastStream
      ? new BroadcastConnectedStream<T, U>(Stream.input(this), Stream.input(other))
      : new ConnectedStream<T, U>(Stream.input(this), Stream.input(other))
  }

  /** What an operator with two inputs needs to read a stream. */
  static input(stream: Stream<unknown>): ConnectedInput {
    return { builder: stream.#builder, outputs: stream.#outputs }
  }

  /** Anything, record by record, with side outputs. Results are returned (an iterable; a generator reads well) or passed to `ctx.emit`. */
  process<
    Returned = never,
    Out = never,
    Side extends SideOutputs = Record<never, never>,
    S extends OperatorStateDeclarations = Record<never, never>,
  >(options: ProcessOptions<T, Returned, Out, Side, S>): Stream<Returned | Out> & SideStreams<Side> {
    checkHandlers('process', options, ['onRecord'])
    const builder = this.#builder
    const states = operatorStateSettings(options.state ?? {})
    const draft: NodeDraft = {
      kind: 'process',
      body: { type: 'operator', create: processOperator(options) },
      sides: Object.keys(options.side ?? {}),
      ...(states.length === 0 ? {} : { settings: { states } }),
    }
    const reference = builder.add(draft, [{ outputs: this.#outputs }])
    return withSides(builder, reference, options.side)
  }

  /**
   * One result for each record, from a function that may return a promise; up to `concurrency` records are under way at once in each subtask.
   * Each result comes out once; after a failure a call may be made again, so one that changes something needs an idempotency key.
   * @throws SluiceError `INVALID_OPTION`, `INVALID_DURATION`
   */
  asyncMap<R, Late = R>(
    fn: (value: T, context: AsyncContext) => Promise<R> | R,
    options: AsyncMapOptions<T, Late> = {},
  ): Stream<R | Late> {
    const settings = asyncSettings(fn, options)
    const { concurrency, ordered } = settings
    return this.#add('asyncMap', asyncMapOperator(fn, settings), { settings: { concurrency, ordered } })
  }

  /**
   * Each record to the first branch whose predicate accepts it, in the order in which they are written, and to `rest` when none does. A type
   * guard narrows the type of its branch.
   * @throws SluiceError `INVALID_OPTION` for no branches, and for names that are taken (`rest`) or numbers
   */
  split<const Branches extends Readonly<Record<string, (value: T, context: RecordContext) => unknown>>>(
    branches: Branches & SynchronousBranches<Branches>,
  ): SplitStreams<T, Branches> {
    const names = branchNames(branches as Readonly<Record<string, Predicate>>)
    const create = splitOperator(branches as Readonly<Record<string, Predicate>>)
    const draft: NodeDraft = { kind: 'split', body: { type: 'operator', create }, settings: { branches: [...names] } }
    const reference = this.#builder.add(draft, [{ outputs: this.#outputs }])
    const streams = withSides(this.#builder, reference, Object.fromEntries(names.map((name) => [name, {}])))
    return { ...streams.side, rest: new Stream(this.#builder, [reference]) } as unknown as SplitStreams<T, Branches>
  }

  /** Every record to a sink. Returns the stream, so that it can go on. */
  to(sink: Sink<T>): this {
    this.#builder.addSink(sink as unknown as Sink<unknown>, this.#outputs)
    return this
  }

  /** Fixes the operator's id, under which its state is found again after the job was edited. */
  named(id: string): this {
    this.#builder.name(this.#single('named').node, id)
    return this
  }

  /** Subtasks of the operator that makes this stream. */
  withParallelism(parallelism: number): this {
    this.#builder.parallelism(this.#single('withParallelism').node, parallelism)
    return this
  }

  #single(verb: string): OutputReference {
    if (this.#outputs.length === 1) return this.#outputs[0]!
    throw new SluiceError('INVALID_OPTION', `${verb} has no operator to speak of: a union is none`, {
      hint: `call ${verb} on the streams before it`,
    })
  }

  #add<R>(kind: string, create: (context: OperatorContext) => Operator<T>, more: Partial<NodeDraft> = {}): Stream<R> {
    const draft: NodeDraft = {
      kind: kebabKind(kind),
      body: { type: 'operator', create: create as (context: OperatorContext) => Operator },
      ...more,
    }
    return new Stream<R>(this.#builder, [this.#builder.add(draft, [{ outputs: this.#outputs }])])
  }
}

/** A stream of which every subtask that reads it gets every record. */
export class BroadcastStream<T> extends Stream<T> {
  /** Tells it from other streams, also for the compiler. */
  readonly partitioning = 'broadcast'
}

function notPlain(): SluiceError {
  return new SluiceError('INVALID_OPTION', 'connect of a plain stream takes a plain or a broadcast stream', {
    hint: 'call keyBy on both streams or on neither; keyed state for both sides is a matter of keyed.connect(keyed)',
  })
}

type Guard<T, R extends T> = (value: T, context: RecordContext) => value is R

/** What a type guard accepts; `never` for another predicate. */
type GuardedType<T, Accepts> = Accepts extends Guard<T, infer R> ? R : never

/** What a branch gets. */
type BranchType<T, Accepts> = [GuardedType<T, Accepts>] extends [never] ? T : GuardedType<T, Accepts>

/** The streams of `split`: one for each branch, and `rest`. */
export type SplitStreams<T, Branches> = { readonly [Name in keyof Branches]: Stream<BranchType<T, Branches[Name]>> } & {
  /** The records that no branch accepted; what a type guard accepts cannot be among them. */
  readonly rest: Stream<Exclude<T, GuardedType<T, Branches[keyof Branches]>>>
}

/** Refuses `rest`, and predicates that return a promise, which would be taken for true. */
type SynchronousBranches<Branches> = {
  readonly [Name in keyof Branches]: Name extends 'rest'
    ? never
    : Branches[Name] extends (...parameters: never) => infer Accepted
      ? [Extract<Accepted, PromiseLike<unknown>>] extends [never]
        ? unknown
        : never
      : never
}

function kebabKind(kind: string): string {
  return kind.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

/** A stream whose side outputs are streams too. */
export function withSides<R, Side extends SideOutputs>(
  builder: GraphBuilder,
  reference: OutputReference,
  side: Side | undefined,
): Stream<R> & SideStreams<Side> {
  const names = Object.keys(side ?? {})
  const sides = Object.fromEntries(
    names.map((name) => [name, new Stream(builder, [{ node: reference.node, output: sideOutput(name) }])]),
  )
  return Object.assign(new Stream<R>(builder, [reference]), { side: sides }) as Stream<R> & SideStreams<Side>
}

/** A side output cannot be mistaken for the main one, whatever it is called. */
export function sideOutput(name: string): string {
  return `side:${name}`
}
