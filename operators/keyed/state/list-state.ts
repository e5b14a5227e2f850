import { copyValue } from '../../../src/core/copy-value.ts'
import type { KeyedContext, KeyedTable } from '../../../src/core/keyed-state.ts'
import type { StateDeclaration, StateOptions } from './declaration.ts'
import { checkedOptions } from './declaration.ts'
import type { Expiry } from './expiry.ts'
import type { Opening } from './state-form.ts'
import { stateForm } from './state-form.ts'

/** A list for each key. */
export interface ListState<V> {
  /** The elements; later changes of the state do not touch what was returned. */
  get(): readonly V[]
  add(value: V): void
  addAll(values: Iterable<V>): void
  set(values: Iterable<V>): void
  clear(): void
}

/**
 * A list for each key.
 *
 * ```ts
 * from([1, 2, 3]).keyBy(() => 'all').process({
 *   state: { last: listState() },
 *   *onRecord(value, ctx) {
 *     ctx.state.last.add(value)
 *     yield ctx.state.last.get().join()
 *   },
 * })
 * // -> '1', '1,2', '1,2,3'
 * ```
 *
 * What goes in and what comes out is copied. With a `ttl` each element has a life of its own; `set` writes all of them, and none of them
 * dies earlier than the longest-lived one that it replaces.
 */
export function listState<V>(options: StateOptions<V> = {}): StateDeclaration<ListState<V>> {
  const checked = checkedOptions(options)
  return {
    kind: 'list',
    options: checked,
    open(keyed, name, time) {
      const opening = { name, options: checked, time, expiry: time.expiryOf(name, checked) }
      return opening.expiry === undefined ? openPlainList(keyed, opening) : new ExpiringList(keyed, opening, opening.expiry)
    },
  }
}

function openPlainList<V>(keyed: KeyedContext, opening: Opening<V>): ListState<V> {
  const form = stateForm<V, V[]>(opening, {
    store: (list) => list,
    restore: (stored, { stamped, migrate }) =>
      (stamped ? (stored as StoredList)[0] : (stored as unknown[])).map((old) => migrate(old)),
  })
  const table = keyed.table<V[]>(opening.name, form)
  const append = (values: readonly V[]): void => {
    if (values.length === 0) return
    const list = table.edit()
    if (list === undefined) table.set([...values])
    else for (const value of values) list.push(value)
  }
  return {
    get: () => (table.get() ?? []).map(copyValue),
    add: (value) => append([copyValue(value)]),
    // Copied in full before anything changes: the values may come from a generator that reads this very state.
    addAll: (values) => append(Array.from(values, copyValue)),
    set(values) {
      const copies = Array.from(values, copyValue)
      table.delete()
      append(copies)
    },
    clear: () => table.delete(),
  }
}

type StoredList = readonly [values: readonly unknown[], stamps: readonly number[], timer: number]

interface StampedList<V> {
  values: V[]
  /** By position of the values. */
  stamps: number[]
  /** Time of the key's clean-up timer. */
  timer: number
}

class ExpiringList<V> implements ListState<V> {
  readonly #table: KeyedTable<StampedList<V>>
  readonly #expiry: Expiry

  constructor(keyed: KeyedContext, opening: Opening<V>, expiry: Expiry) {
    this.#expiry = expiry
    expiry.sweep = () => this.#sweep()
    const form = stateForm<V, StampedList<V>>(opening, {
      store: ({ values, stamps, timer }): StoredList => [values, stamps, timer],
      restore(stored, { stamped, migrate, stampOf, timerFor }) {
        const [values, before] = stamped ? (stored as StoredList) : [stored as unknown[], []]
        const stamps = values.map((_, index) => stampOf(before[index]!))
        return { values: values.map((old) => migrate(old)), stamps, timer: timerFor(earliest(stamps)) }
      },
    })
    this.#table = keyed.table(opening.name, form)
  }

  get(): readonly V[] {
    const list = this.#table.get()
    return list === undefined ? [] : list.values.filter((_, index) => !this.#expiry.isOver(list.stamps[index]!)).map(copyValue)
  }

  add(value: V): void {
    this.#append([copyValue(value)], this.#expiry.writeTime)
  }

  addAll(values: Iterable<V>): void {
    this.#append(Array.from(values, copyValue), this.#expiry.writeTime)
  }

  set(values: Iterable<V>): void {
    const copies = Array.from(values, copyValue)
    const replaced = this.#table.get()?.stamps.filter((stamp) => !this.#expiry.isOver(stamp)) ?? []
    const stamp = replaced.reduce((latest, each) => Math.max(latest, each), this.#expiry.writeTime)
    this.clear()
    this.#append(copies, stamp)
  }

  clear(): void {
    const list = this.#table.get()
    if (list === undefined) return
    this.#expiry.disarm(list.timer)
    this.#table.delete()
  }

  #append(values: readonly V[], stamp: number): void {
    if (values.length === 0 || this.#expiry.isOver(stamp)) return
    const list = this.#table.edit()
    if (list === undefined) {
      const stamps = values.map(() => stamp)
      return this.#table.set({ values: [...values], stamps, timer: this.#expiry.arm(stamp) })
    }
    for (const value of values) {
      list.values.push(value)
      list.stamps.push(stamp)
    }
    list.timer = this.#expiry.armEarlier(list.timer, stamp)
  }

  #sweep(): void {
    const live = this.#table.get()?.stamps.map((stamp) => !this.#expiry.isOver(stamp))
    if (!live?.includes(true)) return this.clear()
    const list = this.#table.edit()!
    list.values = list.values.filter((_, index) => live[index])
    list.stamps = list.stamps.filter((_, index) => live[index]).map((stamp) => this.#expiry.settled(stamp))
    list.timer = this.#expiry.armAfterSweep(list.timer, earliest(list.stamps), list.values.length)
  }
}

function earliest(stamps: readonly number[]): number {
  return stamps.reduce((least, stamp) => Math.min(least, stamp), Number.POSITIVE_INFINITY)
}
