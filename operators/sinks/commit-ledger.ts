/** Says which output of which subtask a committable is. */
export interface SequencedCommittable {
  readonly subtask: number
  readonly checkpoint: number
}

/**
 * Remembers in memory what was committed, for targets that cannot be asked. Because the checkpoints of a subtask are committed oldest
 * first, one number per subtask is enough, however long the job runs.
 *
 * ```ts
 * for (const committable of ledger.open(committables)) {
 *   show(committable)
 *   ledger.close(committable)
 * }
 * ```
 */
export class CommitLedger {
  readonly #newest = new Map<number, number>()

  /** Those that are not committed yet, oldest checkpoint first. */
  open<C extends SequencedCommittable>(committables: readonly C[]): C[] {
    return committables
      .filter(({ subtask, checkpoint }) => checkpoint > (this.#newest.get(subtask) ?? Number.NEGATIVE_INFINITY))
      .sort((left, right) => left.checkpoint - right.checkpoint)
  }

  /** Notes that this one, and everything older of its subtask, is committed. */
  close({ subtask, checkpoint }: SequencedCommittable): void {
    this.#newest.set(subtask, checkpoint)
  }
}
