import type { Case, Part } from './interval/cases.ts'
import { FLAGS, lengthsOf, PARTS, stateCases, topologyCases } from './interval/cases.ts'
import type { Curve } from './interval/curve.ts'
import { curveOf } from './interval/curve.ts'
import type { EmptyCheckpoints } from './interval/empty.ts'
import { emptyCheckpoints } from './interval/empty.ts'
import { pictures, report } from './interval/report.ts'
import type { Benchmark, BenchmarkOptions } from './support/benchmark.ts'
import { chosen } from './support/benchmark.ts'
import { OTHERS_SHARE_MAX, TimeBudget } from './support/budget.ts'
import type { Environment } from './support/environment.ts'
import { describeEnvironment, environmentLine, revision } from './support/environment.ts'
import type { PhaseLengths, PhaseRun } from './support/phases.ts'
import { runPhases } from './support/phases.ts'
import { writeResults } from './support/results.ts'
import { percent } from './support/table.ts'

/*
 * What checkpoints cost, against the time between them: on the topology of the 2015 paper in all ways that barriers pass, on keyed state of several
 * sizes, and with nothing to write at all. How a single figure is found is said in `support/phases.ts`.
 */

export interface IntervalResult {
  readonly benchmark: 'interval'
  readonly environment: Environment
  /** The engine's revision after the last run: another one than `environment.revision` when it was edited meanwhile. */
  readonly revisionAtEnd: string
  readonly parameters: {
    readonly quick: boolean
    readonly minutes: number
    readonly guarantee: 'exactly-once'
    /** What it means that a checkpoint is complete. */
    readonly storage: string
    readonly lengths: PhaseLengths
  }
  readonly topology: readonly Curve[]
  readonly state: readonly Curve[]
  readonly empty: EmptyCheckpoints | null
}

const MINUTES = 9
/** How the time is shared among the parts that are wanted. */
const SHARES: Readonly<Record<Part, number>> = { topology: 5, state: 4, empty: 0.3 }
const ROUNDS_MAX = 50

export const interval: Benchmark = {
  name: 'interval',
  question: 'what do checkpoints cost? Throughput against the interval between them; 9 minutes',
  flags: FLAGS,
  run,
}

async function run(options: BenchmarkOptions): Promise<void> {
  const environment = describeEnvironment()
  process.stdout.write(`${environmentLine(environment)}\n\n`)
  const parts = chosen(options.flags['part'], '--part', PARTS)
  const [topology, state] = [topologyCases(options), stateCases(options)]
  const minutes = options.minutes ?? MINUTES
  const all = parts.reduce((sum, part) => sum + SHARES[part], 0)
  const curves = async (part: 'topology' | 'state', cases: readonly Case[]): Promise<readonly Curve[]> =>
    parts.includes(part) ? await measure(cases, options, (minutes * SHARES[part]) / all) : []
  const result: IntervalResult = {
    benchmark: 'interval',
    environment,
    parameters: {
      quick: options.quick,
      minutes,
      guarantee: 'exactly-once',
      storage: 'chunks and manifest in LMDB on the temporary folder, synced to disk before a checkpoint counts as complete',
      lengths: lengthsOf(options),
    },
    empty: parts.includes('empty') ? await emptyCheckpoints(options.quick ? 8 : 200) : null,
    topology: await curves('topology', topology),
    state: await curves('state', state),
    revisionAtEnd: revision(),
  }
  process.stdout.write(report(result))
  writeResults(options, result, pictures(result))
}

/** The cases take turns, and every second round goes through the intervals from the other end. */
async function measure(cases: readonly Case[], options: BenchmarkOptions, minutes: number): Promise<readonly Curve[]> {
  const budget = new TimeBudget(options.quick ? 0 : minutes)
  const runs = new Map<string, PhaseRun[]>(cases.map(({ name }) => [name, []]))
  await budget.repeat(options.repetitions ?? ROUNDS_MAX, async (round) => {
    for (const { name, spec, intervals, loadedAfter } of cases) {
      await budget.untilQuiet()
      const ordered = round % 2 === 1 ? intervals : intervals.toReversed()
      const result = await runPhases(spec, ordered, lengthsOf(options), loadedAfter)
      runs.get(name)!.push(result)
      process.stderr.write(`round ${round}, ${name}: ${remarks(result)}\n`)
    }
  })
  return [...runs].map(([name, own]) => curveOf(name, own, OTHERS_SHARE_MAX))
}

function remarks({ phases, records }: PhaseRun): string {
  const losses = phases.map(({ interval: seconds, slowdown }) => `${seconds} s ${percent(1 - 1 / (1 + slowdown))}`)
  const disturbed = Math.max(...phases.map(({ othersShare }) => othersShare))
  const others = disturbed > OTHERS_SHARE_MAX ? `; other programs took up to ${percent(disturbed)} of the machine` : ''
  return `${records.toLocaleString('en-US')} records, verified; lost at ${losses.join(', ')}${others}`
}
