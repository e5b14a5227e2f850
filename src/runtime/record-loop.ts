import type { Receiver, RecordCell } from '../core/operator.ts'
import { NO_TIMESTAMP } from '../core/time.ts'
import type { Signals } from '../protocol/signals.ts'
import type { Backpressure } from './output.ts'

/**
 * Runs the records of a batch from place `from` up to `until` down a chain, at least one, and returns the place behind the last one. It stops early,
 * after any record, when the task has to look: an output is full, something is due, or the cell for urgent snapshots does not say `urgent` any more.
 */
export type RecordLoop = (
  values: readonly unknown[],
  timestamps: readonly number[] | undefined,
  from: number,
  until: number,
  urgent: number,
) => number

/** What a loop looks at beside the records. */
export interface LoopSurroundings {
  readonly cell: RecordCell
  readonly backpressure: Backpressure
  readonly signals: Signals
}

/** The loop over any receiver. Its calls are those of all chains of the thread, so none of them can become part of it. */
export function plainLoop(receiver: Receiver, { cell, backpressure, signals }: LoopSurroundings): RecordLoop {
  return (values, timestamps, from, until, urgent) => {
    let index = from
    do {
      cell.timestamp = timestamps === undefined ? NO_TIMESTAMP : timestamps[index]!
      receiver.onRecord(values[index])
      index++
      signals.beat()
    } while (index < until && !backpressure.full && !backpressure.behind && signals.urgent === urgent)
    return index
  }
}
