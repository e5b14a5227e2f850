import type { TimeWindow, WindowAssigner } from '../../operators/windows/assigners.ts'
import { checkAssigner } from '../../operators/windows/assigners.ts'
import type { Trigger } from '../../operators/windows/triggers.ts'
import { checkTrigger, defaultTrigger } from '../../operators/windows/triggers.ts'
import type { WindowFunction } from '../../operators/windows/window-function.ts'
import { windowJoinFunction } from '../../operators/windows/window-join.ts'
import { LATE_OUTPUT, windowOperator } from '../../operators/windows/window-operator.ts'
import { copyValue } from '../core/copy-value.ts'
import { SluiceError } from '../core/errors.ts'
import type { Duration } from '../core/time.ts'
import { durationMs } from '../core/time.ts'
import type { ConnectedInput } from './connected-stream.ts'
import { checkSameJob } from './connected-stream.ts'
import type { DraftInput, GraphBuilder, NodeDraft } from './graph-builder.ts'
import { Stream } from './stream.ts'

export interface WindowOptions {
  /**
   * How long a window is kept after it fired: a record that comes in that time fires its key again. Default: 0. Only in windows of event
   * time, because nothing is late by the clock.
   */
  readonly allowedLateness?: Duration
  /** When the window gives results. Default: `onWatermark()`. */
  readonly trigger?: Trigger
}

/** What a result function may ask about its window. */
export interface WindowInfo<K> {
  readonly key: K
  readonly window: TimeWindow
}

/** The results of windows, and beside them the inputs that came too late. */
export type WindowResults<R, T> = Stream<R> & {
  /** The inputs whose windows were gone when they came, as they were. */
  readonly late: Stream<T>
}

/** A fold over the records of a window. */
export interface WindowAggregate<T, A> {
  create: () => A
  /** May change the accumulator and return it. */
  add: (accumulator: A, value: T) => A
  /**
   * Two accumulators as one, the earlier one first. Session windows need it, because sessions grow together; sliding windows are cheaper with it:
   * each record is then added once, and the parts of a window are merged when it fires.
   */
  merge?: (a: A, b: A) => A
}

/** Session windows grow together, and with them what was folded so far. */
export interface SessionAggregate<T, A> extends WindowAggregate<T, A> {
  merge: (a: A, b: A) => A
}

/** Sessions of each key: as other windows, but an aggregate must say how two accumulators become one. */
export interface SessionWindowedStream<K, T> extends Omit<WindowedStream<K, T>, 'aggregate'> {
  aggregate<A, R>(aggregate: SessionAggregate<T, A> & { result: (accumulator: A, info: WindowInfo<K>) => R }): WindowResults<R, T>
  aggregate<A>(aggregate: SessionAggregate<T, A>): WindowResults<{ key: K; window: TimeWindow; value: A }, T>
}

/** Records of each key in windows. A result bears the timestamp `window.end - 1`. */
export class WindowedStream<K, T> {
  readonly #builder: GraphBuilder
  readonly #input: DraftInput
  readonly #assigner: WindowAssigner
  readonly #options: WindowOptions

  constructor(builder: GraphBuilder, input: DraftInput, assigner: WindowAssigner, options: WindowOptions) {
    this.#builder = builder
    this.#input = input
    this.#assigner = assigner
    this.#options = options
    // Said at once, and not only when a fold is chosen.
    windowSettings(assigner, options)
  }

  /** How many records. */
  count(): WindowResults<{ key: K; window: TimeWindow; count: number }, T> {
    return this.#add('window-count', {
      create: () => 0,
      add: (count) => (count as number) + 1,
      merge: (a, b) => (a as number) + (b as number),
      divisible: true,
      results: (count, key, window) => [{ key, window, count }],
    })
  }

  /** The records combined two at a time, in the order in which they come. */
  reduce(fn: (sum: T, value: T) => T): WindowResults<{ key: K; window: TimeWindow; value: T }, T> {
    // The function may change its first argument. That must not be a record, which other windows may hold as well.
    const next = (sum: T, value: T): T => {
      const reduced = fn(sum, value)
      return reduced === value ? copyValue(reduced) : reduced
    }
    return this.#add('window-reduce', {
      create: () => NONE,
      add: (sum, value) => ({ value: sum === NONE ? copyValue(value as T) : next((sum as { value: T }).value, value as T) }),
      merge: (a, b) => ({ value: fn((a as { value: T }).value, (b as { value: T }).value) }),
      divisible: false,
      results: (sum, key, window) => [{ key, window, value: (sum as { value: T }).value }],
    })
  }

  /** The records folded into an accumulator. */
  aggregate<A, R>(aggregate: WindowAggregate<T, A> & { result: (accumulator: A, info: WindowInfo<K>) => R }): WindowResults<R, T>
  aggregate<A>(aggregate: WindowAggregate<T, A>): WindowResults<{ key: K; window: TimeWindow; value: A }, T>
  aggregate<A, R>(
    aggregate: WindowAggregate<T, A> & { result?: (accumulator: A, info: WindowInfo<K>) => R },
  ): WindowResults<R, T> {
    const { create, add, merge, result } = aggregate
    if (this.#assigner.kind === 'session' && merge === undefined) throw noMerge()
    return this.#add('window-aggregate', {
      create,
      add: add as WindowFunction['add'],
      ...(merge === undefined ? {} : { merge: merge as NonNullable<WindowFunction['merge']> }),
      divisible: merge !== undefined,
      results: (accumulator, key, window) =>
        result === undefined ? [{ key, window, value: accumulator }] : [result(accumulator as A, { key: key as K, window })],
    })
  }

  /** All records of a window at once, in the order in which they came. They are kept until it is gone: prefer an aggregate where one will do. */
  process<R>(fn: (records: readonly T[], info: WindowInfo<K>) => Iterable<R>): WindowResults<R, T> {
    return this.#add('window-process', {
      create: () => [],
      add(records, value) {
        ;(records as unknown[]).push(value)
        return records
      },
      merge: (a, b) => [...(a as unknown[]), ...(b as unknown[])],
      divisible: false,
      results: (records, key, window) => fn((records as T[]).slice(), { key: key as K, window }),
    })
  }

  #add<R>(kind: string, fn: WindowFunction): WindowResults<R, T> {
    const reference = this.#builder.add(windowDraft(kind, this.#assigner, this.#options, fn), [this.#input])
    const late = new Stream<T>(this.#builder, [{ node: reference.node, output: LATE_OUTPUT }])
    return Object.assign(new Stream<R>(this.#builder, [reference]), { late })
  }
}

/** The pairs of two keyed streams in windows. @throws SluiceError `INVALID_OPTION`, `INVALID_DURATION` */
export function windowJoined<T, U, R>(
  left: ConnectedInput,
  right: ConnectedInput,
  assigner: WindowAssigner,
  fn: (left: T, right: U) => R,
  options: WindowOptions,
): WindowResults<R, T | U> {
  checkSameJob('windowJoin', left, right)
  if (assigner.kind === 'count') throw noCountJoin()
  const { builder } = left
  const reference = builder.add(windowDraft('window-join', assigner, options, windowJoinFunction(fn)), [
    { outputs: left.outputs, keyOf: left.keyOf, side: 'first' },
    { outputs: right.outputs, keyOf: right.keyOf, side: 'second' },
  ])
  const late = new Stream<T | U>(builder, [{ node: reference.node, output: LATE_OUTPUT }])
  return Object.assign(new Stream<R>(builder, [reference]), { late })
}

/** The node of a window operator. @throws SluiceError `INVALID_OPTION` when windows, trigger and lateness do not go together */
export function windowDraft(kind: string, assigner: WindowAssigner, options: WindowOptions, fn: WindowFunction): NodeDraft {
  const { trigger, latenessMs } = windowSettings(assigner, options)
  return {
    kind,
    body: { type: 'operator', create: windowOperator(assigner, trigger, latenessMs, fn) },
    settings: { window: { ...assigner }, trigger: { ...trigger }, allowedLatenessMs: latenessMs },
    needsTimestamps: 'time' in assigner && assigner.time === 'event',
    dropsTimestamps: !('time' in assigner),
  }
}

function windowSettings(assigner: WindowAssigner, options: WindowOptions): { trigger: Trigger; latenessMs: number } {
  checkAssigner(assigner)
  const latenessMs = durationMs(options.allowedLateness ?? 0, 'allowedLateness')
  if (latenessMs > 0 && !('time' in assigner && assigner.time === 'event')) {
    throw new SluiceError('INVALID_OPTION', 'allowedLateness is for windows of event time: nothing is late in others', {
      hint: 'leave it out',
    })
  }
  if (options.trigger !== undefined) checkTrigger(assigner, options.trigger)
  return { trigger: options.trigger ?? defaultTrigger(assigner), latenessMs }
}

function noMerge(): SluiceError {
  return new SluiceError('INVALID_OPTION', 'an aggregate over session windows needs `merge`: sessions grow together', {
    hint: 'add merge: (a, b) => ..., which makes one accumulator of two',
  })
}

function noCountJoin(): SluiceError {
  return new SluiceError(
    'INVALID_OPTION',
    'windowJoin over countWindow: which records meet would depend on which side was read first',
    {
      hint: 'join over windows of time (tumblingWindow, slidingWindow, sessionWindow), or over globalWindow(), which joins everything at the end of the input',
    },
  )
}

/** The accumulator of a reduce before its first record; never stored, since every window begins with a record. */
const NONE = Symbol('none')
