import { SluiceError } from '../../../src/core/errors.ts'
import type { KeyedContext, KeyedTimers } from '../../../src/core/keyed-state.ts'
import type { OperatorContext } from '../../../src/core/operator.ts'
import type { CheckedOptions } from './declaration.ts'
import { Expiry } from './expiry.ts'

/**
 * What time it is for the state of one operator, and the clean-up of what is over. What always holds:
 *
 * 1. Event time is the watermark while a record is handled, and the timer's own time while a timer is: at the end of the input the watermark
 *    is `Infinity`, and timers still see what was there at their time.
 * 2. It never goes back: a timer of the past sees the watermark before this one, and a key group that has seen a later watermark sees that.
 * 3. Clean-up of event time comes after all timers of the same watermark, so whoever is removed has been seen by every timer that could.
 */
export class StateTime {
  readonly #context: OperatorContext
  readonly #keyed: KeyedContext
  readonly #event: Expiry[] = []
  readonly #processing: Expiry[] = []
  /** Timers of a watermark are firing: the latest time that is over. */
  #reached: number | undefined
  /** The last watermark whose timers and clean-up are done. */
  #completed: number
  /** The clock at the last clean-up: should somebody set it back, what is over stays so. */
  #swept = Number.NEGATIVE_INFINITY

  constructor(context: OperatorContext, keyed: KeyedContext) {
    this.#context = context
    this.#keyed = keyed
    this.#completed = context.watermark
  }

  /** The place that errors name. */
  get place(): { readonly operator: string; readonly subtask: number } {
    return { operator: this.#context.operatorId, subtask: this.#context.subtask }
  }

  get eventTime(): number {
    return Math.max(this.#reached ?? this.#context.watermark, this.#keyed.watermarkFloor)
  }

  get processingTime(): number {
    return Math.max(this.#context.clock.now(), this.#swept)
  }

  /** The time at which something is written: that of the record or timer, else the watermark. */
  get eventWriteTime(): number {
    const { timestamp } = this.#context.cell
    return Number.isNaN(timestamp) ? this.eventTime : timestamp
  }

  /** The expiry of a state that has one. @throws SluiceError `NO_TIMESTAMPS` */
  expiryOf(name: string, { ttlMs, ttlTime }: CheckedOptions<unknown>): Expiry | undefined {
    if (ttlMs === undefined) return undefined
    if (ttlTime === 'event' && !this.#context.timed) throw noTimestamps(name, this.place)
    const kind = ttlTime ?? (this.#context.timed ? 'event' : 'processing')
    const expiry = new Expiry(kind, ttlMs, this, this.cleanUpTimers(name))
    ;(kind === 'event' ? this.#event : this.#processing).push(expiry)
    return expiry
  }

  /** The timers of a state that remove what is over, of either kind of time. */
  cleanUpTimers(name: string): KeyedTimers {
    return this.#keyed.timers(`ttl:${name}`)
  }

  /** The watermark has risen; to be said before its timers fire, also when they go on after an interruption. */
  beginWatermark(): void {
    this.#reached ??= this.#completed
  }

  /** An event-time timer is about to run. */
  onTimer(time: number): void {
    if (this.#reached !== undefined && time > this.#reached) this.#reached = time
  }

  /** All timers of the watermark have fired: removes what is over. */
  endWatermark(watermark: number): void {
    this.#reached = undefined
    this.#completed = watermark
    for (const expiry of this.#event) expiry.sweepUntil(watermark)
  }

  nextProcessingTime(): number {
    let next = Number.POSITIVE_INFINITY
    for (const expiry of this.#processing) next = Math.min(next, expiry.nextSweep())
    return next
  }

  onProcessingTime(nowMs: number): void {
    this.#swept = Math.max(this.#swept, nowMs)
    for (const expiry of this.#processing) expiry.sweepUntil(nowMs)
  }
}

function noTimestamps(state: string, place: StateTime['place']): SluiceError {
  return new SluiceError('NO_TIMESTAMPS', `the state '${state}' expires by event time, but the records have no timestamps`, {
    ...place,
    hint: "call .withTimestamps((record) => milliseconds) before it, or let it expire by the clock: ttlTime: 'processing'",
  })
}
