import { canonicalKey } from '../core/key-groups.ts'
import type { KeyedTable } from '../core/keyed-state.ts'
import type { CurrentKey, SnapshottedState } from './keyed-backend.ts'
import type { StateSection } from './snapshot-chunk.ts'

interface Entry<V> {
  readonly key: unknown
  value: V
}

/**
 * A value for each key: one `Map` for each key group, so that a group can be written out and moved by itself, and no Map comes near the
 * 2^23 entries that V8 allows. The entry of the last look-up is remembered, so that a `set` after a `get` finds it without hashing.
 */
export class GroupedTable<V> implements KeyedTable<V>, SnapshottedState {
  readonly #name: string
  readonly #current: CurrentKey
  readonly #groups: (Map<unknown, Entry<V>> | undefined)[] = []
  #found: Entry<V> | undefined
  #foundFor = -1

  constructor(name: string, current: CurrentKey) {
    this.#name = name
    this.#current = current
  }

  get(): V | undefined {
    return this.#find()?.value
  }

  has(): boolean {
    return this.#find() !== undefined
  }

  set(value: V): void {
    const entry = this.#find()
    if (entry !== undefined) entry.value = value
    else this.#insert(value)
  }

  delete(): void {
    const { group, canonical } = this.#current
    this.#groups[group]?.delete(canonical)
    this.#foundFor = -1
  }

  #find(): Entry<V> | undefined {
    const current = this.#current
    if (this.#foundFor !== current.sequence) {
      this.#found = this.#groups[current.group]?.get(current.canonical)
      this.#foundFor = current.sequence
    }
    return this.#found
  }

  #insert(value: V): void {
    const { group, canonical, key } = this.#current
    let entries = this.#groups[group]
    if (entries === undefined) this.#groups[group] = entries = new Map()
    const entry = { key, value }
    entries.set(canonical, entry)
    this.#found = entry
  }

  snapshot(): (group: number) => Iterable<StateSection> {
    return (group) => this.#sections(group)
  }

  *#sections(group: number): Iterable<StateSection> {
    const entries = this.#groups[group]
    if (entries === undefined || entries.size === 0) return
    const keys: unknown[] = []
    const values: unknown[] = []
    for (const entry of entries.values()) {
      keys.push(entry.key)
      values.push(entry.value)
    }
    yield { kind: 'table', name: this.#name, group, namespace: 0, keys, values }
  }

  restore(section: StateSection): void {
    let entries = this.#groups[section.group]
    if (entries === undefined) this.#groups[section.group] = entries = new Map()
    section.keys.forEach((key, index) => {
      entries.set(canonicalKey(key), { key, value: section.values[index] as V })
    })
    this.#foundFor = -1
  }
}
