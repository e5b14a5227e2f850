import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Contestant, Work } from './files/contestants.ts'
import { BIDS_CSV, BIDS_JSON, makeFile, QUOTED_CSV, WIDE_JSON } from './files/made-files.ts'
import { readingCsv, readingJson } from './files/reading.ts'
import { writingCsv, writingJson } from './files/writing.ts'
import { barChart } from './support/bar-chart.ts'
import type { Benchmark, BenchmarkOptions } from './support/benchmark.ts'
import { TimeBudget } from './support/budget.ts'
import type { Environment } from './support/environment.ts'
import { describeEnvironment, environmentLine } from './support/environment.ts'
import { writeResults } from './support/results.ts'
import type { Spread } from './support/statistics.ts'
import { spreadOf } from './support/statistics.ts'
import { perSecond, renderTable, spreadIn } from './support/table.ts'

/*
 * Sources and sinks of files against what they are made of: the disk, the parser, a loop by hand. All in one process, one after the other, round by
 * round. Ratios are of processor time within a round: what other programs do meanwhile, and how long the disk takes to sync, changes them little.
 */

const RECORDS = 1_500_000
const ROUNDS_MAX = 9
const MINUTES = 4
/** Wide records have more than five times the bytes, and take as much longer. */
const WIDE_SHARE = 1 / 12

/** One run of one contestant. */
export interface FilesSample {
  readonly round: number
  readonly recordsPerSecond: number
  readonly bytesPerSecond: number
  readonly cpuNanosecondsPerRecord: number
}

export interface FilesCase {
  readonly name: string
  readonly ours: boolean
  readonly recordsPerSecond: Spread
  readonly bytesPerSecond: Spread
  /** By how much less processor time a record takes than with ours, the first of them, within each round: 2 is half of it. */
  readonly ofOurs: Spread
  readonly samples: readonly FilesSample[]
}

export interface FilesResult {
  readonly benchmark: 'files'
  readonly environment: Environment
  readonly parameters: { readonly quick: boolean; readonly records: number; readonly rounds: number }
  readonly works: readonly { readonly name: string; readonly contestants: readonly FilesCase[] }[]
}

export const files: Benchmark = {
  name: 'files',
  question: 'do sources and sinks of files keep up with the disk, the parser, and a loop by hand?',
  run,
}

async function run(options: BenchmarkOptions): Promise<void> {
  const environment = describeEnvironment()
  process.stdout.write(`${environmentLine(environment)}\n\n`)
  const folder = mkdtempSync(join(tmpdir(), 'sluice-files-'))
  try {
    const records = options.records ?? (options.quick ? 5_000 : RECORDS)
    const works = makeWorks(folder, records)
    const samples = new Map<Contestant, FilesSample[]>()
    for (const { contestants } of works) for (const contestant of contestants) samples.set(contestant, [])
    // The first round is for the compiler, and for what is verified but once.
    for (const contestant of samples.keys()) await contestant.run()
    const budget = new TimeBudget(options.quick ? 0 : (options.minutes ?? MINUTES))
    let rounds = 0
    await budget.repeat(options.repetitions ?? ROUNDS_MAX, async (round) => {
      rounds = round
      for (const [contestant, own] of samples) own.push(await measure(contestant, round))
      process.stderr.write(`round ${round}, verified\n`)
    })
    const result: FilesResult = {
      benchmark: 'files',
      environment,
      parameters: { quick: options.quick, records, rounds },
      works: works.map((work) => ({ name: work.name, contestants: casesOf(work, samples) })),
    }
    process.stdout.write(report(result))
    writeResults(options, result, { 'files.svg': chart(result) })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function makeWorks(folder: string, records: number): readonly Work[] {
  return [
    readingJson(makeFile(folder, BIDS_JSON, records)),
    readingJson(makeFile(folder, WIDE_JSON, Math.ceil(records * WIDE_SHARE))),
    readingCsv(makeFile(folder, BIDS_CSV, records), false),
    readingCsv(makeFile(folder, QUOTED_CSV, records), true),
    writingJson(join(folder, 'out'), records),
    writingCsv(join(folder, 'out'), records),
  ]
}

async function measure(contestant: Contestant, round: number): Promise<FilesSample> {
  // What the last one left to the garbage collector and the disk is not to be paid by this one.
  globalThis.gc?.()
  await pause(20)
  const [cpu, beganMs] = [process.cpuUsage(), performance.now()]
  const { records, bytes } = await contestant.run()
  const seconds = (performance.now() - beganMs) / 1000
  const { user, system } = process.cpuUsage(cpu)
  return {
    round,
    recordsPerSecond: records / seconds,
    bytesPerSecond: bytes / seconds,
    cpuNanosecondsPerRecord: (1000 * (user + system)) / records,
  }
}

function casesOf({ contestants }: Work, samples: ReadonlyMap<Contestant, readonly FilesSample[]>): readonly FilesCase[] {
  const ours = samples.get(contestants.find((contestant) => contestant.ours)!)!
  return contestants.map((contestant) => {
    const own = samples.get(contestant)!
    return {
      name: contestant.name,
      ours: contestant.ours ?? false,
      recordsPerSecond: spreadOf(own.map((sample) => sample.recordsPerSecond)),
      bytesPerSecond: spreadOf(own.map((sample) => sample.bytesPerSecond)),
      ofOurs: spreadOf(own.map((sample, i) => ours[i]!.cpuNanosecondsPerRecord / sample.cpuNanosecondsPerRecord)),
      samples: own,
    }
  })
}

function report({ works }: FilesResult): string {
  const tables = works.map(({ name, contestants }) => {
    const rows = contestants.map(({ name: contestant, recordsPerSecond, bytesPerSecond, ofOurs, samples }) => [
      contestant,
      perSecond(recordsPerSecond.median),
      `${(bytesPerSecond.median / 1e6).toFixed(0)} MB`,
      `${spreadOf(samples.map(({ cpuNanosecondsPerRecord }) => cpuNanosecondsPerRecord)).median.toFixed(0)} ns`,
      spreadIn({ median: 1 / ofOurs.median, min: 1 / ofOurs.max, max: 1 / ofOurs.min }, (ratio) => ratio.toFixed(2)),
    ])
    return renderTable([name, 'records/s', 'bytes/s', 'cpu', 'ours is'], rows)
  })
  return `${tables.join('\n')}\nthe result of every run was verified\n`
}

function chart({ environment, works }: FilesResult): string {
  return barChart({
    title: 'Sources and sinks of files',
    notes: [
      'Records per second in one thread; medians, whiskers from the slowest to the fastest round. Behind them: the speed of ours as a',
      'fraction of this one, by processor time within each round.',
    ],
    environment,
    panels: works.map(({ name, contestants }) => ({
      title: name,
      // The disk is so much faster than all others that nothing could be seen of them.
      bars: contestants
        .filter((contestant) => contestant.name !== 'disk')
        .map((contestant) => ({
          label: contestant.name,
          ...contestant.recordsPerSecond,
          ours: contestant.ours,
          ...(contestant.ours ? {} : { note: `ours ${(1 / contestant.ofOurs.median).toFixed(2)} x` }),
        })),
    })),
  })
}
