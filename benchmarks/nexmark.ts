import type { NexmarkQuery } from './nexmark/catalogue.ts'
import { QUERIES } from './nexmark/catalogue.ts'
import { nexmarkChart } from './nexmark/chart.ts'
import { constantRate } from './nexmark/generator/options.ts'
import { reportOf } from './nexmark/report.ts'
import type { NexmarkResult, Run } from './nexmark/result.ts'
import { generatorResult, queryResult } from './nexmark/result.ts'
import type { EventStream, Setting } from './nexmark/runs.ts'
import { runGenerator, runQuery } from './nexmark/runs.ts'
import { eventsInOrder } from './nexmark/source.ts'
import type { Total } from './nexmark/tally.ts'
import { totalOf } from './nexmark/tally.ts'
import type { Benchmark, BenchmarkOptions } from './support/benchmark.ts'
import { chosen } from './support/benchmark.ts'
import { describeEnvironment, environmentLine, revision } from './support/environment.ts'
import { writeResults } from './support/results.ts'
import { percent, perSecond } from './support/table.ts'

/*
 * The Nexmark queries over the event stream of Apache Beam's suite. Each run is a process of its own. In a round every query runs once with every
 * setting, so that whatever else the machine does falls on all of them; before the first round a model, plain loops without the engine, says
 * for each query what the result must be. A run with any other one ends the benchmark.
 */

/** The same stream at every parallelism: as many generators as there are subtasks at most. */
const GENERATORS = 2
const RATE_PER_GENERATOR = 100_000
const PARALLELISMS = ['1', '2'] as const
const INTERVALS = ['off', '10s', '1s'] as const
const QUICK_SETTINGS: readonly Setting[] = [
  { parallelism: 1, every: 'off' },
  { parallelism: 2, every: '1s' },
]
const QUICK_EVENTS = 40_000
const REPETITIONS = 3
const MINUTES = 30
const STORAGE = 'chunks and manifest in LMDB on the temporary folder, synced to disk before a checkpoint counts as complete'

export const nexmark: Benchmark = {
  name: 'nexmark',
  question: 'how many events a second do the queries of an auction house take? Checked against models',
  flags: {
    queries: '<names>  such as q0,q5 (default: all); --records are events of each',
    parallelism: '<numbers>  1, 2',
    checkpoints: '<names>  off, 10s, 1s',
  },
  run,
}

/** A query with the stream that it reads and what must come of it. */
interface Planned {
  readonly query: NexmarkQuery
  readonly stream: EventStream
  readonly total: Total
}

async function run(options: BenchmarkOptions): Promise<void> {
  const environment = describeEnvironment()
  const settings = options.quick ? QUICK_SETTINGS : settingsOf(options)
  process.stdout.write(`${environmentLine(environment)}\n\n`)
  const plan = planOf(options)
  const { runs, generated, repetitions } = await rounds(plan, settings, options)
  const result: NexmarkResult = {
    benchmark: 'nexmark',
    environment,
    revisionAtEnd: revision(),
    parameters: {
      quick: options.quick,
      generators: GENERATORS,
      ratePerGenerator: RATE_PER_GENERATOR,
      repetitions,
      guarantee: 'exactly-once',
      storage: STORAGE,
    },
    generator: generatorResult(generated),
    queries: plan.map(({ query, stream, total }) => queryResult(query, stream, total, settings, runs)),
    runs,
  }
  process.stdout.write(reportOf(result))
  writeResults(options, result, { 'nexmark.svg': nexmarkChart(result) })
}

function settingsOf({ flags }: BenchmarkOptions): readonly Setting[] {
  const intervals = chosen(flags['checkpoints'], '--checkpoints', INTERVALS)
  return chosen(flags['parallelism'], '--parallelism', PARALLELISMS).flatMap((parallelism) =>
    intervals.map((every) => ({ parallelism: Number(parallelism), every })),
  )
}

function planOf({ quick, records, flags }: BenchmarkOptions): readonly Planned[] {
  const names = chosen(
    flags['queries'],
    '--queries',
    QUERIES.map(({ name }) => name),
  )
  return QUERIES.filter(({ name }) => names.includes(name)).map((query) => {
    const events = records ?? (quick ? QUICK_EVENTS : query.events)
    const stream = { events, generators: GENERATORS, ratePerGenerator: RATE_PER_GENERATOR }
    const total = totalOf(query, query.model(eventsInOrder(constantRate(events, GENERATORS, RATE_PER_GENERATOR))))
    process.stderr.write(`${query.name}: the model gives ${total.rows.toLocaleString('en-US')} rows\n`)
    return { query, stream, total }
  })
}

/** Rounds of all queries with all settings, as many as are asked for, or as the time allows: one in any case. */
async function rounds(plan: readonly Planned[], settings: readonly Setting[], options: BenchmarkOptions) {
  const wanted = options.repetitions ?? (options.quick ? 1 : REPETITIONS)
  const endMs = performance.now() + 60_000 * (options.minutes ?? MINUTES)
  const runs: Run[] = []
  const generated = []
  let repetition = 0
  for (let roundMs = 0; repetition < wanted && performance.now() + roundMs < endMs; ) {
    const startedMs = performance.now()
    repetition++
    generated.push(await runGenerator(Math.max(...plan.map(({ stream }) => stream.events)), RATE_PER_GENERATOR))
    for (const { query, stream, total } of plan) {
      for (const setting of settings) {
        const { outcome, othersShare } = await runQuery(query.name, stream, setting, total)
        runs.push({ query: query.name, repetition, ...setting, ...outcome, othersShare })
        process.stderr.write(
          `${repetition}/${wanted} ${query.name}, parallelism ${setting.parallelism}, checkpoints ${setting.every}: ` +
            `${perSecond(outcome.events / outcome.seconds)}/s, verified; others took ${percent(othersShare)} of the machine\n`,
        )
      }
    }
    roundMs = performance.now() - startedMs
  }
  return { runs, generated, repetitions: repetition }
}
