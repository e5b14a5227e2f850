import { assert } from '../core/assert.ts'
import { SluiceError } from '../core/errors.ts'
import { canonicalKey, keyGroupOf } from '../core/key-groups.ts'
import type { KeyedContext, KeyedTable, KeyedTimers, PaneTable, TableForm, WatermarkFloor } from '../core/keyed-state.ts'
import { WATERMARK_NONE } from '../core/time.ts'
import { GroupedTable } from './grouped-table.ts'
import { WindowPanes } from './pane-table.ts'
import type { SnapshotChunk, StateSection } from './snapshot-chunk.ts'
import { ChunkWriter, readChunk } from './snapshot-chunk.ts'
import { TimerQueue } from './timers.ts'

/** The key that is being handled, as the tables see it. `sequence` changes with every change of the key. */
export interface CurrentKey {
  key: unknown
  canonical: unknown
  group: number
  sequence: number
}

/** A state that takes part in snapshots. */
export interface SnapshottedState {
  /** Begins a snapshot: the function returned gives the entries of one key group. It is used at once, before anything changes. */
  snapshot(): (group: number) => Iterable<StateSection>
  restore(section: StateSection): void
}

/**
 * The keyed state of one operator in one subtask, in memory. What always holds:
 *
 * - Every entry belongs to a key group of this subtask; a record whose key group is another's is refused, because its state would be lost
 *   at the next restore with another parallelism.
 * - A snapshot is taken between two records, in one synchronous step, and shares nothing with the live state.
 */
export class KeyedBackend implements KeyedContext {
  readonly #firstGroup: number
  readonly #lastGroup: number
  readonly #maxParallelism: number
  readonly #current: CurrentKey = { key: undefined, canonical: undefined, group: -1, sequence: 0 }
  readonly #tables = new Map<string, GroupedTable<unknown>>()
  readonly #panes = new Map<string, WindowPanes<unknown>>()
  readonly #timers = new Map<string, TimerQueue>()
  /** Names of timers that are not part of snapshots. */
  readonly #derived = new Set<string>()
  /** A walk over the keys is under way. */
  #visiting = false
  /** By key group; absent as long as no group is ahead. */
  #floors: Float64Array | undefined

  constructor(groups: { first: number; last: number }, maxParallelism: number) {
    this.#firstGroup = groups.first
    this.#lastGroup = groups.last
    this.#maxParallelism = maxParallelism
  }

  get key(): unknown {
    return this.#current.key
  }

  /** Makes `key` the current one. @throws SluiceError `INVALID_KEY`, `UNSTABLE_KEY` */
  setKey(key: unknown): void {
    const group = keyGroupOf(key, this.#maxParallelism)
    if (group < this.#firstGroup || group > this.#lastGroup) {
      throw new SluiceError(
        'UNSTABLE_KEY',
        `the key ${String(key)} belongs to key group ${group}, not to ${this.#firstGroup}-${this.#lastGroup}`,
        {
          hint: 'the function given to keyBy must return the same key each time it sees a record: no random numbers, no time, no counters',
        },
      )
    }
    this.#resume(key, canonicalKey(key), group)
  }

  #resume(key: unknown, canonical: unknown, group: number): void {
    const current = this.#current
    current.key = key
    current.canonical = canonical
    current.group = group
    current.sequence++
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
    const before = { ...this.#current }
    const nested = this.#visiting
    this.#visiting = true
    for (const { key, canonical, group } of found.keys(this.#firstGroup, this.#lastGroup)) {
      this.#resume(key, canonical, group)
      if (found.has()) visit(key)
    }
    this.#visiting = nested
    // A visit inside a visit gives the outer one its key back. A handle that outlives the outermost speaks of no key.
    if (nested) this.#resume(before.key, before.canonical, before.group)
    else this.#resume(undefined, undefined, -1)
  }

  timers(name = '', derived = false): KeyedTimers {
    if (derived) this.#derived.add(name)
    const event = this.#timerQueue('event-timer', name)
    const processing = this.#timerQueue('processing-timer', name)
    const resume = (key: unknown, canonical: unknown, group: number): void => this.#resume(key, canonical, group)
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
    if (table === undefined) this.#tables.set(name, (table = new GroupedTable(name, this.#current, form)))
    return table
  }

  #paneTable(name: string): WindowPanes<unknown> {
    let panes = this.#panes.get(name)
    if (panes === undefined) this.#panes.set(name, (panes = new WindowPanes(name, this.#current)))
    return panes
  }

  #timerQueue(kind: 'event-timer' | 'processing-timer', name: string): TimerQueue {
    const id = `${kind} ${name}`
    let queue = this.#timers.get(id)
    if (queue === undefined) this.#timers.set(id, (queue = new TimerQueue(kind, name, this.#current)))
    return queue
  }

  /** All of the state as chunks, ordered by key group. */
  snapshot(): readonly SnapshotChunk[] {
    const snapshots = this.#states().map((state) => state.snapshot())
    const writer = new ChunkWriter()
    for (let group = this.#firstGroup; group <= this.#lastGroup; group++) {
      for (const sectionsOf of snapshots) for (const section of sectionsOf(group)) writer.add(section)
    }
    return writer.finish()
  }

  #states(): readonly SnapshottedState[] {
    const timers = [...this.#timers.values()].filter((queue) => !this.#derived.has(queue.name))
    return [...this.#tables.values(), ...this.#panes.values(), ...timers]
  }

  /** Takes those entries of a chunk that belong to this subtask's key groups. */
  restore(bytes: Uint8Array): void {
    for (const section of readChunk(bytes)) {
      if (section.group < this.#firstGroup || section.group > this.#lastGroup) continue
      assert(
        section.values.length === 0 || section.values.length === section.keys.length,
        `a section of ${section.name} has lost values`,
      )
      this.#stateOf(section).restore(section)
    }
    // No key is the current one before the first record.
    this.#resume(undefined, undefined, -1)
  }

  #stateOf(section: StateSection): SnapshottedState {
    if (section.kind === 'table') return this.#table(section.name)
    if (section.kind === 'pane') return this.#paneTable(section.name)
    return this.#timerQueue(section.kind, section.name)
  }
}
