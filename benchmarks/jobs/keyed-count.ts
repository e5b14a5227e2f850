import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Sink } from 'sluice'
import { generate, job } from 'sluice'

/*
 * The job of the benchmark `interval`, one run of it: a running count for each key, behind one exchange.
 *
 *   node --conditions=@sluice/source benchmarks/jobs/keyed-count.ts --records 2000000 --keys 100000 \
 *     --parallelism 2 --checkpoint-every 1s --state-directory /tmp/state --fresh --quiet
 *
 * Prints one JSON line. Worker threads import this file with the same command line, so they build the same graph.
 */

/** What one run says about itself. */
export interface KeyedCountOutcome {
  /** The file that the engine was loaded from, seen from the repository: a build of another day must not pass for the sources. */
  readonly engine: string
  readonly records: number
  /** From the first record that a sink was given to the moment at which the last ones were committed. */
  readonly seconds: number
  /** The whole of `run()`: threads started, state opened, everything closed. */
  readonly wallSeconds: number
  /** Processor time of the process, all its threads, from its start. */
  readonly cpuSeconds: number
  /** Completed checkpoints, the final one included. */
  readonly checkpoints: number
  /** Sum of all counts that the sink was given. */
  readonly sum: number
  /** What `sum` must be: every key has each of the counts 1, 2, ..., records / keys once. */
  readonly expectedSum: number
  /** Both totals are what they must be. */
  readonly verified: boolean
}

interface Reading {
  readonly key: string
  readonly value: number
  readonly time: number
}

/** What the sink of one subtask saw between two checkpoints. */
interface Seen {
  readonly subtask: number
  readonly checkpoint: number
  readonly records: number
  readonly sum: number
  /** When the first of these records came, in milliseconds since 1970. */
  readonly firstAtMs: number
}

const START_MS = Date.UTC(2026, 0, 1)
/** Prime, so that it visits all keys in an order that no cache foresees; small, so that the products stay whole 31-bit numbers. */
const STRIDE = 7919

const { values: flags } = parseArgs({
  options: { records: { type: 'string', default: '2000000' }, keys: { type: 'string', default: '100000' } },
  strict: false,
})
const records = Number(flags.records)
const keyCount = Number(flags.keys)
if (!Number.isSafeInteger(records / keyCount) || keyCount < 1 || keyCount > 250_000 || keyCount % STRIDE === 0)
  throw new Error(`--records (${records}) must be a multiple of --keys (${keyCount}, at most 250000)`)

const keys = Array.from({ length: keyCount }, (_, index) => `user-${String(index).padStart(6, '0')}`)
const committed = new Map<string, Seen>()
let lastCommitMs = 0

// Every block of `keyCount` records has each key once; each block begins at another key, so both source subtasks send all of them.
function readingAt(i: number): Reading {
  const block = Math.floor(i / keyCount)
  return { key: keys[((i % keyCount) * STRIDE + block) % keyCount]!, value: i % 1000, time: START_MS + i }
}

/** Adds up what it is given. The totals come out of the committables, so they contain what was committed and nothing else. */
function tally(): Sink<{ count: number }, Seen> {
  return {
    kind: 'tally',
    createWriter: ({ subtask }) => {
      let seen = 0
      let sum = 0
      let firstAtMs = 0
      return {
        write({ count }) {
          if (seen === 0) firstAtMs = Date.now()
          seen++
          sum += count
        },
        prepareCommit(checkpoint) {
          const cut = { subtask, checkpoint, records: seen, sum, firstAtMs }
          seen = sum = 0
          return cut.records === 0 ? [] : [cut]
        },
        close() {},
      }
    },
    createCommitter: () => ({
      open() {},
      commit(committables) {
        for (const seen of committables) committed.set(`${seen.checkpoint}/${seen.subtask}`, seen)
        lastCommitMs = Date.now()
      },
    }),
  }
}

const count = job('keyed-count', { parallelism: 2 })
count
  .from(generate({ count: records, at: readingAt }))
  .keyBy((reading) => reading.key)
  .count()
  .to(tally())

const startedMs = performance.now()
const result = await count.run()
const wallSeconds = (performance.now() - startedMs) / 1000
const cpu = process.cpuUsage()

const all = [...committed.values()]
const seen = all.reduce((total, part) => total + part.records, 0)
const sum = all.reduce((total, part) => total + part.sum, 0)
const perKey = records / keyCount
const expectedSum = (keyCount * perKey * (perKey + 1)) / 2
const root = join(import.meta.dirname, '..', '..')
const outcome: KeyedCountOutcome = {
  engine: relative(root, fileURLToPath(import.meta.resolve('sluice'))).replaceAll(sep, '/'),
  records: seen,
  seconds: (lastCommitMs - Math.min(...all.map((part) => part.firstAtMs))) / 1000,
  wallSeconds,
  cpuSeconds: (cpu.user + cpu.system) / 1e6,
  checkpoints: result.checkpoints,
  sum,
  expectedSum,
  verified: seen === records && sum === expectedSum && result.recordsIn === records && result.recordsOut === records,
}
console.log(JSON.stringify(outcome))
