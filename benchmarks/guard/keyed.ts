import { ColumnarCodec } from '../../src/protocol/columnar-codec.ts'
import type { RecordBatch } from '../../src/protocol/element.ts'
import { fusedLoop } from '../../src/runtime/fused-chain.ts'
import { keyOf } from '../support/sample-batches.ts'
import type { Contest, NamedContest, Way } from './contest.ts'
import { BATCH, KeyedCount, runBatches, surroundings } from './parts.ts'

/*
 * A running count for each key. Records are decoded anew for each turn, as those that come through a channel: a string that was looked up
 * before knows its hash, and this one does not.
 */

const BATCHES_IN_A_TURN = 48
/** Prime, so that it visits all keys in an order that no cache foresees. */
const STRIDE = 7919

interface Keyed {
  readonly key: string | number
}

export const keyedCounts: readonly NamedContest[] = [
  againstMap('keyed count, 1,000 strings', 1000, keyOf),
  againstMap('keyed count, 100,000 strings', 100_000, keyOf),
  againstMap('keyed count, 100,000 integers', 100_000, (i) => 1_000_000 + i),
  { name: 'keyed count, 1,000,000 integers', yardstick: 'not looking ahead', make: lookingAhead },
]

function againstMap(name: string, keys: number, keyAt: (i: number) => string | number): NamedContest {
  return {
    name,
    yardstick: 'a Map of objects',
    make(): Contest {
      const encoded = encodedBatches(keys, keyAt)
      return { engine: withBackend(new Inputs(encoded)), yardstick: withMap(new Inputs(encoded)) }
    },
  }
}

/** So many that each key comes about once. */
function encodedBatches(keys: number, keyAt: (i: number) => string | number): readonly Uint8Array[] {
  const codec = new ColumnarCodec()
  return Array.from({ length: Math.max(BATCHES_IN_A_TURN, Math.ceil(keys / BATCH)) }, (_, batch) => {
    const values = Array.from({ length: BATCH }, (__, i) => ({ key: keyAt(((batch * BATCH + i) * STRIDE) % keys), value: i }))
    return codec.encode({ kind: 'records', values, timestamps: new Array<number>(BATCH).fill(Number.NaN) }).slice()
  })
}

/** What comes through a channel, round and round. */
class Inputs {
  readonly #encoded: readonly Uint8Array[]
  readonly #codec = new ColumnarCodec()
  #next = 0

  constructor(encoded: readonly Uint8Array[]) {
    this.#encoded = encoded
  }

  get rounds(): number {
    return Math.ceil(this.#encoded.length / BATCHES_IN_A_TURN)
  }

  take(): readonly (readonly Keyed[])[] {
    return Array.from({ length: BATCHES_IN_A_TURN }, () => {
      const bytes = this.#encoded[this.#next++ % this.#encoded.length]!
      return (this.#codec.decode(bytes) as RecordBatch).values as readonly Keyed[]
    })
  }
}

function withBackend(inputs: Inputs): Way {
  const count = new KeyedCount((value: Keyed) => value.key)
  const loop = fusedLoop(count.head, surroundings())
  return filled(inputs, {
    run: (batches) => runBatches(loop, batches),
    sum: () => count.sum,
  })
}

function withMap(inputs: Inputs): Way {
  const counts = new Map<string | number, { count: number }>()
  let sum = 0
  const run = (batches: readonly (readonly Keyed[])[]): void => {
    for (const batch of batches) {
      for (const { key } of batch) {
        let entry = counts.get(key)
        if (entry === undefined) counts.set(key, (entry = { count: 0 }))
        sum += ++entry.count
      }
    }
  }
  return filled(inputs, { run, sum: () => sum })
}

/** Once all keys are there. */
function filled(inputs: Inputs, { run, sum }: { run: (batches: readonly (readonly Keyed[])[]) => void; sum: () => number }): Way {
  for (let round = 0; round < inputs.rounds; round++) run(inputs.take())
  let batches: readonly (readonly Keyed[])[] = []
  return {
    ready() {
      batches = inputs.take()
    },
    turn: () => run(batches),
    result: sum,
  }
}

/** So much state that most look-ups wait for memory. */
function lookingAhead(): Contest {
  return { engine: largeCount(true), yardstick: largeCount(false) }
}

const MANY_KEYS = 1_000_000

function largeCount(lookAhead: boolean): Way {
  const count = new KeyedCount((value: number) => value, lookAhead)
  const loop = fusedLoop(count.head, surroundings())
  let [next, batches] = [0, [] as readonly (readonly number[])[]]
  const take = (): void => {
    batches = Array.from({ length: BATCHES_IN_A_TURN }, () => Array.from({ length: BATCH }, () => (next++ * STRIDE) % MANY_KEYS))
  }
  while (next < MANY_KEYS) {
    take()
    runBatches(loop, batches)
  }
  return { ready: take, turn: () => runBatches(loop, batches), result: () => count.sum }
}
