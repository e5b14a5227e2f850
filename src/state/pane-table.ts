import { canonicalKey } from '../core/key-groups.ts'
import type { KeyedEntry, PaneTable } from '../core/keyed-state.ts'
import type { CurrentKey, SnapshottedState } from './keyed-backend.ts'
import type { StateSection } from './snapshot-chunk.ts'

interface PaneEntry<V> {
  readonly key: unknown
  readonly group: number
  value: V
}

type Pane<V> = Map<unknown, PaneEntry<V>>

/** Window -> key -> value. Records arrive roughly in the order of time, so the pane of the last look-up is nearly always the next one. */
export class WindowPanes<V> implements PaneTable<V>, SnapshottedState {
  readonly #name: string
  readonly #current: CurrentKey
  readonly #panes = new Map<number, Pane<V>>()
  #lastWindow = Number.NaN
  #lastPane: Pane<V> | undefined

  constructor(name: string, current: CurrentKey) {
    this.#name = name
    this.#current = current
  }

  get(window: number): V | undefined {
    return this.#pane(window)?.get(this.#current.canonical)?.value
  }

  has(window: number): boolean {
    return this.#pane(window)?.has(this.#current.canonical) ?? false
  }

  set(window: number, value: V): void {
    let pane = this.#pane(window)
    if (pane === undefined) {
      pane = new Map()
      this.#panes.set(window, pane)
      this.#lastPane = pane
    }
    const { canonical, key, group } = this.#current
    const entry = pane.get(canonical)
    if (entry === undefined) pane.set(canonical, { key, group, value })
    else entry.value = value
  }

  #pane(window: number): Pane<V> | undefined {
    if (window !== this.#lastWindow) {
      this.#lastWindow = window
      this.#lastPane = this.#panes.get(window)
    }
    return this.#lastPane
  }

  windows(): Iterable<number> {
    return this.#panes.keys()
  }

  *entries(window: number): IterableIterator<KeyedEntry<V>> {
    yield* this.#panes.get(window)?.values() ?? []
  }

  drop(window: number): void {
    this.#panes.delete(window)
    this.#lastWindow = Number.NaN
  }

  snapshot(): (group: number) => Iterable<StateSection> {
    // A pane is one map over all its key groups: they are sorted once, for this snapshot alone.
    const byGroup = this.#sortByGroup()
    return (group) =>
      (byGroup[group] ?? []).map(({ window, entries }) => ({
        kind: 'pane' as const,
        name: this.#name,
        group,
        namespace: window,
        keys: entries.map((entry) => entry.key),
        values: entries.map((entry) => entry.value),
      }))
  }

  #sortByGroup(): { readonly window: number; readonly entries: PaneEntry<V>[] }[][] {
    const byGroup: { readonly window: number; readonly entries: PaneEntry<V>[] }[][] = []
    for (const [window, pane] of this.#panes) {
      for (const entry of pane.values()) {
        const groups = (byGroup[entry.group] ??= [])
        const last = groups[groups.length - 1]
        if (last?.window === window) last.entries.push(entry)
        else groups.push({ window, entries: [entry] })
      }
    }
    return byGroup
  }

  restore(section: StateSection): void {
    let pane = this.#panes.get(section.namespace)
    if (pane === undefined) this.#panes.set(section.namespace, (pane = new Map()))
    section.keys.forEach((key, index) => {
      pane.set(canonicalKey(key), { key, group: section.group, value: section.values[index] as V })
    })
    this.#lastWindow = Number.NaN
  }
}
