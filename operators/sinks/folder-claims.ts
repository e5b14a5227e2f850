import { SluiceError } from '../../src/core/errors.ts'

/**
 * Keeps two sinks of one process out of the same folder: each would take the other's staged files for leftovers and remove them.
 *
 * Invariants:
 * 1. A folder, by its real path, has at most one holder at a time.
 * 2. Only a committer of the same operator of the same run may take a folder over; it is the same sink after a restart.
 * 3. A committer that lost its folder in this way cannot release it for its successor.
 *
 * ```ts
 * claims.claim('/data/out', { owner: 'my-job run operator', committer: this })
 * claims.release('/data/out', this)
 * ```
 */
export class FolderClaims {
  readonly #holders = new Map<string, FolderHolder>()

  claim(realPath: string, holder: FolderHolder): void {
    const present = this.#holders.get(realPath)
    if (present !== undefined && present.owner !== holder.owner) {
      throw new SluiceError('OUTPUT_SHARED', `Two sinks of this process write to the folder ${realPath}.`, {
        hint: 'Give each sink a folder of its own.',
      })
    }
    this.#holders.set(realPath, holder)
  }

  /** Gives the folder back, if this committer still holds it. */
  release(realPath: string, committer: object): void {
    if (this.#holders.get(realPath)?.committer === committer) this.#holders.delete(realPath)
  }
}

/** Who writes to a folder. */
export interface FolderHolder {
  /** Names job, run and operator. */
  readonly owner: string
  readonly committer: object
}
