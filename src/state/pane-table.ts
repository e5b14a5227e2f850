import type { PaneCursor, PaneTable } from '../core/keyed-state.ts'
import type { StateIdentity } from './delta-chunk.ts'
import type { DeltaWriter } from './delta-writer.ts'
import { DirtyEntries } from './dirty-entries.ts'
import type { SnapshottedState, StateSurroundings } from './epochs.ts'
import { LIVE, LOADED, RESTORED } from './epochs.ts'
import type { FrozenPart } from './frozen-numbers.ts'
import { FrozenNumbers } from './frozen-numbers.ts'
import type { KeyBatch, Prefetched } from './key-batch.ts'
import { keyBytesInPlace } from './key-bytes.ts'
import { KeyEntries } from './key-entries.ts'
import { DEFAULT_FORM, valueInPlace } from './row-value.ts'
import type { BaseRow, OperatorBase } from './state-base.ts'
import { baseRows } from './state-base.ts'
import { storedKey, storedValue } from './stored-row.ts'

/** The entries of one window. Single ones never go before the window does, but for those that the base holds and memory has no room for. */
class Pane<V> extends KeyEntries<V> {
  readonly dirty = new DirtyEntries<number>()
  /** The base may hold entries that are not in memory. */
  inBase: boolean
  /** A snapshot or the base holds entries of it. */
  persisted: boolean
  /** Cursors that have not come to their end. */
  walks = 0

  constructor(inBase: boolean) {
    super()
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
 * 4. Nothing is evicted from a window as long as a cursor walks over it: firing may stand still in its middle for any time.
 */
export class WindowPanes<V> implements PaneTable<V>, SnapshottedState, Prefetched {
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
  #frozen: FrozenNumbers<Pane<V>> | undefined
  #lastWindow = Number.NaN
  #lastPane: Pane<V> | undefined
  /** The entry that the current key has in the pane of the last look-up; -1 for none. */
  #found = -1
  #foundFor = -1
  #foundIn: Pane<V> | undefined
  size = 0
  /** Of no meaning; what is read only to be near must be used for something. */
  protected prefetched = 0

  constructor(name: string, surroundings: StateSurroundings, base?: OperatorBase) {
    this.state = { kind: 'pane', name }
    this.#surroundings = surroundings
    this.#base = base
    this.#inBase = base === undefined ? new Set() : windowsOf(base, this.state, surroundings)
  }

  /** In the window of the last look-up, which is nearly always that of the next records. */
  memoryBytes(valueBytes: number): number {
    let bytes = 0
    for (const pane of this.#panes.values()) bytes += pane.memoryBytes(valueBytes)
    return bytes
  }

  prefetch({ hashes, scratch, size }: KeyBatch): void {
    const pane = this.#lastPane
    if (pane === undefined) return
    for (let at = 0; at < size; at++) scratch[at] = pane.firstAt(hashes[at]!)
    let touched = 0
    for (let at = 0; at < size; at++) if (scratch[at]! >= 0) touched ^= pane.epoch(scratch[at]!)
    this.prefetched = touched
  }

  get(window: number): V | undefined {
    const number = this.#find(window)
    return number < 0 ? undefined : this.#lastPane!.value(number)
  }

  edit(window: number): V | undefined {
    const number = this.#find(window)
    if (number < 0) return undefined
    this.#touch(this.#lastPane!, number, window)
    return this.#lastPane!.value(number)
  }

  has(window: number): boolean {
    return this.#find(window) >= 0
  }

  set(window: number, value: V): void {
    let pane = this.#pane(window)
    if (pane === undefined) this.#lastPane = pane = this.#addPane(window, false)
    const known = this.#numberIn(pane)
    if (known >= 0) this.#touch(pane, known, window)
    else {
      this.#add(pane, this.#surroundings.epochs.current)
      pane.dirty.add(this.#surroundings.current.group, this.#found)
    }
    pane.setValue(this.#found, value)
  }

  /** The entry of the current key in a window, from memory or from the base; -1 for none. */
  #find(window: number): number {
    const pane = this.#pane(window)
    if (pane === undefined) return -1
    const number = this.#numberIn(pane)
    return number < 0 && pane.inBase ? this.#load(pane, window) : number
  }

  #numberIn(pane: Pane<V>): number {
    const { current } = this.#surroundings
    if (this.#foundFor !== current.sequence || this.#foundIn !== pane) {
      this.#found = pane.find(current)
      this.#foundFor = current.sequence
      this.#foundIn = pane
    }
    return this.#found
  }

  #load(pane: Pane<V>, window: number): number {
    const { key, group } = this.#surroundings.current
    if (this.#hidden.length > 0 && this.#isHidden(window, group)) return -1
    const bytes = this.#base!.get(this.state, group, window, keyBytesInPlace(key))
    if (bytes === undefined) return -1
    this.#add(pane, LOADED)
    pane.setValue(this.#found, storedValue(this.state, bytes).value as V)
    return this.#found
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

  /** Makes an entry for the current key, which has none in this pane. */
  #add(pane: Pane<V>, epoch: number): void {
    const { current } = this.#surroundings
    this.#found = pane.add(current, LIVE)
    this.#foundFor = current.sequence
    this.#foundIn = pane
    pane.setEpoch(this.#found, epoch)
    this.size++
  }

  /** The entry is about to change. */
  #touch(pane: Pane<V>, number: number, window: number): void {
    const { epochs, early } = this.#surroundings
    const epoch = pane.epoch(number)
    if (epoch === epochs.current) return
    if (epoch === epochs.frozen) this.#write(early, pane, number, window)
    pane.setEpoch(number, epochs.current)
    pane.dirty.add(pane.group(number), number)
  }

  *windows(): Iterable<number> {
    yield* this.#panes.keys()
    yield* this.#inBase
  }

  entries(window: number): PaneCursor<V> {
    const pane = this.#pane(window)
    if (pane === undefined) return new EntriesOf<V>(new Pane<V>(false), never, NOTHING)
    const { epochs, early } = this.#surroundings
    const seen = (number: number): void => {
      // Whoever gets a value may change it: the window is over.
      if (pane.epoch(number) === epochs.frozen) this.#write(early, pane, number, window)
    }
    return new EntriesOf<V>(pane, seen, this.#beside(pane, window))
  }

  #beside(pane: Pane<V>, window: number): Iterator<StoredEntry<V>> {
    return pane.inBase ? this.#rowsBeside(pane, window) : NOTHING
  }

  /** Rows of a window that only the base has, group by group. */
  *#rowsBeside(pane: Pane<V>, window: number): Generator<StoredEntry<V>> {
    const { firstGroup, lastGroup } = this.#surroundings
    for (let group = firstGroup; group <= lastGroup; group++) {
      if (this.#isHidden(window, group)) continue
      for (const row of baseRows(this.#base!, this.state, group, window)) {
        if (row.namespace !== window) break
        const key = storedKey(this.state, row.key)
        if (!pane.has(key, group)) yield { key, group, value: this.#valueOf(row) }
      }
    }
  }

  #valueOf(row: BaseRow): V {
    return storedValue(this.state, row.value).value as V
  }

  drop(window: number): void {
    const pane = this.#pane(window)
    if (pane === undefined) return
    this.#panes.delete(window)
    this.size -= pane.size
    this.#forgetLast()
    if (pane.persisted) this.#drops.push(window)
  }

  // Snapshots

  freeze(writer: DeltaWriter): void {
    const { firstGroup, lastGroup } = this.#surroundings
    for (const window of this.#drops) writer.drop(this.state, firstGroup, lastGroup, window)
    this.#drops = []
    const parts: FrozenPart<Pane<V>>[] = []
    for (const [window, pane] of this.#panes) {
      const taken = pane.dirty.take(window)
      if (taken.length > 0) pane.persisted = true
      for (const { group, namespace, entries } of taken) parts.push({ entries: pane, group, namespace, numbers: entries })
    }
    this.#frozen = new FrozenNumbers(parts)
  }

  encode(writer: DeltaWriter, expired: () => boolean): boolean {
    if (this.#frozen === undefined) return true
    const { frozen } = this.#surroundings.epochs
    const done = this.#frozen.write((pane, number, window) => {
      if (pane.epoch(number) === frozen) this.#write(writer, pane, number, window)
    }, expired)
    if (done) this.#frozen = undefined
    return done
  }

  #write(writer: DeltaWriter, pane: Pane<V>, number: number, window: number): void {
    pane.setEpoch(number, pane.epoch(number) + 1)
    const valueBytes = valueInPlace(pane.value(number), DEFAULT_FORM)
    writer.putInPlace(this.state, pane.group(number), window, pane.keyInPlace(number), valueBytes)
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
      // A cursor goes by entry: one that is gone would be passed over, or met again in the base.
      if (pane.walks > 0) continue
      const before = evicted
      for (let number = 0; number < pane.end; number++) {
        if (pane.flags(number) === 0 || !epochs.isInBase(pane.epoch(number))) continue
        pane.remove(number)
        evicted++
      }
      if (evicted > before) pane.inBase = true
      if (pane.size === 0 && evicted > before) {
        this.#panes.delete(window)
        this.#inBase.add(window)
      }
    }
    this.size -= evicted
    this.#forgetLast()
    return evicted
  }

  // A checkpoint that the base does not hold yet

  applyRow(group: number, window: number, keyBytes: Uint8Array, value: Uint8Array | undefined): void {
    const pane = this.#pane(window) ?? (this.#lastPane = this.#addPane(window, false))
    pane.persisted = true
    const { current } = this.#surroundings
    current.resume(storedKey(this.state, keyBytes), group)
    if (this.#numberIn(pane) < 0) this.#add(pane, RESTORED)
    pane.setEpoch(this.#found, RESTORED)
    pane.setValue(this.#found, storedValue(this.state, value!).value as V)
  }

  /** With another parallelism than before, some groups of a window may be over and others not. */
  applyDrop(firstGroup: number, lastGroup: number, window: number): void {
    const pane = this.#pane(window)
    if (pane === undefined) return
    for (let number = 0; number < pane.end; number++) {
      const group = pane.group(number)
      if (pane.flags(number) === 0 || group < firstGroup || group > lastGroup) continue
      pane.remove(number)
      this.size--
    }
    this.#foundFor = -1
    this.#hidden.push({ window, firstGroup, lastGroup })
    if (pane.size > 0 || this.#beside(pane, window).next().done !== true) return
    // Nothing is left of it.
    this.#hidden = this.#hidden.filter((hidden) => hidden.window !== window)
    this.#panes.delete(window)
    this.#forgetLast()
  }

  #forgetLast(): void {
    this.#lastWindow = Number.NaN
    this.#lastPane = undefined
    this.#foundFor = -1
  }

  #isHidden(window: number, group: number): boolean {
    return this.#hidden.some((hidden) => hidden.window === window && hidden.firstGroup <= group && group <= hidden.lastGroup)
  }
}

/** A row that only the base has. */
interface StoredEntry<V> {
  readonly key: unknown
  readonly group: number
  readonly value: V
}

const NOTHING: Iterator<never> = { next: () => ({ done: true, value: undefined }) }

/** First those in memory, in the order in which they came, then those that only the base has. */
class EntriesOf<V> implements PaneCursor<V> {
  readonly #pane: Pane<V>
  readonly #seen: (number: number) => void
  readonly #beside: Iterator<StoredEntry<V>>
  #number = -1
  #stored: StoredEntry<V> | undefined
  #ended = false

  constructor(pane: Pane<V>, seen: (number: number) => void, beside: Iterator<StoredEntry<V>>) {
    pane.walks++
    this.#pane = pane
    this.#seen = seen
    this.#beside = beside
  }

  next(): boolean {
    while (++this.#number < this.#pane.end) {
      if (this.#pane.flags(this.#number) === 0) continue
      this.#seen(this.#number)
      return true
    }
    const next = this.#beside.next()
    this.#stored = next.done === true ? undefined : next.value
    if (next.done !== true) return true
    if (!this.#ended) this.#pane.walks--
    this.#ended = true
    return false
  }

  get key(): unknown {
    return this.#stored === undefined ? this.#pane.key(this.#number) : this.#stored.key
  }

  get group(): number {
    return this.#stored === undefined ? this.#pane.group(this.#number) : this.#stored.group
  }

  get value(): V {
    return this.#stored === undefined ? (this.#pane.value(this.#number) as V) : this.#stored.value
  }
}

function never(): void {}

function windowsOf(base: OperatorBase, state: StateIdentity, surroundings: StateSurroundings): Set<number> {
  const windows = new Set<number>()
  const { firstGroup, lastGroup } = surroundings
  for (let group = firstGroup; group <= lastGroup; group++) {
    let window = base.nextNamespace(state, group, Number.NEGATIVE_INFINITY)
    for (; window !== undefined; window = base.nextNamespace(state, group, window)) windows.add(window)
  }
  return windows
}
