import type { KeyedContext, KeyedTable } from '../../../src/core/keyed-state.ts'
import type { Expiry } from './expiry.ts'
import type { Opening } from './state-form.ts'
import { stateForm } from './state-form.ts'

/** A place for one value of each key. It holds the value itself: who hands it out copies it. */
export interface StateCell<V> {
  get(): V | undefined
  /** The value, for whoever is about to change it in place and then sets it. */
  edit(): V | undefined
  /** Tells a value of `undefined` from none. */
  has(): boolean
  set(value: V): void
  clear(): void
}

/** The cell of a state, with or without an end to the life of its values. */
export function openCell<V>(keyed: KeyedContext, opening: Opening<V>): StateCell<V> {
  return opening.expiry === undefined ? plainCell(keyed, opening) : new ExpiringCell(keyed, opening, opening.expiry)
}

function plainCell<V>(keyed: KeyedContext, opening: Opening<V>): StateCell<V> {
  const form = stateForm<V, V>(opening, {
    store: (value) => value,
    restore: (stored, { stamped, migrate }) => migrate(stamped ? (stored as StoredCell)[0] : stored),
  })
  const table = keyed.table<V>(opening.name, form)
  return {
    get: () => table.get(),
    edit: () => table.edit(),
    has: () => table.has(),
    set: (value) => table.set(value),
    clear: () => table.delete(),
  }
}

type StoredCell = readonly [value: unknown, stamp: number, timer: number]

interface Stamped<V> {
  value: V
  stamp: number
  /** Time of the key's clean-up timer. */
  timer: number
}

class ExpiringCell<V> implements StateCell<V> {
  readonly #table: KeyedTable<Stamped<V>>
  readonly #expiry: Expiry

  constructor(keyed: KeyedContext, opening: Opening<V>, expiry: Expiry) {
    this.#expiry = expiry
    expiry.sweep = () => this.#sweep()
    const form = stateForm<V, Stamped<V>>(opening, {
      store: ({ value, stamp, timer }): StoredCell => [value, stamp, timer],
      restore(stored, { stamped, migrate, stampOf, timerFor }) {
        const [value, before] = stamped ? (stored as StoredCell) : [stored, Number.NaN]
        const stamp = stampOf(before)
        return { value: migrate(value), stamp, timer: timerFor(stamp) }
      },
    })
    this.#table = keyed.table(opening.name, form)
  }

  get(): V | undefined {
    return this.#live()?.value
  }

  edit(): V | undefined {
    return this.#liveToEdit()?.value
  }

  has(): boolean {
    return this.#live() !== undefined
  }

  set(value: V): void {
    const stamp = this.#expiry.writeTime
    const live = this.#liveToEdit()
    if (live !== undefined) {
      live.value = value
      // A record that comes out of order does not shorten the life that a later one has given.
      if (stamp > live.stamp) live.stamp = stamp
      return
    }
    this.clear()
    if (!this.#expiry.isOver(stamp)) this.#table.set({ value, stamp, timer: this.#expiry.arm(stamp) })
  }

  clear(): void {
    const stamped = this.#table.get()
    if (stamped === undefined) return
    this.#expiry.disarm(stamped.timer)
    this.#table.delete()
  }

  #live(): Stamped<V> | undefined {
    const stamped = this.#table.get()
    return stamped === undefined || this.#expiry.isOver(stamped.stamp) ? undefined : stamped
  }

  #liveToEdit(): Stamped<V> | undefined {
    return this.#live() === undefined ? undefined : this.#table.edit()
  }

  #sweep(): void {
    const live = this.#liveToEdit()
    if (live === undefined) return this.clear()
    live.stamp = this.#expiry.settled(live.stamp)
    live.timer = this.#expiry.armAfterSweep(live.timer, live.stamp, 1)
  }
}
