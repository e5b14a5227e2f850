import type { WireError } from '../core/errors.ts'

/**
 * What a running job can be asked from outside, over its control socket. Everything that goes in and comes out is JSON; what is thrown
 * reaches the one who asked as the `SluiceError` it is.
 */
export interface JobControl {
  /** How the job is, now. Must return at once: it is asked in the main thread, between two messages of the workers. */
  status(): JobStatus
  /** Takes a checkpoint now, whatever the interval says. Settles when it is complete, and rejects when it was given up. */
  checkpoint(): Promise<{ readonly checkpoint: number }>
  /** Takes a checkpoint and writes it to a folder of its own, which the engine never removes. Settles when the folder is complete and synced. */
  savepoint(options: SavepointOptions): Promise<SavepointResult>
  /** Ends the job behind one more checkpoint. Settles when that is complete and committed. */
  stop(options: StopOptions): Promise<StopResult>
}

export interface SavepointOptions {
  /** An absolute path under which the savepoint gets a folder of its own. Default: the job decides. */
  readonly directory?: string
}

export interface SavepointResult {
  /** The savepoint's folder, absolute. */
  readonly path: string
  /** The checkpoint it is a copy of. */
  readonly checkpoint: number
}

export interface StopOptions extends SavepointOptions {
  /** Whether the last checkpoint is written as a savepoint too. */
  readonly savepoint: boolean
  /** Let time run to its end before that: all windows and timers fire, as at the end of the input. Such a job is not meant to be resumed. */
  readonly drain: boolean
}

export interface StopResult {
  /** How the run ended, as `JobResult.status` says it. */
  readonly status: string
  /** The last checkpoint; absent when there was nothing to take one of. */
  readonly checkpoint?: number
  /** The savepoint's folder, when one was asked for. */
  readonly savepoint?: string
}

export interface JobStatus {
  readonly job: string
  readonly pid: number
  /** Names the run: a fresh start takes a new one. */
  readonly run: string
  /** Number of this start; rises for ever. */
  readonly attempt: number
  readonly state: 'starting' | 'running' | 'restarting' | 'stopping'
  /** When this process began to run the job, in milliseconds since 1970. */
  readonly startedAtMs: number
  /** Restarts after failures, in this process. */
  readonly restarts: number
  readonly parallelism: number
  /** Worker threads; 0 when everything runs in the main thread. */
  readonly workers: number
  /** The newest complete checkpoint. */
  readonly lastCheckpoint: CompletedCheckpoint | null
  /** The checkpoint that is being taken. */
  readonly inFlightCheckpoint: InFlightCheckpoint | null
  readonly tasks: readonly TaskStatus[]
  /** Why the job was restarted last. */
  readonly lastFailure: WireError | null
}

export interface CompletedCheckpoint {
  readonly id: number
  readonly completedAtMs: number
  readonly durationMs: number
  /** What it added to the store. */
  readonly bytes: number
}

export interface InFlightCheckpoint {
  readonly id: number
  /** The subtasks that have not acknowledged it yet, as `task/subtask`. */
  readonly missing: readonly string[]
}

/** All subtasks of a task together. */
export interface TaskStatus {
  readonly id: string
  /** Ids in the order of the records. */
  readonly operators: readonly string[]
  readonly recordsIn: number
  readonly recordsOut: number
  readonly busyPercent: number
  /** Milliseconds since 1970, `null` before the first one, `'end'` after the last: JSON has no infinity. */
  readonly watermark: number | 'end' | null
  /** Records that came too late. */
  readonly late: number
  /** Bad records that were passed over. */
  readonly bad: number
}
