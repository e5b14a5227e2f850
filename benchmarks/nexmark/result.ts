import type { Environment } from '../support/environment.ts'
import type { Spread } from '../support/statistics.ts'
import { spreadOf } from '../support/statistics.ts'
import type { NexmarkQuery } from './catalogue.ts'
import type { GeneratorOutcome } from './generate.ts'
import type { NexmarkOutcome } from './job.ts'
import type { EventStream, Setting } from './runs.ts'
import type { Total } from './tally.ts'

export interface NexmarkResult {
  readonly benchmark: 'nexmark'
  readonly environment: Environment
  /** The engine's revision after the last run: another one than `environment.revision` when it was edited meanwhile. */
  readonly revisionAtEnd: string
  readonly parameters: NexmarkParameters
  /** The generator alone, in one thread. */
  readonly generator: { readonly eventsPerSecond: Spread; readonly eventsPerCoreSecond: Spread }
  readonly queries: readonly QueryResult[]
  /** Every run, in the order in which they ran. */
  readonly runs: readonly Run[]
}

export interface NexmarkParameters {
  readonly quick: boolean
  readonly generators: number
  readonly ratePerGenerator: number
  readonly repetitions: number
  readonly guarantee: 'exactly-once'
  /** What it means that a checkpoint is complete. */
  readonly storage: string
}

export interface QueryResult {
  readonly query: string
  readonly meaning: string
  readonly stream: EventStream
  /** How much event time the stream covers. */
  readonly eventTimeSeconds: number
  /** By the model, and of every run. */
  readonly total: Total
  readonly settings: readonly SettingResult[]
}

/** All runs of a query with one setting. */
export interface SettingResult extends Setting {
  readonly eventsPerSecond: Spread
  /** For each second of processor time of all threads of the process. */
  readonly eventsPerCoreSecond: Spread
  /** Completed in a run, the final one included. */
  readonly checkpoints: Spread
}

export interface Run extends Setting, NexmarkOutcome {
  readonly query: string
  readonly repetition: number
  /** What other programs took of the machine's processor time during the run, 0 to 1. */
  readonly othersShare: number
}

export function queryResult(
  { name, meaning }: NexmarkQuery,
  stream: EventStream,
  total: Total,
  settings: readonly Setting[],
  runs: readonly Run[],
): QueryResult {
  return {
    query: name,
    meaning,
    stream,
    eventTimeSeconds: stream.events / (stream.generators * stream.ratePerGenerator),
    total,
    settings: settings.map((setting) =>
      settingResult(
        setting,
        runs.filter((run) => run.query === name && run.parallelism === setting.parallelism && run.every === setting.every),
      ),
    ),
  }
}

function settingResult({ parallelism, every }: Setting, runs: readonly Run[]): SettingResult {
  return {
    parallelism,
    every,
    eventsPerSecond: spreadOf(runs.map(({ events, seconds }) => events / seconds)),
    eventsPerCoreSecond: spreadOf(runs.map(({ events, cpuSeconds }) => events / cpuSeconds)),
    checkpoints: spreadOf(runs.map(({ checkpoints }) => checkpoints)),
  }
}

export function generatorResult(outcomes: readonly GeneratorOutcome[]): NexmarkResult['generator'] {
  return {
    eventsPerSecond: spreadOf(outcomes.map(({ events, seconds }) => events / seconds)),
    eventsPerCoreSecond: spreadOf(outcomes.map(({ events, cpuSeconds }) => events / cpuSeconds)),
  }
}
