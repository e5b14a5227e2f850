import { isDeepStrictEqual } from 'node:util'
import type { KeyedContext, KeyedTable, PaneTable, TableForm } from '../../src/core/keyed-state.ts'
import type { OperatorContext } from '../../src/core/operator.ts'

/** What a state holds for one key. */
interface Known {
  value: unknown
  /** A copy as of the last look. */
  seen: unknown
  /** Whether it counts as changed since then. */
  changed: boolean
}

/**
 * Watches the keyed state of an operator and fails when a value changes that does not count as changed: a snapshot that is written meanwhile
 * would hold half of the change, and the next one nothing of it.
 */
export class EditWatch {
  /** By the name of the state, and the window if it has any. */
  readonly #states = new Map<string, Map<unknown, Known>>()
  /** How many values were said to change. */
  changes = 0

  /** The context of an operator whose state is watched. */
  watch(context: OperatorContext): OperatorContext {
    this.#states.clear()
    const keyed = context.keyed!
    const watched: KeyedContext = {
      get key() {
        return keyed.key
      },
      get watermarkFloor() {
        return keyed.watermarkFloor
      },
      setKey: (key) => keyed.setKey(key),
      watermarkFloorOf: (group) => keyed.watermarkFloorOf(group),
      timers: (name) => keyed.timers(name),
      forEachKey: (table, visit) => keyed.forEachKey(table, visit),
      table: <V>(name: string, form?: TableForm<V>) => this.#table(keyed, name, keyed.table<V>(name, form)),
      panes: <V>(name: string) => this.#panes(keyed, name, keyed.panes<V>(name)),
    }
    return Object.create(context, { keyed: { value: watched } }) as OperatorContext
  }

  /** Between two records a barrier may come: whatever changes from now on has to be said anew. */
  settle(): void {
    for (const [name, known] of this.#states) {
      for (const [key, each] of known) {
        if (!each.changed) check(name, key, each)
        each.changed = false
        each.seen = structuredClone(each.value)
      }
    }
  }

  #table<V>(keyed: KeyedContext, name: string, table: KeyedTable<V>): KeyedTable<V> {
    return {
      has: () => table.has(),
      get: () => this.#look(name, keyed.key, table.get()),
      edit: () => {
        this.#change(name, keyed.key, table.get())
        return table.edit()
      },
      set: (value) => {
        this.#change(name, keyed.key, table.get())
        table.set(value)
        this.#changedTo(name, keyed.key, value)
      },
      delete: () => {
        this.#change(name, keyed.key, table.get())
        table.delete()
        this.#states.get(name)?.delete(keyed.key)
      },
    }
  }

  #panes<V>(keyed: KeyedContext, name: string, panes: PaneTable<V>): PaneTable<V> {
    const paneOf = (window: number): string => `${name} ${window}`
    const watch = this
    return {
      has: (window) => panes.has(window),
      windows: () => panes.windows(),
      get: (window) => this.#look(paneOf(window), keyed.key, panes.get(window)),
      edit: (window) => {
        this.#change(paneOf(window), keyed.key, panes.get(window))
        return panes.edit(window)
      },
      set: (window, value) => {
        this.#change(paneOf(window), keyed.key, panes.get(window))
        panes.set(window, value)
        this.#changedTo(paneOf(window), keyed.key, value)
      },
      entries(window) {
        const cursor = panes.entries(window)
        return {
          next: () => {
            const more = cursor.next()
            if (more) watch.#look(paneOf(window), cursor.key, cursor.value)
            return more
          },
          get key() {
            return cursor.key
          },
          get group() {
            return cursor.group
          },
          get value() {
            return cursor.value
          },
        }
      },
      drop: (window) => {
        this.#states.delete(paneOf(window))
        panes.drop(window)
      },
    }
  }

  #look<V>(name: string, key: unknown, value: V): V {
    if (value === undefined) return value
    let known = this.#states.get(name)
    if (known === undefined) this.#states.set(name, (known = new Map()))
    const each = known.get(key)
    if (each === undefined) known.set(key, { value, seen: structuredClone(value), changed: false })
    else if (!each.changed) check(name, key, each)
    return value
  }

  #change(name: string, key: unknown, value: unknown): void {
    this.#look(name, key, value)
    const each = this.#states.get(name)?.get(key)
    if (each === undefined || each.changed) return
    each.changed = true
    this.changes++
  }

  #changedTo(name: string, key: unknown, value: unknown): void {
    this.#change(name, key, value)
    const each = this.#states.get(name)?.get(key)
    if (each !== undefined) each.value = value
  }
}

function check(name: string, key: unknown, { value, seen }: Known): void {
  if (isDeepStrictEqual(value, seen)) return
  throw new Error(`the value of '${String(key)}' in '${name}' has changed, and nobody said so before`)
}

/** Treats a value that came out as one's own: changes all that can be changed of it. */
export function spoil(value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  for (const item of value instanceof Map || value instanceof Set ? value.values() : Object.values(value)) spoil(item)
  if (Array.isArray(value)) value.push('spoiled')
  else if (value instanceof Map || value instanceof Set) value.clear()
  else Object.assign(value, { spoiled: true })
}
