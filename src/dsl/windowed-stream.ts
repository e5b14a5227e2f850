import type { TimeWindow, WindowAssigner } from '../../operators/windows/assigners.ts'
import type { WindowFunction } from '../../operators/windows/window-operator.ts'
import { LATE_OUTPUT, WindowOperator } from '../../operators/windows/window-operator.ts'
import type { Duration } from '../core/time.ts'
import { durationMs } from '../core/time.ts'
import type { GraphBuilder, OutputReference } from './graph-builder.ts'
import { Stream } from './stream.ts'

export interface WindowOptions {
  /** How long a window is kept after it fired: a record that comes in that time fires its key again. Default: 0. */
  readonly allowedLateness?: Duration
}

/** What a result function may ask about its window. */
export interface WindowInfo<K> {
  readonly key: K
  readonly window: TimeWindow
}

/** The results of windows, and beside them the inputs that came too late. */
export type WindowResults<R, T> = Stream<R> & {
  /** The inputs whose window was gone when they came, as they were. */
  readonly late: Stream<T>
}

/** Records of each key in windows. A result bears the timestamp `window.end - 1`. */
export class WindowedStream<K, T> {
  readonly #builder: GraphBuilder
  readonly #outputs: readonly OutputReference[]
  readonly #keyOf: (value: unknown) => unknown
  readonly #assigner: WindowAssigner
  readonly #latenessMs: number

  constructor(
    builder: GraphBuilder,
    outputs: readonly OutputReference[],
    keyOf: (value: unknown) => unknown,
    assigner: WindowAssigner,
    options: WindowOptions,
  ) {
    this.#builder = builder
    this.#outputs = outputs
    this.#keyOf = keyOf
    this.#assigner = assigner
    this.#latenessMs = durationMs(options.allowedLateness ?? 0, 'allowedLateness')
  }

  /** How many records. */
  count(): WindowResults<{ key: K; window: TimeWindow; count: number }, T> {
    return this.#add('window-count', {
      create: () => 0,
      add: (count) => (count as number) + 1,
      results: (count, key, window) => [{ key, window, count }],
    })
  }

  /** The records combined two at a time. */
  reduce(fn: (sum: T, value: T) => T): WindowResults<{ key: K; window: TimeWindow; value: T }, T> {
    return this.#add('window-reduce', {
      create: () => NONE,
      add: (sum, value) => ({ value: sum === NONE ? value : fn((sum as { value: T }).value, value as T) }),
      results: (sum, key, window) => [{ key, window, value: (sum as { value: T }).value }],
    })
  }

  /** The records folded into an accumulator. */
  aggregate<A, R>(aggregate: {
    create: () => A
    add: (accumulator: A, value: T) => A
    merge?: (a: A, b: A) => A
    result: (accumulator: A, info: WindowInfo<K>) => R
  }): WindowResults<R, T>
  aggregate<A>(aggregate: {
    create: () => A
    add: (accumulator: A, value: T) => A
    merge?: (a: A, b: A) => A
  }): WindowResults<{ key: K; window: TimeWindow; value: A }, T>
  aggregate<A, R>(aggregate: {
    create: () => A
    add: (accumulator: A, value: T) => A
    result?: (accumulator: A, info: WindowInfo<K>) => R
  }): WindowResults<R, T> {
    const { create, add, result } = aggregate
    return this.#add('window-aggregate', {
      create,
      add: add as (accumulator: unknown, value: unknown) => unknown,
      results: (accumulator, key, window) =>
        result === undefined ? [{ key, window, value: accumulator }] : [result(accumulator as A, { key: key as K, window })],
    })
  }

  /** All records of a window at once. They are kept until it is gone: prefer an aggregate where one will do. */
  process<R>(fn: (records: readonly T[], info: WindowInfo<K>) => Iterable<R>): WindowResults<R, T> {
    return this.#add('window-process', {
      create: () => [],
      add(records, value) {
        ;(records as unknown[]).push(value)
        return records
      },
      results: (records, key, window) => fn((records as T[]).slice(), { key: key as K, window }),
    })
  }

  #add<R>(kind: string, fn: WindowFunction): WindowResults<R, T> {
    const [assigner, latenessMs] = [this.#assigner, this.#latenessMs]
    const reference = this.#builder.add(
      {
        kind,
        body: { type: 'operator', create: (context) => new WindowOperator(context, assigner, latenessMs, fn) },
        settings: { window: { ...assigner }, allowedLatenessMs: latenessMs },
        needsTimestamps: true,
      },
      [{ outputs: this.#outputs, keyOf: this.#keyOf }],
    )
    const late = new Stream<T>(this.#builder, [{ node: reference.node, output: LATE_OUTPUT }])
    return Object.assign(new Stream<R>(this.#builder, [reference]), { late })
  }
}

/** The accumulator of a reduce before its first record; never stored, since every window begins with a record. */
const NONE = Symbol('none')
