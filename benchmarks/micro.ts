import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Timed from 'benchmark'
import { tumblingWindow } from '../operators/windows/assigners.ts'
import { onWatermark } from '../operators/windows/triggers.ts'
import type { WindowFunction } from '../operators/windows/window-function.ts'
import { windowOperator } from '../operators/windows/window-operator.ts'
import { keyGroupOf } from '../src/core/key-groups.ts'
import type { OperatorContext, Receiver } from '../src/core/operator.ts'
import { ColumnarCodec } from '../src/protocol/columnar-codec.ts'
import type { RecordBatch } from '../src/protocol/element.ts'
import { createRing, RingReader, RingWriter } from '../src/protocol/ring.ts'
import { KeyedBackend } from '../src/state/keyed-backend.ts'
import type { Benchmark, BenchmarkOptions } from './support/benchmark.ts'
import { compareCodecs, renderCodecs } from './support/codec-comparison.ts'
import { describeEnvironment, environmentLine } from './support/environment.ts'
import { BATCH, bids, keyOf, readings, START_MS } from './support/sample-batches.ts'
import { perSecond, renderTable } from './support/table.ts'

/** A piece of the engine by itself, in one thread. */
interface Piece {
  readonly name: string
  /** Records that one call handles. */
  readonly records: number
  readonly call: () => unknown
}

/** What was measured of a piece. */
export interface PieceResult {
  readonly name: string
  readonly recordsPerCall: number
  readonly recordsPerSecond: number
  readonly nanosecondsPerRecord: number
  /** Half the width of the 95 % confidence interval, relative to the mean. */
  readonly relativeMarginPercent: number
  readonly samples: number
}

const MAX_PARALLELISM = 128

export const micro: Benchmark = {
  name: 'micro',
  question: 'what do the pieces of the hot path cost by themselves? Codec, ring, keyed table, hash, window',
  run,
}

async function run(options: BenchmarkOptions): Promise<void> {
  const environment = describeEnvironment()
  process.stdout.write(`${environmentLine(environment)}\n\n`)
  const results: PieceResult[] = []
  // One piece is made, measured and forgotten before the next: their states must not share the garbage collector's attention.
  for (const make of pieces()) results.push(measure(make(), options.quick))
  const rows = results.map((result) => [
    result.name,
    `${perSecond(result.recordsPerSecond)}/s`,
    `${result.nanosecondsPerRecord.toFixed(1)} ns`,
    `± ${result.relativeMarginPercent.toFixed(1)} %`,
  ])
  process.stdout.write(renderTable(['piece', 'records', 'a record', 'margin'], rows))
  const codecs = compareCodecs(options.quick)
  process.stdout.write(`\n${renderCodecs(codecs)}`)
  if (!options.json) return
  mkdirSync(options.out, { recursive: true })
  const file = join(options.out, 'micro.json')
  writeFileSync(
    file,
    `${JSON.stringify({ benchmark: 'micro', environment, quick: options.quick, pieces: results, codecs }, null, 2)}\n`,
  )
  process.stdout.write(`written: ${file}\n`)
}

function measure(piece: Piece, quick: boolean): PieceResult {
  const budget = quick ? { maxTime: 0.1, minSamples: 3, minTime: 0.02 } : { maxTime: 2, minSamples: 20 }
  // The result goes where the compiler cannot see that nobody reads it.
  const kept: unknown[] = [undefined]
  const timed = new Timed(
    piece.name,
    () => {
      kept[0] = piece.call()
    },
    budget,
  )
  timed.run()
  // `benchmark` keeps what a call threw to itself.
  if ((timed.error as Error | undefined) !== undefined) throw timed.error
  const secondsPerRecord = timed.stats.mean / piece.records
  return {
    name: piece.name,
    recordsPerCall: piece.records,
    recordsPerSecond: 1 / secondsPerRecord,
    nanosecondsPerRecord: 1e9 * secondsPerRecord,
    relativeMarginPercent: timed.stats.rme,
    samples: timed.stats.sample.length,
  }
}

function pieces(): readonly (() => Piece)[] {
  return [
    () => ring('ring write + read, batches of readings', readings()),
    () => ring('ring write + read, batches of bids', bids()),
    ...[1e3, 1e4, 1e5, 1e6].map((keys) => () => table(keys)),
    hash,
    window,
  ]
}

// Pieces

/** Bytes only: what the codec does is measured above. One thread holds both ends, so nobody waits. */
function ring(name: string, batch: RecordBatch): Piece {
  const bytes = new ColumnarCodec().encode(batch).slice()
  const shared = createRing()
  const [writer, reader] = [new RingWriter(shared), new RingReader(shared)]
  const call = (): void => {
    const written = writer.write(bytes, 0)
    const read = reader.read()
    if (written !== bytes.byteLength || read?.byteLength !== bytes.byteLength) throw new Error('the ring lost a message')
  }
  return { name, records: BATCH, call }
}

/** Look up, add one, write back, as `count` does; with the key made current before, as the task does. Keys come scattered. */
function table(keys: number): Piece {
  const backend = new KeyedBackend({ groups: { first: 0, last: MAX_PARALLELISM - 1 }, maxParallelism: MAX_PARALLELISM })
  const counts = backend.table<number>('count')
  const names = Array.from({ length: keys }, (_, i) => keyOf(i))
  const update = (name: string): void => {
    backend.setKey(name)
    counts.set((counts.get() ?? 0) + 1)
  }
  names.forEach(update)
  let i = 0
  const call = (): void => {
    for (let n = 0; n < BATCH; n++) {
      i = (i + 7919) % keys
      update(names[i]!)
    }
  }
  return { name: `keyed table update, 10^${Math.log10(keys)} keys`, records: BATCH, call }
}

function hash(): Piece {
  const names = Array.from({ length: BATCH }, (_, i) => keyOf(i * 7919))
  const call = (): number => {
    let sum = 0
    for (let n = 0; n < BATCH; n++) sum += keyGroupOf(names[n], MAX_PARALLELISM)
    return sum
  }
  return { name: 'key group of a string', records: BATCH, call }
}

/** A record into a tumbling window of one key among 1000: the path of a record that fires nothing. */
function window(): Piece {
  const keyed = new KeyedBackend({ groups: { first: 0, last: MAX_PARALLELISM - 1 }, maxParallelism: MAX_PARALLELISM })
  const cell = { timestamp: START_MS, split: -1 }
  const assigner = tumblingWindow('1m')
  const operator = windowOperator(assigner, onWatermark(), 0, SUM)(windowContext(keyed, cell))
  operator.open?.()
  const names = Array.from({ length: 1000 }, (_, i) => keyOf(i))
  let i = 0
  const call = (): void => {
    for (let n = 0; n < BATCH; n++) {
      i = (i + 1) % 1_000_000
      cell.timestamp = START_MS + (i % 60_000)
      keyed.setKey(names[(i * 619) % 1000]!)
      operator.onRecord(i)
    }
  }
  return { name: 'add to a tumbling window, 10^3 keys', records: BATCH, call }
}

const SUM: WindowFunction = {
  create: () => 0,
  add: (sum, value) => (sum as number) + (value as number),
  divisible: true,
  results: (sum) => [sum],
}

/** As much of a task as the window operator sees. */
function windowContext(keyed: KeyedBackend, cell: { timestamp: number; split: number }): OperatorContext {
  const nowhere: Receiver = { onRecord: () => {} }
  return {
    operatorId: 'window-1',
    subtask: 0,
    parallelism: 1,
    clock: { now: () => START_MS },
    cell,
    output: nowhere,
    side: () => nowhere,
    keyed,
    watermark: Number.NEGATIVE_INFINITY,
    emitWatermark: () => {},
    hasRoom: true,
    late: () => {},
    failure: (error: unknown) => error,
  } as unknown as OperatorContext
}
