import type { CurrentKey } from './current-key.ts'
import { ENTRY_WORDS, EPOCH, META, VALUE } from './entry-words.ts'
import { DIRTY_SHARE, LIVE, LOADED, PERSISTED, SCANNED_FROM } from './epochs.ts'
import type { ImageKeys } from './group-image.ts'
import { imageInPlace } from './group-image.ts'
import { KeyEntries } from './key-entries.ts'

/** The entries of one key group of a table, and those that have changed since the last barrier. */
export class TableGroup<V> extends KeyEntries<V> {
  readonly ofGroup: number
  /** Entries that have changed since the last barrier, unless they are so many that they are looked for when they are needed. */
  #dirty: number[] = []
  #isMostlyDirty = false
  /** What those entries were at the barrier that have changed since; as long as the snapshot awaits an image of the group. */
  #before: Before | undefined
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
    if (this.epoch(number) !== epoch) {
      if (dirty) this.note(number)
      this.#before?.note(number, 0, 0)
    }
    this.setEpoch(number, epoch)
    return number
  }

  /** The snapshot will take the group as it is now, and say of each entry how it is. */
  awaitImage(): void {
    this.#before = new Before(this)
    this.forget()
  }

  get awaitsImage(): boolean {
    return this.#before !== undefined
  }

  /** An entry changes for the first time since the barrier. */
  remember(number: number): void {
    this.#before!.note(number, this.flags(number), this.doubles[(ENTRY_WORDS / 2) * number + VALUE]!)
    if ((this.flags(number) & LIVE) !== 0) this.mark(number, PERSISTED)
  }

  /** The image that was awaited, to be copied before anyone makes another. */
  image(): Uint8Array {
    const before = this.#before!
    before.exchange(this)
    const image = imageInPlace(this, before)
    before.exchange(this)
    this.#before = undefined
    this.isImaged = true
    return image
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
    // While an image is awaited, an epoch says that there is a note of the entry.
    if (this.#dirty.length < this.#compactAt || this.awaitsImage) return
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

  /** What changed in this epoch is in a snapshot. Returns the deleted entries among it. */
  settle(epoch: number): readonly number[] {
    const { words } = this
    const gone: number[] = []
    for (let number = 0, at = 0; number < this.end; number++, at += ENTRY_WORDS) {
      if (words[at + EPOCH] !== epoch) continue
      const meta = words[at + META]!
      words[at + EPOCH] = epoch + 1
      if ((meta & LIVE) !== 0) words[at + META] = meta | PERSISTED
      else if ((meta & PERSISTED) !== 0) gone.push(number)
    }
    return gone
  }

  /** What has changed in the epoch that is over is in the image. */
  forget(): void {
    this.#dirty = []
    this.#isMostlyDirty = false
  }
}

const COMPACT_AT = 1024

/** What entries of a group were at a barrier, each of them once. An entry that has come since had no flags. */
class Before implements ImageKeys {
  readonly keyForms: number
  readonly longestText: number
  readonly #numbers: number[] = []
  readonly #flags: number[] = []
  readonly #values: number[] = []

  constructor({ keyForms, longestText }: ImageKeys) {
    this.keyForms = keyForms
    this.longestText = longestText
  }

  note(number: number, flags: number, value: number): void {
    this.#numbers.push(number)
    this.#flags.push(flags)
    this.#values.push(value)
  }

  /** Entries become what they were, and the next time what they are. */
  exchange(group: TableGroup<unknown>): void {
    const [numbers, allFlags, values, { doubles }] = [this.#numbers, this.#flags, this.#values, group]
    for (let index = 0; index < numbers.length; index++) {
      const number = numbers[index]!
      const place = (ENTRY_WORDS / 2) * number + VALUE
      const [flags, value] = [group.flags(number), doubles[place]!]
      group.setFlags(number, allFlags[index]!)
      doubles[place] = values[index]!
      allFlags[index] = flags
      values[index] = value
    }
  }
}
