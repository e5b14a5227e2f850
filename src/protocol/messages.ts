import type { MessagePort } from 'node:worker_threads'
import type { WireError } from '../core/errors.ts'
import type { WatermarkFloor } from '../core/keyed-state.ts'
import type { ExecutionPlan } from '../graph/execution-plan.ts'
import type { DeltaChunk, StateKind } from '../state/delta-chunk.ts'
import type { BatchWatermarks } from './element.ts'

/*
 * Everything that the main thread and a worker say to each other. Records never travel here: they have channels of their own.
 * Every message of a running attempt carries the attempt's number, and whoever gets one of an older attempt drops it.
 */

/** The numbers of states in the base: the place in the list. */
export type StoredStates = readonly ({ readonly operator: string; readonly kind: StateKind; readonly name: string } | undefined)[]

/** How a barrier passes through a task. */
export interface CheckpointMode {
  /** `false`: a task does not hold channels that have delivered their barrier (`at-least-once`). */
  readonly holdsChannels: boolean
  /** Sources hand nothing on before it is noted that it was read (`at-most-once`). */
  readonly readsOnce: boolean
  /** Tasks stand still until the checkpoint is complete. */
  readonly stopsTheWorld: boolean
}

/** What a subtask did for a checkpoint. */
export interface SubtaskTiming {
  /** From the first barrier to the last. */
  readonly alignmentMs: number
  /** How long the subtask handled no records: the cut itself. */
  readonly pauseMs: number
  /** From the cut until everything was written and staged. */
  readonly writingMs: number
  /** Of changed state. */
  readonly bytes: number
  /** Records on their way that the snapshot holds. */
  readonly inFlightRecords: number
  /** Of the part of the thread's heap that is not young: what the last full collections left in use, and what it may have. */
  readonly heapBytes: number
  readonly heapLimitBytes: number
}

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
  /** `final`: sources read nothing behind the barrier, unless the checkpoint is given up. */
  | { readonly type: 'trigger-checkpoint'; readonly attempt: number; readonly checkpoint: number; readonly final: boolean }
  | { readonly type: 'abort-checkpoint'; readonly attempt: number; readonly checkpoint: number }
  /** The base holds everything up to this checkpoint, under these numbers. */
  | { readonly type: 'folded'; readonly attempt: number; readonly checkpoint: number; readonly registry: StoredStates }
  /** Memory of chunks that the worker sent and that are on the disk. */
  | { readonly type: 'chunk-memory'; readonly attempt: number; readonly pieces: readonly ArrayBuffer[] }
  /** The checkpoint is complete, or given up: for tasks that stand still meanwhile (`stop-the-world`). */
  | { readonly type: 'go-on'; readonly attempt: number; readonly checkpoint: number }
  /** It is on the disk how far a source has read. */
  | { readonly type: 'read-noted'; readonly attempt: number; readonly subtask: string; readonly sequence: number }
  /** A region of the job has failed somewhere: close its tasks, and say so. What they are at counts for nothing. */
  | { readonly type: 'close-region'; readonly attempt: number; readonly region: number; readonly round: number }
  /** Build the region's tasks again, with a share of the last checkpoint, and say so. */
  | {
      readonly type: 'deploy-region'
      readonly attempt: number
      readonly region: number
      readonly round: number
      /** Under this number its sinks stage. */
      readonly stagingAttempt: number
      readonly deployment: Deployment
    }
  /** All workers have built the region: its tasks run. */
  | { readonly type: 'start-region'; readonly attempt: number; readonly region: number; readonly round: number }
  /** Sources read no more; everything behind them comes to its end. */
  | { readonly type: 'drain'; readonly attempt: number }
  /** Drop everything and return. */
  | { readonly type: 'stop' }

export type FromWorker =
  | { readonly type: 'graph-built'; readonly worker: number; readonly description: string }
  | { readonly type: 'deployed'; readonly worker: number; readonly attempt: number }
  /** Changed state of a snapshot that is being written. */
  | {
      readonly type: 'deltas'
      readonly worker: number
      readonly attempt: number
      readonly checkpoint: number
      readonly operator: string
      readonly chunks: readonly DeltaChunk[]
    }
  /** Everything of the snapshot has been sent and staged. */
  | {
      readonly type: 'acknowledge'
      readonly attempt: number
      readonly checkpoint: number
      readonly snapshot: SubtaskSnapshot
      readonly timing: SubtaskTiming
    }
  /** How far a source has read: to be noted before it hands anything of it on. */
  | {
      readonly type: 'read'
      readonly attempt: number
      readonly subtask: string
      readonly sequence: number
      readonly splits: readonly SplitState[]
    }
  /** How far a subtask has come with a checkpoint, so that it can be said who is late and why. */
  | {
      readonly type: 'progress'
      readonly attempt: number
      readonly checkpoint: number
      readonly subtask: string
      readonly phase: 'alignment' | 'snapshot'
    }
  /** A record was passed over, the first one of its operator and subtask in this attempt. */
  | { readonly type: 'bad-record'; readonly attempt: number; readonly error: WireError }
  /** The state in memory is above its limit and cannot be evicted before the base holds more of it; `severe`: far above. */
  | { readonly type: 'memory-pressure'; readonly attempt: number; readonly severe: boolean }
  /** The subtask has seen all of its input and sent all of its results. */
  | { readonly type: 'ended'; readonly attempt: number; readonly subtask: string }
  /** Nothing of the region runs in this worker any more, and nothing of that round will be told. */
  | RegionReport<'region-closed'>
  | RegionReport<'region-deployed'>
  /** `region`: what has failed is this part of the job, and the others run on; without it everything in the worker has stopped. */
  | {
      readonly type: 'failed'
      readonly attempt: number
      readonly worker: number
      readonly region?: number
      readonly error: WireError
    }

interface RegionReport<Type extends string> {
  readonly type: Type
  readonly attempt: number
  readonly worker: number
  readonly region: number
  readonly round: number
}

/** What a worker needs to build its subtasks. */
export interface Deployment {
  readonly plan: ExecutionPlan
  readonly worker: number
  /** The tasks to build; all of the plan when absent. */
  readonly tasks?: ReadonlySet<string>
  /** True: what fails in one region does not stop the others. */
  readonly isolatesRegions?: boolean
  /** Names the run; sinks use it. */
  readonly run: string
  /** The newest checkpoint id in use; barriers at or below it are of the past. */
  readonly lastCheckpoint: number
  /** The checkpoint that the subtasks begin with. */
  readonly restored: number
  /** Where the base of keyed state lies, and the numbers of its states; absent where the thread has it at hand. */
  readonly stateFile?: string
  readonly registry: StoredStates
  /** What keyed state may take in the memory of this worker, about; `Infinity` for no limit. */
  readonly stateMemoryBytes: number
  /** Cells that the main thread and all workers see: see `protocol/signals.ts`. */
  readonly signals: SharedArrayBuffer
  readonly mode: CheckpointMode
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
  /** What was on its way in the input channels and had not been handled when an unaligned snapshot was taken. */
  readonly inFlight?: readonly InFlight[]
}

/** What one channel had delivered, or was about to, and the task had not handled: in order. */
export interface InFlight {
  readonly channel: string
  readonly batches: readonly InFlightBatch[]
}

/** What was on its way to an operator that is part of a chain now: it comes before everything that the chain hands to it. */
export interface ChainedInFlight {
  readonly operator: string
  readonly batches: readonly InFlightBatch[]
}

/** Records on their way, and the watermarks between them. Each has its key group with it, so that it finds its way to another subtask. */
export interface InFlightBatch {
  /** The encoded list of the values. */
  readonly values: Uint8Array<ArrayBuffer>
  readonly timestamps: readonly number[]
  /** Of the records' keys; absent in channels without a key. */
  readonly groups?: readonly number[]
  readonly watermarks?: BatchWatermarks
}

export interface OperatorSnapshot {
  readonly operator: string
  readonly watermark: number
  /** Key groups that are still ahead of the watermark, since a change of parallelism. */
  readonly watermarkFloors?: readonly WatermarkFloor[]
  /** Records that the operator took in, over the whole run; of sources, records that it read. */
  readonly records: number
  /** Records that it passed over, over the whole run; absent for none. */
  readonly badRecords?: number
  /** What `Operator.snapshot` returned. */
  readonly state?: Uint8Array<ArrayBuffer>
  /** True when there may be keyed state, in memory or in the base. */
  readonly holdsKeys?: boolean
  /** True when results are under way: something comes out even when nothing comes in any more. */
  readonly pending?: boolean
  /** The splits of a source, in order. */
  readonly splits?: readonly SplitState[]
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
  /** What comes before everything that the channels bring. */
  readonly inFlight?: readonly InFlight[]
  /** What comes before that, in this order. */
  readonly chainedInFlight?: readonly ChainedInFlight[]
  /** Nothing new is handled before everything that was on its way to any subtask, and what became of it, has come through. */
  readonly replaysFirst?: boolean
}

export interface OperatorRestore {
  readonly watermark: number
  /** True when the number of subtasks has changed: `states` are then those of all former ones. */
  readonly rescaled: boolean
  /** Key groups that had seen a later watermark than the one given above. */
  readonly watermarkFloors: readonly WatermarkFloor[]
  readonly records: number
  /** Absent for none. */
  readonly badRecords?: number
  readonly states: readonly Uint8Array<ArrayBuffer>[]
  readonly splits: readonly SplitState[]
  /** Changes that the base does not hold yet, in the order in which they apply. */
  readonly deltas: readonly Uint8Array<ArrayBuffer>[]
}
