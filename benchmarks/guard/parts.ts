import { filterOperator } from '../../operators/filter.ts'
import { mapOperator } from '../../operators/map.ts'
import type { OperatorContext, Receiver, RecordCell } from '../../src/core/operator.ts'
import { Signals } from '../../src/protocol/signals.ts'
import { KeyingReceiver, WriteTo } from '../../src/runtime/chain-receivers.ts'
import type { LoopSurroundings, RecordLoop } from '../../src/runtime/record-loop.ts'
import { KeyedBackend } from '../../src/state/keyed-backend.ts'

/* The engine's own parts, put together as a task does. */

const MAX_PARALLELISM = 128

export const BATCH = 512

export function backend(): KeyedBackend {
  return new KeyedBackend({ groups: { first: 0, last: MAX_PARALLELISM - 1 }, maxParallelism: MAX_PARALLELISM })
}

export function surroundings(): LoopSurroundings {
  return { cell: { timestamp: Number.NaN, split: -1 }, backpressure: { full: false, behind: false }, signals: new Signals(1) }
}

/** As much of a task as operators see here; the watermark may be raised. */
export function operatorContext(
  output: Receiver,
  keyed?: KeyedBackend,
  cell: RecordCell = { timestamp: Number.NaN, split: -1 },
): OperatorContext & { watermark: number } {
  return {
    operatorId: 'guarded-1',
    subtask: 0,
    parallelism: 1,
    clock: { now: () => 0 },
    cell,
    output,
    side: () => output,
    keyed,
    watermark: Number.NEGATIVE_INFINITY,
    emitWatermark: () => {},
    hasRoom: true,
    late: () => {
      throw new Error('a record came too late')
    },
    failure: (error: unknown) => error,
  } as unknown as OperatorContext & { watermark: number }
}

/** A function of a map, or of a filter. */
export type ChainStep = readonly ['map' | 'filter', (value: never) => unknown]

/** Operators without state in front of a sink. */
export function statelessChain(steps: readonly ChainStep[], write: (value: unknown) => void): Receiver {
  const writer = { write, prepareCommit: () => [], close: () => {} }
  const link = {
    records: 0,
    failure: (error: unknown): never => {
      throw error
    },
  }
  return steps.reduceRight<Receiver>((output, [kind, fn]) => {
    const create = kind === 'map' ? mapOperator(fn) : filterOperator(fn)
    return create(operatorContext(output)) as Receiver
  }, new WriteTo(writer, link))
}

/** A running count for each key, and the sum of all counts. */
export class KeyedCount {
  sum = 0
  readonly backend: KeyedBackend = backend()
  readonly head: Receiver

  /**
   * @param lookAhead without it keys are not looked through before their records
   * @param step what each record adds
   */
  constructor(keyOf: (value: never) => unknown, lookAhead = true, step = 1) {
    const keyed = this.backend
    const counts = keyed.table<number>('count')
    const onRecord = (): void => {
      const count = (counts.get() ?? 0) + step
      counts.set(count)
      this.sum += count
    }
    const keys = lookAhead
      ? keyed
      : { setKey: (key: unknown) => keyed.setKey(key), prepareKeys: (_: unknown, from: number) => from, useKey: () => {} }
    this.head = new KeyingReceiver(keys, keyOf as (value: unknown) => unknown, { onRecord }, operatorContext({ onRecord }))
  }
}

/** Runs whole batches as a task does. */
export function runBatches(loop: RecordLoop, batches: readonly (readonly unknown[])[]): void {
  for (const batch of batches) for (let place = 0; place < batch.length; ) place = loop(batch, undefined, place, batch.length, 0)
}
