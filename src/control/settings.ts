import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import type { CoordinatorOptions } from '../checkpoint/checkpoint-coordinator.ts'
import type { BadRecord, BadRecordPolicy, BadRecordSettings } from '../core/bad-record.ts'
import { BAD_RECORD_POLICIES } from '../core/bad-record.ts'
import type { ByteSize } from '../core/bytes.ts'
import { byteSize } from '../core/bytes.ts'
import { messageOf, SluiceError } from '../core/errors.ts'
import { onlyKnown } from '../core/only-known.ts'
import { shown } from '../core/shown.ts'
import type { Sink } from '../core/sink.ts'
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
  /**
   * Default: `elided`. Between single subtasks nothing is exchanged, and within a thread records pass as they are.
   * `forced`: every record that is hashed or dealt goes through a channel as bytes. For measuring only: it shows what an exchange costs.
   */
  readonly exchange?: ExchangeMode
  /** Worker threads. `0` runs everything in the calling thread. Default: the smaller of parallelism and CPUs. */
  readonly workers?: number
  /**
   * What holds for every record in state and output after a failure. Default: `exactly-once`.
   * `at-least-once` holds no input back while a checkpoint is taken, so records that come early may count twice.
   * `at-most-once` replays nothing: what was under way is lost.
   */
  readonly guarantee?: Guarantee
  readonly checkpoint?: CheckpointOptions
  /** The job's state is in a folder of this one, named after the job. Default: `.sluice`. */
  readonly stateDirectory?: string
  /** Savepoints are in folders of this one. Default: `<stateDirectory>/<job>-savepoints`. */
  readonly savepointDirectory?: string
  /** What keyed state may take in memory, over all subtasks, in bytes or as `'512mb'`. Default: no bound. */
  readonly stateMemory?: ByteSize
  /** A sink that cannot commit is tried again for so long before the attempt fails; `0` for not at all. Default: 10 m. */
  readonly commitTimeout?: Duration
  /** A task that stands still for so long in one call of a function fails. Default: 60 s. */
  readonly watchdog?: Duration | 'off'
  /** Default: exponential, from 1 s to 1 m, at most 10 attempts. */
  readonly restart?: RestartOptions
  /**
   * What becomes of a record that a source cannot read (a malformed line) or a function of the job cannot take (it throws). Default: `fail`, the job
   * does. `skip`: it is passed over and counted. `dead-letter`: it goes to `deadLetterSink` instead. What such a function had emitted or put into state
   * before it threw stays; functions that are called with no record (timers, results of windows) and sinks always fail the job.
   */
  readonly onBadRecord?: BadRecordPolicy
  /** Takes the bad records of the job, with what is wrong with each; only with `onBadRecord: 'dead-letter'`. */
  readonly deadLetterSink?: Sink<BadRecord>
}

/** What holds for every record after a failure. */
export type Guarantee = 'exactly-once' | 'at-least-once' | 'at-most-once'

/** How the barriers of a checkpoint pass through tasks; see `checkpoint.mode`. */
export type BarrierMode = 'aligned' | 'unaligned' | 'aligned-then-unaligned' | 'stop-the-world'

/** Where records are exchanged; see `exchange`. */
export type ExchangeMode = 'elided' | 'forced'

export interface CheckpointOptions {
  /** From one checkpoint to the next; output becomes visible once per checkpoint. Default: 10 s. */
  readonly every?: Duration | 'off'
  /**
   * Default: `aligned`. A task waits until the barrier has come from all its inputs; under backpressure that takes long.
   * `unaligned`: it does not wait, and the records on their way are stored with its state. Only exactly-once.
   * `aligned-then-unaligned`: it waits for `alignmentTimeout` and then does not. Only exactly-once.
   * `stop-the-world`: sources stop until the checkpoint is complete. For measuring only: it shows what the other modes save.
   */
  readonly mode?: BarrierMode
  /** From the trigger of a checkpoint until it is unaligned; only with `aligned-then-unaligned`. Default: 1 s. */
  readonly alignmentTimeout?: Duration
  /** Checkpoints that may be under way at a time, 1 to 16. More than one needs mode `aligned` and no `minPause`. Default: 1. */
  readonly maxConcurrent?: number
  /** A checkpoint that is not complete by then is aborted. Default: 10 m. */
  readonly timeout?: Duration
  /** From the completion of a checkpoint to the next. What a person or a savepoint asks for does not wait for it. Default: 0. */
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
  'exchange',
  'workers',
  'guarantee',
  'checkpoint',
  'stateDirectory',
  'savepointDirectory',
  'stateMemory',
  'commitTimeout',
  'watchdog',
  'restart',
  'onBadRecord',
  'deadLetterSink',
]
const RUN_OPTIONS = [...JOB_OPTIONS, 'module', 'fresh', 'overwrite', 'from', 'claim', 'allowDroppedState', 'quiet', 'json']
const CHECKPOINT_OPTIONS = [
  'every',
  'mode',
  'alignmentTimeout',
  'maxConcurrent',
  'timeout',
  'minPause',
  'tolerableFailures',
  'retain',
]

const GUARANTEES: readonly Guarantee[] = ['exactly-once', 'at-least-once', 'at-most-once']
const MODES: readonly BarrierMode[] = ['aligned', 'unaligned', 'aligned-then-unaligned', 'stop-the-world']
const EXCHANGES: readonly ExchangeMode[] = ['elided', 'forced']

/** Options of one run, on top of the job's. */
export interface RunOptions extends JobOptions {
  /** URL or path of the module that builds the job, when it is not the program's entry: `import.meta.url`. */
  readonly module?: string
  /** Forget the state and begin anew. */
  readonly fresh?: boolean
  /** A fresh start may remove output that another run has committed to its folders. */
  readonly overwrite?: boolean
  /** Begin with this savepoint or checkpoint: its folder, or the id of a checkpoint that was kept. */
  readonly from?: string
  /** What the job begins `from` belongs to it from now on, and is removed when it is no longer needed. Without it, it stays untouched. */
  readonly claim?: boolean
  /** State of operators or declarations that the job no longer has is dropped instead of refused. */
  readonly allowDroppedState?: boolean
  /** Say nothing about the progress. */
  readonly quiet?: boolean
  /** Progress as JSON lines on stderr. */
  readonly json?: boolean
}

export interface CheckpointSettings extends CoordinatorOptions {
  readonly retain: number
  readonly mode: BarrierMode
}

/** Options with every default filled in and every value checked. */
export interface JobSettings {
  readonly parallelism: number
  readonly maxParallelism: number
  readonly exchange: ExchangeMode
  readonly workers: number
  readonly guarantee: Guarantee
  readonly checkpoint: CheckpointSettings
  readonly stateDirectory: string
  /** `undefined` for the default, which the job's name is a part of. */
  readonly savepointDirectory: string | undefined
  /** `undefined` for no bound. */
  readonly stateMemoryBytes: number | undefined
  readonly commitTimeoutMs: number
  /** `Infinity` when it is off. */
  readonly watchdogMs: number
  readonly restart: RestartOptions
  readonly module: string | undefined
  readonly fresh: boolean
  readonly overwrite: boolean
  readonly from: string | undefined
  readonly claim: boolean
  readonly allowDroppedState: boolean
  readonly progress: 'quiet' | 'json' | 'human'
}

const CPUS = availableParallelism()

/** @throws SluiceError `INVALID_OPTION`, `INVALID_DURATION` */
export function resolveSettings(job: JobOptions, run: RunOptions, flags: RunOptions): JobSettings {
  onlyKnown(job, 'the job', JOB_OPTIONS)
  onlyKnown(run, 'run()', RUN_OPTIONS)
  const options = { ...job, ...run, ...flags }
  const checkpoint = { ...job.checkpoint, ...run.checkpoint, ...flags.checkpoint }
  const maxParallelism = whole(options.maxParallelism ?? 128, 'maxParallelism', 1, 32_768)
  const parallelism = whole(options.parallelism ?? Math.min(CPUS, maxParallelism), 'parallelism', 1, maxParallelism)
  const restart = options.restart ?? { strategy: 'exponential' }
  const guarantee = oneOf(options.guarantee ?? 'exactly-once', 'guarantee', GUARANTEES)
  restartStrategy(restart)
  return {
    parallelism,
    maxParallelism,
    exchange: oneOf(options.exchange ?? 'elided', 'exchange', EXCHANGES),
    workers: whole(options.workers ?? Math.min(parallelism, CPUS), 'workers', 0, 1024),
    guarantee,
    checkpoint: checkpointSettings(checkpoint, guarantee),
    stateDirectory: resolve(text(options.stateDirectory, 'stateDirectory') ?? '.sluice'),
    savepointDirectory: absolute(text(options.savepointDirectory, 'savepointDirectory')),
    stateMemoryBytes: options.stateMemory === undefined ? undefined : byteSize(options.stateMemory, 'stateMemory'),
    commitTimeoutMs: durationMs(options.commitTimeout ?? '10m', 'commitTimeout'),
    watchdogMs: lengthOrOff(options.watchdog ?? '60s', 'watchdog'),
    restart,
    module: options.module,
    fresh: options.fresh ?? false,
    overwrite: options.overwrite ?? false,
    ...origin(options),
    progress: options.quiet ? 'quiet' : options.json ? 'json' : 'human',
  }
}

/** How the graph treats bad records. @throws SluiceError `INVALID_OPTION` */
export function badRecordSettings({ onBadRecord = 'fail', deadLetterSink }: JobOptions): BadRecordSettings {
  oneOf(onBadRecord, 'onBadRecord', BAD_RECORD_POLICIES)
  if (onBadRecord !== 'dead-letter') {
    if (deadLetterSink === undefined) return { onBadRecord }
    throw new SluiceError('INVALID_OPTION', `deadLetterSink is for onBadRecord 'dead-letter', and it is '${onBadRecord}'`)
  }
  if (typeof deadLetterSink?.createWriter === 'function') return { onBadRecord, deadLetterSink }
  throw new SluiceError(
    'INVALID_OPTION',
    `onBadRecord 'dead-letter' needs a sink, and deadLetterSink is ${shown(deadLetterSink)}`,
    {
      hint: "give it one: deadLetterSink: writeJsonLines('out/bad-records')",
    },
  )
}

function checkpointSettings(options: CheckpointOptions, guarantee: Guarantee): CheckpointSettings {
  onlyKnown(options, 'checkpoint', CHECKPOINT_OPTIONS)
  const mode = oneOf(options.mode ?? 'aligned', 'checkpoint.mode', MODES)
  const settings: CheckpointSettings = {
    intervalMs: lengthOrOff(options.every ?? '10s', 'checkpoint.every'),
    timeoutMs: durationMs(options.timeout ?? '10m', 'checkpoint.timeout'),
    minPauseMs: durationMs(options.minPause ?? 0, 'checkpoint.minPause'),
    tolerableFailures: whole(options.tolerableFailures ?? 0, 'checkpoint.tolerableFailures', 0, Number.MAX_SAFE_INTEGER),
    maxConcurrent: whole(options.maxConcurrent ?? 1, 'checkpoint.maxConcurrent', 1, 16),
    alignmentTimeoutMs: alignmentTimeout(mode, options.alignmentTimeout),
    retain: whole(options.retain ?? 1, 'checkpoint.retain', 1, 1_000_000),
    mode,
  }
  refuseContradictions(settings, guarantee)
  return settings
}

function alignmentTimeout(mode: BarrierMode, timeout: Duration | undefined): number {
  if (mode === 'aligned-then-unaligned') return durationMs(timeout ?? '1s', 'checkpoint.alignmentTimeout')
  if (timeout === undefined) return Number.POSITIVE_INFINITY
  throw new SluiceError('INVALID_OPTION', `checkpoint.alignmentTimeout has no meaning in mode '${mode}'`, {
    hint: "it belongs to checkpoint.mode 'aligned-then-unaligned'",
  })
}

/** Options that are right by themselves and not together. */
function refuseContradictions({ mode, maxConcurrent, minPauseMs }: CheckpointSettings, guarantee: Guarantee): void {
  if (isUnaligned(mode) && guarantee !== 'exactly-once') {
    throw new SluiceError('INVALID_OPTION', `checkpoint.mode '${mode}' keeps exactly-once only, not '${guarantee}'`, {
      hint: "without exactly-once no task waits for barriers: use mode 'aligned'",
    })
  }
  if (mode !== 'aligned' && guarantee === 'at-most-once') {
    throw new SluiceError('INVALID_OPTION', `checkpoint.mode '${mode}' has no meaning with 'at-most-once'`, {
      hint: "use mode 'aligned'",
    })
  }
  if (maxConcurrent === 1) return
  if (mode !== 'aligned') {
    throw new SluiceError(
      'INVALID_OPTION',
      `checkpoint.maxConcurrent is ${maxConcurrent}, but mode '${mode}' takes one at a time`,
    )
  }
  if (minPauseMs > 0) {
    throw new SluiceError(
      'INVALID_OPTION',
      `checkpoint.maxConcurrent is ${maxConcurrent}, but a checkpoint.minPause between checkpoints allows one at a time`,
    )
  }
}

function isUnaligned(mode: BarrierMode): boolean {
  return mode === 'unaligned' || mode === 'aligned-then-unaligned'
}

/** What the run begins with, if not with the newest state of the job. */
function origin(options: RunOptions): Pick<JobSettings, 'from' | 'claim' | 'allowDroppedState'> {
  const from = text(options.from, 'from')
  const claim = options.claim ?? false
  if (claim && from === undefined) {
    throw new SluiceError('INVALID_OPTION', 'claim says what becomes of what the job begins from, and needs from', {
      hint: 'write --from <folder or checkpoint id> --claim',
    })
  }
  return { from, claim, allowDroppedState: options.allowDroppedState ?? false }
}

function lengthOrOff(length: Duration | 'off', what: string): number {
  if (length === 'off') return Number.POSITIVE_INFINITY
  const ms = durationMs(length, what)
  if (ms > 0) return ms
  throw new SluiceError('INVALID_DURATION', `${what} is zero`, { hint: "write a length of time, or 'off'" })
}

function text(value: string | undefined, what: string): string | undefined {
  if (value === undefined || (typeof value === 'string' && value !== '')) return value
  throw new SluiceError('INVALID_OPTION', `${what} must be a text that is not empty, not ${messageOf(value) || "''"}`)
}

function absolute(path: string | undefined): string | undefined {
  return path === undefined ? undefined : resolve(path)
}

function whole(value: number, what: string, minimum: number, maximum: number): number {
  if (Number.isInteger(value) && value >= minimum && value <= maximum) return value
  throw new SluiceError('INVALID_OPTION', `${what} must be a whole number from ${minimum} to ${maximum}, not ${messageOf(value)}`)
}

function oneOf<T extends string>(value: T, what: string, allowed: readonly T[]): T {
  if (allowed.includes(value)) return value
  throw new SluiceError(
    'INVALID_OPTION',
    `${what} is ${JSON.stringify(value)}; this version knows ${allowed.map((name) => `'${name}'`).join(', ')}`,
  )
}
