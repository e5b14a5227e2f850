import type { SubtaskTiming } from '../protocol/messages.ts'
import type { CheckpointFailure } from './checkpoint-coordinator.ts'

/** How a checkpoint went: kept in the store, also of those that failed. */
export interface CheckpointRecord {
  readonly checkpoint: number
  readonly status: 'completed' | 'failed'
  /** Milliseconds since 1970. */
  readonly triggeredAtMs: number
  readonly durationMs: number
  /** Of changed state, over all subtasks. */
  readonly bytes: number
  readonly attempt: number
  /** Ended by a savepoint, a stop, the end of the input; absent for periodic ones. */
  readonly purpose?: 'savepoint' | 'requested' | 'final'
  readonly failure?: CheckpointFailure
  /** By the name of the subtask, of those that acknowledged. */
  readonly subtasks: Readonly<Record<string, SubtaskTiming>>
}

/** How many records are kept. */
export const HISTORY_RECORDS = 100
