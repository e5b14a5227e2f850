import { canonicalKey, compareKeys } from '../core/key-groups.ts'
import type { KeyedTable, StoredForm, TableForm } from '../core/keyed-state.ts'
import { CurrentKey, noKey } from './current-key.ts'
import type { StateIdentity } from './delta-chunk.ts'
import type { DeltaWriter } from './delta-writer.ts'
import type { Epochs, SnapshottedState, StateSurroundings } from './epochs.ts'
import { ENCODED, LIVE, LOADED, PERSISTED, RESTORED, USED } from './epochs.ts'
import type { GroupImage } from './group-image.ts'
import type { KeyBatch, Prefetched } from './key-batch.ts'
import { keyBytesInPlace } from './key-bytes.ts'
import type { KeyEntries } from './key-entries.ts'
import { DEFAULT_FORM, formOfBytes, isPlainNumber, valueBytesInPlace } from './row-value.ts'
import type { OperatorBase } from './state-base.ts'
import { baseRows, holdsAny } from './state-base.ts'
import { storedKey, storedValue } from './stored-row.ts'
import { TableGroup } from './table-group.ts'
import { storesNumbers, TableSnapshots } from './table-snapshots.ts'

/**
 * A value for each key: entries of their own for each key group (`key-entries.ts`), so that a group can be written out by itself, and growing
 * stops nobody for long. The entry of the last look-up is remembered, so that a `set` after a `get` finds it without looking.
 *
 * What always holds:
 *
 * 1. What memory says of a key wins over the base; a key that memory does not know is as the base says. So a deleted key that the base may
 *    hold stays in memory, without a value, until the base has followed.
 * 2. An entry whose epoch is the current one is in the dirty list of its group exactly once.
 * 3. An entry of a frozen epoch is written before it changes, or before anyone gets it who may change it.
 * 4. Of a group that the base may hold as an image, all is in memory or nothing: it is read as a whole, and nothing of it is evicted before a
 *    snapshot has brought it there as rows.
 */
export class GroupedTable<V> implements KeyedTable<V>, SnapshottedState, Prefetched {
  readonly state: StateIdentity
  readonly form: TableForm<V> | undefined
  readonly #surroundings: StateSurroundings
  readonly #current: CurrentKey
  readonly #epochs: Epochs
  readonly #base: OperatorBase | undefined
  readonly #groups: (TableGroup<V> | undefined)[] = []
  /** Whether the base may hold rows of a group; found out at the first miss. */
  readonly #inBase: (boolean | undefined)[] = []
  readonly #snapshots: TableSnapshots<V>
  /** Brings keys from the base, beside the current one. */
  readonly #loaded = new CurrentKey()
  /** The entry in memory that the current key has, with or without a value; -1 for none. */
  #found = -1
  #foundFor = -1
  /** The group of the current key, when it has one in memory. */
  #group: TableGroup<V> | undefined
  /** The base was asked for the current key: when memory does not know it, the base has no row of it. */
  #askedFor = -1
  #evictGroup = 0
  /** Of no meaning; what is read only to be near must be used for something. */
  protected prefetched = 0

  constructor(name: string, surroundings: StateSurroundings, base?: OperatorBase, form?: TableForm<V>) {
    this.state = { kind: 'table', name }
    this.#surroundings = surroundings
    this.#current = surroundings.current
    this.#epochs = surroundings.epochs
    this.#base = base
    this.form = form
    this.#snapshots = new TableSnapshots(this.state, form, surroundings.epochs, (group) => !this.#mayBeInBase(group))
  }

  get size(): number {
    return this.#groups.reduce((sum, group) => sum + (group?.size ?? 0), 0)
  }

  memoryBytes(valueBytes: number): number {
    return this.#groups.reduce((sum, group) => sum + (group?.memoryBytes(valueBytes) ?? 0), 0)
  }

  prefetch(keys: KeyBatch): void {
    const { groups, hashes, scratch, size } = keys
    for (let at = 0; at < size; at++) scratch[at] = this.#groups[groups[at]!]?.firstAt(hashes[at]!) ?? -1
    let touched = 0
    for (let at = 0; at < size; at++) if (scratch[at]! >= 0) touched ^= this.#groups[groups[at]!]!.epoch(scratch[at]!)
    this.prefetched = touched
  }

  get(): V | undefined {
    const number = this.#find()
    return number < 0 ? undefined : this.#group!.value(number)
  }

  edit(): V | undefined {
    const number = this.#find()
    if (number < 0) return undefined
    this.#touch(this.#group!, number)
    return this.#group!.value(number)
  }

  has(): boolean {
    return this.#find() >= 0
  }

  set(value: V): void {
    const number = this.#inMemory()
    if (number < 0) return this.#insert(value)
    const entries = this.#group!
    this.#touch(entries, number)
    const flags = entries.flags(number)
    if ((flags & (LIVE | ENCODED)) !== LIVE) entries.setFlags(number, (flags | LIVE) & ~ENCODED)
    entries.setValue(number, value)
  }

  delete(): void {
    const known = this.#inMemory()
    if (known < 0) {
      // Whether there is such a row need not be known to say that there is none.
      if (!this.#mayHoldCurrent()) return
      this.#add(LOADED, PERSISTED)
    } else if ((this.#group!.flags(known) & LIVE) === 0) return
    const entries = this.#group!
    const gone = this.#found
    this.#touch(entries, gone)
    entries.clearValue(gone)
    entries.setFlags(gone, entries.flags(gone) & ~(LIVE | ENCODED))
    if ((entries.flags(gone) & PERSISTED) !== 0) return
    entries.remove(gone)
    this.#found = -1
    entries.compact()
  }

  /** The entry of the current key if it has a value, from memory or from the base; -1 for none. */
  #find(): number {
    const known = this.#inMemory()
    const number = known < 0 ? this.#load() : known
    if (number < 0) return -1
    const entries = this.#group!
    const flags = entries.flags(number)
    if ((flags & LIVE) === 0) return -1
    if ((flags & ENCODED) !== 0) {
      entries.setFlags(number, flags & ~ENCODED)
      entries.setValue(number, this.#decode(entries.value(number) as Uint8Array))
    }
    return number
  }

  #inMemory(): number {
    const current = this.#current
    if (this.#foundFor === current.sequence) return this.#found
    if (current.group < 0) throw noKey(this.state.name)
    let number = this.#findInGroup()
    // Whoever misses a key for the first time brings what the base has of the group as an image.
    if (number < 0 && this.#inBase[current.group] === undefined && !this.#mayBeInBase(current.group)) number = this.#findInGroup()
    this.#foundFor = current.sequence
    return (this.#found = number)
  }

  #findInGroup(): number {
    const group = this.#groups[this.#current.group]
    this.#group = group
    const number = group === undefined ? -1 : group.find(this.#current)
    if (number >= 0) group!.mark(number, USED)
    return number
  }

  #load(): number {
    if (!this.#mayHoldCurrent()) return -1
    const { group, key, sequence } = this.#current
    this.#askedFor = sequence
    const bytes = this.#base!.get(this.state, group, 0, keyBytesInPlace(key))
    if (bytes === undefined) return -1
    const value = this.#decode(bytes)
    this.#foundFor = sequence
    this.#add(LOADED, LIVE | PERSISTED | USED)
    this.#group!.setValue(this.#found, value)
    return this.#found
  }

  /** With the value's key as the current one. */
  #decode(bytes: Uint8Array): V {
    const { value, form } = storedValue(this.state, bytes)
    return this.form === undefined ? (value as V) : this.form.restore(value, form)
  }

  #mayBeInBase(group: number): boolean {
    return (this.#inBase[group] ??= this.#isInBase(group))
  }

  /** What the base has as an image comes into memory now, and so is not looked for there any more. */
  #isInBase(group: number): boolean {
    if (this.#base === undefined) return false
    const image = this.#base.image(this.state, group)
    if (image === undefined) return holdsAny(this.#base, this.state, group)
    this.#takeImage(image, group, LOADED)
    return false
  }

  /** What memory knows already is newer; and a damaged image may have a key twice. */
  #takeImage(image: GroupImage, group: number, epoch: number): void {
    const entries = this.#groupOf(group)
    entries.isImaged = true
    for (let row = 0; row < image.rows; row++) {
      this.#loaded.resume(image.key(row), group)
      if (entries.find(this.#loaded) >= 0) continue
      const isPlain = storesNumbers(this.form)
      const number = entries.insert(this.#loaded, epoch, isPlain ? LIVE | PERSISTED : LIVE | PERSISTED | ENCODED, false)
      if (isPlain) entries.setValue(number, image.value(row) as V)
      else this.#restoreValue(entries, number, valueBytesInPlace(image.value(row), DEFAULT_FORM))
    }
  }

  /**
   * Whether the base may hold a row of the current key, which memory does not know. Once the base was asked it cannot: had a snapshot brought
   * one there since, memory would know the key until it is evicted, and then the base counts as not asked.
   */
  #mayHoldCurrent(): boolean {
    const { group, sequence } = this.#current
    return this.#askedFor !== sequence && this.#mayBeInBase(group)
  }

  #insert(value: V): void {
    const { current } = this.#epochs
    this.#add(current, this.#mayHoldCurrent() ? LIVE | PERSISTED | USED : LIVE | USED)
    this.#group!.setValue(this.#found, value)
  }

  /** Makes an entry for the current key, which has none in memory. */
  #add(epoch: number, flags: number): void {
    const group = this.#groupOf(this.#current.group)
    this.#group = group
    this.#found = group.insert(this.#current, epoch, flags, epoch === this.#epochs.current)
  }

  #groupOf(group: number): TableGroup<V> {
    return (this.#groups[group] ??= new TableGroup(group))
  }

  /** The entry is about to change. */
  #touch(group: TableGroup<V>, number: number): void {
    const { current, frozen } = this.#epochs
    if (group.epoch(number) === current) return
    if (group.awaitsImage) group.remember(number)
    else if (group.epoch(number) === frozen) this.#snapshots.write(this.#surroundings.early, group, number)
    group.setEpoch(number, current)
    group.note(number)
  }

  /** The keys with a value, group by group, in the order of the keys. */
  *keys(firstGroup: number, lastGroup: number): Iterable<KeyOfGroup> {
    for (let group = firstGroup; group <= lastGroup; group++) yield* this.#keysOf(group)
  }

  #keysOf(group: number): readonly KeyOfGroup[] {
    const isInBase = this.#mayBeInBase(group)
    const entries = this.#groups[group]
    const keys: KeyOfGroup[] = []
    for (let number = 0; number < (entries?.end ?? 0); number++) {
      if ((entries!.flags(number) & LIVE) === 0) continue
      keys.push({ key: entries!.key(number), canonical: entries!.canonical(number), group })
    }
    if (isInBase) {
      for (const row of baseRows(this.#base!, this.state, group)) {
        const key = storedKey(this.state, row.key)
        const canonical = canonicalKey(key)
        if (entries === undefined || !entries.has(key, group)) keys.push({ key, canonical, group })
      }
    }
    return keys.sort((a, b) => compareKeys(a.canonical, b.canonical))
  }

  /**
   * Reads every value and counts it as changed: for a form whose clean-up needs to know of each. The current key changes meanwhile.
   */
  rewriteAll(resume: (key: unknown, group: number) => void): void {
    const { firstGroup, lastGroup } = this.#surroundings
    for (const { key, group } of this.keys(firstGroup, lastGroup)) {
      resume(key, group)
      this.edit()
    }
  }

  // Snapshots

  freeze(writer: DeltaWriter): void {
    this.#snapshots.freeze(
      this.#groups.filter((group) => group !== undefined),
      writer,
    )
  }

  encode(writer: DeltaWriter, expired: () => boolean): boolean {
    return this.#snapshots.encode(writer, expired)
  }

  onFolded(): void {
    this.#snapshots.onFolded()
    this.#foundFor = -1
  }

  sampleBytes(): number | undefined {
    let [bytes, samples] = [0, 0]
    for (const group of this.#groups) {
      const value = group && liveValue(group)
      if (value === undefined) continue
      bytes += valueBytesInPlace(this.form === undefined ? value.of : this.form.store(value.of), DEFAULT_FORM).byteLength
      if (++samples === SAMPLES) break
    }
    return samples === 0 ? undefined : bytes / samples
  }

  /** Second chance: what was used since the last look stays for this time. */
  evict(entries: number): number {
    const { firstGroup, lastGroup } = this.#surroundings
    let evicted = 0
    // Twice around: the first time may only take marks away.
    for (let looks = 2 * (lastGroup - firstGroup + 1); looks > 0 && evicted < entries; looks--) {
      const group = firstGroup + (this.#evictGroup++ % (lastGroup - firstGroup + 1))
      const before = evicted
      evicted += this.#evictFrom(this.#groups[group])
      if (evicted > before) this.#inBase[group] = true
    }
    this.#foundFor = -1
    this.#askedFor = -1
    return evicted
  }

  #evictFrom(entries: TableGroup<V> | undefined): number {
    if (entries === undefined || entries.awaitsImage) return 0
    if (entries.isImaged) {
      this.#snapshots.spills = true
      return 0
    }
    let evicted = 0
    for (let number = 0; number < entries.end; number++) {
      const flags = entries.flags(number)
      if ((flags & USED) !== 0) entries.setFlags(number, flags & ~USED)
      else if ((flags & LIVE) !== 0 && this.#epochs.isInBase(entries.epoch(number))) {
        entries.remove(number)
        evicted++
      }
    }
    return evicted
  }

  /** In which forms values are stored: one of the base, as all of those have one form, and those that have not been looked at. */
  *storedForms(): Iterable<StoredForm> {
    const { firstGroup, lastGroup } = this.#surroundings
    for (let group = firstGroup; group <= lastGroup; group++) {
      const entries = this.#groups[group]
      for (let number = 0; number < (entries?.end ?? 0); number++) {
        if ((entries!.flags(number) & ENCODED) !== 0) yield formOfBytes(entries!.value(number) as Uint8Array)
      }
    }
    for (let group = firstGroup; group <= lastGroup; group++) {
      const [row] = this.#base?.page(this.state, group, Number.NEGATIVE_INFINITY, undefined, 1) ?? []
      if (row !== undefined) return yield formOfBytes(row.value)
    }
  }

  // A checkpoint that the base does not hold yet

  applyRow(group: number, _namespace: number, keyBytes: Uint8Array, value: Uint8Array | undefined): void {
    const key = storedKey(this.state, keyBytes)
    this.#current.resume(key, group)
    this.#foundFor = -1
    const flags = value === undefined ? PERSISTED : LIVE | PERSISTED | ENCODED
    if (this.#inMemory() < 0) this.#add(RESTORED, flags)
    const entries = this.#group!
    const number = this.#found
    entries.setFlags(number, flags)
    if (value === undefined) {
      entries.clearValue(number)
      this.#snapshots.remember(this.#group!, number)
    } else this.#restoreValue(entries, number, value)
    this.#foundFor = -1
  }

  /** Decoded when it is touched, as what lies in the base: it may look at timers, which are all in place by then. A mere number does not. */
  #restoreValue(entries: KeyEntries<V>, number: number, bytes: Uint8Array): void {
    if (this.form === undefined && isPlainNumber(bytes)) {
      entries.setFlags(number, LIVE | PERSISTED)
      entries.setValue(number, this.#decode(bytes))
    } else entries.setValue(number, Uint8Array.from(bytes) as V)
  }

  /** Whatever the base has of these groups is gone too. */
  applyDrop(firstGroup: number, lastGroup: number): void {
    const first = Math.max(firstGroup, this.#surroundings.firstGroup)
    const last = Math.min(lastGroup, this.#surroundings.lastGroup)
    for (let group = first; group <= last; group++) {
      this.#groups[group] = new TableGroup(group)
      this.#inBase[group] = false
    }
    this.#foundFor = -1
  }

  applyImage(group: number, image: GroupImage): void {
    this.applyDrop(group, group)
    this.#takeImage(image, group, RESTORED)
  }
}

const SAMPLES = 4

/** A key, for those who go through all of them. */
interface KeyOfGroup {
  readonly key: unknown
  readonly canonical: unknown
  readonly group: number
}

/** Any value that has been decoded. */
function liveValue<V>(entries: KeyEntries<V>): { readonly of: V } | undefined {
  for (let number = 0; number < entries.end; number++) {
    if ((entries.flags(number) & (LIVE | ENCODED)) === LIVE) return { of: entries.value(number) as V }
  }
  return undefined
}
