import type { MessagePort } from 'node:worker_threads'
import type { WireError } from '../core/errors.ts'
import type { WatermarkFloor } from '../core/keyed-state.ts'
import type { ExecutionPlan } from '../graph/execution-plan.ts'
import type { SnapshotChunk } from '../state/snapshot-chunk.ts'

/*
 * Everything that the main thread and a worker say to each other. Records never travel here: they have channels of their own.
 * Every message of a running attempt carries the attempt's number, and whoever gets one of an older attempt drops it.
 */

/** How an earlier job of the program ended. */
export type EarlierOutcome = { readonly result: unknown } | { readonly error: WireError }

/** The task that a pool thread is given once: which job to build, and the port for everything after that. */
export interface WorkerAssignment {
  readonly module: string
  readonly job: string
  readonly worker: number
  readonly argv: readonly string[]
  /** How jobs ended that this program ran before in the same module. */
  readonly earlierOutcomes: Readonly<Record<string, EarlierOutcome>>
  readonly port: MessagePort
}

export type ToWorker =
  | { readonly type: 'deploy'; readonly attempt: number; readonly deployment: Deployment }
  | { readonly type: 'start'; readonly attempt: number }
  | { readonly type: 'trigger-checkpoint'; readonly attempt: number; readonly checkpoint: number }
  | { readonly type: 'abort-checkpoint'; readonly attempt: number; readonly checkpoint: number }
  /** Drop everything and return. */
  | { readonly type: 'stop' }

export type FromWorker =
  | { readonly type: 'graph-built'; readonly worker: number; readonly description: string }
  | { readonly type: 'deployed'; readonly worker: number; readonly attempt: number }
  | { readonly type: 'acknowledge'; readonly attempt: number; readonly checkpoint: number; readonly snapshot: SubtaskSnapshot }
  /** The subtask has seen all of its input and sent all of its results. */
  | { readonly type: 'ended'; readonly attempt: number; readonly subtask: string }
  | { readonly type: 'failed'; readonly attempt: number; readonly worker: number; readonly error: WireError }

/** What a worker needs to build its subtasks. */
export interface Deployment {
  readonly plan: ExecutionPlan
  readonly worker: number
  /** Names the run; sinks use it. */
  readonly run: string
  /** The newest checkpoint id in use; barriers at or below it are of the past. */
  readonly lastCheckpoint: number
  /** Memory of the channels that connect two workers, by channel id. */
  readonly rings: Readonly<Record<string, SharedArrayBuffer>>
  readonly doorbells: SharedArrayBuffer
  readonly counters: SharedArrayBuffer
  /** By the name of the subtask. */
  readonly restores: Readonly<Record<string, SubtaskRestore>>
}

/** One subtask's share of a checkpoint. Values of users and operators are encoded, so that the store need not know them. */
export interface SubtaskSnapshot {
  readonly task: string
  readonly subtask: number
  readonly parallelism: number
  /** Watermark of each input channel, by channel id. */
  readonly channelWatermarks: Readonly<Record<string, number>>
  readonly operators: readonly OperatorSnapshot[]
}

export interface OperatorSnapshot {
  readonly operator: string
  readonly watermark: number
  /** Key groups that are still ahead of the watermark, since a change of parallelism. */
  readonly watermarkFloors?: readonly WatermarkFloor[]
  /** Records that the operator took in, over the whole run; of sources, records that it read. */
  readonly records: number
  /** What `Operator.snapshot` returned. */
  readonly state?: Uint8Array<ArrayBuffer>
  /** The splits of a source, in order. */
  readonly splits?: readonly SplitState[]
  readonly chunks: readonly SnapshotChunk[]
  /** What the sink has staged for this checkpoint. */
  readonly committables?: readonly Uint8Array<ArrayBuffer>[]
}

/** How far a split has been read. */
export interface SplitState {
  /** Place of the split in the source's enumeration. */
  readonly index: number
  readonly split: Uint8Array<ArrayBuffer>
  /** Absent before the first record. */
  readonly position?: Uint8Array<ArrayBuffer>
  /** True when it was being read, with or without records so far. */
  readonly reading?: boolean
  readonly done: boolean
}

/** What a subtask begins with. */
export interface SubtaskRestore {
  /** By channel id; a channel that is missing begins without a watermark. */
  readonly channelWatermarks: Readonly<Record<string, number>>
  readonly operators: Readonly<Record<string, OperatorRestore>>
}

export interface OperatorRestore {
  readonly watermark: number
  /** True when the number of subtasks has changed: `states` are then those of all former ones. */
  readonly rescaled: boolean
  /** Key groups that had seen a later watermark than the one given above. */
  readonly watermarkFloors: readonly WatermarkFloor[]
  readonly records: number
  readonly states: readonly Uint8Array<ArrayBuffer>[]
  readonly splits: readonly SplitState[]
  readonly chunks: readonly Uint8Array<ArrayBuffer>[]
}
