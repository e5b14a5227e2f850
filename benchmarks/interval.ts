import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import type { KeyedCountOutcome } from './jobs/keyed-count.ts'
import type { Benchmark, BenchmarkOptions } from './support/benchmark.ts'
import { UsageError } from './support/benchmark.ts'
import type { Environment } from './support/environment.ts'
import { describeEnvironment, environmentLine, machineUsage, revision } from './support/environment.ts'
import { intervalChart } from './support/interval-chart.ts'
import type { Spread } from './support/statistics.ts'
import { fitLine, spreadOf } from './support/statistics.ts'
import { percent, perSecond, renderTable } from './support/table.ts'

/*
 * Throughput against the interval between checkpoints. Each run is a process of its own, with a state folder of its own; the settings take
 * turns (off, 10 s, 1 s, 100 ms, off, 10 s, ...), so that whatever else the machine does falls on all of them. Every run is verified: a
 * wrong total ends the benchmark.
 *
 * A full run waits for the machine to be quiet, and does a run again during which other programs took more than a twentieth of it, whatever
 * its result, as long as the benchmark as a whole stays below eight minutes (or `--minutes`). Runs that were done again stay in `runs`, marked, and count for
 * nothing else; disturbed runs for which no time was left count, and the report says how many they are.
 */

export interface IntervalResult {
  readonly benchmark: 'interval'
  readonly environment: Environment
  /** The engine's revision after the last run: another one than `environment.revision` when it was edited meanwhile. */
  readonly revisionAtEnd: string
  readonly parameters: IntervalParameters
  readonly settings: readonly SettingResult[]
  /** T(i) / T(off) = 1 + a / i + b over the medians. */
  readonly fit: { readonly aSeconds: number; readonly b: number }
  /** Every run, in the order in which they ran. */
  readonly runs: readonly Run[]
}

export interface IntervalParameters {
  readonly quick: boolean
  readonly records: number
  readonly keys: number
  readonly parallelism: number
  readonly repetitions: number
  readonly guarantee: 'exactly-once'
  /** What it means that a checkpoint is complete. */
  readonly storage: string
}

/** All runs with one interval. */
export interface SettingResult {
  readonly every: Every
  /** `null` for off. */
  readonly intervalSeconds: number | null
  readonly recordsPerSecond: Spread
  readonly seconds: Spread
  readonly cpuSecondsPerMillion: Spread
  /** Completed in a run, the final one included. */
  readonly checkpoints: Spread
  /** From trigger to durable, over the checkpoints of all runs. */
  readonly checkpointMs: Spread
  /** Throughput against `off`, median against median. */
  readonly ratio: number
  /** The same within each round of the settings: how far the ratio itself moves. */
  readonly ratios: Spread
  /** Time that a checkpoint beyond those of `off` added to a run: (T(i) - T(off)) / (n(i) - n(off)). */
  readonly secondsPerCheckpoint: number | null
}

interface Run extends KeyedCountOutcome {
  readonly every: Every
  readonly repetition: number
  /** What each checkpoint took, from trigger to durable. */
  readonly checkpointMs: readonly number[]
  /** What other programs took of the machine's processor time during the run, 0 to 1. */
  readonly othersShare: number
  /** Done again because of that. */
  readonly discarded: boolean
}

/** What one process of the job told. */
interface JobRun {
  readonly outcome: KeyedCountOutcome
  readonly checkpointMs: readonly number[]
  readonly othersShare: number
}

const SETTINGS = [
  { every: 'off', seconds: null },
  { every: '10s', seconds: 10 },
  { every: '1s', seconds: 1 },
  { every: '100ms', seconds: 0.1 },
] as const

type Every = (typeof SETTINGS)[number]['every']

const PARALLELISM = 2
const JOB_FILE = join(import.meta.dirname, 'jobs', 'keyed-count.ts')
/** What is measured: the sources, whatever a build has left behind. */
const ENGINE = 'src/index.ts'
const SECONDS_OF_A_RUN = 13
const PILOT_RECORDS = 6_000_000
const OTHERS_SHARE_MAX = 0.05
const MINUTES = 7.7
/** The runs of a full benchmark and a few to repeat. */
const RUNS_WITH_SPARE = 24
const QUIET_MS = 1_000
/** Between two runs: the disk finishes what the last one left behind. */
const PAUSE_MS = 300

export const interval: Benchmark = {
  name: 'interval',
  question: 'what do checkpoints cost? A keyed count, checkpoints off and every 10 s, 1 s, 100 ms',
  run,
}

async function run(options: BenchmarkOptions): Promise<void> {
  const budget = new TimeBudget(options.quick ? 0 : 60_000 * (options.minutes ?? MINUTES))
  const environment = describeEnvironment()
  const parameters = await parametersOf(options, budget)
  process.stdout.write(`${environmentLine(environment)}\n`)
  process.stdout.write(
    `${parameters.records.toLocaleString('en-US')} records, ${parameters.keys.toLocaleString('en-US')} keys, ` +
      `parallelism ${PARALLELISM}, ${parameters.repetitions} repetitions\n\n`,
  )
  const runs = await runAll(parameters, budget)
  const result = summarise(environment, parameters, runs)
  process.stdout.write(report(result))
  if (options.json || !options.quick) write(options.out, result)
}

async function runAll(parameters: IntervalParameters, budget: TimeBudget): Promise<readonly Run[]> {
  const runs: Run[] = []
  let left = parameters.repetitions * SETTINGS.length
  for (let repetition = 1; repetition <= parameters.repetitions; repetition++) {
    for (const { every } of SETTINGS) {
      left--
      for (let again = true; again; ) {
        await untilQuiet(() => budget.allows(left + 1))
        const run = await runJob(parameters.records, parameters.keys, every)
        budget.note(run.outcome.wallSeconds)
        again = run.othersShare > OTHERS_SHARE_MAX && budget.allows(left + 1)
        const { outcome, checkpointMs, othersShare } = run
        runs.push({ every, repetition, ...outcome, checkpointMs, othersShare, discarded: again })
        process.stderr.write(`${repetition}/${parameters.repetitions} ${every}: ${remarks(run, again)}\n`)
      }
    }
  }
  return runs
}

/** How long a full benchmark may take. Runs that must be made come first; waiting and repeating get what they leave. */
class TimeBudget {
  readonly #endMs: number
  #runs = 1
  #runsMs = 1_200 * SECONDS_OF_A_RUN

  constructor(totalMs: number) {
    this.#endMs = performance.now() + totalMs
  }

  /** Whether so many runs still fit in, if they take as long as those before. */
  allows(runs: number): boolean {
    return performance.now() + (runs * this.#runsMs) / this.#runs < this.#endMs
  }

  note(wallSeconds: number): void {
    this.#runs++
    this.#runsMs += 1_000 * wallSeconds + PAUSE_MS + QUIET_MS
  }
}

function remarks({ outcome, othersShare }: JobRun, again: boolean): string {
  const disturbed = othersShare > OTHERS_SHARE_MAX ? `; other programs took ${percent(othersShare)} of the machine` : ''
  return `${rate(outcome)}/s, verified${disturbed}${again ? ': once more' : ''}`
}

async function untilQuiet(mayWait: () => boolean): Promise<void> {
  await pause(PAUSE_MS)
  while (mayWait() && (await isBusy())) {}
}

/** Whether other programs are at work just now. */
async function isBusy(): Promise<boolean> {
  const before = machineUsage()
  await pause(QUIET_MS)
  const { busySeconds, idleSeconds } = machineUsage(before)
  return busySeconds > OTHERS_SHARE_MAX * (busySeconds + idleSeconds)
}

async function parametersOf(options: BenchmarkOptions, budget: TimeBudget): Promise<IntervalParameters> {
  const keys = options.keys ?? 100_000
  if (options.records !== undefined && options.records % keys !== 0)
    throw new UsageError(`--records (${options.records}) must be a multiple of the ${keys} keys: the totals are known in advance`)
  return {
    quick: options.quick,
    records: options.records ?? (options.quick ? 12 * keys : await recordsOfOneRun(keys, budget)),
    keys,
    parallelism: PARALLELISM,
    repetitions: options.repetitions ?? (options.quick ? 2 : 5),
    guarantee: 'exactly-once',
    storage: 'chunks and manifest in LMDB on the temporary folder, synced to disk before a checkpoint counts as complete',
  }
}

/** As many records as take about 13 s without checkpoints, so that one of 10 s falls into a run. The pilot run also warms the file cache. */
async function recordsOfOneRun(keys: number, budget: TimeBudget): Promise<number> {
  for (;;) {
    await untilQuiet(() => budget.allows(RUNS_WITH_SPARE))
    const pilot = await runJob(Math.ceil(PILOT_RECORDS / keys) * keys, keys, 'off')
    const again = pilot.othersShare > OTHERS_SHARE_MAX && budget.allows(RUNS_WITH_SPARE)
    process.stderr.write(`pilot: ${remarks(pilot, again)}\n`)
    const { records, seconds } = pilot.outcome
    if (!again) return Math.round((records / seconds) * (SECONDS_OF_A_RUN / keys)) * keys
  }
}

function rate({ records, seconds }: KeyedCountOutcome): string {
  return perSecond(records / seconds)
}

/** One run of the job in a process of its own. @throws Error when it fails or its totals are wrong */
async function runJob(records: number, keys: number, every: Every): Promise<JobRun> {
  const usageBefore = machineUsage()
  const stateDirectory = mkdtempSync(join(tmpdir(), 'sluice-bench-'))
  const job = ['--records', String(records), '--keys', String(keys)]
  const engine = [
    '--parallelism',
    String(PARALLELISM),
    '--checkpoint-every',
    every,
    '--state-directory',
    stateDirectory,
    '--json',
  ]
  try {
    const child = spawn(process.execPath, ['--conditions=@sluice/source', JOB_FILE, ...job, ...engine], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const [stdout, stderr, code] = await Promise.all([
      linesOf(child.stdout),
      linesOf(child.stderr),
      new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve)),
    ])
    if (code !== 0) throw new Error(`the job ended with exit code ${code}:\n${stderr.join('\n')}`)
    const outcome = JSON.parse(stdout.at(-1) ?? 'null') as KeyedCountOutcome
    if (outcome.engine !== ENGINE)
      throw new Error(`the job ran ${outcome.engine}, not ${ENGINE}: its figures would be those of another engine`)
    if (!outcome.verified) throw new Error(`the job's output is wrong (checkpoints ${every}): ${JSON.stringify(outcome)}`)
    const usage = machineUsage(usageBefore)
    const othersShare = Math.max(0, usage.busySeconds - outcome.cpuSeconds) / (usage.busySeconds + usage.idleSeconds)
    return { outcome, checkpointMs: checkpointDurations(stderr), othersShare }
  } finally {
    rmSync(stateDirectory, { recursive: true, force: true })
  }
}

async function linesOf(stream: NodeJS.ReadableStream): Promise<readonly string[]> {
  const lines: string[] = []
  for await (const line of createInterface({ input: stream })) lines.push(line)
  return lines
}

function checkpointDurations(progress: readonly string[]): readonly number[] {
  return progress
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as { event: string; durationMs: number })
    .filter(({ event }) => event === 'checkpoint')
    .map(({ durationMs }) => durationMs)
}

// Figures

function summarise(environment: Environment, parameters: IntervalParameters, all: readonly Run[]): IntervalResult {
  const runs = all.filter((run) => !run.discarded)
  const off = runs.filter((run) => run.every === 'off')
  const secondsOff = spreadOf(off.map((run) => run.seconds)).median
  const checkpointsOff = spreadOf(off.map((run) => run.checkpoints)).median
  const settings = SETTINGS.map((setting): SettingResult => {
    const own = runs.filter((run) => run.every === setting.every)
    const seconds = spreadOf(own.map((run) => run.seconds))
    const checkpoints = spreadOf(own.map((run) => run.checkpoints))
    const more = checkpoints.median - checkpointsOff
    return {
      every: setting.every,
      intervalSeconds: setting.seconds,
      recordsPerSecond: spreadOf(own.map((run) => run.records / run.seconds)),
      seconds,
      cpuSecondsPerMillion: spreadOf(own.map((run) => run.cpuSeconds / (run.records / 1e6))),
      checkpoints,
      checkpointMs: spreadOf(own.flatMap((run) => run.checkpointMs)),
      ratio: secondsOff / seconds.median,
      ratios: spreadOf(own.map((run, index) => off[index]!.seconds / run.seconds)),
      secondsPerCheckpoint: more > 0 ? (seconds.median - secondsOff) / more : null,
    }
  })
  const points = settings.flatMap(({ intervalSeconds, seconds }) =>
    intervalSeconds === null ? [] : [{ x: 1 / intervalSeconds, y: seconds.median / secondsOff - 1 }],
  )
  const { slope, intercept } = fitLine(points)
  return {
    benchmark: 'interval',
    environment,
    revisionAtEnd: revision(),
    parameters,
    settings,
    fit: { aSeconds: slope, b: intercept },
    runs: all,
  }
}

function report({ environment, revisionAtEnd, settings, fit, runs }: IntervalResult): string {
  const edited = revisionAtEnd === environment.revision ? '' : `the engine was edited meanwhile: ${revisionAtEnd} at the end\n`
  const rows = settings.map((setting) => [
    setting.every,
    `${perSecond(setting.recordsPerSecond.median)}/s`,
    `${perSecond(setting.recordsPerSecond.min)} - ${perSecond(setting.recordsPerSecond.max)}`,
    percent(setting.ratio),
    `${percent(setting.ratios.median)} (${percent(setting.ratios.min)} - ${percent(setting.ratios.max)})`,
    setting.cpuSecondsPerMillion.median.toFixed(2),
    setting.checkpoints.median.toFixed(0),
    `${setting.checkpointMs.median.toFixed(0)} ms`,
    setting.secondsPerCheckpoint === null ? '-' : `${(1000 * setting.secondsPerCheckpoint).toFixed(1)} ms`,
  ])
  const disturbed = runs.filter((run) => !run.discarded && run.othersShare > OTHERS_SHARE_MAX).length
  const header = ['every', 'records', 'min - max', 'of off', 'by round', 'cpu s/M', 'checkpoints', 'median took', 'each cost']
  return (
    `${renderTable(header, rows)}\nT(i) / T(off) = 1 + a / i + b:  a = ${(1000 * fit.aSeconds).toFixed(1)} ms a checkpoint, ` +
    `b = ${percent(fit.b)}\nthe output of all ${runs.length} runs was verified; of those that count, other programs disturbed ${disturbed}\n${edited}`
  )
}

function write(folder: string, result: IntervalResult): void {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'interval.json'), `${JSON.stringify(result, null, 2)}\n`)
  writeFileSync(join(folder, 'interval.svg'), intervalChart(result))
  process.stdout.write(`written: ${join(folder, 'interval.json')}, ${join(folder, 'interval.svg')}\n`)
}
