import { copyValue } from '../../../src/core/copy-value.ts'
import { SluiceError } from '../../../src/core/errors.ts'
import { canonicalKey, hashKey } from '../../../src/core/key-groups.ts'
import type { KeyedContext, KeyedTable, TableForm } from '../../../src/core/keyed-state.ts'
import type { StateDeclaration, StateOptions } from './declaration.ts'
import { checkedOptions } from './declaration.ts'
import type { Expiry } from './expiry.ts'
import type { Opening } from './state-form.ts'
import { stateForm } from './state-form.ts'

/** A map for each key. Its own keys are identified as keys of streams are: dates and tuples by value, `-0` is `0`. */
export interface MapState<K, V> {
  get(key: K): V | undefined
  set(key: K, value: V): void
  has(key: K): boolean
  delete(key: K): void
  keys(): Iterable<K>
  values(): Iterable<V>
  entries(): Iterable<readonly [K, V]>
  readonly size: number
  clear(): void
}

/**
 * A map for each key.
 *
 * ```ts
 * from([['ann', 'tea'], ['bob', 'tea'], ['ann', 'milk']]).keyBy(([who]) => who).process({
 *   state: { things: mapState() },
 *   *onRecord([who, what], ctx) {
 *     ctx.state.things.set(what, true)
 *     yield `${who}: ${[...ctx.state.things.keys()].join(', ')}`
 *   },
 * })
 * // -> 'ann: tea', 'bob: tea', 'ann: tea, milk'
 * ```
 *
 * What goes in and what comes out is copied. With a `ttl` each entry has a life of its own.
 */
export function mapState<K, V>(options: StateOptions<V> = {}): StateDeclaration<MapState<K, V>> {
  const checked = checkedOptions(options)
  return {
    kind: 'map',
    options: checked,
    open: (keyed, name, time) =>
      new TableMap<K, V>(keyed, { name, options: checked, time, expiry: time.expiryOf(name, checked) }),
  }
}

interface Entry<K, V> {
  readonly key: K
  value: V
  /** `NaN` in a map whose entries live for ever. */
  stamp: number
}

interface Entries<K, V> {
  readonly byKey: Map<unknown, Entry<K, V>>
  /** Time of the key's clean-up timer. */
  timer: number
}

type StoredEntries = readonly [keys: readonly unknown[], values: readonly unknown[], stamps: readonly number[], timer: number]

class TableMap<K, V> implements MapState<K, V> {
  readonly #name: string
  readonly #table: KeyedTable<Entries<K, V>>
  readonly #expiry: Expiry | undefined

  constructor(keyed: KeyedContext, opening: Opening<V>) {
    this.#name = opening.name
    this.#expiry = opening.expiry
    if (this.#expiry !== undefined) this.#expiry.sweep = () => this.#sweep(this.#expiry!)
    this.#table = keyed.table(opening.name, formOf<K, V>(opening))
  }

  get(key: K): V | undefined {
    return copyValue(this.#live(this.#table.get(), this.#canonical(key))?.value)
  }

  set(key: K, value: V): void {
    const canonical = this.#canonical(key)
    const stamp = this.#expiry?.writeTime ?? Number.NaN
    if (this.#live(this.#table.get(), canonical) === undefined) {
      this.#insert(canonical, { key: key === 0 ? (0 as K) : copyValue(key), value: copyValue(value), stamp })
      return
    }
    const live = this.#table.edit()!.byKey.get(canonical)!
    live.value = copyValue(value)
    // A record that comes out of order does not shorten the life that a later one has given.
    if (stamp > live.stamp) live.stamp = stamp
  }

  #insert(canonical: unknown, entry: Entry<K, V>): void {
    const expiry = this.#expiry
    if (expiry?.isOver(entry.stamp)) return this.#delete(canonical)
    const entries = this.#table.edit()
    if (entries === undefined) {
      this.#table.set({ byKey: new Map([[canonical, entry]]), timer: expiry?.arm(entry.stamp) ?? Number.NaN })
      return
    }
    // One that is over makes place: its successor is a new entry.
    entries.byKey.delete(canonical)
    entries.byKey.set(canonical, entry)
    if (expiry !== undefined) entries.timer = expiry.armEarlier(entries.timer, entry.stamp)
  }

  has(key: K): boolean {
    return this.#live(this.#table.get(), this.#canonical(key)) !== undefined
  }

  delete(key: K): void {
    this.#delete(this.#canonical(key))
  }

  #delete(canonical: unknown): void {
    const byKey = this.#table.get()?.byKey
    if (!byKey?.has(canonical)) return
    if (byKey.size === 1) this.clear()
    else this.#table.edit()!.byKey.delete(canonical)
  }

  keys(): Iterable<K> {
    return this.#all().map((entry) => copyValue(entry.key))
  }

  values(): Iterable<V> {
    return this.#all().map((entry) => copyValue(entry.value))
  }

  entries(): Iterable<readonly [K, V]> {
    return this.#all().map((entry) => [copyValue(entry.key), copyValue(entry.value)] as const)
  }

  get size(): number {
    return this.#expiry === undefined ? (this.#table.get()?.byKey.size ?? 0) : this.#all().length
  }

  clear(): void {
    const entries = this.#table.get()
    if (entries === undefined) return
    this.#expiry?.disarm(entries.timer)
    this.#table.delete()
  }

  #all(): readonly Entry<K, V>[] {
    const entries = [...(this.#table.get()?.byKey.values() ?? [])]
    return this.#expiry === undefined ? entries : entries.filter((entry) => !this.#expiry!.isOver(entry.stamp))
  }

  #live(entries: Entries<K, V> | undefined, canonical: unknown): Entry<K, V> | undefined {
    const entry = entries?.byKey.get(canonical)
    return entry === undefined || this.#expiry?.isOver(entry.stamp) ? undefined : entry
  }

  #sweep(expiry: Expiry): void {
    if (this.#all().length === 0) return this.clear()
    const entries = this.#table.edit()!
    let earliest = Number.POSITIVE_INFINITY
    for (const [canonical, entry] of entries.byKey) {
      if (expiry.isOver(entry.stamp)) entries.byKey.delete(canonical)
      else {
        entry.stamp = expiry.settled(entry.stamp)
        earliest = Math.min(earliest, entry.stamp)
      }
    }
    entries.timer = expiry.armAfterSweep(entries.timer, earliest, entries.byKey.size)
  }

  #canonical(key: K): unknown {
    try {
      // What is neither text, number, boolean, bigint, date nor tuple has no hash either.
      if (typeof key === 'undefined' || typeof key === 'function' || typeof key === 'symbol') hashKey(key)
      return canonicalKey(key)
    } catch (error) {
      const what = error instanceof SluiceError ? error.message.replace(/^a key is/, `a key of the map '${this.#name}' is`) : ''
      throw new SluiceError('INVALID_KEY', what, {
        cause: error,
        hint: 'keys of a mapState are strings, numbers, bigints, booleans, Dates, or arrays of them',
      })
    }
  }
}

function formOf<K, V>(opening: Opening<V>): TableForm<Entries<K, V>> {
  const { expiry } = opening
  return stateForm<V, Entries<K, V>>(opening, {
    store({ byKey, timer }): ReadonlyMap<unknown, unknown> | StoredEntries {
      const entries = [...byKey.values()]
      if (expiry === undefined) return new Map(entries.map(({ key, value }) => [key, value]))
      return [entries.map(({ key }) => key), entries.map(({ value }) => value), entries.map(({ stamp }) => stamp), timer]
    },
    restore(stored, { stamped, migrate, stampOf, timerFor }) {
      const plain = stored as ReadonlyMap<unknown, unknown>
      const [keys, values, stamps] = stamped ? (stored as StoredEntries) : [[...plain.keys()], [...plain.values()], []]
      const byKey = new Map<unknown, Entry<K, V>>()
      let earliest = Number.POSITIVE_INFINITY
      keys.forEach((key, index) => {
        const stamp = stampOf(stamps[index]!)
        earliest = Math.min(earliest, stamp)
        byKey.set(canonicalKey(key), { key: key as K, value: migrate(values[index]), stamp })
      })
      return { byKey, timer: timerFor(earliest) }
    },
  })
}
