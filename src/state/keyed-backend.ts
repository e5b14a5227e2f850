import { SluiceError } from '../core/errors.ts'
import type { KeyedContext, KeyedTable, KeyedTimers, PaneTable, TableForm, WatermarkFloor } from '../core/keyed-state.ts'
import { WATERMARK_NONE } from '../core/time.ts'
import { CurrentKey } from './current-key.ts'
import type { DeltaChunk, StateIdentity } from './delta-chunk.ts'
import { readDelta } from './delta-reader.ts'
import { DeltaWriter } from './delta-writer.ts'
import type { SnapshottedState, StateSurroundings } from './epochs.ts'
import { Epochs } from './epochs.ts'
import { GroupedTable } from './grouped-table.ts'
import { KeyBatch } from './key-batch.ts'
import { WindowPanes } from './pane-table.ts'
import type { OperatorBase } from './state-base.ts'
import { TimerQueue } from './timers.ts'

/** What a backend is made for. */
export interface BackendOptions {
  /** Key groups of the subtask. */
  readonly groups: { readonly first: number; readonly last: number }
  readonly maxParallelism: number
  /** What is stored of the operator; absent where nothing ever is. */
  readonly base?: OperatorBase | undefined
  /** The checkpoint that the subtask begins with. */
  readonly restored?: number
}

/**
 * The keyed state of one operator in one subtask: in memory what was used, the rest in the base. What always holds:
 *
 * - Every entry belongs to a key group of this subtask; a record whose key group is another's is refused, because its state would be lost
 *   at the next restore with another parallelism.
 * - A snapshot holds what has changed since the one before. It is cut between two records, in one synchronous step that costs the same however
 *   much there is (`freeze`), and written beside the next records (`encode`).
 * - One snapshot is written at a time: a barrier that comes before the last one is written has to wait for the rest of it.
 * - The chunks of a snapshot apply in the order in which they are given out, and no row is in one snapshot twice.
 */
export class KeyedBackend implements KeyedContext {
  readonly #firstGroup: number
  readonly #lastGroup: number
  readonly #maxParallelism: number
  readonly #base: OperatorBase | undefined
  readonly #current: CurrentKey
  readonly #epochs: Epochs
  readonly #writer = new DeltaWriter()
  readonly #surroundings: StateSurroundings
  readonly #tables = new Map<string, GroupedTable<unknown>>()
  readonly #panes = new Map<string, WindowPanes<unknown>>()
  readonly #timers = new Map<string, TimerQueue>()
  #rowBytes: number | undefined
  #ahead: KeyBatch | undefined
  /** A walk over the keys is under way. */
  #visiting = false
  /** By key group; absent as long as no group is ahead. */
  #floors: Float64Array | undefined
  readonly #resumeKey = (key: unknown, group: number): void => this.#resume(key, group)

  constructor({ groups, maxParallelism, base, restored = 0 }: BackendOptions) {
    this.#firstGroup = groups.first
    this.#lastGroup = groups.last
    this.#maxParallelism = maxParallelism
    this.#base = base
    this.#current = new CurrentKey(maxParallelism)
    this.#epochs = new Epochs(restored)
    this.#surroundings = {
      current: this.#current,
      epochs: this.#epochs,
      firstGroup: groups.first,
      lastGroup: groups.last,
      early: new DeltaWriter(),
    }
  }

  get key(): unknown {
    return this.#current.key
  }

  /** Makes `key` the current one. @throws SluiceError `INVALID_KEY`, `UNSTABLE_KEY` */
  setKey(key: unknown): void {
    this.#current.assign(key)
    this.#checkGroup()
  }

  /**
   * Looks through the keys of the values from `from` on, when there is so much state that it is worth while: it is then in the processor's caches when
   * their turn comes. Returns the place behind the last one; those before it may be made the current one by `useKey`.
   */
  prepareKeys(values: readonly unknown[], from: number, keyOf: (value: never) => unknown): number {
    const of = keyOf as (value: unknown) => unknown
    // A batch is gone through in several steps, but looked through once, at its beginning.
    if (from > 0) return this.#ahead?.holds(values, from, of) ? this.#ahead.end : from
    if (values.length < PREPARED_RECORDS || this.size < PREPARED_FROM) {
      // The array may be the one of before, filled anew.
      this.#ahead?.forget()
      return from
    }
    this.#ahead ??= new KeyBatch(this.#maxParallelism)
    this.#ahead.take(values, from, of)
    for (const table of this.#tables.values()) table.prefetch(this.#ahead)
    for (const panes of this.#panes.values()) panes.prefetch(this.#ahead)
    return this.#ahead.end
  }

  /** Makes the key of the value at this place the current one. @throws SluiceError `UNSTABLE_KEY` */
  useKey(place: number): void {
    this.#ahead!.hand(place, this.#current)
    this.#checkGroup()
  }

  #checkGroup(): void {
    const { group, key } = this.#current
    if (group >= this.#firstGroup && group <= this.#lastGroup) return
    this.#current.resume(undefined, -1)
    throw new SluiceError(
      'UNSTABLE_KEY',
      `the key ${String(key)} belongs to key group ${group}, not to ${this.#firstGroup}-${this.#lastGroup}`,
      {
        hint: 'the function given to keyBy must return the same key each time it sees a record: no random numbers, no time, no counters',
      },
    )
  }

  #resume(key: unknown, group: number): void {
    this.#current.resume(key, group)
  }

  table<V>(name: string, form?: TableForm<V>): KeyedTable<V> {
    return this.#table(name, form as TableForm<unknown> | undefined) as GroupedTable<unknown> as KeyedTable<V>
  }

  panes<V>(name: string): PaneTable<V> {
    return this.#paneTable(name) as WindowPanes<unknown> as PaneTable<V>
  }

  get watermarkFloor(): number {
    return this.#floors?.[this.#current.group] ?? WATERMARK_NONE
  }

  watermarkFloorOf(group: number): number {
    return this.#floors === undefined ? WATERMARK_NONE : this.#floors[group]!
  }

  /** Groups from `first` to `last` had seen this watermark when they were stored. */
  setWatermarkFloor(first: number, last: number, watermark: number): void {
    this.#floors ??= new Float64Array(this.#maxParallelism).fill(WATERMARK_NONE)
    for (let group = first; group <= last; group++) {
      if (watermark > this.#floors[group]!) this.#floors[group] = watermark
    }
  }

  /** The groups of this subtask that are ahead of the operator's watermark. */
  watermarkFloors(): readonly WatermarkFloor[] {
    const floors: WatermarkFloor[] = []
    if (this.#floors === undefined) return floors
    for (let group = this.#firstGroup; group <= this.#lastGroup; group++) {
      const watermark = this.#floors[group]!
      const previous = floors.at(-1)
      if (watermark === WATERMARK_NONE) continue
      if (previous?.last === group - 1 && previous.watermark === watermark) floors.splice(-1, 1, { ...previous, last: group })
      else floors.push({ first: group, last: group, watermark })
    }
    return floors
  }

  /** The watermark of the operator has risen. */
  onWatermark(watermark: number): void {
    if (this.#floors?.every((floor) => floor <= watermark)) this.#floors = undefined
  }

  forEachKey(table: string, visit: (key: unknown) => void): void {
    const found = this.#tables.get(table)
    if (found === undefined) return
    const { key: keyBefore, group: groupBefore } = this.#current
    const nested = this.#visiting
    this.#visiting = true
    for (const { key, group } of found.keys(this.#firstGroup, this.#lastGroup)) {
      this.#resume(key, group)
      if (found.has()) visit(key)
    }
    this.#visiting = nested
    // A visit inside a visit gives the outer one its key back. A handle that outlives the outermost speaks of no key.
    if (nested) this.#resume(keyBefore, groupBefore)
    else this.#resume(undefined, -1)
  }

  timers(name = ''): KeyedTimers {
    const event = this.#timerQueue('event-timer', name)
    const processing = this.#timerQueue('processing-timer', name)
    const resume = this.#resumeKey
    return {
      setEventTime: (time) => event.set(time),
      deleteEventTime: (time) => event.delete(time),
      setProcessingTime: (time) => processing.set(time),
      deleteProcessingTime: (time) => processing.delete(time),
      fireEventTime: (watermark, fire, proceed) => event.fire(watermark, resume, fire, proceed),
      fireProcessingTime: (nowMs, fire, proceed) => processing.fire(nowMs, resume, fire, proceed),
      nextEventTime: () => event.next(),
      nextProcessingTime: () => processing.next(),
    }
  }

  #table(name: string, form?: TableForm<unknown>): GroupedTable<unknown> {
    let table = this.#tables.get(name)
    if (table === undefined) {
      table = new GroupedTable(name, this.#surroundings, this.#base, form)
      this.#tables.set(name, table)
    }
    return table
  }

  #paneTable(name: string): WindowPanes<unknown> {
    let panes = this.#panes.get(name)
    if (panes === undefined) this.#panes.set(name, (panes = new WindowPanes(name, this.#surroundings, this.#base)))
    return panes
  }

  #timerQueue(kind: 'event-timer' | 'processing-timer', name: string): TimerQueue {
    const id = `${kind} ${name}`
    let queue = this.#timers.get(id)
    if (queue === undefined) this.#timers.set(id, (queue = new TimerQueue(kind, name, this.#surroundings, this.#base)))
    return queue
  }

  #states(): readonly SnapshottedState[] {
    return [...this.#tables.values(), ...this.#panes.values(), ...this.#timers.values()]
  }

  // Snapshots

  /** The barrier of a checkpoint: what has changed so far is its share. */
  freeze(checkpoint: number): void {
    this.encode(never)
    this.#epochs.freeze(checkpoint)
    for (const state of this.#states()) state.freeze(this.#writer)
    // What was forgotten as a whole has to be said before everything else.
    this.#writer.cut()
  }

  /** Writes what is frozen until `expired` says stop. True when all of it is written. */
  encode(expired: () => boolean): boolean {
    if (!this.#epochs.freezing) return true
    for (const state of this.#states()) if (!state.encode(this.#writer, expired)) return false
    this.#writer.cut()
    this.#surroundings.early.cut()
    this.#rowBytes = this.#writer.averageBytes() ?? this.#rowBytes
    this.#epochs.thaw()
    return true
  }

  /** Chunks that are ready, each given once, in the order in which they apply. */
  takeChunks(): readonly DeltaChunk[] {
    const chunks = this.#writer.take()
    const early = this.#surroundings.early.take()
    return early.length === 0 ? chunks : [...chunks, ...early]
  }

  /** The base holds everything up to this checkpoint. */
  onFolded(checkpoint: number): void {
    if (!this.#epochs.onFolded(checkpoint)) return
    this.#base?.refresh()
    for (const state of this.#states()) state.onFolded()
  }

  /** Entries in memory. */
  get size(): number {
    return this.#states().reduce((sum, state) => sum + state.size, 0)
  }

  /** What the entries take in memory, about. */
  get memoryBytes(): number {
    const states = this.#states()
    // A row of the last snapshot on average, or before the first one, of a few that are looked at.
    const rowBytes = this.#rowBytes ?? Math.max(0, ...states.map((state) => state.sampleBytes?.() ?? 0))
    return states.reduce((sum, state) => sum + state.memoryBytes(VALUE_FACTOR * rowBytes), 0)
  }

  /** Whether there may be anything, in memory or in the base. */
  get holdsAny(): boolean {
    return this.size > 0 || (this.#base?.states().length ?? 0) > 0
  }

  /** Forgets entries that the base holds, up to about that many. Returns how many. */
  evict(entries: number): number {
    let evicted = 0
    // The largest first: small states are not worth the look.
    for (const state of [...this.#states()].sort((a, b) => b.size - a.size)) {
      if (evicted >= entries) break
      evicted += state.evict(entries - evicted)
    }
    return evicted
  }

  /** Takes what a chunk of the restored checkpoint says that the base does not hold yet; in the order of the chunks. */
  apply(chunk: Uint8Array): void {
    readDelta(chunk, {
      row: (state, group, namespace, key, value) => {
        if (group >= this.#firstGroup && group <= this.#lastGroup) this.#stateOf(state).applyRow(group, namespace, key, value)
      },
      drop: (state, first, last, namespace) => this.#stateOf(state).applyDrop(first, last, namespace),
      image: (state, group, image) => {
        if (group >= this.#firstGroup && group <= this.#lastGroup) this.#table(state.name).applyImage(group, image)
      },
    })
    // No key is the current one before the first record.
    this.#resume(undefined, -1)
  }

  #stateOf({ kind, name }: StateIdentity): SnapshottedState {
    if (kind === 'table') return this.#table(name)
    if (kind === 'pane') return this.#paneTable(name)
    return this.#timerQueue(kind, name)
  }

  /**
   * After everything is restored: values of another version, or with stamps of another clock than today's, are all read and written anew. So a
   * migration that fails does so before the first record, every value of a state has one form, and their clean-up knows of each.
   */
  settleForms(): void {
    for (const table of this.#tables.values()) {
      const { form } = table
      if (form === undefined) continue
      for (const stored of table.storedForms()) {
        if (stored.stamps === form.stamps && stored.version === form.version) continue
        table.rewriteAll(this.#resumeKey)
        break
      }
    }
    this.#resume(undefined, -1)
  }
}

/** A value in memory takes so many times the bytes that it is written in. */
const VALUE_FACTOR = 2.5
/** Entries in memory beyond which they do not all lie in the nearest caches. */
const PREPARED_FROM = 8192
/** Fewer records are handled sooner than looked through. */
const PREPARED_RECORDS = 32

function never(): boolean {
  return false
}
