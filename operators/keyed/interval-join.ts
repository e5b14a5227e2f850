import { SluiceError } from '../../src/core/errors.ts'
import type { KeyedContext, KeyedTable, KeyedTimers } from '../../src/core/keyed-state.ts'
import type { Operator, OperatorContext } from '../../src/core/operator.ts'
import type { Duration } from '../../src/core/time.ts'
import { signedMs } from '../windows/assigners.ts'
import { keyedContext } from './keyed-context.ts'

/** How far the time of a right record may lie from that of a left one; both ends are included. */
export interface IntervalBounds {
  readonly lower: Duration | `-${Duration}`
  readonly upper: Duration | `-${Duration}`
}

/** The side outputs of records that came too late to be joined. */
export const LATE_LEFT_OUTPUT = 'late-left'
export const LATE_RIGHT_OUTPUT = 'late-right'

/**
 * Pairs of records with equal keys whose times are close: `left.time + lower <= right.time <= left.time + upper`.
 *
 * ```ts
 * const orders = from([{ id: 1, at: 1_000 }, { id: 2, at: 5_000 }]).withTimestamps((order) => order.at)
 * const payments = from([{ order: 1, at: 3_000 }, { order: 2, at: 9_000 }]).withTimestamps((payment) => payment.at)
 *
 * orders
 *   .keyBy((order) => order.id)
 *   .intervalJoin(payments.keyBy((payment) => payment.order), { lower: 0, upper: '2s' }, (order, payment) => ({ id: order.id, paid: payment.at }))
 * // -> { id: 1, paid: 3_000 }
 * ```
 *
 * Contract:
 *
 * 1. A pair is joined when its second record comes, once. A record without a partner gives nothing.
 * 2. A result bears the later of the two times. The results of one record come in the order of their partners' times, equal times in the
 *    order of arrival.
 * 3. A record at or before the watermark is late: it is joined with nothing and goes to the late output of its side.
 * 4. A left record is kept until the watermark reaches its time + max(upper, 0), a right one until its time + max(-lower, 0). No record
 *    that is still to come can be its partner then. Nothing is left at the end of the input.
 *
 * @throws SluiceError `INVALID_OPTION` when `lower` is above `upper`, `INVALID_DURATION`
 */
export function intervalJoinOperator(
  bounds: IntervalBounds,
  fn: (left: never, right: never) => unknown,
): (context: OperatorContext) => Operator {
  const { lowerMs, upperMs } = intervalMs(bounds)
  return (context) => new IntervalJoin(lowerMs, upperMs, fn as (left: unknown, right: unknown) => unknown, context)
}

/** The bounds in milliseconds. @throws SluiceError `INVALID_OPTION`, `INVALID_DURATION` */
export function intervalMs({ lower, upper }: IntervalBounds): { readonly lowerMs: number; readonly upperMs: number } {
  const lowerMs = signedMs(lower, 'the lower bound of an intervalJoin')
  const upperMs = signedMs(upper, 'the upper bound of an intervalJoin')
  if (lowerMs <= upperMs) return { lowerMs, upperMs }
  throw new SluiceError(
    'INVALID_OPTION',
    `the lower bound of an intervalJoin (${lowerMs} ms) is above its upper one (${upperMs} ms)`,
    {
      hint: `no pair could match; write { lower: ${upperMs}, upper: ${lowerMs} } for left.time ${signed(upperMs)} <= right.time <= left.time ${signed(lowerMs)}`,
    },
  )
}

function signed(ms: number): string {
  return ms < 0 ? `- ${-ms}` : `+ ${ms}`
}

class IntervalJoin implements Operator {
  readonly #context: OperatorContext
  readonly #keyed: KeyedContext
  readonly #fn: (left: unknown, right: unknown) => unknown
  readonly #lowerMs: number
  readonly #upperMs: number
  readonly #left: KeptRecords
  readonly #right: KeptRecords

  constructor(lowerMs: number, upperMs: number, fn: (left: unknown, right: unknown) => unknown, context: OperatorContext) {
    this.#context = context
    this.#keyed = keyedContext(context)
    this.#fn = fn
    this.#lowerMs = lowerMs
    this.#upperMs = upperMs
    this.#left = new KeptRecords(this.#keyed, 'left', Math.max(upperMs, 0))
    this.#right = new KeptRecords(this.#keyed, 'right', Math.max(-lowerMs, 0))
  }

  onRecord(value: unknown): void {
    const time = this.#timeOf(value, LATE_LEFT_OUTPUT)
    if (time === undefined) return
    const partners = this.#right.ofKey() ?? NOBODY
    for (let index = firstFrom(partners, time + this.#lowerMs); index < partners.times.length; index++) {
      if (partners.times[index]! > time + this.#upperMs) break
      this.#emit(value, partners.values[index], Math.max(time, partners.times[index]!))
    }
    this.#left.add(time, value)
  }

  onSecond(value: unknown): void {
    const time = this.#timeOf(value, LATE_RIGHT_OUTPUT)
    if (time === undefined) return
    const partners = this.#left.ofKey() ?? NOBODY
    for (let index = firstFrom(partners, time - this.#upperMs); index < partners.times.length; index++) {
      if (partners.times[index]! > time - this.#lowerMs) break
      this.#emit(partners.values[index], value, Math.max(time, partners.times[index]!))
    }
    this.#right.add(time, value)
  }

  /** The time of a record; `undefined` for one that is late, which is then dealt with. */
  #timeOf(value: unknown, lateOutput: string): number | undefined {
    const { cell, watermark } = this.#context
    const time = cell.timestamp
    if (Number.isNaN(time)) throw this.#context.failure(noTimestamp())
    // The floor too: behind it, partners may be gone that another subtask had still joined.
    if (time > watermark && time > this.#keyed.watermarkFloor) return time
    this.#context.late()
    this.#context.side(lateOutput).onRecord(value)
    return undefined
  }

  #emit(left: unknown, right: unknown, time: number): void {
    const { cell, output } = this.#context
    let result: unknown
    try {
      result = this.#fn(left, right)
    } catch (error) {
      throw this.#context.failure(error)
    }
    const before = cell.timestamp
    cell.timestamp = time
    output.onRecord(result)
    cell.timestamp = before
  }

  onWatermark(watermark: number): boolean {
    this.#left.onWatermark(watermark)
    this.#right.onWatermark(watermark)
    return true
  }
}

/**
 * The records of a key in the order of their times, equal ones in the order of arrival. Those before `first` are gone: they are cut off when
 * they are half of it, so that dropping a record costs the same however many are kept.
 */
interface Timeline {
  first: number
  readonly times: number[]
  readonly values: unknown[]
}

const NOBODY: Timeline = { first: 0, times: [], values: [] }

/**
 * What is kept of one side. What always holds for each key:
 *
 * - `times` ascends from `first` on, and there is at least one record from there on: a key with none has no timeline.
 * - One timer is set, for the instant at which the earliest record may go.
 */
class KeptRecords {
  readonly #table: KeyedTable<Timeline>
  readonly #timers: KeyedTimers
  /** How long the watermark may run ahead of a record before it goes. */
  readonly #keptMs: number

  constructor(keyed: KeyedContext, side: 'left' | 'right', keptMs: number) {
    this.#table = keyed.table(`interval-${side}`)
    this.#timers = keyed.timers(`interval-${side}`)
    this.#keptMs = keptMs
  }

  ofKey(): Timeline | undefined {
    return this.#table.get()
  }

  /** A record that is in time is never past its keeping, so it is always stored. */
  add(time: number, value: unknown): void {
    const timeline = this.#table.edit()
    if (timeline === undefined) {
      this.#table.set({ first: 0, times: [time], values: [value] })
      this.#timers.setEventTime(time + this.#keptMs)
      return
    }
    const earliest = timeline.times[timeline.first]!
    insert(timeline, time, value)
    if (time >= earliest) return
    this.#timers.deleteEventTime(earliest + this.#keptMs)
    this.#timers.setEventTime(time + this.#keptMs)
  }

  onWatermark(watermark: number): void {
    this.#timers.fireEventTime(watermark, () => this.#drop(watermark), always)
  }

  /** Forgets all records of the current key that may go, not only the one whose timer fires. */
  #drop(watermark: number): void {
    const { first, times } = this.#table.get()!
    let kept = first
    while (kept < times.length && times[kept]! + this.#keptMs <= watermark) kept++
    if (kept === times.length) return this.#table.delete()
    this.#timers.setEventTime(times[kept]! + this.#keptMs)
    forget(this.#table.edit()!, kept)
  }
}

const always = (): boolean => true

/** Forgets the records before the place `kept`. */
function forget(timeline: Timeline, kept: number): void {
  const { first, times, values } = timeline
  if (kept * 2 < times.length) {
    values.fill(undefined, first, kept)
    timeline.first = kept
    return
  }
  times.splice(0, kept)
  values.splice(0, kept)
  timeline.first = 0
}

/** Behind all records of the same time. */
function insert({ first, times, values }: Timeline, time: number, value: unknown): void {
  const index = times[times.length - 1]! > time ? place(times, first, time, true) : times.length
  if (index === times.length) {
    times.push(time)
    values.push(value)
  } else {
    times.splice(index, 0, time)
    values.splice(index, 0, value)
  }
}

/** The place of the earliest record that is not before `time`. */
function firstFrom({ first, times }: Timeline, time: number): number {
  return place(times, first, time, false)
}

/** Among ascending times, the first place that holds a later one than `time`, or also an equal one when it is not to be `behind` those. */
function place(times: readonly number[], first: number, time: number, behind: boolean): number {
  let [low, high] = [first, times.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    const other = times[middle]!
    if (other > time || (other === time && !behind)) high = middle
    else low = middle + 1
  }
  return low
}

function noTimestamp(): SluiceError {
  return new SluiceError('NO_TIMESTAMPS', 'a record without a timestamp came to an intervalJoin', {
    hint: 'call .withTimestamps((record) => milliseconds, { maxOutOfOrderness }) on both streams before keyBy',
  })
}
