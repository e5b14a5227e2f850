import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import type { CoordinatorOptions } from '../checkpoint/checkpoint-coordinator.ts'
import { messageOf, SluiceError } from '../core/errors.ts'
import type { Duration } from '../core/time.ts'
import { durationMs } from '../core/time.ts'
import type { RestartOptions } from './restart-strategy.ts'
import { restartStrategy } from './restart-strategy.ts'

/** Options of a job. Flags after the job file override them. */
export interface JobOptions {
  /** Subtasks of every operator that does not say otherwise. Default: the number of CPUs. */
  readonly parallelism?: number
  /** Key groups; fixed for the life of the state. Default: 128. */
  readonly maxParallelism?: number
  /** Worker threads. `0` runs everything in the calling thread. Default: the smaller of parallelism and CPUs. */
  readonly workers?: number
  /** What holds for every record in state and output. `at-least-once` is kept by doing no less than exactly-once. */
  readonly guarantee?: 'exactly-once' | 'at-least-once'
  readonly checkpoint?: CheckpointOptions
  /** The job's state is in a folder of this one, named after the job. Default: `.sluice`. */
  readonly stateDirectory?: string
  /** Default: exponential, from 1 s to 1 m, at most 10 attempts. */
  readonly restart?: RestartOptions
  /** What becomes of a record that cannot be read. */
  readonly onBadRecord?: 'fail'
}

export interface CheckpointOptions {
  /** From one checkpoint to the next; output becomes visible once per checkpoint. Default: 10 s. */
  readonly every?: Duration | 'off'
  readonly mode?: 'aligned'
  /** A checkpoint that is not complete by then is aborted. Default: 10 m. */
  readonly timeout?: Duration
  /** From the completion of a checkpoint to the next. Default: 0. */
  readonly minPause?: Duration
  /** Consecutive checkpoints that may fail before the job does. Default: 0. */
  readonly tolerableFailures?: number
  /** Completed checkpoints that are kept. Default: 1. */
  readonly retain?: number
}

/** Every option there is, so that a misspelt one is not passed over in silence where no compiler looks. */
const JOB_OPTIONS = [
  'parallelism',
  'maxParallelism',
  'workers',
  'guarantee',
  'checkpoint',
  'stateDirectory',
  'restart',
  'onBadRecord',
]
const RUN_OPTIONS = [...JOB_OPTIONS, 'module', 'fresh', 'overwrite', 'quiet', 'json']
const CHECKPOINT_OPTIONS = ['every', 'mode', 'timeout', 'minPause', 'tolerableFailures', 'retain']

/** Options of one run, on top of the job's. */
export interface RunOptions extends JobOptions {
  /** URL or path of the module that builds the job, when it is not the program's entry: `import.meta.url`. */
  readonly module?: string
  /** Forget the state and begin anew. */
  readonly fresh?: boolean
  /** A fresh start may remove output that another run has committed to its folders. */
  readonly overwrite?: boolean
  /** Say nothing about the progress. */
  readonly quiet?: boolean
  /** Progress as JSON lines on stderr. */
  readonly json?: boolean
}

/** Options with every default filled in and every value checked. */
export interface JobSettings {
  readonly parallelism: number
  readonly maxParallelism: number
  readonly workers: number
  readonly checkpoint: CoordinatorOptions & { readonly retain: number }
  readonly stateDirectory: string
  readonly restart: RestartOptions
  readonly module: string | undefined
  readonly fresh: boolean
  readonly overwrite: boolean
  readonly progress: 'quiet' | 'json' | 'human'
}

const CPUS = availableParallelism()

/** @throws SluiceError `INVALID_OPTION`, `INVALID_DURATION` */
export function resolveSettings(job: JobOptions, run: RunOptions, flags: RunOptions): JobSettings {
  onlyKnown(job, 'the job', JOB_OPTIONS)
  onlyKnown(run, 'run()', RUN_OPTIONS)
  const options = { ...job, ...run, ...flags }
  const checkpoint = { ...job.checkpoint, ...run.checkpoint, ...flags.checkpoint }
  onlyKnown(checkpoint, 'checkpoint', CHECKPOINT_OPTIONS)
  oneOf(options.onBadRecord ?? 'fail', 'onBadRecord', ['fail'])
  const maxParallelism = whole(options.maxParallelism ?? 128, 'maxParallelism', 1, 32_768)
  const parallelism = whole(options.parallelism ?? Math.min(CPUS, maxParallelism), 'parallelism', 1, maxParallelism)
  const restart = options.restart ?? { strategy: 'exponential' }
  oneOf(options.guarantee ?? 'exactly-once', 'guarantee', ['exactly-once', 'at-least-once'])
  oneOf(checkpoint.mode ?? 'aligned', 'checkpoint.mode', ['aligned'])
  restartStrategy(restart)
  return {
    parallelism,
    maxParallelism,
    workers: whole(options.workers ?? Math.min(parallelism, CPUS), 'workers', 0, 1024),
    checkpoint: {
      intervalMs: interval(checkpoint.every ?? '10s'),
      timeoutMs: durationMs(checkpoint.timeout ?? '10m', 'checkpoint.timeout'),
      minPauseMs: durationMs(checkpoint.minPause ?? 0, 'checkpoint.minPause'),
      tolerableFailures: whole(checkpoint.tolerableFailures ?? 0, 'checkpoint.tolerableFailures', 0, Number.MAX_SAFE_INTEGER),
      retain: whole(checkpoint.retain ?? 1, 'checkpoint.retain', 1, 1_000_000),
    },
    stateDirectory: resolve(options.stateDirectory ?? '.sluice'),
    restart,
    module: options.module,
    fresh: options.fresh ?? false,
    overwrite: options.overwrite ?? false,
    progress: options.quiet ? 'quiet' : options.json ? 'json' : 'human',
  }
}

function interval(every: Duration | 'off'): number {
  if (every === 'off') return Number.POSITIVE_INFINITY
  const ms = durationMs(every, 'checkpoint.every')
  if (ms > 0) return ms
  throw new SluiceError('INVALID_DURATION', 'checkpoint.every is zero', { hint: "write a length of time, or 'off'" })
}

function whole(value: number, what: string, minimum: number, maximum: number): number {
  if (Number.isInteger(value) && value >= minimum && value <= maximum) return value
  throw new SluiceError('INVALID_OPTION', `${what} must be a whole number from ${minimum} to ${maximum}, not ${messageOf(value)}`)
}

function onlyKnown(options: object, where: string, known: readonly string[]): void {
  const unknown = Object.keys(options).find((name) => !known.includes(name))
  if (unknown === undefined) return
  throw new SluiceError('INVALID_OPTION', `${where} has no option ${JSON.stringify(unknown)}`, {
    hint: `there are: ${known.join(', ')}`,
  })
}

function oneOf(value: string, what: string, allowed: readonly string[]): void {
  if (allowed.includes(value)) return
  throw new SluiceError(
    'INVALID_OPTION',
    `${what} is ${JSON.stringify(value)}; this version knows ${allowed.map((name) => `'${name}'`).join(', ')}`,
  )
}
