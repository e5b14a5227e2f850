import { SluiceError } from '../core/errors.ts'
import { canonicalKey } from '../core/key-groups.ts'
import type { KeyedTable, StoredForm, TableForm } from '../core/keyed-state.ts'
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
  readonly #form: TableForm<V> | undefined
  readonly #groups: (Map<unknown, Entry<V>> | undefined)[] = []
  #found: Entry<V> | undefined
  #foundFor = -1

  constructor(name: string, current: CurrentKey, form?: TableForm<V>) {
    this.#name = name
    this.#current = current
    this.#form = form
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
      if (current.group < 0) throw noKey(this.#name)
      this.#found = this.#groups[current.group]?.get(current.canonical)
      this.#foundFor = current.sequence
    }
    return this.#found
  }

  #insert(value: V): void {
    const { group, canonical, key } = this.#current
    const entry = { key, value }
    this.#entriesOf(group).set(canonical, entry)
    this.#found = entry
  }

  #entriesOf(group: number): Map<unknown, Entry<V>> {
    let entries = this.#groups[group]
    if (entries === undefined) this.#groups[group] = entries = new Map()
    return entries
  }

  /** The keys with a value, group by group, as they are when the turn of their group comes. */
  *keys(firstGroup: number, lastGroup: number): Iterable<Omit<CurrentKey, 'sequence'>> {
    for (let group = firstGroup; group <= lastGroup; group++) {
      const entries = this.#groups[group]
      if (entries === undefined) continue
      // Copied, because a key that is deleted and set again by its visit stands at the end of the Map, where it would be visited for ever.
      for (const [canonical, { key }] of [...entries]) yield { key, canonical, group }
    }
  }

  snapshot(): (group: number) => Iterable<StateSection> {
    return (group) => this.#sections(group)
  }

  *#sections(group: number): Iterable<StateSection> {
    const entries = this.#groups[group]
    if (entries === undefined || entries.size === 0) return
    const form = this.#form
    const keys: unknown[] = []
    const values: unknown[] = []
    for (const entry of entries.values()) {
      keys.push(entry.key)
      values.push(form === undefined ? entry.value : form.store(entry.value))
    }
    const bears = form === undefined || isDefault(form) ? {} : { form: { version: form.version, stamps: form.stamps } }
    yield { kind: 'table', name: this.#name, group, namespace: 0, keys, values, ...bears }
  }

  restore(section: StateSection): void {
    const entries = this.#entriesOf(section.group)
    const from = section.form ?? DEFAULT_FORM
    section.keys.forEach((key, index) => {
      const canonical = canonicalKey(key)
      const stored = section.values[index]
      if (this.#form === undefined) entries.set(canonical, { key, value: stored as V })
      else {
        // Whoever restores a value may set timers for its key.
        Object.assign(this.#current, { key, canonical, group: section.group, sequence: this.#current.sequence + 1 })
        entries.set(canonical, { key, value: this.#form.restore(stored, from) })
      }
    })
    this.#foundFor = -1
  }
}

const DEFAULT_FORM: StoredForm = { version: 1, stamps: undefined }

function isDefault(form: StoredForm): boolean {
  return form.version === 1 && form.stamps === undefined
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
