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

/** The keys that wait for one time. */
interface TimersOfTime {
  readonly pending: Map<unknown, Timer>
  /** All of them in the order of firing, made when the first one fires. Those that have fired or were deleted are not in `pending`. */
  order: Timer[] | undefined
  /** Everything in `order` before this place is over. */
  next: number
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
  readonly #byTime = new Map<number, TimersOfTime>()
  readonly #loops = new LoopGuard()
  #pending = 0

  constructor(kind: 'event-timer' | 'processing-timer', name: string, current: CurrentKey) {
    this.#kind = kind
    this.name = name
    this.#current = current
  }

  set(time: number): void {
    const { key, canonical, group } = this.#current
    if (this.#insert(time, { key, canonical, group })) this.#loops.onSet(time)
  }

  #insert(time: number, timer: Timer): boolean {
    const timers = this.#timersOf(time)
    if (timers.pending.has(timer.canonical)) return false
    timers.pending.set(timer.canonical, timer)
    this.#pending++
    if (timers.order !== undefined) enter(timer, timers.order, timers)
    return true
  }

  #timersOf(time: number): TimersOfTime {
    let timers = this.#byTime.get(time)
    if (timers === undefined) {
      this.#byTime.set(time, (timers = { pending: new Map(), order: undefined, next: 0 }))
      this.#times.push(time, time)
      // A timer that is moved with every record leaves a number behind each time.
      if (this.#times.length > 2 * this.#byTime.size + SPARE_TIMES) this.#forgetDeletedTimes()
    }
    return timers
  }

  #forgetDeletedTimes(): void {
    this.#times.clear()
    for (const time of this.#byTime.keys()) this.#times.push(time, time)
    this.#times.shrink()
  }

  delete(time: number): void {
    const timers = this.#byTime.get(time)
    if (timers !== undefined) this.#remove(time, timers, this.#current.canonical)
  }

  #remove(time: number, timers: TimersOfTime, canonical: unknown): void {
    if (!timers.pending.delete(canonical)) return
    this.#pending--
    if (timers.pending.size === 0) this.#byTime.delete(time)
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
        const timers = this.#byTime.get(time)!
        const { key, canonical, group } = firstOf(timers)
        this.#remove(time, timers, canonical)
        this.#loops.onFire(time)
        resume(key, canonical, group)
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
    for (const [time, { pending }] of this.#byTime) {
      const keys = new Map<number, unknown[]>()
      for (const timer of pending.values()) collect(keys, timer.group, timer.key)
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

/** The next of a time that has any. Sorted once, however many they are. */
function firstOf(timers: TimersOfTime): Timer {
  timers.order ??= [...timers.pending.values()].sort(compareTimers)
  for (;;) {
    const timer = timers.order[timers.next++]!
    // One that was deleted and set again is in the order twice; only the later one is pending.
    if (timers.pending.get(timer.canonical) === timer) return timer
  }
}

/** Adds a timer to an order that is being worked off; a key that sets its own timer anew comes first, into the place that has become free. */
function enter(timer: Timer, order: Timer[], timers: TimersOfTime): void {
  const place = placeOf(timer, order, timers.next)
  if (place === timers.next && place > 0) order[--timers.next] = timer
  else order.splice(place, 0, timer)
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
