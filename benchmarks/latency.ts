import type { Latencies } from './jobs/parts/latency-sink.ts'
import type { Outcome } from './jobs/parts/outcome.ts'
import { picture, report } from './latency/report.ts'
import type { LatencyCase, LatencyResult, LatencyRun } from './latency/result.ts'
import { CHECKPOINTS, LOADS, latencyCase, rateOfLoad, STATES } from './latency/result.ts'
import type { Benchmark, BenchmarkOptions } from './support/benchmark.ts'
import { chosen } from './support/benchmark.ts'
import { Disturbance, TimeBudget } from './support/budget.ts'
import { describeEnvironment, environmentLine } from './support/environment.ts'
import { JobProcess } from './support/job-process.ts'
import { writeResults } from './support/results.ts'
import { perSecond } from './support/table.ts'

/*
 * How late results are. The load is open: records are due by a schedule that waits for nobody, at shares of what the job can take at most, and latency
 * counts from the schedule. Output latency ends where the sink is given the result, committed latency where the sink's committer is done with it.
 */

const MINUTES = 8
const ROUNDS_MAX = 20
const PARALLELISM = 2
const ABSOLUTE_RATE = 100_000

export const latency: Benchmark = {
  name: 'latency',
  question: 'how late are results? Percentiles from the schedule, at 50 and 80 % load, with and without checkpoints; 8 minutes',
  flags: {
    state: `<names>  ${Object.keys(STATES).join(', ')}`,
    loads: `<names>  ${LOADS.join(', ')} (absolute: ${ABSOLUTE_RATE} records/s)`,
    checkpoints: `<names>  ${CHECKPOINTS.join(', ')}`,
  },
  run,
}

type MeasuredOutcome = Outcome & Latencies

async function run(options: BenchmarkOptions): Promise<void> {
  const environment = describeEnvironment()
  process.stdout.write(`${environmentLine(environment)}\n\n`)
  const { quick, flags } = options
  const states = chosen(flags['state'], '--state', Object.keys(STATES) as (keyof typeof STATES)[])
  const [loads, checkpoints] = [
    chosen(flags['loads'], '--loads', LOADS),
    chosen(flags['checkpoints'], '--checkpoints', CHECKPOINTS),
  ]
  const seconds = quick ? { warmup: 0.3, measured: 0.7 } : { warmup: 4, measured: 8 }
  const budget = new TimeBudget(quick ? 0 : (options.minutes ?? MINUTES))
  const maxima: Record<string, number> = {}
  const runs: LatencyRun[] = []
  for (const state of quick ? states.slice(0, 1) : states) {
    await budget.untilQuiet()
    maxima[state] = await maximum(STATES[state], quick)
    process.stderr.write(`${state}: at most ${perSecond(maxima[state])} records/s\n`)
  }
  await budget.repeat(options.repetitions ?? ROUNDS_MAX, async (round) => {
    for (const [state, most] of Object.entries(maxima)) {
      for (const load of quick ? loads.slice(0, 1) : loads) {
        for (const every of checkpoints) {
          await budget.untilQuiet()
          const rate = rateOfLoad(load, most, ABSOLUTE_RATE)
          const measured = await measure(STATES[state as keyof typeof STATES], rate, every, seconds)
          runs.push({ round, state, load, every, rate, ...measured })
          const { p99, p999 } = latencyCase([runs.at(-1)!]).output
          process.stderr.write(
            `round ${round}, ${state}, ${load}, checkpoints ${every}: p99 ${p99.toFixed(1)} ms, p99.9 ${p999.toFixed(1)} ms, verified\n`,
          )
        }
      }
    }
  })
  const result: LatencyResult = {
    benchmark: 'latency',
    environment,
    parameters: { quick, parallelism: PARALLELISM, seconds, maxima },
    cases: casesOf(runs),
  }
  process.stdout.write(report(result))
  writeResults(options, result, { 'latency.svg': picture(result) })
}

/** Records per second when all of them are due at once. */
async function maximum(keys: number, quick: boolean): Promise<number> {
  const job = new JobProcess<MeasuredOutcome>({
    job: 'paced-state',
    flags: {
      keys,
      rate: 0,
      // Several times as many as are taken while it gets warm.
      count: quick ? 300_000 : Math.max(8 * keys, 24_000_000),
      parallelism: PARALLELISM,
      warmup: quick ? 100 : 2500,
      'checkpoint-every': '1s',
    },
  })
  const { recordsPerSecond } = await job.outcome
  if (!(recordsPerSecond > 0)) throw new Error(`no record was measured: all ${keys} keys were done before the job was warm`)
  return recordsPerSecond
}

async function measure(
  keys: number,
  rate: number,
  every: string,
  { warmup, measured }: { readonly warmup: number; readonly measured: number },
): Promise<Pick<LatencyRun, 'output' | 'committed' | 'records' | 'checkpointMs' | 'othersShare'>> {
  const disturbance = new Disturbance()
  const count = Math.ceil(rate * (warmup + measured))
  const flags = { keys, rate, count, parallelism: PARALLELISM, warmup: 1000 * warmup, 'checkpoint-every': every }
  const job = new JobProcess<MeasuredOutcome>({ job: 'paced-state', flags })
  const { output, committed, records, cpuSeconds } = await job.outcome
  const checkpointMs = job.checkpoints.map(({ durationMs }) => durationMs)
  return { output, committed, records, checkpointMs, othersShare: disturbance.share(cpuSeconds) }
}

function casesOf(runs: readonly LatencyRun[]): readonly LatencyCase[] {
  const names = [...new Set(runs.map(({ state, load, every }) => `${state} ${load} ${every}`))]
  return names.map((name) => latencyCase(runs.filter(({ state, load, every }) => `${state} ${load} ${every}` === name)))
}
