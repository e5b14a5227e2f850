import FlatQueue from 'flatqueue'
import { SluiceError } from '../core/errors.ts'
import { canonicalKey, compareKeys } from '../core/key-groups.ts'
import type { CurrentKey, SnapshottedState } from './keyed-backend.ts'
import type { StateSection } from './snapshot-chunk.ts'

interface Timer {
  readonly key: unknown
  readonly canonical: unknown
  readonly group: number
}

/**
 * The timers of one kind: a heap of distinct times, and for each time the keys that wait for it. What always holds:
 *
 * 1. A timer is identified by (time, key): setting it twice is one timer.
 * 2. What fires next is the smallest of all pending timers by (time, key group, key). So the order depends neither on the order in which
 *    they were set nor on restores, and a timer that is set while others fire has its place in it.
 * 3. A timer is removed before it runs: a handler that sets the same one again means a new one.
 * 4. The heap holds every pending time at least once; times of deleted timers stay in it until their turn, but never as many as to matter.
 */
export class TimerQueue implements SnapshottedState {
  readonly name: string
  readonly #kind: 'event-timer' | 'processing-timer'
  readonly #current: CurrentKey
  readonly #times = new FlatQueue<number>()
  /** Most times have one timer, and a million of them should not need as many maps. */
  readonly #byTime = new Map<number, Timer | Crowd>()
  readonly #loops = new LoopGuard()
  #pending = 0

  constructor(kind: 'event-timer' | 'processing-timer', name: string, current: CurrentKey) {
    this.#kind = kind
    this.name = name
    this.#current = current
  }

  set(time: number): void {
    const { key, canonical, group } = this.#current
    if (group < 0) throw noKey()
    if (this.#insert(time, { key, canonical, group })) this.#loops.onSet(time)
  }

  #insert(time: number, timer: Timer): boolean {
    const waiting = this.#byTime.get(time)
    if (waiting === undefined) this.#enter(time, timer)
    else if (waiting instanceof Crowd) {
      if (!waiting.add(timer)) return false
    } else if (compareKeys(waiting.canonical, timer.canonical) === 0) return false
    else this.#byTime.set(time, new Crowd(waiting, timer))
    this.#pending++
    return true
  }

  #enter(time: number, timer: Timer): void {
    this.#byTime.set(time, timer)
    this.#times.push(time, time)
    // A timer that is moved with every record leaves a number behind each time.
    if (this.#times.length > 2 * this.#byTime.size + SPARE_TIMES) this.#forgetDeletedTimes()
  }

  #forgetDeletedTimes(): void {
    this.#times.clear()
    for (const time of this.#byTime.keys()) this.#times.push(time, time)
    this.#times.shrink()
  }

  delete(time: number): void {
    const waiting = this.#byTime.get(time)
    if (waiting === undefined) return
    const { canonical } = this.#current
    const found = waiting instanceof Crowd ? waiting.delete(canonical) : compareKeys(waiting.canonical, canonical) === 0
    if (found) this.#removed(time, waiting)
  }

  #removed(time: number, waiting: Timer | Crowd): void {
    this.#pending--
    if (!(waiting instanceof Crowd) || waiting.size === 0) this.#byTime.delete(time)
  }

  next(): number {
    for (let time = this.#times.peek(); time !== undefined; time = this.#times.peek()) {
      if (this.#byTime.has(time)) return time
      this.#times.pop()
    }
    return Number.POSITIVE_INFINITY
  }

  fire(
    until: number,
    resume: (key: unknown, canonical: unknown, group: number) => void,
    fire: (time: number) => void,
    proceed: () => boolean,
  ): boolean {
    this.#loops.begin(until, this.#pending)
    try {
      for (let time = this.next(); time <= until && time !== Number.POSITIVE_INFINITY; time = this.next()) {
        if (!proceed()) return false
        const waiting = this.#byTime.get(time)!
        const timer = waiting instanceof Crowd ? waiting.take() : waiting
        this.#removed(time, waiting)
        this.#loops.onFire(time)
        resume(timer.key, timer.canonical, timer.group)
        fire(time)
      }
      this.#loops.end()
      return true
    } finally {
      this.#loops.pause()
    }
  }

  snapshot(): (group: number) => Iterable<StateSection> {
    // A snapshot asks for all groups: timers are sorted by group once.
    const byGroup = new Map<number, StateSection[]>()
    for (const [time, waiting] of this.#byTime) {
      const keys = new Map<number, unknown[]>()
      for (const timer of waiting instanceof Crowd ? waiting.all() : [waiting]) collect(keys, timer.group, timer.key)
      for (const [group, ofGroup] of keys) {
        const section = { kind: this.#kind, name: this.name, group, namespace: time, keys: ofGroup, values: [] }
        collect(byGroup, group, section)
      }
    }
    return (group) => byGroup.get(group) ?? []
  }

  restore(section: StateSection): void {
    for (const key of section.keys) {
      this.#insert(section.namespace, { key, canonical: canonicalKey(key), group: section.group })
    }
  }
}

const SPARE_TIMES = 1024

/** The keys that wait for one time, when they are several. */
class Crowd {
  readonly #pending = new Map<unknown, Timer>()
  /** All of them in the order of firing, made when the first one fires. Those that have fired or were deleted are not in `#pending`. */
  #order: Timer[] | undefined
  /** Everything in `#order` before this place is over. */
  #next = 0

  constructor(...timers: readonly Timer[]) {
    for (const timer of timers) this.#pending.set(timer.canonical, timer)
  }

  all(): Iterable<Timer> {
    return this.#pending.values()
  }

  get size(): number {
    return this.#pending.size
  }

  delete(canonical: unknown): boolean {
    return this.#pending.delete(canonical)
  }

  add(timer: Timer): boolean {
    if (this.#pending.has(timer.canonical)) return false
    this.#pending.set(timer.canonical, timer)
    if (this.#order === undefined) return true
    const place = placeOf(timer, this.#order, this.#next)
    // A key that sets its own timer anew comes first, into the place that has become free.
    if (place === this.#next && place > 0) this.#order[--this.#next] = timer
    else this.#order.splice(place, 0, timer)
    return true
  }

  /** Removes the next one to fire, where there is any. Sorted once, however many they are. */
  take(): Timer {
    this.#order ??= [...this.#pending.values()].sort(compareTimers)
    for (;;) {
      const timer = this.#order[this.#next++]!
      // One that was deleted and set again is in the order twice; only the later one is pending.
      if (this.#pending.get(timer.canonical) !== timer) continue
      this.#pending.delete(timer.canonical)
      return timer
    }
  }
}

function placeOf(timer: Timer, order: readonly Timer[], from: number): number {
  let [low, high] = [from, order.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareTimers(order[middle]!, timer) < 0) low = middle + 1
    else high = middle
  }
  return low
}

function compareTimers(a: Timer, b: Timer): number {
  return a.group - b.group || compareKeys(a.canonical, b.canonical)
}

function collect<K, V>(lists: Map<K, V[]>, key: K, value: V): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [value])
  else list.push(value)
}

/**
 * Finds handlers that set timers for ever: when time stands at its end, where every timer is due, or when it does not move on. Counted over
 * the whole advance, also when full outputs interrupt it; a limit that grows with the number of timers leaves room for handlers that set
 * a few more for each key.
 */
class LoopGuard {
  #until = Number.NaN
  #firingAt = Number.NaN
  #left = 0

  begin(until: number, pending: number): void {
    if (until === this.#until) return
    this.#until = until
    this.#left = LOOP_TIMERS + LOOP_TIMERS_PER_PENDING * pending
  }

  onFire(time: number): void {
    this.#firingAt = time
  }

  onSet(time: number): void {
    // Never true while nothing fires.
    if (!(time <= this.#firingAt) && !(this.#until === Number.POSITIVE_INFINITY && !Number.isNaN(this.#firingAt))) return
    if (--this.#left >= 0) return
    throw new SluiceError('TIMER_LOOP', 'timers that handlers set while timers fire do not come to an end', {
      hint: 'at the end of the input every event-time timer is due: ask ctx.watermark < Infinity before setting the next one, and never set one for the time that fires',
    })
  }

  pause(): void {
    this.#firingAt = Number.NaN
  }

  end(): void {
    this.#until = Number.NaN
  }
}

const LOOP_TIMERS = 1_000_000
const LOOP_TIMERS_PER_PENDING = 100

function noKey(): SluiceError {
  return new SluiceError('STATE_WITHOUT_KEY', 'a timer was set while no record or timer of a key was being handled', {
    hint: 'timers belong to a key: set them in onRecord and onTimer, not in open or close',
  })
}
