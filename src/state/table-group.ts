import type { CurrentKey } from './current-key.ts'
import { DIRTY_SHARE, LIVE, LOADED, SCANNED_FROM } from './epochs.ts'
import { KeyEntries } from './key-entries.ts'

/** The entries of one key group of a table, and those that have changed since the last barrier. */
export class TableGroup<V> extends KeyEntries<V> {
  readonly ofGroup: number
  /** Entries that have changed since the last barrier, unless they are so many that they are looked for when they are needed. */
  #dirty: number[] = []
  #isMostlyDirty = false
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
    if (dirty && this.epoch(number) !== epoch) this.note(number)
    this.setEpoch(number, epoch)
    return number
  }

  /** An entry has changed for the first time in the current epoch, which it bears from now on. */
  note(number: number): void {
    if (this.#isMostlyDirty) return
    const { length } = this.#dirty
    if (length < SCANNED_FROM || DIRTY_SHARE * length < this.size) this.#dirty.push(number)
    else {
      this.#isMostlyDirty = true
      this.#dirty = []
    }
  }

  /** Whether one in `DIRTY_SHARE` entries has changed. */
  get isMuchChanged(): boolean {
    return this.#isMostlyDirty || DIRTY_SHARE * this.#dirty.length >= this.size
  }

  /**
   * Leaves out what needs no writing any more. To be called where entries come and go within one epoch: without checkpoints an epoch lasts as
   * long as the job.
   */
  compact(): void {
    if (this.#dirty.length < this.#compactAt) return
    const kept: number[] = []
    for (const number of this.#dirty) {
      if (this.flags(number) !== 0) kept.push(number)
      else this.setEpoch(number, LOADED)
    }
    this.#dirty = kept
    this.#compactAt = Math.max(COMPACT_AT, 2 * kept.length)
  }

  /** Everything counts as changed in this epoch, which is over, so all of it is in the list. */
  dirtyAll(epoch: number): void {
    for (let number = 0; number < this.end; number++) if ((this.flags(number) & LIVE) !== 0) this.setEpoch(number, epoch)
    this.#isMostlyDirty = true
  }

  /** Gives the list of an epoch that is over away. */
  take(epoch: number): number[] {
    const dirty = this.#isMostlyDirty ? this.#scan(epoch) : this.#dirty
    this.forget()
    return dirty
  }

  #scan(epoch: number): number[] {
    const dirty: number[] = []
    for (let number = 0; number < this.end; number++) {
      if (this.epoch(number) === epoch && this.flags(number) !== 0) dirty.push(number)
    }
    return dirty
  }

  /** What has changed in the epoch that is over is in the image. */
  forget(): void {
    this.#dirty = []
    this.#isMostlyDirty = false
  }
}

const COMPACT_AT = 1024
