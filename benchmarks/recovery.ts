import type { FailureKind, Recovery } from './recovery/failing.ts'
import { FAILURES, failAndRecover } from './recovery/failing.ts'
import type { Stages } from './recovery/stages.ts'
import { downtimeOf, STAGES } from './recovery/stages.ts'
import { barChart } from './support/bar-chart.ts'
import type { Benchmark, BenchmarkOptions } from './support/benchmark.ts'
import { chosen } from './support/benchmark.ts'
import { TimeBudget } from './support/budget.ts'
import type { Environment } from './support/environment.ts'
import { describeEnvironment, environmentLine } from './support/environment.ts'
import { writeResults } from './support/results.ts'
import type { Spread } from './support/statistics.ts'
import { spreadOf } from './support/statistics.ts'
import { renderTable, spreadIn } from './support/table.ts'

/* How long a job is away when it fails, step by step, and whether that depends on how much state it has. */

/** Keys of a kilobyte each. */
const STATES = { '10mb': 10_000, '100mb': 100_000, '1gb': 1_000_000 } as const
type StateName = keyof typeof STATES

const MINUTES = 8
const ROUNDS_MAX = 20
/** Records per second: much less than the job can take, so that it catches up. */
const RATE = 20_000

/** All rounds of one kind of failure with so much state. */
export interface RecoveryCase {
  readonly state: string
  readonly failure: FailureKind
  /** From the failure to the first record, in milliseconds. */
  readonly downtimeMs: Spread
  readonly stagesMs: { readonly [Stage in keyof Stages]: Spread }
  readonly stateFileBytes: Spread
  /** Pages of the state file in memory when it was opened again. */
  readonly cachedShare: Spread | null
  readonly samples: readonly Recovery[]
}

export interface RecoveryResult {
  readonly benchmark: 'recovery'
  readonly environment: Environment
  readonly parameters: {
    readonly quick: boolean
    readonly rate: number
    readonly seconds: { readonly before: number; readonly all: number }
  }
  readonly cases: readonly RecoveryCase[]
}

export const recovery: Benchmark = {
  name: 'recovery',
  question: 'how long is a job away when it fails? Stages, against the size of its state; 8 minutes',
  flags: {
    state: `<names>  ${Object.keys(STATES).join(', ')}`,
    failures: `<names>  ${FAILURES.join(', ')}`,
  },
  run,
}

async function run(options: BenchmarkOptions): Promise<void> {
  const environment = describeEnvironment()
  process.stdout.write(`${environmentLine(environment)}\n\n`)
  const { quick, flags } = options
  const states = chosen(flags['state'], '--state', Object.keys(STATES) as StateName[])
  const failures = chosen(flags['failures'], '--failures', FAILURES)
  const seconds = quick ? { before: 1, all: 4 } : { before: 3, all: 9 }
  const rate = quick ? 2_000 : RATE
  const budget = new TimeBudget(quick ? 0 : (options.minutes ?? MINUTES))
  const samples = new Map<string, Recovery[]>()
  await budget.repeat(options.repetitions ?? ROUNDS_MAX, async (round) => {
    for (const state of quick ? states.slice(0, 1) : states) {
      for (const failure of failures) {
        await budget.untilQuiet()
        const keys = options.keys ?? (quick ? 1000 : STATES[state])
        const sample = await failAndRecover({ failure, keys, rate, seconds })
        samples.set(`${state} ${failure}`, [...(samples.get(`${state} ${failure}`) ?? []), sample])
        process.stderr.write(
          `round ${round}, ${state}, ${failure}: first record after ${downtimeOf(sample.stages).toFixed(0)} ms, verified\n`,
        )
      }
    }
  })
  const result: RecoveryResult = {
    benchmark: 'recovery',
    environment,
    parameters: { quick, rate, seconds },
    cases: [...samples].map(([name, own]) => caseOf(name, own)),
  }
  process.stdout.write(report(result))
  writeResults(options, result, { 'recovery.svg': chart(result) })
}

function caseOf(name: string, samples: readonly Recovery[]): RecoveryCase {
  const [state, failure] = name.split(' ') as [string, FailureKind]
  const shares = samples.flatMap(({ cachedShare }) => (cachedShare === null ? [] : [cachedShare]))
  const stages = STAGES.map((stage) => [stage, spreadOf(samples.map((sample) => sample.stages[stage]))])
  return {
    state,
    failure,
    downtimeMs: spreadOf(samples.map((sample) => downtimeOf(sample.stages))),
    stagesMs: Object.fromEntries(stages) as RecoveryCase['stagesMs'],
    stateFileBytes: spreadOf(samples.map((sample) => sample.stateFileBytes)),
    cachedShare: shares.length === 0 ? null : spreadOf(shares),
    samples,
  }
}

function report({ cases }: RecoveryResult): string {
  const rows = cases.map(({ state, failure, downtimeMs, stagesMs, stateFileBytes, cachedShare }) => [
    `${state}, ${failure}`,
    spreadIn(downtimeMs, whole),
    ...STAGES.map((stage) => whole(stagesMs[stage].median)),
    `${(stateFileBytes.median / 2 ** 20).toFixed(0)} MiB`,
    cachedShare === null ? '-' : `${(100 * cachedShare.median).toFixed(0)} %`,
  ])
  const header = ['state, failure', 'ms to first record', 'detect', 'spawn', 'open', 'first', 'catch up', 'file', 'cached']
  return `${renderTable(header, rows)}\nafter every recovery the committed output was that of a run without failures: nothing lost, nothing twice\n`
}

function whole(ms: number): string {
  return ms.toFixed(0)
}

function chart({ environment, cases, parameters }: RecoveryResult): string {
  const kinds = FAILURES.filter((failure) => cases.some((each) => each.failure === failure))
  return barChart({
    title: 'From a failure to the first record behind it',
    notes: [
      `A kilobyte of state for each key, ${parameters.rate.toLocaleString('en-US')} records/s, one checkpoint a second; medians, whiskers from the fastest to the slowest.`,
      'kill: SIGKILL of the process, started again at once; cold: the pages of its file dropped before; throw: an operator throws.',
    ],
    environment,
    format: (ms) => `${ms.toFixed(0)} ms`,
    panels: kinds.map((kind) => ({
      title: kind,
      bars: cases
        .filter(({ failure }) => failure === kind)
        .map(({ state, downtimeMs }) => ({ label: state, ...downtimeMs, ours: true })),
    })),
  })
}
