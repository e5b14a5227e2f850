import type { KeyedContext, KeyedTable } from '../../src/core/keyed-state.ts'

/** One value for each key. */
export interface ValueState<V> {
  get(): V | undefined
  set(value: V): void
  clear(): void
}

/** A list for each key. */
export interface ListState<V> {
  get(): readonly V[]
  add(value: V): void
  addAll(values: Iterable<V>): void
  set(values: Iterable<V>): void
  clear(): void
}

/** A map for each key. */
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

/** A value for each key that grows by combining. */
export interface FoldState<In, Out> {
  add(value: In): void
  get(): Out | undefined
  clear(): void
}

/** What `state: { name: valueState<...>() }` declares: how the handle of that name is made. */
export interface StateDeclaration<Handle> {
  readonly kind: 'value' | 'list' | 'map' | 'reducing' | 'aggregating'
  readonly open: (keyed: KeyedContext, name: string) => Handle
}

/** One value for each key. */
export function valueState<V>(): StateDeclaration<ValueState<V>> {
  return {
    kind: 'value',
    open(keyed, name) {
      const table = keyed.table<V>(name)
      return { get: () => table.get(), set: (value) => table.set(value), clear: () => table.delete() }
    },
  }
}

/** A list for each key. `get` returns a list that later changes do not touch. */
export function listState<V>(): StateDeclaration<ListState<V>> {
  return {
    kind: 'list',
    open(keyed, name) {
      const table = keyed.table<V[]>(name)
      const append = (values: Iterable<V>): void => {
        const list = table.get() ?? []
        for (const value of values) list.push(value)
        if (list.length > 0) table.set(list)
      }
      return {
        get: () => [...(table.get() ?? [])],
        add: (value) => append([value]),
        addAll: append,
        set(values) {
          table.delete()
          append(values)
        },
        clear: () => table.delete(),
      }
    },
  }
}

/** A map for each key. */
export function mapState<K, V>(): StateDeclaration<MapState<K, V>> {
  return {
    kind: 'map',
    open(keyed, name) {
      const table = keyed.table<Map<K, V>>(name)
      return new TableMap(table)
    },
  }
}

class TableMap<K, V> implements MapState<K, V> {
  readonly #table: KeyedTable<Map<K, V>>

  constructor(table: KeyedTable<Map<K, V>>) {
    this.#table = table
  }

  get(key: K): V | undefined {
    return this.#table.get()?.get(key)
  }

  set(key: K, value: V): void {
    const map = this.#table.get()
    if (map === undefined) this.#table.set(new Map([[key, value]]))
    else this.#table.set(map.set(key, value))
  }

  has(key: K): boolean {
    return this.#table.get()?.has(key) ?? false
  }

  delete(key: K): void {
    const map = this.#table.get()
    if (map === undefined || !map.delete(key)) return
    if (map.size === 0) this.#table.delete()
    else this.#table.set(map)
  }

  keys(): Iterable<K> {
    return [...(this.#table.get()?.keys() ?? [])]
  }

  values(): Iterable<V> {
    return [...(this.#table.get()?.values() ?? [])]
  }

  entries(): Iterable<readonly [K, V]> {
    return [...(this.#table.get()?.entries() ?? [])]
  }

  get size(): number {
    return this.#table.get()?.size ?? 0
  }

  clear(): void {
    this.#table.delete()
  }
}

/** Values of a key combined two at a time. */
export function reducingState<V>(fn: (a: V, b: V) => V): StateDeclaration<FoldState<V, V>> {
  return {
    kind: 'reducing',
    open(keyed, name) {
      const table = keyed.table<V>(name)
      return {
        add: (value) => table.set(table.has() ? fn(table.get() as V, value) : value),
        get: () => table.get(),
        clear: () => table.delete(),
      }
    },
  }
}

/** Values of a key folded into an accumulator. */
export function aggregatingState<In, A, Out = A>(aggregate: {
  create: () => A
  add: (accumulator: A, value: In) => A
  result?: (accumulator: A) => Out
}): StateDeclaration<FoldState<In, Out>> {
  const { create, add, result } = aggregate
  return {
    kind: 'aggregating',
    open(keyed, name) {
      const table = keyed.table<A>(name)
      const show = (accumulator: A): Out => (result === undefined ? (accumulator as unknown as Out) : result(accumulator))
      return {
        add: (value) => table.set(add(table.has() ? (table.get() as A) : create(), value)),
        get: () => (table.has() ? show(table.get() as A) : undefined),
        clear: () => table.delete(),
      }
    },
  }
}
