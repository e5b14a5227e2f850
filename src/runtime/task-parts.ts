import type { Clock } from '../core/time.ts'
import type { TaskPlan } from '../graph/execution-plan.ts'
import type { InputSide } from '../graph/stream-graph.ts'
import type { ChannelReader } from '../protocol/channel.ts'
import type { SubtaskCounters } from '../protocol/counters.ts'
import type { BatchWatermarks } from '../protocol/element.ts'
import type { ChainedInFlight, CheckpointMode, InFlight } from '../protocol/messages.ts'
import type { Signals } from '../protocol/signals.ts'
import type { OperatorChain } from './operator-chain.ts'
import type { Backpressure, OutputChannel } from './output.ts'
import type { SnapshotReceiver } from './snapshot-writer.ts'
import type { SourceReading } from './split-reading.ts'

/** What a task is made of. */
export interface TaskParts {
  readonly plan: TaskPlan
  readonly subtask: number
  readonly chain: OperatorChain
  readonly inputs: readonly TaskInput[]
  readonly outputs: readonly OutputChannel[]
  readonly backpressure: Backpressure
  /** Present in tasks that begin with a source. */
  readonly reading: SourceReading | undefined
  /** Records read so far, of a source. */
  readonly recordsRead: number
  readonly clock: Clock
  readonly counters: SubtaskCounters
  readonly lastCheckpoint: number
  /** The merged watermark that the restored checkpoint stored. */
  readonly watermark: number
  readonly mode: CheckpointMode
  readonly signals: Signals
  readonly maxParallelism: number
  /** What was on its way when the restored snapshot was taken. */
  readonly inFlight: readonly InFlight[]
  /** The same, to operators that were tasks of their own. */
  readonly chainedInFlight: readonly ChainedInFlight[]
  /** What was on its way to any task comes before all that is new to any. */
  readonly replaysFirst?: boolean
  readonly reports: TaskReports
}

/** What a task tells the thread that runs it. */
export interface TaskReports extends SnapshotReceiver {
  /** How far it has come with a checkpoint. */
  progress(checkpoint: number, phase: 'alignment' | 'snapshot'): void
  /** It has seen all of its input and sent all of its results. */
  ended(): void
}

/** One channel into a task. */
export interface TaskInput {
  readonly channel: string
  readonly reader: ChannelReader
  readonly watermark: number
  readonly side: InputSide
  /** Takes no part in the task's watermark. */
  readonly timeless: boolean
  /** How the key of its records is found; absent where there is none. */
  readonly keyOf?: ((value: unknown) => unknown) | undefined
}

/** A batch on its way through the chain; what a source has read has neither timestamps nor watermarks. */
export interface TaskBatch {
  readonly values: readonly unknown[]
  readonly timestamps: readonly number[] | undefined
  readonly watermarks?: BatchWatermarks | undefined
}
