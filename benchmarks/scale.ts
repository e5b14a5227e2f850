import { barChart } from './support/bar-chart.ts'
import type { Benchmark, BenchmarkOptions } from './support/benchmark.ts'
import { chosen } from './support/benchmark.ts'
import { OTHERS_SHARE_MAX, TimeBudget } from './support/budget.ts'
import type { Environment } from './support/environment.ts'
import { describeEnvironment, environmentLine } from './support/environment.ts'
import type { JobSpec } from './support/job-process.ts'
import { writeResults } from './support/results.ts'
import type { Spread } from './support/statistics.ts'
import { spreadOf } from './support/statistics.ts'
import { percent, perSecond, renderTable, spreadIn } from './support/table.ts'
import { runSteady } from './support/window.ts'

/*
 * What a second thread brings. At parallelism 1 nothing needs to be exchanged, so the job is one loop; at 2 half of the records become bytes, cross a
 * ring and are read again. Fair to compare with is parallelism 1 with the exchange forced: one thread in which every record becomes bytes and is read
 * again, as it does in engines that always serialise behind `keyBy`.
 */

const KINDS = ['integer', 'string'] as const
type Kind = (typeof KINDS)[number]

const CASES = [
  { name: '1, exchange elided', parallelism: 1, exchange: 'elided' },
  { name: '1, exchange forced', parallelism: 1, exchange: 'forced' },
  { name: '2', parallelism: 2, exchange: 'elided' },
  { name: '2, exchange forced', parallelism: 2, exchange: 'forced' },
  { name: '4', parallelism: 4, exchange: 'elided' },
] as const

type CaseName = (typeof CASES)[number]['name']

const FORCED: CaseName = '1, exchange forced'
const MINUTES = 5
const ROUNDS_MAX = 25
const KEYS = 100_000

interface Sample {
  readonly round: number
  readonly recordsPerSecond: number
  readonly cpuSecondsPerMillion: number
  readonly othersShare: number
  readonly records: number
}

/** All rounds of one case. */
export interface ScaleCase {
  readonly kind: Kind
  readonly name: CaseName
  readonly recordsPerSecond: Spread
  readonly cpuSecondsPerMillion: Spread
  /** Against parallelism 1 with the exchange forced, within each round. */
  readonly ofForced: Spread
  readonly samples: readonly Sample[]
}

export interface ScaleResult {
  readonly benchmark: 'scale'
  readonly environment: Environment
  readonly parameters: {
    readonly quick: boolean
    readonly keys: number
    readonly seconds: { readonly warmup: number; readonly window: number }
  }
  readonly cases: readonly ScaleCase[]
}

export const scale: Benchmark = {
  name: 'scale',
  question: 'what does a second thread bring? Parallelism 1 without and with an exchange, 2, 4; 5 minutes',
  flags: { kind: `<names>   of keys: ${KINDS.join(', ')} (default: both)` },
  run,
}

async function run(options: BenchmarkOptions): Promise<void> {
  const environment = describeEnvironment()
  process.stdout.write(`${environmentLine(environment)}\n\n`)
  const keys = options.keys ?? (options.quick ? 1000 : KEYS)
  const seconds = options.quick ? { warmup: 0.1, window: 0.3 } : { warmup: 2, window: 3 }
  const kinds = chosen(options.flags['kind'], '--kind', KINDS)
  const budget = new TimeBudget(options.quick ? 0 : (options.minutes ?? MINUTES))
  const samples = new Map<string, Sample[]>()
  await budget.repeat(options.repetitions ?? ROUNDS_MAX, async (round) => {
    for (const kind of options.quick ? kinds.slice(0, 1) : kinds) {
      for (const { name, parallelism, exchange } of CASES) {
        await budget.untilQuiet()
        const flags: JobSpec['flags'] = { keys, kind, parallelism, exchange, 'checkpoint-every': 'off' }
        const {
          perSecond: recordsPerSecond,
          cpuPerRecord,
          ...rest
        } = await runSteady({ job: 'keyed-state', flags }, seconds, parallelism * keys)
        const own = samples.get(`${kind} ${name}`) ?? []
        samples.set(`${kind} ${name}`, [...own, { round, recordsPerSecond, cpuSecondsPerMillion: 1e6 * cpuPerRecord, ...rest }])
        process.stderr.write(`round ${round}, ${kind} keys, parallelism ${name}: ${perSecond(recordsPerSecond)}/s, verified\n`)
      }
    }
  })
  const result: ScaleResult = {
    benchmark: 'scale',
    environment,
    parameters: { quick: options.quick, keys, seconds },
    cases: casesOf(samples),
  }
  process.stdout.write(report(result))
  writeResults(options, result, { 'scale.svg': chart(result) })
}

function casesOf(samples: ReadonlyMap<string, readonly Sample[]>): readonly ScaleCase[] {
  return KINDS.flatMap((kind) =>
    CASES.flatMap(({ name }): readonly ScaleCase[] => {
      const own = samples.get(`${kind} ${name}`)
      if (own === undefined) return []
      const forced = samples.get(`${kind} ${FORCED}`)!
      return [
        {
          kind,
          name,
          recordsPerSecond: spreadOf(own.map((sample) => sample.recordsPerSecond)),
          cpuSecondsPerMillion: spreadOf(own.map((sample) => sample.cpuSecondsPerMillion)),
          ofForced: spreadOf(own.map((sample, index) => sample.recordsPerSecond / forced[index]!.recordsPerSecond)),
          samples: own,
        },
      ]
    }),
  )
}

function report({ cases }: ScaleResult): string {
  const rows = cases.map(({ kind, name, recordsPerSecond, cpuSecondsPerMillion, ofForced, samples }) => [
    `${kind} keys, ${name}`,
    spreadIn(recordsPerSecond, perSecond),
    spreadIn(ofForced, (ratio) => ratio.toFixed(2)),
    cpuSecondsPerMillion.median.toFixed(2),
    `${samples.filter(({ othersShare }) => othersShare > OTHERS_SHARE_MAX).length} of ${samples.length}`,
  ])
  const most = Math.max(...cases.flatMap(({ samples }) => samples.map(({ othersShare }) => othersShare)))
  return (
    `${renderTable(['parallelism', 'records/s', 'of 1, forced', 'cpu s/M', 'disturbed'], rows)}\n` +
    `the output of every run was verified; other programs took up to ${percent(most)} of the machine\n`
  )
}

function chart({ environment, cases }: ScaleResult): string {
  const panels = KINDS.map((kind) => ({
    title: `${kind} keys`,
    bars: cases
      .filter((each) => each.kind === kind)
      .map(({ name, recordsPerSecond, ofForced }) => ({
        label: `parallelism ${name}`,
        ...recordsPerSecond,
        ours: name === '2',
        note: `${ofForced.median.toFixed(2)} x`,
      })),
  }))
  return barChart({
    title: 'Throughput against parallelism',
    notes: [
      'Records per second of a running aggregate for each key behind one exchange, checkpoints off; medians, whiskers from slowest to fastest.',
      'Behind it what that is of parallelism 1 with the exchange forced: bytes also within a thread.',
    ],
    environment,
    panels: panels.filter(({ bars }) => bars.length > 0),
  })
}
