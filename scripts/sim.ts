/*
 * Simulates jobs under seeds: npm run sim -- --seeds 1000 [--from 1] [--job <name or file>] [--faults crash,disk] [--all] [--history] [--json]
 *
 * A file exports a function that builds the job, by default. Exit status 1 when something was violated: the seed is printed, and the history of the
 * first one. The same seed comes to the same history.
 */
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import type { FaultKind, JobBuilder, Verdict } from 'sluice/testing'
import { FAULT_KINDS, simulate } from 'sluice/testing'
import { CHECKS, JOBS } from '../test/simulation/jobs.ts'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '1' },
    job: { type: 'string' },
    faults: { type: 'string' },
    parallelism: { type: 'string' },
    all: { type: 'boolean', default: false },
    history: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
})

const seeds = whole(values.seeds, '--seeds')
const from = whole(values.from, '--from')
const faults =
  values.faults === undefined
    ? FAULT_KINDS
    : values.faults
        .split(',')
        .filter((kind) => kind !== '')
        .map(faultKind)
const jobs = await jobsOf(values.job)
const begunMs = performance.now()
const found: { readonly job: string; readonly verdict: Verdict }[] = []
const totals = { steps: 0, starts: 0, checkpoints: 0 }

for (let seed = from; seed < from + seeds && (values.all || found.length === 0); seed++) {
  // Each job in its turn, so that few seeds meet all of them.
  const [name, build] = jobs[seed % jobs.length]!
  const parallelism = values.parallelism === undefined ? {} : { parallelism: whole(values.parallelism, '--parallelism') }
  const check = values.job === undefined || name in JOBS ? CHECKS[name] : undefined
  const atCheckpoint = check === undefined ? {} : { atCheckpoint: check }
  const verdict = await simulate(build, { seed, faults, history: values.history, ...parallelism, ...atCheckpoint })
  totals.steps += verdict.steps
  totals.starts += verdict.starts
  totals.checkpoints += verdict.checkpoints
  if (values.history && !values.json) console.log(verdict.history.join('\n'))
  if (!verdict.ok) found.push({ job: name, verdict })
  if (!verdict.ok && !values.json) tell(name, verdict)
}

const seconds = (performance.now() - begunMs) / 1000
const ran = found.length > 0 && !values.all ? found[0]!.verdict.seed - from + 1 : seeds
const summary = {
  seeds: ran,
  from,
  violations: found.length,
  ...totals,
  seconds: Number(seconds.toFixed(1)),
  perSecond: Math.round(ran / seconds),
}
if (values.json) {
  const violations = found.map(({ job, verdict }) => ({ job, seed: verdict.seed, violations: verdict.violations }))
  console.log(JSON.stringify({ ...summary, violations }))
} else
  console.log(
    `${ran} seeds, ${found.length} violated; ${totals.starts} starts, ${totals.checkpoints} checkpoints, ${summary.perSecond} seeds/s`,
  )
process.exitCode = found.length > 0 ? 1 : 0

function tell(job: string, { seed, violations, history }: Verdict): void {
  if (found.length === 1) console.log(history.slice(-200).join('\n'))
  for (const { invariant, message } of violations) console.log(`seed ${seed}, job ${job}: ${invariant}: ${message}`)
}

async function jobsOf(named: string | undefined): Promise<readonly (readonly [string, JobBuilder])[]> {
  if (named === undefined) return Object.entries(JOBS)
  const known = JOBS[named]
  if (known !== undefined) return [[named, known]]
  const module = (await import(pathToFileURL(resolve(named)).href)) as { readonly default?: unknown }
  if (typeof module.default !== 'function') fail(`${named} exports no function that builds a job, by default`)
  return [[named, module.default as JobBuilder]]
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
