import type { StoredForm, TableForm } from '../core/keyed-state.ts'
import type { StateIdentity } from './delta-chunk.ts'
import type { DeltaWriter } from './delta-writer.ts'
import type { Epochs } from './epochs.ts'
import { ENCODED, IMAGE_ROWS_MAX, IMAGE_ROWS_MIN, LIVE, PERSISTED } from './epochs.ts'
import { FrozenNumbers } from './frozen-numbers.ts'
import { canBeImage } from './group-image.ts'
import { keyBytesInPlace } from './key-bytes.ts'
import { DEFAULT_FORM, isDefaultForm, valueInPlace } from './row-value.ts'
import type { TableGroup } from './table-group.ts'

/** An entry that was deleted, in its place. */
interface Tombstone<V> {
  readonly group: TableGroup<V>
  readonly number: number
}

/**
 * How a table goes into snapshots: of each key group what has changed, as rows, or all of it as one image. What always holds:
 *
 * 1. A group that is whole in memory and of which much has changed goes into a snapshot as an image (`group-image.ts`), as it was at the barrier. No row
 *    of it is in that snapshot beside the image.
 * 2. A group that the base may hold as an image says so (`isImaged`) until it has gone into a snapshot as rows, all of them behind a drop.
 * 3. Deleted entries that the base may hold stay until it has followed.
 */
export class TableSnapshots<V> {
  /** Memory is short: groups go into snapshots as rows from now on, which can be evicted one by one. */
  spills = false
  readonly #state: StateIdentity
  readonly #form: TableForm<V> | undefined
  readonly #epochs: Epochs
  readonly #isWhole: (group: number) => boolean
  #frozen: FrozenNumbers<TableGroup<V>> | undefined
  /** Groups of which the snapshot takes an image, in order, and how far it has come. */
  #imaged: readonly TableGroup<V>[] = []
  #nextImage = 0
  /** In the order of their epochs. */
  #tombstones: Tombstone<V>[] = []

  /** @param isWhole whether all of a group is in memory */
  constructor(state: StateIdentity, form: TableForm<V> | undefined, epochs: Epochs, isWhole: (group: number) => boolean) {
    this.#state = state
    this.#form = form
    this.#epochs = epochs
    this.#isWhole = isWhole
  }

  /** The barrier. @param groups those that have anything in memory */
  freeze(groups: readonly TableGroup<V>[], writer: DeltaWriter): void {
    const { frozen } = this.#epochs
    if (this.spills) this.#spill(groups, writer)
    this.#imaged = groups.filter((group) => this.#isForImage(group))
    this.#nextImage = 0
    for (const group of this.#imaged) group.awaitImage()
    this.#frozen = new FrozenNumbers(
      groups.map((entries) => ({ entries, group: entries.ofGroup, namespace: 0, numbers: entries.take(frozen) })),
    )
  }

  /** All of these groups goes into this snapshot as rows, and their images are gone before them: one drop for those that lie side by side. */
  #spill(groups: readonly TableGroup<V>[], writer: DeltaWriter): void {
    const imaged = groups.filter(({ isImaged }) => isImaged).sort((a, b) => a.ofGroup - b.ofGroup)
    let first = 0
    for (const [index, group] of imaged.entries()) {
      group.dirtyAll(this.#epochs.frozen)
      group.isImaged = false
      if (imaged[index + 1]?.ofGroup === group.ofGroup + 1) continue
      writer.drop(this.#state, imaged[first]!.ofGroup, group.ofGroup, 0)
      first = index + 1
    }
  }

  #isForImage(group: TableGroup<V>): boolean {
    const { size } = group
    if (this.spills || size < IMAGE_ROWS_MIN || size > IMAGE_ROWS_MAX || !group.isMuchChanged) return false
    return canBeImage(group) && storesNumbers(this.#form) && this.#isWhole(group.ofGroup)
  }

  /** Writes what is frozen until `expired` says stop. True when all of it is written. */
  encode(writer: DeltaWriter, expired: () => boolean): boolean {
    if (this.#frozen === undefined) return true
    while (this.#nextImage < this.#imaged.length) {
      this.#writeImage(writer, this.#imaged[this.#nextImage++]!)
      if (expired()) return false
    }
    const { frozen } = this.#epochs
    const done = this.#frozen.write((group, number) => {
      if (group.epoch(number) === frozen) this.write(writer, group, number)
    }, expired)
    if (done) this.#frozen = undefined
    return done
  }

  #writeImage(writer: DeltaWriter, group: TableGroup<V>): void {
    writer.image(this.#state, group.ofGroup, group.image())
    for (const number of group.settle(this.#epochs.frozen)) this.remember(group, number)
  }

  /** Writes the row of an entry of the frozen epoch. */
  write(writer: DeltaWriter, group: TableGroup<V>, number: number): void {
    const flags = group.flags(number)
    // Before the value is encoded: one that cannot be is refused once.
    this.#persist(group, number)
    if ((flags & ENCODED) !== 0) {
      const bytes = group.value(number) as Uint8Array
      writer.putBytes(this.#state, group.ofGroup, 0, keyBytesInPlace(group.key(number)), bytes)
    } else if ((flags & LIVE) !== 0) {
      const form = this.#form
      const value = group.value(number)
      const valueBytes = valueInPlace(form === undefined ? value : form.store(value as V), form ?? DEFAULT_FORM)
      writer.putInPlace(this.#state, group.ofGroup, 0, group.keyInPlace(number), valueBytes)
    } else if ((flags & PERSISTED) !== 0) writer.putInPlace(this.#state, group.ofGroup, 0, group.keyInPlace(number), -1)
  }

  /** The snapshot of the frozen epoch says of an entry how it is. */
  #persist(group: TableGroup<V>, number: number): void {
    const flags = group.flags(number)
    group.setEpoch(number, group.epoch(number) + 1)
    if ((flags & LIVE) !== 0) group.setFlags(number, flags | PERSISTED)
    else if ((flags & PERSISTED) !== 0) this.remember(group, number)
  }

  /** A deleted entry is in a snapshot, or was restored from one. */
  remember(group: TableGroup<V>, number: number): void {
    this.#tombstones.push({ group, number })
  }

  /** The base holds more than before: what was deleted there too is forgotten. */
  onFolded(): void {
    let gone = 0
    for (const { group, number } of this.#tombstones) {
      const epoch = group.epoch(number)
      // One that was written again lives, or has a later place in this list.
      if ((group.flags(number) & (LIVE | PERSISTED)) === PERSISTED && (epoch & 1) !== 0) {
        if (!this.#epochs.isInBase(epoch)) break
        group.remove(number)
      }
      gone++
    }
    this.#tombstones.splice(0, gone)
  }
}

/** Whether a number among the values of a table is stored as it is. */
export function storesNumbers(form: StoredForm | undefined): boolean {
  return form === undefined || isDefaultForm(form)
}
