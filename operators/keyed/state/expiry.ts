import type { KeyedTimers } from '../../../src/core/keyed-state.ts'
import type { StateTime } from './state-time.ts'

type TimeKind = 'event' | 'processing'

/**
 * When the values of one state are over, and who removes them. What always holds:
 *
 * - A value that bears the stamp `t` is over once time has reached `t + ttl`.
 * - Each key that holds anything has one timer, at or before the first instant at which something of it is over. When it fires, what is
 *   over is removed and the timer is set anew; so writing again and again moves no timer. A list or map of many entries is looked through
 *   at most every sixteenth of its entries' life, or each entry would cost a walk over all others: what is over may stay that much longer in
 *   memory, but is not returned.
 * - The timers are stored, and each value says which one is its own: after a restart a value is read only when its key is touched, and what
 *   nobody touches is removed at its time. Should the life have become shorter meanwhile, the timer moves when the value is read, and until then
 *   it stands where it stood. Should it have become longer, the timer comes too early, and is set anew.
 * - A timer that is nobody's own does no harm: it looks, and sets the key's own one anew. There is one when a restore has moved a timer and
 *   the next one reads the value as it was stored before that.
 * - What was written before there was any event time (`-Infinity`) is over at the end of the input, and counts as written at the first
 *   watermark.
 */
export class Expiry {
  readonly kind: TimeKind
  /** Removes what is over of the current key, whose timer has fired. */
  sweep: () => void = () => undefined
  readonly #ttlMs: number
  readonly #time: StateTime
  readonly #timers: KeyedTimers

  constructor(kind: TimeKind, ttlMs: number, time: StateTime, timers: KeyedTimers) {
    this.kind = kind
    this.#ttlMs = ttlMs
    this.#time = time
    this.#timers = timers
  }

  get now(): number {
    return this.kind === 'event' ? this.#time.eventTime : this.#time.processingTime
  }

  /** The stamp of something that is written now. */
  get writeTime(): number {
    return this.kind === 'event' ? this.#time.eventWriteTime : this.#time.processingTime
  }

  isOver(stamp: number): boolean {
    const { now } = this
    return stamp === Number.NEGATIVE_INFINITY ? now === Number.POSITIVE_INFINITY : stamp + this.#ttlMs <= now
  }

  /** The stamp that something keeps when it stays. */
  settled(stamp: number): number {
    return stamp === Number.NEGATIVE_INFINITY ? this.now : stamp
  }

  /** Sets the current key's timer for what bears this stamp. Returns its time, by which `disarm` finds it. */
  arm(stamp: number): number {
    const time = this.#timerTime(stamp)
    if (this.kind === 'event') this.#timers.setEventTime(time)
    else this.#timers.setProcessingTime(time)
    return time
  }

  #timerTime(stamp: number): number {
    return Math.max(stamp + this.#ttlMs, EARLIEST_TIME)
  }

  /** The same in place of `timer` after a look through `entries` entries, the first of which to be over bears this stamp. */
  armAfterSweep(timer: number, stamp: number, entries: number): number {
    const { now } = this
    // Most times it is the one that has fired.
    this.disarm(timer)
    if (entries <= FEW_ENTRIES || !Number.isFinite(now)) return this.arm(stamp)
    return this.arm(Math.max(stamp, now - this.#ttlMs + Math.ceil(this.#ttlMs / 16)))
  }

  disarm(time: number): void {
    deleteTimer(this.#timers, this.kind, time)
  }

  /** Moves the current key's timer forward for a stamp that is over before it would fire. */
  armEarlier(timer: number, stamp: number): number {
    if (timer <= this.#timerTime(stamp)) return timer
    this.disarm(timer)
    return this.arm(stamp)
  }

  nextSweep(): number {
    return this.#timers.nextProcessingTime()
  }

  sweepUntil(time: number): void {
    if (this.kind === 'event') this.#timers.fireEventTime(time, this.sweep, always)
    else this.#timers.fireProcessingTime(time, this.sweep, always)
  }
}

/** Deletes the current key's timer of either kind of time. */
export function deleteTimer(timers: KeyedTimers, kind: TimeKind, time: number): void {
  if (kind === 'event') timers.deleteEventTime(time)
  else timers.deleteProcessingTime(time)
}

/** Earlier than any watermark but the one of the beginning, and still a time: so whoever keeps timers need not know of an infinite one. */
const EARLIEST_TIME = -Number.MAX_VALUE

/** So few that looking through them costs next to nothing. */
const FEW_ENTRIES = 64

/** Removing emits nothing, so it need not wait for room. */
function always(): boolean {
  return true
}
