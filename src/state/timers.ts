import FlatQueue from 'flatqueue'
import { canonicalKey } from '../core/key-groups.ts'
import type { CurrentKey, SnapshottedState } from './keyed-backend.ts'
import type { StateSection } from './snapshot-chunk.ts'

interface TimerKey {
  readonly key: unknown
  readonly group: number
}

/**
 * The timers of one kind: a heap of distinct times, and for each time the keys that wait for it. A timer is identified by (time, key), so
 * setting it twice is one timer. A deleted timer leaves its time in the heap, where it fires nothing.
 */
export class TimerQueue implements SnapshottedState {
  readonly #kind: 'event-timer' | 'processing-timer'
  readonly #current: CurrentKey
  readonly #times = new FlatQueue<number>()
  readonly #byTime = new Map<number, Map<unknown, TimerKey>>()

  constructor(kind: 'event-timer' | 'processing-timer', current: CurrentKey) {
    this.#kind = kind
    this.#current = current
  }

  set(time: number): void {
    const { key, canonical, group } = this.#current
    this.#at(time).set(canonical, { key, group })
  }

  delete(time: number): void {
    this.#byTime.get(time)?.delete(this.#current.canonical)
  }

  next(): number {
    for (let time = this.#times.peek(); time !== undefined; time = this.#times.peek()) {
      if (this.#byTime.get(time)!.size > 0) return time
      this.#forget(time)
    }
    return Number.POSITIVE_INFINITY
  }

  fire(
    until: number,
    resume: (key: unknown, canonical: unknown, group: number) => void,
    fire: (time: number) => void,
    proceed: () => boolean,
  ): boolean {
    for (let time = this.next(); time <= until && time !== Number.POSITIVE_INFINITY; time = this.next()) {
      const due = this.#byTime.get(time)!
      for (const [canonical, { key, group }] of due) {
        if (!proceed()) return false
        // Removed before it runs: a handler that sets the same timer again means a new one.
        due.delete(canonical)
        resume(key, canonical, group)
        fire(time)
      }
    }
    return true
  }

  #at(time: number): Map<unknown, TimerKey> {
    let keys = this.#byTime.get(time)
    if (keys === undefined) {
      this.#byTime.set(time, (keys = new Map()))
      this.#times.push(time, time)
    }
    return keys
  }

  #forget(time: number): void {
    this.#times.pop()
    this.#byTime.delete(time)
  }

  snapshot(): (group: number) => Iterable<StateSection> {
    return (group) => this.#sections(group)
  }

  *#sections(group: number): Iterable<StateSection> {
    for (const [time, timers] of this.#byTime) {
      const keys = [...timers.values()].filter((timer) => timer.group === group).map((timer) => timer.key)
      if (keys.length > 0) yield { kind: this.#kind, name: '', group, namespace: time, keys, values: [] }
    }
  }

  restore(section: StateSection): void {
    const keys = this.#at(section.namespace)
    for (const key of section.keys) keys.set(canonicalKey(key), { key, group: section.group })
  }
}
