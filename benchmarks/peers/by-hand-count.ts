import { Worker } from 'node:worker_threads'
import { ringMemory } from './by-hand-ring.ts'
import type { HandWork, HandWorkDone } from './by-hand-worker.ts'
import { outcomeOf } from './tally.ts'
import { countSum, peerArguments } from './workload.ts'

/*
 * The limit of the keyed count: two threads and what somebody would write who needs exactly this and nothing else. Each makes half of the
 * records, sends those of the other's keys through shared memory, and counts its own. No checkpoints, no failures, no other job.
 */

const settings = peerArguments()
const { kind, records } = settings

// rings[from][to]
const rings = [0, 1].map((from) => [0, 1].map((to) => (from === to ? undefined : ringMemory(kind))))
const bells = new Int32Array(new SharedArrayBuffer(8))
const done = await Promise.all([0, 1].map((self) => work(self)))

function work(self: number): Promise<HandWorkDone> {
  const other = 1 - self
  const workerData: HandWork = { ...settings, self, bells, outgoing: rings[self]![other]!, incoming: rings[other]![self]! }
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./by-hand-worker.ts', import.meta.url), { workerData })
    worker.on('message', resolve).on('error', reject)
  })
}

// Also the columns that nothing is computed from have arrived as they were sent.
const values = done.reduce((total, part) => total + part.values, 0)
const [blocks, rest] = [Math.floor(records / 1000), records % 1000]
const expectedValues = blocks * 499_500 + (rest * (rest - 1)) / 2
const verified = values === expectedValues
const parts = done.map(({ part }) => part)
console.log(JSON.stringify(outcomeOf(parts, settings, { results: records, sum: countSum(settings) }, { verified })))
