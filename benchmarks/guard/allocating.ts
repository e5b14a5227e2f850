import { ColumnarCodec } from '../../src/protocol/columnar-codec.ts'
import { createRing, RingReader, RingWriter } from '../../src/protocol/ring.ts'
import { fusedLoop } from '../../src/runtime/fused-chain.ts'
import { counters, keyOf } from '../support/sample-batches.ts'
import type { ChainStep } from './parts.ts'
import { BATCH, backend, KeyedCount, runBatches, statelessChain, surroundings } from './parts.ts'
import { summingWindow } from './windows.ts'

/*
 * A program of its own: what the engine allocates for a record, where neither the records nor the functions of the job allocate anything. Its new space
 * is so large that nothing is collected in between (`allocation.ts` sees to it), so what the heap has grown by is what was allocated. And what it keeps on the heap for a key whose
 * value is a number.
 */

/** Runs that many records, a multiple of `BATCH`. */
type Path = (records: number) => void

const RECORDS = 100 * BATCH
const WARM_UP_RUNS = 5
const RUNS = 5

const numbers = Array.from({ length: BATCH }, (_, i) => i)
const names = Array.from({ length: BATCH }, (_, i) => keyOf(i))

const PATHS: readonly (readonly [name: string, path: () => Path])[] = [
  ['six operators in one loop', chainOfNumbers],
  ['keyed count, strings', () => counted(names)],
  ['keyed count, integers', () => counted(numbers)],
  // Numbers that are no small integers lie on the heap wherever they are not kept as such.
  ['keyed sum, fractions', () => counted(names, 0.25)],
  ['tumbling window', windowOfNumbers],
  ['encoded, and through the ring', sent],
]

function chainOfNumbers(): Path {
  let sum = 0
  const add = (value: number): number => value + 1
  const accept = (value: number): boolean => value >= 0
  const steps: readonly ChainStep[] = [add, accept, add, add, accept, add].map((fn) => [fn === accept ? 'filter' : 'map', fn])
  const write = (value: unknown): void => {
    sum = (sum + (value as number)) & 0xffff
  }
  return batchesOf(numbers, fusedLoop(statelessChain(steps, write), surroundings()))
}

function counted(keys: readonly unknown[], step = 1): Path {
  return batchesOf(keys, fusedLoop(new KeyedCount((key) => key, true, step).head, surroundings()))
}

function batchesOf(values: readonly unknown[], loop: ReturnType<typeof fusedLoop>): Path {
  const batches = [values]
  return (records) => {
    for (let done = 0; done < records; done += BATCH) runBatches(loop, batches)
  }
}

function windowOfNumbers(): Path {
  const { keyed, operator } = summingWindow(() => {})
  return (records) => {
    for (let i = 0; i < records; i++) {
      keyed.setKey(names[i % BATCH])
      operator.onRecord(1)
    }
  }
}

function sent(): Path {
  const codec = new ColumnarCodec()
  const batch = counters()
  const shared = createRing()
  const [writer, reader] = [new RingWriter(shared), new RingReader(shared)]
  return (records) => {
    for (let done = 0; done < records; done += BATCH) {
      writer.write(codec.encode(batch), 0)
      if (reader.read() === undefined) throw new Error('the ring lost a message')
    }
  }
}

/** The least of some runs: the compiler and its like only ever add. */
function bytesPerRecord(path: Path): number {
  for (let run = 0; run < WARM_UP_RUNS; run++) path(RECORDS)
  const grown = Array.from({ length: RUNS }, () => {
    globalThis.gc?.()
    const before = process.memoryUsage().heapUsed
    path(RECORDS)
    return process.memoryUsage().heapUsed - before
  })
  return Math.max(0, Math.min(...grown)) / RECORDS
}

const KEYS = 200 * BATCH

/** Typed memory is no part of this, and it is where keys and numbers are to lie. */
function bytesKeptPerKey(): number {
  const keyed = backend()
  const sums = keyed.table<number>('sum')
  const add = (from: number, until: number): void => {
    for (let i = from; i < until; i++) {
      keyed.setKey(keyOf(i))
      sums.set(i + 0.25)
    }
  }
  add(0, BATCH)
  globalThis.gc?.()
  const before = process.memoryUsage().heapUsed
  add(BATCH, BATCH + KEYS)
  globalThis.gc?.()
  const after = process.memoryUsage().heapUsed
  if (keyed.size !== BATCH + KEYS) throw new Error('the table lost a key')
  return Math.max(0, after - before) / KEYS
}

const perRecord = PATHS.map(([name, path]) => [`${name}, bytes a record`, bytesPerRecord(path())])
const kept = ['keyed sum, fractions, bytes kept a key', bytesKeptPerKey()]
process.stdout.write(JSON.stringify(Object.fromEntries([...perRecord, kept])))
