import { SluiceError } from '../core/errors.ts'
import { canonicalKey, compareKeys } from '../core/key-groups.ts'
import type { KeyedTable, StoredForm, TableForm } from '../core/keyed-state.ts'
import type { DeltaWriter, StateIdentity } from './delta-chunk.ts'
import { DirtyEntries, FrozenEntries } from './dirty-entries.ts'
import type { SnapshottedState, StateSurroundings } from './epochs.ts'
import { LIVE, LOADED, PERSISTED, RESTORED, USED } from './epochs.ts'
import { keyBytesInPlace } from './key-bytes.ts'
import type { CurrentKey } from './keyed-backend.ts'
import { DEFAULT_FORM, formOfBytes, valueBytesInPlace } from './row-value.ts'
import type { OperatorBase } from './state-base.ts'
import { baseRows, holdsAny } from './state-base.ts'
import { storedKey, storedValue } from './stored-row.ts'

class Entry<V> {
  readonly key: unknown
  value: V | undefined
  epoch: number
  flags: number

  constructor(key: unknown, value: V | undefined, epoch: number, flags: number) {
    this.key = key
    this.value = value
    this.epoch = epoch
    this.flags = flags
  }
}

/**
 * A value for each key: one `Map` for each key group, so that a group can be written out and moved by itself, and no Map comes near the
 * 2^23 entries that V8 allows. The entry of the last look-up is remembered, so that a `set` after a `get` finds it without hashing.
 *
 * What always holds:
 *
 * 1. What memory says of a key wins over the base; a key that memory does not know is as the base says. So a deleted key that the base may
 *    hold stays in memory, without a value, until the base has followed.
 * 2. An entry is in the dirty list of its epoch exactly once.
 * 3. An entry of a frozen epoch is written before it changes, or before anyone gets it who may change it.
 */
export class GroupedTable<V> implements KeyedTable<V>, SnapshottedState {
  readonly state: StateIdentity
  readonly #surroundings: StateSurroundings
  readonly #current: CurrentKey
  readonly #base: OperatorBase | undefined
  readonly form: TableForm<V> | undefined
  readonly #groups: (Map<unknown, Entry<V>> | undefined)[] = []
  /** Whether the base may hold rows of a group; found out at the first miss. */
  readonly #inBase: (boolean | undefined)[] = []
  readonly #dirty = new DirtyEntries<Entry<V>>()
  #frozen: FrozenEntries<Entry<V>> | undefined
  /** Deleted entries that stay until the base has followed, in the order of their epochs. */
  #tombstones: { readonly group: number; readonly entry: Entry<V> }[] = []
  /** The entry in memory that the current key has, with or without a value. */
  #found: Entry<V> | undefined
  #foundFor = -1
  /** The base was asked for the current key: when memory does not know it, the base has no row of it. */
  #askedFor = -1
  #evictGroup = 0
  size = 0

  constructor(name: string, surroundings: StateSurroundings, base?: OperatorBase, form?: TableForm<V>) {
    this.state = { kind: 'table', name }
    this.#surroundings = surroundings
    this.#current = surroundings.current
    this.#base = base
    this.form = form
  }

  get(): V | undefined {
    return this.#find()?.value
  }

  edit(): V | undefined {
    const entry = this.#find()
    if (entry === undefined) return undefined
    this.#touch(entry, this.#current.group)
    return entry.value
  }

  has(): boolean {
    return this.#find() !== undefined
  }

  set(value: V): void {
    const entry = this.#inMemory()
    if (entry === undefined) return this.#insert(value)
    this.#touch(entry, this.#current.group)
    entry.flags = (entry.flags | LIVE) & ~ENCODED
    entry.value = value
  }

  delete(): void {
    const { group, canonical, key } = this.#current
    const entry = this.#inMemory()
    if (entry === undefined) {
      // Whether there is such a row need not be known to say that there is none.
      if (this.#mayHoldCurrent()) this.#found = this.#add(new Entry<V>(key, undefined, LOADED, PERSISTED), group, canonical)
      else return
    }
    const gone = this.#found!
    if (entry !== undefined && (entry.flags & LIVE) === 0) return
    this.#touch(gone, group)
    gone.value = undefined
    gone.flags &= ~(LIVE | ENCODED)
    if ((gone.flags & PERSISTED) !== 0) return
    gone.flags = 0
    this.#forget(group, canonical)
    this.#found = undefined
    this.#dirty.compact(group, isOver)
  }

  /** The entry of the current key if it has a value, from memory or from the base. */
  #find(): Entry<V> | undefined {
    const entry = this.#inMemory() ?? this.#load()
    if (entry === undefined || (entry.flags & LIVE) === 0) return undefined
    if ((entry.flags & ENCODED) !== 0) {
      entry.flags &= ~ENCODED
      entry.value = this.#decode(entry.value as Uint8Array)
    }
    return entry
  }

  #inMemory(): Entry<V> | undefined {
    const current = this.#current
    if (this.#foundFor !== current.sequence) {
      if (current.group < 0) throw noKey(this.state.name)
      const entry = this.#groups[current.group]?.get(current.canonical)
      if (entry !== undefined) entry.flags |= USED
      this.#found = entry
      this.#foundFor = current.sequence
    }
    return this.#found
  }

  #load(): Entry<V> | undefined {
    const { group, canonical, key, sequence } = this.#current
    if (!this.#mayHoldCurrent()) return undefined
    this.#askedFor = sequence
    const bytes = this.#base!.get(this.state, group, 0, keyBytesInPlace(key))
    if (bytes === undefined) return undefined
    const value = this.#decode(bytes)
    this.#foundFor = sequence
    return (this.#found = this.#add(new Entry<V>(key, value, LOADED, LIVE | PERSISTED | USED), group, canonical))
  }

  /** With the value's key as the current one. */
  #decode(bytes: Uint8Array): V {
    const { value, form } = storedValue(this.state, bytes)
    return this.form === undefined ? (value as V) : this.form.restore(value, form)
  }

  #mayBeInBase(group: number): boolean {
    return (this.#inBase[group] ??= this.#base !== undefined && holdsAny(this.#base, this.state, group))
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
    const { group, canonical, key } = this.#current
    const flags = this.#mayHoldCurrent() ? LIVE | PERSISTED | USED : LIVE | USED
    this.#found = this.#add(new Entry<V>(key, value, this.#surroundings.epochs.current, flags), group, canonical)
    this.#dirty.add(group, this.#found)
  }

  #add(entry: Entry<V>, group: number, canonical: unknown): Entry<V> {
    let entries = this.#groups[group]
    if (entries === undefined) this.#groups[group] = entries = new Map()
    entries.set(canonical, entry)
    this.size++
    return entry
  }

  #forget(group: number, canonical: unknown): void {
    this.#groups[group]!.delete(canonical)
    this.size--
  }

  /** The entry is about to change. */
  #touch(entry: Entry<V>, group: number): void {
    const { epochs } = this.#surroundings
    if (entry.epoch === epochs.current) return
    if (entry.epoch === epochs.frozen) this.#write(this.#surroundings.early, entry, group)
    entry.epoch = epochs.current
    this.#dirty.add(group, entry)
  }

  /** The keys with a value, group by group, in the order of the keys. */
  *keys(firstGroup: number, lastGroup: number): Iterable<Omit<CurrentKey, 'sequence'>> {
    for (let group = firstGroup; group <= lastGroup; group++) yield* this.#keysOf(group)
  }

  #keysOf(group: number): readonly Omit<CurrentKey, 'sequence'>[] {
    const known = this.#groups[group] ?? new Map<unknown, Entry<V>>()
    const keys: Omit<CurrentKey, 'sequence'>[] = []
    for (const [canonical, { key, flags }] of known) if ((flags & LIVE) !== 0) keys.push({ key, canonical, group })
    if (this.#mayBeInBase(group)) {
      for (const row of baseRows(this.#base!, this.state, group)) {
        const key = storedKey(this.state, row.key)
        const canonical = canonicalKey(key)
        if (!known.has(canonical)) keys.push({ key, canonical, group })
      }
    }
    return keys.sort((a, b) => compareKeys(a.canonical, b.canonical))
  }

  /**
   * Reads every value and counts it as changed: for a form whose clean-up needs to know of each. The current key changes meanwhile.
   */
  rewriteAll(resume: (key: unknown, canonical: unknown, group: number) => void): void {
    const { firstGroup, lastGroup } = this.#surroundings
    for (const { key, canonical, group } of this.keys(firstGroup, lastGroup)) {
      resume(key, canonical, group)
      this.edit()
    }
  }

  // Snapshots

  freeze(): void {
    this.#frozen = new FrozenEntries(this.#dirty.take(0))
  }

  encode(writer: DeltaWriter, expired: () => boolean): boolean {
    if (this.#frozen === undefined) return true
    const { frozen } = this.#surroundings.epochs
    const done = this.#frozen.write((entry, group) => {
      if (entry.epoch === frozen) this.#write(writer, entry, group)
    }, expired)
    if (done) this.#frozen = undefined
    return done
  }

  #write(writer: DeltaWriter, entry: Entry<V>, group: number): void {
    entry.epoch++
    if ((entry.flags & LIVE) !== 0) {
      const form = this.form
      const stored = form === undefined ? entry.value : form.store(entry.value as V)
      writer.put(this.state, group, 0, entry.key, stored, form ?? DEFAULT_FORM)
      entry.flags |= PERSISTED
    } else if ((entry.flags & PERSISTED) !== 0) {
      writer.remove(this.state, group, 0, entry.key)
      this.#tombstones.push({ group, entry })
    }
  }

  onFolded(): void {
    const { epochs } = this.#surroundings
    let gone = 0
    for (const { group, entry } of this.#tombstones) {
      // One that was written again lives, or has a later place in this list.
      if ((entry.flags & LIVE) === 0 && (entry.epoch & 1) !== 0) {
        if (!epochs.isInBase(entry.epoch)) break
        const canonical = canonicalKey(entry.key)
        if (this.#groups[group]?.get(canonical) === entry) this.#forget(group, canonical)
      }
      gone++
    }
    this.#tombstones.splice(0, gone)
    this.#foundFor = -1
  }

  sampleBytes(): number | undefined {
    let [bytes, entries] = [0, 0]
    for (const group of this.#groups) {
      for (const { value, flags } of group?.values() ?? []) {
        if ((flags & LIVE) === 0 || (flags & ENCODED) !== 0) continue
        bytes += valueBytesInPlace(this.form === undefined ? value : this.form.store(value as V), DEFAULT_FORM).byteLength
        entries++
        break
      }
      if (entries === SAMPLES) break
    }
    return entries === 0 ? undefined : bytes / entries
  }

  /** Second chance: what was used since the last look stays for this time. */
  evict(entries: number): number {
    const { firstGroup, lastGroup, epochs } = this.#surroundings
    let evicted = 0
    // Twice around: the first time may only take marks away.
    for (let looks = 2 * (lastGroup - firstGroup + 1); looks > 0 && evicted < entries; looks--) {
      const group = firstGroup + (this.#evictGroup++ % (lastGroup - firstGroup + 1))
      const before = evicted
      for (const [canonical, entry] of this.#groups[group] ?? []) {
        if ((entry.flags & USED) !== 0) entry.flags &= ~USED
        else if ((entry.flags & LIVE) !== 0 && epochs.isInBase(entry.epoch)) {
          this.#forget(group, canonical)
          evicted++
        }
      }
      if (evicted > before) this.#inBase[group] = true
    }
    this.#foundFor = -1
    this.#askedFor = -1
    return evicted
  }

  /** In which forms values are stored: one of the base, as all of those have one form, and those that have not been looked at. */
  *storedForms(): Iterable<StoredForm> {
    const { firstGroup, lastGroup } = this.#surroundings
    for (let group = firstGroup; group <= lastGroup; group++) {
      for (const { value, flags } of this.#groups[group]?.values() ?? []) {
        if ((flags & ENCODED) !== 0) yield formOfBytes(value as Uint8Array)
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
    const canonical = canonicalKey(key)
    // Decoded when it is touched, as what lies in the base: it may look at timers, which are all in place by then.
    const encoded = value === undefined ? undefined : Uint8Array.from(value)
    if (this.#groups[group]?.has(canonical)) this.#forget(group, canonical)
    const entry = new Entry<V | Uint8Array>(key, encoded, RESTORED, value === undefined ? PERSISTED : LIVE | PERSISTED | ENCODED)
    this.#add(entry as Entry<V>, group, canonical)
    if (value === undefined) this.#tombstones.push({ group, entry: entry as Entry<V> })
    this.#foundFor = -1
  }

  applyDrop(): void {}
}

const SAMPLES = 4

/** Flag of an entry whose value is still as it was stored. */
const ENCODED = 8

function isOver(entry: { readonly flags: number }): boolean {
  return entry.flags === 0
}

function noKey(name: string): SluiceError {
  return new SluiceError(
    'STATE_WITHOUT_KEY',
    `the state '${name}' was used while no record or timer of a key was being handled`,
    {
      hint: 'state belongs to a key: use it in onRecord and onTimer, not in open or close',
    },
  )
}
