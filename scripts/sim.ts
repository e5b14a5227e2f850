/*
 * Simulates jobs under seeds: npm run sim -- --seeds 1000 [--from 1] [--job <name or file>] [--faults crash,disk] [--all] [--history] [--json]
 *   [--parallelism n] [--threads n]
 *
 * A file exports a function that builds the job, by default. Without --all the smallest seed under which something is violated ends it. Exit status 1
 * when there is one: it is printed, with the history of the first. The same seed comes to the same history, in whatever thread.
 */
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { Piscina } from 'piscina'
import type { FaultKind, Verdict } from 'sluice/testing'
import { FAULT_KINDS } from 'sluice/testing'
import type { Seeds, Simulated } from './sim-seeds.ts'

/** Seeds that a thread takes at a time. */
const SEEDS_AT_ONCE = 10

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '1' },
    job: { type: 'string' },
    faults: { type: 'string' },
    parallelism: { type: 'string' },
    threads: { type: 'string', default: String(availableParallelism()) },
    all: { type: 'boolean', default: false },
    history: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
})

const seeds = whole(values.seeds, '--seeds')
const from = whole(values.from, '--from')
const kinds = values.faults?.split(',').filter((kind) => kind !== '')
const settings = {
  job: values.job,
  faults: kinds?.map(faultKind) ?? FAULT_KINDS,
  parallelism: values.parallelism === undefined ? undefined : whole(values.parallelism, '--parallelism'),
  history: values.history,
}
const threads = Math.max(1, whole(values.threads, '--threads'))
const begunMs = performance.now()
const violated: { readonly job: string; readonly verdict: Verdict }[] = []
const totals = { steps: 0, starts: 0, checkpoints: 0 }
let next = from

const pool = new Piscina<Seeds, Simulated>({
  filename: new URL('./sim-seeds.ts', import.meta.url).href,
  minThreads: threads,
  maxThreads: threads,
  // Nearly everything that a seed makes is gone when it is over.
  resourceLimits: { maxYoungGenerationSizeMb: 96 },
})
try {
  await Promise.all(Array.from({ length: threads }, simulateNext))
} catch (error) {
  fail(error instanceof Error ? error.message : String(error))
} finally {
  await pool.destroy()
}
tell()

/** One thread's work, until there is nothing left to do. */
async function simulateNext(): Promise<void> {
  while (next < from + seeds && (values.all || violated.length === 0)) {
    const count = Math.min(SEEDS_AT_ONCE, from + seeds - next)
    const own = { ...settings, from: next, count }
    next += count
    const simulated = await pool.run(own)
    totals.steps += simulated.steps
    totals.starts += simulated.starts
    totals.checkpoints += simulated.checkpoints
    violated.push(...simulated.violated)
    if (!values.json) for (const history of simulated.histories) console.log(history.join('\n'))
  }
}

function tell(): void {
  violated.sort((a, b) => a.verdict.seed - b.verdict.seed)
  const shown = values.all ? violated : violated.slice(0, 1)
  const ran = shown.length > 0 && !values.all ? shown[0]!.verdict.seed - from + 1 : next - from
  const seconds = (performance.now() - begunMs) / 1000
  const perSecond = Math.round((next - from) / seconds)
  if (values.json) {
    const violations = shown.map(({ job, verdict }) => ({ job, seed: verdict.seed, violations: verdict.violations }))
    const summary = { seeds: ran, from, violations: shown.length, ...totals, seconds: Number(seconds.toFixed(1)), perSecond }
    console.log(JSON.stringify({ ...summary, violations }))
  } else {
    if (shown.length > 0) console.log(shown[0]!.verdict.history.slice(-200).join('\n'))
    for (const { job, verdict } of shown)
      for (const { invariant, message } of verdict.violations)
        console.log(`seed ${verdict.seed}, job ${job}: ${invariant}: ${message}`)
    const { starts, checkpoints } = totals
    console.log(`${ran} seeds, ${shown.length} violated; ${starts} starts, ${checkpoints} checkpoints, ${perSecond} seeds/s`)
  }
  process.exitCode = shown.length > 0 ? 1 : 0
}

function faultKind(name: string): FaultKind {
  const kind = FAULT_KINDS.find((each) => each === name)
  return kind ?? fail(`there is no fault '${name}'; there are ${FAULT_KINDS.join(', ')}`)
}

function whole(text: string, option: string): number {
  const value = Number(text)
  return Number.isInteger(value) && value >= 0 ? value : fail(`${option} ${text} is not a whole number`)
}

function fail(message: string): never {
  console.error(message)
  process.exit(2)
}
