import FlatQueue from 'flatqueue'
import { canonicalKey } from '../core/key-groups.ts'
import type { CurrentKey, SnapshottedState } from './keyed-backend.ts'
import type { StateSection } from './snapshot-chunk.ts'

/** The keys that wait for one time, by key group: that is the order in which they fire, before and after a restore. */
type TimersOfTime = Map<number, Map<unknown, unknown>>

/**
 * The timers of one kind: a heap of distinct times, and for each time the keys that wait for it. A timer is identified by (time, key), so
 * setting it twice is one timer. A deleted timer leaves its time in the heap, where it fires nothing.
 */
export class TimerQueue implements SnapshottedState {
  readonly #kind: 'event-timer' | 'processing-timer'
  readonly #name: string
  readonly #current: CurrentKey
  readonly #times = new FlatQueue<number>()
  readonly #byTime = new Map<number, TimersOfTime>()

  constructor(kind: 'event-timer' | 'processing-timer', name: string, current: CurrentKey) {
    this.#kind = kind
    this.#name = name
    this.#current = current
  }

  set(time: number): void {
    const { key, canonical, group } = this.#current
    this.#keysOf(time, group).set(canonical, key)
  }

  delete(time: number): void {
    const { canonical, group } = this.#current
    const groups = this.#byTime.get(time)
    const keys = groups?.get(group)
    if (keys?.delete(canonical) && keys.size === 0) groups!.delete(group)
    // Only the number stays in the heap, until its time comes: a timer that is moved with every record must not leave more behind.
    if (groups?.size === 0) this.#byTime.delete(time)
  }

  next(): number {
    for (let time = this.#times.peek(); time !== undefined; time = this.#times.peek()) {
      const groups = this.#byTime.get(time)
      if (groups !== undefined && groups.size > 0) return time
      this.#times.pop()
      this.#byTime.delete(time)
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
      const groups = this.#byTime.get(time)!
      const group = Math.min(...groups.keys())
      const due = groups.get(group)!
      for (const [canonical, key] of due) {
        if (!proceed()) return false
        // Removed before it runs: a handler that sets the same timer again means a new one.
        due.delete(canonical)
        resume(key, canonical, group)
        fire(time)
      }
      if (due.size === 0 && groups.get(group) === due) groups.delete(group)
    }
    return true
  }

  #keysOf(time: number, group: number): Map<unknown, unknown> {
    let groups = this.#byTime.get(time)
    if (groups === undefined) {
      this.#byTime.set(time, (groups = new Map()))
      this.#times.push(time, time)
    }
    let keys = groups.get(group)
    if (keys === undefined) groups.set(group, (keys = new Map()))
    return keys
  }

  snapshot(): (group: number) => Iterable<StateSection> {
    // Times hold few groups and a snapshot asks for all of them: they are sorted once.
    const byGroup = new Map<number, StateSection[]>()
    for (const [time, groups] of this.#byTime) {
      for (const [group, timers] of groups) {
        let sections = byGroup.get(group)
        if (sections === undefined) byGroup.set(group, (sections = []))
        sections.push({ kind: this.#kind, name: this.#name, group, namespace: time, keys: [...timers.values()], values: [] })
      }
    }
    return (group) => byGroup.get(group) ?? []
  }

  restore(section: StateSection): void {
    const keys = this.#keysOf(section.namespace, section.group)
    for (const key of section.keys) keys.set(canonicalKey(key), key)
  }
}
