import { canonicalKey } from '../core/key-groups.ts'
import type { KeyedEntry, PaneTable } from '../core/keyed-state.ts'
import type { DeltaWriter, StateIdentity } from './delta-chunk.ts'
import type { FrozenGroup } from './dirty-entries.ts'
import { DirtyEntries, FrozenEntries } from './dirty-entries.ts'
import type { SnapshottedState, StateSurroundings } from './epochs.ts'
import { LOADED, RESTORED } from './epochs.ts'
import { keyBytesInPlace } from './key-bytes.ts'
import { DEFAULT_FORM } from './row-value.ts'
import type { OperatorBase } from './state-base.ts'
import { baseRows } from './state-base.ts'
import { storedKey, storedValue } from './stored-row.ts'

class PaneEntry<V> implements KeyedEntry<V> {
  readonly key: unknown
  readonly group: number
  value: V
  epoch: number

  constructor(key: unknown, group: number, value: V, epoch: number) {
    this.key = key
    this.group = group
    this.value = value
    this.epoch = epoch
  }
}

/** The entries of one window. Single ones never go: a window is forgotten as a whole. */
class Pane<V> {
  readonly entries = new Map<unknown, PaneEntry<V>>()
  readonly dirty = new DirtyEntries<PaneEntry<V>>()
  /** The base may hold entries that are not in memory. */
  inBase: boolean
  /** A snapshot or the base holds entries of it. */
  persisted: boolean

  constructor(inBase: boolean) {
    this.inBase = inBase
    this.persisted = inBase
  }
}

/**
 * Window -> key -> value. Records arrive roughly in the order of time, so the pane of the last look-up is nearly always the next one.
 *
 * What always holds:
 *
 * 1. What memory says of a key wins over the base; what it does not know is as the base says, except in windows that were forgotten since.
 * 2. That a window was forgotten is written before all rows of its epoch's snapshot: rows of a window of the same start that came after it stay.
 * 3. An entry of a frozen epoch is written before it changes, or before anyone gets it who may change it.
 */
export class WindowPanes<V> implements PaneTable<V>, SnapshottedState {
  readonly state: StateIdentity
  readonly #surroundings: StateSurroundings
  readonly #base: OperatorBase | undefined
  readonly #panes = new Map<number, Pane<V>>()
  /** Windows that only the base knows of. */
  readonly #inBase: Set<number>
  /** What the restored checkpoint forgot and the base still has. */
  #hidden: { readonly window: number; readonly firstGroup: number; readonly lastGroup: number }[] = []
  /** Forgotten since the last barrier, and known to a snapshot or the base. */
  #drops: number[] = []
  #frozen: FrozenEntries<PaneEntry<V>> | undefined
  #lastWindow = Number.NaN
  #lastPane: Pane<V> | undefined
  size = 0

  constructor(name: string, surroundings: StateSurroundings, base?: OperatorBase) {
    this.state = { kind: 'pane', name }
    this.#surroundings = surroundings
    this.#base = base
    this.#inBase = base === undefined ? new Set() : windowsOf(base, this.state, surroundings)
  }

  get(window: number): V | undefined {
    return this.#find(window)?.value
  }

  edit(window: number): V | undefined {
    const entry = this.#find(window)
    if (entry === undefined) return undefined
    this.#touch(this.#lastPane!, entry, window)
    return entry.value
  }

  has(window: number): boolean {
    return this.#find(window) !== undefined
  }

  set(window: number, value: V): void {
    let pane = this.#pane(window)
    if (pane === undefined) this.#lastPane = pane = this.#addPane(window, false)
    const { canonical, key, group } = this.#surroundings.current
    const entry = pane.entries.get(canonical)
    if (entry !== undefined) {
      this.#touch(pane, entry, window)
      entry.value = value
      return
    }
    const added = new PaneEntry(key, group, value, this.#surroundings.epochs.current)
    this.#add(pane, canonical, added)
    pane.dirty.add(group, added)
  }

  #find(window: number): PaneEntry<V> | undefined {
    const pane = this.#pane(window)
    if (pane === undefined) return undefined
    return pane.entries.get(this.#surroundings.current.canonical) ?? this.#load(pane, window)
  }

  #load(pane: Pane<V>, window: number): PaneEntry<V> | undefined {
    if (!pane.inBase) return undefined
    const { canonical, key, group } = this.#surroundings.current
    if (this.#hidden.length > 0 && this.#isHidden(window, group)) return undefined
    const bytes = this.#base!.get(this.state, group, window, keyBytesInPlace(key))
    if (bytes === undefined) return undefined
    const entry = new PaneEntry(key, group, storedValue(this.state, bytes).value as V, LOADED)
    this.#add(pane, canonical, entry)
    return entry
  }

  #pane(window: number): Pane<V> | undefined {
    if (window !== this.#lastWindow) {
      this.#lastWindow = window
      this.#lastPane = this.#panes.get(window) ?? (this.#inBase.delete(window) ? this.#addPane(window, true) : undefined)
    }
    return this.#lastPane
  }

  #addPane(window: number, inBase: boolean): Pane<V> {
    const pane = new Pane<V>(inBase)
    this.#panes.set(window, pane)
    return pane
  }

  #add(pane: Pane<V>, canonical: unknown, entry: PaneEntry<V>): void {
    pane.entries.set(canonical, entry)
    this.size++
  }

  /** The entry is about to change. */
  #touch(pane: Pane<V>, entry: PaneEntry<V>, window: number): void {
    const { epochs, early } = this.#surroundings
    if (entry.epoch === epochs.current) return
    if (entry.epoch === epochs.frozen) this.#write(early, entry, window)
    entry.epoch = epochs.current
    pane.dirty.add(entry.group, entry)
  }

  *windows(): Iterable<number> {
    yield* this.#panes.keys()
    yield* this.#inBase
  }

  /** First those in memory, then those that only the base has, group by group. Whoever gets a value may change it: the window is over. */
  *entries(window: number): IterableIterator<KeyedEntry<V>> {
    const pane = this.#pane(window)
    if (pane === undefined) return
    const { epochs, early, firstGroup, lastGroup } = this.#surroundings
    for (const entry of pane.entries.values()) {
      if (entry.epoch === epochs.frozen) this.#write(early, entry, window)
      yield entry
    }
    if (!pane.inBase) return
    for (let group = firstGroup; group <= lastGroup; group++) {
      if (this.#isHidden(window, group)) continue
      for (const row of baseRows(this.#base!, this.state, group, window)) {
        if (row.namespace !== window) break
        const key = storedKey(this.state, row.key)
        if (!pane.entries.has(canonicalKey(key))) yield { key, group, value: storedValue(this.state, row.value).value as V }
      }
    }
  }

  drop(window: number): void {
    const pane = this.#pane(window)
    if (pane === undefined) return
    this.#panes.delete(window)
    this.size -= pane.entries.size
    this.#lastWindow = Number.NaN
    if (pane.persisted) this.#drops.push(window)
  }

  // Snapshots

  freeze(writer: DeltaWriter): void {
    const { firstGroup, lastGroup } = this.#surroundings
    for (const window of this.#drops) writer.drop(this.state, firstGroup, lastGroup, window)
    this.#drops = []
    const groups: FrozenGroup<PaneEntry<V>>[] = []
    for (const [window, pane] of this.#panes) {
      const taken = pane.dirty.take(window)
      if (taken.length > 0) pane.persisted = true
      for (const group of taken) groups.push(group)
    }
    this.#frozen = new FrozenEntries(groups)
  }

  encode(writer: DeltaWriter, expired: () => boolean): boolean {
    if (this.#frozen === undefined) return true
    const { frozen } = this.#surroundings.epochs
    const done = this.#frozen.write((entry, _, window) => {
      if (entry.epoch === frozen) this.#write(writer, entry, window)
    }, expired)
    if (done) this.#frozen = undefined
    return done
  }

  #write(writer: DeltaWriter, entry: PaneEntry<V>, window: number): void {
    entry.epoch++
    writer.put(this.state, entry.group, window, entry.key, entry.value, DEFAULT_FORM)
  }

  onFolded(): void {
    if (this.#surroundings.epochs.isInBase(RESTORED)) this.#hidden = []
  }

  evict(entries: number): number {
    const { epochs } = this.#surroundings
    let evicted = 0
    // The newest windows are the ones in use, so the oldest go first. An entry that the base holds came after every drop of a window of the same
    // start, so the base has followed that too, and may be asked again.
    for (const [window, pane] of [...this.#panes].sort(([a], [b]) => a - b)) {
      if (evicted >= entries) break
      const before = evicted
      for (const [canonical, entry] of pane.entries) {
        if (!epochs.isInBase(entry.epoch)) continue
        pane.entries.delete(canonical)
        evicted++
      }
      if (evicted > before) pane.inBase = true
      if (pane.entries.size === 0 && evicted > before) {
        this.#panes.delete(window)
        this.#inBase.add(window)
      }
    }
    this.size -= evicted
    this.#lastWindow = Number.NaN
    return evicted
  }

  // A checkpoint that the base does not hold yet

  applyRow(group: number, window: number, keyBytes: Uint8Array, value: Uint8Array | undefined): void {
    const pane = this.#pane(window) ?? (this.#lastPane = this.#addPane(window, false))
    pane.persisted = true
    const key = storedKey(this.state, keyBytes)
    const canonical = canonicalKey(key)
    if (pane.entries.has(canonical)) this.size--
    this.#add(pane, canonical, new PaneEntry(key, group, storedValue(this.state, value!).value as V, RESTORED))
  }

  /** With another parallelism than before, some groups of a window may be over and others not. */
  applyDrop(firstGroup: number, lastGroup: number, window: number): void {
    const pane = this.#pane(window)
    if (pane === undefined) return
    for (const [canonical, { group }] of pane.entries) {
      if (group < firstGroup || group > lastGroup) continue
      pane.entries.delete(canonical)
      this.size--
    }
    this.#hidden.push({ window, firstGroup, lastGroup })
    if (this.entries(window).next().done !== true) return
    // Nothing is left of it.
    this.#hidden = this.#hidden.filter((hidden) => hidden.window !== window)
    this.#panes.delete(window)
    this.#lastWindow = Number.NaN
  }

  #isHidden(window: number, group: number): boolean {
    return this.#hidden.some((hidden) => hidden.window === window && hidden.firstGroup <= group && group <= hidden.lastGroup)
  }
}

function windowsOf(base: OperatorBase, state: StateIdentity, surroundings: StateSurroundings): Set<number> {
  const windows = new Set<number>()
  const { firstGroup, lastGroup } = surroundings
  for (let group = firstGroup; group <= lastGroup; group++) {
    let window = base.nextNamespace(state, group, Number.NEGATIVE_INFINITY)
    for (; window !== undefined; window = base.nextNamespace(state, group, window)) windows.add(window)
  }
  return windows
}
