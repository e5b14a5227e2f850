import type { CurrentKey } from './current-key.ts'
import { LIVE, LOADED } from './epochs.ts'
import { KeyEntries } from './key-entries.ts'

/** The entries of one key group of a table, and those that have changed since the last barrier. */
export class TableGroup<V> extends KeyEntries<V> {
  readonly ofGroup: number
  dirty: number[] = []
  /** The snapshot that is being written takes the group as an image, and has not done so yet: until then no entry may come or change. */
  awaitsImage = false
  /** The base or a snapshot under way may hold an image of the group. */
  isImaged = false
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

  /** Everything counts as changed in this epoch, which is over, so all of it is in the list. */
  dirtyAll(epoch: number): void {
    this.dirty = []
    for (let number = 0; number < this.end; number++) {
      if ((this.flags(number) & LIVE) !== 0) this.setEpoch(number, epoch)
      else if (this.epoch(number) !== epoch) continue
      this.dirty.push(number)
    }
  }

  /** Gives the list away. */
  take(): number[] {
    const { dirty } = this
    this.dirty = []
    return dirty
  }
}

const COMPACT_AT = 1024
