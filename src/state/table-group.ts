import type { CurrentKey } from './current-key.ts'
import { LOADED } from './epochs.ts'
import { KeyEntries } from './key-entries.ts'

/** The entries of one key group of a table, and those that have changed since the last barrier. */
export class TableGroup<V> extends KeyEntries<V> {
  readonly ofGroup: number
  dirty: number[] = []
  /** Entries beyond which it is worth looking for those that are over. */
  #compactAt = COMPACT_AT

  constructor(group: number) {
    super()
    this.ofGroup = group
  }

  /** @param dirty the epoch is the current one, so the entry is in the list: the last owner of its number may have left it there */
  insert(key: CurrentKey, epoch: number, flags: number, dirty: boolean): number {
    const number = this.add(key, flags)
    if (dirty && this.epoch(number) !== epoch) this.dirty.push(number)
    this.setEpoch(number, epoch)
    return number
  }

  /**
   * Leaves out what needs no writing any more. To be called where entries come and go within one epoch: without checkpoints an epoch lasts as
   * long as the job.
   */
  compact(): void {
    if (this.dirty.length < this.#compactAt) return
    const kept: number[] = []
    for (const number of this.dirty) {
      if (this.flags(number) !== 0) kept.push(number)
      else this.setEpoch(number, LOADED)
    }
    this.dirty = kept
    this.#compactAt = Math.max(COMPACT_AT, 2 * kept.length)
  }

  /** Gives the list away. */
  take(): number[] {
    const { dirty } = this
    this.dirty = []
    return dirty
  }
}

const COMPACT_AT = 1024
