import type { Sink } from '../../src/core/sink.ts'
import { CommitLedger, type SequencedCommittable } from './commit-ledger.ts'

/** The records of one interval of one subtask. */
export interface CollectedValues<T = unknown> extends SequencedCommittable {
  readonly values: readonly T[]
}

/**
 * Appends the records to an array of the program that runs the job, checkpoint by checkpoint. For tests and small results.
 *
 * ```ts
 * const totals: Total[] = []
 * await job('totals').from(readJsonLines<Sale>('sales.jsonl')).map(toTotal).to(collect(totals)).run()
 * console.log(totals.length)
 * ```
 *
 * The records are stored in the checkpoint until they are in the array. The array lives in one process: a job that is started again in
 * another process begins with an empty one, and what was in the old one does not come back.
 */
export function collect<T>(array: T[]): Sink<T, CollectedValues<T>> {
  // The ledger lives as long as the array, not as long as one committer: both outlive a restart within the process.
  const ledgers = new Map<string, CommitLedger>()
  return {
    kind: 'collect',
    createWriter: ({ subtask }) => createCollectWriter<T>(subtask),
    createCommitter: ({ run }) => {
      const ledger = ledgers.get(run) ?? new CommitLedger()
      ledgers.set(run, ledger)
      return { open() {}, commit: (committables) => append(array, committables, ledger) }
    },
  }
}

function createCollectWriter<T>(subtask: number) {
  let values: T[] = []
  return {
    write(value: T) {
      values.push(value)
    },
    prepareCommit(checkpoint: number): readonly CollectedValues<T>[] {
      if (values.length === 0) return []
      const collected = { subtask, checkpoint, values }
      values = []
      return [collected]
    },
    close() {
      values = []
    },
  }
}

function append<T>(array: T[], committables: readonly CollectedValues<T>[], ledger: CommitLedger): void {
  for (const committable of ledger.open(committables)) {
    // One by one: an interval may hold more records than a call can have arguments.
    for (const value of committable.values) array.push(value)
    ledger.close(committable)
  }
}
