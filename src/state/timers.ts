import FlatQueue from 'flatqueue'
import { SluiceError } from '../core/errors.ts'
import { canonicalKey, compareKeys } from '../core/key-groups.ts'
import type { StateIdentity } from './delta-chunk.ts'
import type { DeltaWriter } from './delta-writer.ts'
import { DirtyEntries, FrozenEntries } from './dirty-entries.ts'
import type { SnapshottedState, StateSurroundings } from './epochs.ts'
import { LIVE, LOADED, PERSISTED, RESTORED, TIMERS_AT_ONCE, TIMERS_PER_GROUP } from './epochs.ts'
import type { OperatorBase } from './state-base.ts'
import { baseRows } from './state-base.ts'
import { storedKey } from './stored-row.ts'

class Timer {
  readonly time: number
  readonly key: unknown
  readonly canonical: unknown
  readonly group: number
  epoch: number
  flags: number

  constructor(time: number, key: unknown, canonical: unknown, group: number, epoch: number, flags: number) {
    this.time = time
    this.key = key
    this.canonical = canonical
    this.group = group
    this.epoch = epoch
    this.flags = flags
  }
}

/**
 * The timers of one kind: a heap of distinct times, and for each time the keys that wait for it. What always holds:
 *
 * 1. A timer is identified by (time, key): setting it twice is one timer.
 * 2. What fires next is the smallest of all pending timers by (time, key group, key). So the order depends neither on the order in which
 *    they were set nor on restores, and a timer that is set while others fire has its place in it.
 * 3. A timer is removed before it runs: a handler that sets the same one again means a new one.
 * 4. The heap holds every pending time at least once; times of deleted timers stay in it until their turn, but never as many as to matter.
 * 5. Every timer of the base whose time is at or before the horizon is in memory, unless it is over. Those behind the horizon are read when
 *    their time comes near, or are in memory because they were set or changed since; one that is over is remembered until the base
 *    has followed, or it would come back.
 */
export class TimerQueue implements SnapshottedState {
  readonly name: string
  readonly state: StateIdentity
  readonly #surroundings: StateSurroundings
  readonly #base: OperatorBase | undefined
  readonly #times = new FlatQueue<number>()
  /** Most times have one timer, and a million of them should not need as many maps. */
  readonly #byTime = new Map<number, Timer | Crowd>()
  readonly #loops = new LoopGuard()
  readonly #dirty = new DirtyEntries<Timer>()
  #frozen: FrozenEntries<Timer> | undefined
  /** `Infinity` when the base holds no timer that is not in memory. */
  #horizon: number
  /** Timers that are over and that the base may still have, by time and key. */
  readonly #over = new Map<number, Map<unknown, Timer>>()
  size = 0

  constructor(kind: 'event-timer' | 'processing-timer', name: string, surroundings: StateSurroundings, base?: OperatorBase) {
    this.state = { kind, name }
    this.name = name
    this.#surroundings = surroundings
    this.#base = base
    const isStored = base?.states().some((state) => state.kind === kind && state.name === name) === true
    this.#horizon = isStored ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
  }

  set(time: number): void {
    const { canonical, group } = this.#surroundings.current
    if (group < 0) throw noKey()
    const waiting = this.#byTime.get(time)
    if (waiting !== undefined && find(waiting, canonical) !== undefined) return
    const over = this.#over.get(time)?.get(canonical)
    this.#insert(over === undefined ? this.#made(time) : this.#revived(over))
    this.#loops.onSet(time)
  }

  #made(time: number): Timer {
    const { current, epochs } = this.#surroundings
    const { key, canonical, group } = current
    const timer = new Timer(time, key, canonical, group, epochs.current, time > this.#horizon ? LIVE | PERSISTED : LIVE)
    this.#dirty.add(group, timer)
    return timer
  }

  /** The same one again, so that a snapshot says one thing of it. */
  #revived(timer: Timer): Timer {
    this.#touch(timer)
    timer.flags |= LIVE
    this.#remember(timer, false)
    return timer
  }

  /** The timer is about to change. */
  #touch(timer: Timer): void {
    const { epochs, early } = this.#surroundings
    if (timer.epoch === epochs.current) return
    if (timer.epoch === epochs.frozen) this.#write(early, timer)
    timer.epoch = epochs.current
    this.#dirty.add(timer.group, timer)
  }

  #insert(timer: Timer): void {
    const { time } = timer
    const waiting = this.#byTime.get(time)
    if (waiting === undefined) this.#enter(time, timer)
    else if (waiting instanceof Crowd) waiting.add(timer)
    else this.#byTime.set(time, new Crowd(waiting, timer))
    this.size++
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
    const { key, canonical, group } = this.#surroundings.current
    const waiting = this.#byTime.get(time)
    const timer = waiting === undefined ? undefined : find(waiting, canonical)
    if (timer !== undefined) {
      if (waiting instanceof Crowd) waiting.delete(canonical)
      this.#removed(time, waiting!)
      this.#end(timer)
    } else if (time > this.#horizon && !this.#over.get(time)?.has(canonical)) {
      // Whether the base has it need not be known to say that it is over.
      this.#end(new Timer(time, key, canonical, group, LOADED, LIVE | PERSISTED))
    }
  }

  #removed(time: number, waiting: Timer | Crowd): void {
    this.size--
    if (!(waiting instanceof Crowd) || waiting.size === 0) this.#byTime.delete(time)
  }

  /** A timer is over: it fired or was deleted. */
  #end(timer: Timer): void {
    this.#touch(timer)
    timer.flags &= ~LIVE
    if (timer.flags !== 0) this.#remember(timer, true)
    else this.#dirty.compact(timer.group, isOver)
  }

  /** Whether a timer is among those that must not come back from the base. */
  #remember(timer: Timer, over: boolean): void {
    let keys = this.#over.get(timer.time)
    if (over) {
      if (keys === undefined) this.#over.set(timer.time, (keys = new Map()))
      keys.set(timer.canonical, timer)
    } else if (keys?.delete(timer.canonical) && keys.size === 0) this.#over.delete(timer.time)
  }

  next(): number {
    for (;;) {
      const time = this.#nextInMemory()
      if (time <= this.#horizon || this.#horizon === Number.POSITIVE_INFINITY) return time
      this.#load()
    }
  }

  #nextInMemory(): number {
    for (let time = this.#times.peek(); time !== undefined; time = this.#times.peek()) {
      if (this.#byTime.has(time)) return time
      this.#times.pop()
    }
    return Number.POSITIVE_INFINITY
  }

  /**
   * Moves the horizon on: reads some timers of each group, as far as the group that comes least far. A time that has more timers than that is
   * read in full.
   */
  #load(): void {
    const { firstGroup, lastGroup } = this.#surroundings
    const limit = Math.max(TIMERS_PER_GROUP, Math.ceil(TIMERS_AT_ONCE / (lastGroup - firstGroup + 1)))
    const pages: { readonly group: number; readonly from: number }[] = []
    let horizon = Number.POSITIVE_INFINITY
    for (let group = firstGroup; group <= lastGroup; group++) {
      const next = this.#base!.nextNamespace(this.state, group, this.#horizon)
      if (next === undefined) continue
      const page = this.#base!.page(this.state, group, next, undefined, limit)
      if (page.length === limit) horizon = Math.min(horizon, page[page.length - 1]!.namespace)
      pages.push({ group, from: next })
    }
    for (const { group, from } of pages) this.#loadGroup(group, from, horizon)
    this.#horizon = horizon
  }

  #loadGroup(group: number, from: number, until: number): void {
    for (const row of baseRows(this.#base!, this.state, group, from)) {
      if (row.namespace > until) return
      const key = storedKey(this.state, row.key)
      this.#restore(new Timer(row.namespace, key, canonicalKey(key), group, LOADED, LIVE | PERSISTED))
    }
  }

  #restore(timer: Timer): void {
    const waiting = this.#byTime.get(timer.time)
    if (waiting !== undefined && find(waiting, timer.canonical) !== undefined) return
    if (!this.#over.get(timer.time)?.has(timer.canonical)) this.#insert(timer)
  }

  fire(
    until: number,
    resume: (key: unknown, group: number) => void,
    fire: (time: number) => void,
    proceed: () => boolean,
  ): boolean {
    this.#loops.begin(until, this.size)
    try {
      for (let time = this.next(); time <= until && time !== Number.POSITIVE_INFINITY; time = this.next()) {
        if (!proceed()) return false
        const waiting = this.#byTime.get(time)!
        const timer = waiting instanceof Crowd ? waiting.take() : waiting
        this.#removed(time, waiting)
        this.#end(timer)
        this.#loops.onFire(time)
        resume(timer.key, timer.group)
        fire(time)
      }
      this.#loops.end()
      return true
    } finally {
      this.#loops.pause()
    }
  }

  // Snapshots

  freeze(): void {
    this.#frozen = new FrozenEntries(this.#dirty.take(0))
  }

  encode(writer: DeltaWriter, expired: () => boolean): boolean {
    if (this.#frozen === undefined) return true
    const { frozen } = this.#surroundings.epochs
    const done = this.#frozen.write((timer) => {
      if (timer.epoch === frozen) this.#write(writer, timer)
    }, expired)
    if (done) this.#frozen = undefined
    return done
  }

  #write(writer: DeltaWriter, timer: Timer): void {
    timer.epoch++
    if ((timer.flags & LIVE) !== 0) {
      writer.putKey(this.state, timer.group, timer.time, timer.key)
      timer.flags |= PERSISTED
    } else if ((timer.flags & PERSISTED) !== 0) writer.remove(this.state, timer.group, timer.time, timer.key)
  }

  onFolded(): void {
    const { epochs } = this.#surroundings
    for (const [time, timers] of this.#over) {
      for (const [canonical, timer] of timers) if (epochs.isInBase(timer.epoch)) timers.delete(canonical)
      if (timers.size === 0) this.#over.delete(time)
    }
  }

  memoryBytes(): number {
    return TIMER_BYTES * this.size
  }

  /** The latest ones go: the horizon comes nearer. */
  evict(entries: number): number {
    if (this.#base === undefined || this.size < TIMERS_AT_ONCE) return 0
    const times = [...this.#byTime.keys()].sort((a, b) => a - b)
    // So many stay that the next ones need not be read again at once.
    let stay = Math.max(this.size - entries, TIMERS_AT_ONCE)
    let place = 0
    for (; place < times.length && stay > 0; place++) stay -= sizeOf(this.#byTime.get(times[place]!)!)
    if (place === times.length) return 0
    const horizon = times[place - 1]!
    let evicted = 0
    for (; place < times.length; place++) evicted += this.#evictAt(times[place]!)
    if (evicted > 0) this.#horizon = Math.min(this.#horizon, horizon)
    this.#forgetDeletedTimes()
    return evicted
  }

  #evictAt(time: number): number {
    const waiting = this.#byTime.get(time)!
    let evicted = 0
    for (const timer of waiting instanceof Crowd ? [...waiting.all()] : [waiting]) {
      if (!this.#surroundings.epochs.isInBase(timer.epoch)) continue
      if (waiting instanceof Crowd) waiting.delete(timer.canonical)
      this.#removed(time, waiting)
      evicted++
    }
    return evicted
  }

  // A checkpoint that the base does not hold yet

  applyRow(group: number, time: number, keyBytes: Uint8Array, value: Uint8Array | undefined): void {
    const key = storedKey(this.state, keyBytes)
    const canonical = canonicalKey(key)
    const waiting = this.#byTime.get(time)
    const known = waiting === undefined ? undefined : find(waiting, canonical)
    if (value === undefined) {
      if (known !== undefined) {
        if (waiting instanceof Crowd) waiting.delete(canonical)
        this.#removed(time, waiting!)
      }
      this.#remember(new Timer(time, key, canonical, group, RESTORED, PERSISTED), true)
      return
    }
    const timer = new Timer(time, key, canonical, group, RESTORED, LIVE | PERSISTED)
    this.#remember(timer, false)
    if (known === undefined) this.#insert(timer)
  }

  applyDrop(): void {}
}

const SPARE_TIMES = 1024

function isOver(timer: { readonly flags: number }): boolean {
  return timer.flags === 0
}

function find(waiting: Timer | Crowd, canonical: unknown): Timer | undefined {
  if (waiting instanceof Crowd) return waiting.get(canonical)
  return compareKeys(waiting.canonical, canonical) === 0 ? waiting : undefined
}

function sizeOf(waiting: Timer | Crowd): number {
  return waiting instanceof Crowd ? waiting.size : 1
}

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

  get(canonical: unknown): Timer | undefined {
    return this.#pending.get(canonical)
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

/** In memory: 133 bytes, measured with a million. */
const TIMER_BYTES = 133
