import { SluiceError } from '../src/core/errors.ts'
import type { Operator, OperatorContext } from '../src/core/operator.ts'
import type { Duration } from '../src/core/time.ts'
import { durationMs, WATERMARK_NONE } from '../src/core/time.ts'
import type { RecordContext } from './record-context.ts'
import { CurrentRecord } from './record-context.ts'

export interface TimestampOptions {
  /** How far a record's time may lie behind the latest one seen before it is late. Default: 0, times never go back. */
  readonly maxOutOfOrderness?: Duration
  /**
   * After this long without a record the stream counts as idle here, and no longer holds back the watermark of those who read other
   * streams too. By the clock, so what is late may then differ from run to run. Default: never.
   */
  readonly idleTimeout?: Duration
}

/**
 * Gives records their event time, and the stream its watermarks: the latest time seen, less the bound, less one millisecond
 * (a watermark of `w` promises that no record with a time of `w` or earlier follows). One is sent after each batch, so that the same
 * input in the same order always makes the same records late. Watermarks from upstream are replaced.
 *
 * ```ts
 * stream.withTimestamps((flight) => Date.parse(flight.date), { maxOutOfOrderness: '5m' })
 * ```
 *
 * The bound is counted in the order of reading: one file after the other, each from its beginning, divided among the subtasks.
 */
export function timestampsOperator<T>(
  fn: (value: T, context: RecordContext) => number,
  options: TimestampOptions,
): (context: OperatorContext) => Operator<T> {
  const boundMs = durationMs(options.maxOutOfOrderness ?? 0, 'maxOutOfOrderness')
  const idleMs = idleTimeoutMs(options) ?? Number.POSITIVE_INFINITY
  return (context) => new TimestampAssigner(fn as (value: unknown, context: RecordContext) => number, boundMs, idleMs, context)
}

/** The idle timeout in milliseconds, if there is one. @throws SluiceError `INVALID_DURATION`, also for zero */
export function idleTimeoutMs(options: TimestampOptions): number | undefined {
  if (options.idleTimeout === undefined) return undefined
  const ms = durationMs(options.idleTimeout, 'idleTimeout')
  if (ms > 0) return ms
  throw new SluiceError('INVALID_DURATION', 'idleTimeout is zero', { hint: 'leave it out to never be idle' })
}

class TimestampAssigner implements Operator {
  readonly makesWatermarks = true
  readonly #fn: (value: unknown, context: RecordContext) => number
  readonly #boundMs: number
  readonly #context: OperatorContext
  readonly #record: RecordContext
  readonly #idleMs: number
  #latest = WATERMARK_NONE
  #idle = false
  #nextCheckMs: number
  /** Checks in a row that found no record since the one before. */
  #silentChecks = 0

  constructor(fn: (value: unknown, context: RecordContext) => number, boundMs: number, idleMs: number, context: OperatorContext) {
    this.#fn = fn
    this.#boundMs = boundMs
    this.#idleMs = idleMs
    this.#nextCheckMs = idleMs === Number.POSITIVE_INFINITY ? idleMs : context.clock.now() + idleMs / 2
    this.#context = context
    this.#record = new CurrentRecord(context)
  }

  onRecord(value: unknown): void {
    const { cell, output } = this.#context
    const timestamp = this.#timestampOf(value)
    if (this.#idle) this.#becomeActive()
    this.#silentChecks = 0
    if (timestamp > this.#latest) this.#latest = timestamp
    const before = cell.timestamp
    cell.timestamp = timestamp
    output.onRecord(value)
    cell.timestamp = before
  }

  #timestampOf(value: unknown): number {
    try {
      const timestamp = this.#fn(value, this.#record)
      if (Number.isFinite(timestamp)) return timestamp
      throw new SluiceError('INVALID_TIMESTAMP', `the timestamp of a record is ${String(timestamp)}`, {
        hint: 'return milliseconds since 1970 from withTimestamps, such as Date.parse(text) or date.getTime(); filter records without a time before it',
      })
    } catch (error) {
      throw this.#context.failure(error)
    }
  }

  onBatchEnd(): void {
    this.#context.emitWatermark(this.#latest - this.#boundMs - 1)
  }

  #becomeActive(): void {
    this.#idle = false
    this.#context.emitIdle(false)
  }

  nextProcessingTime(): number {
    return this.#nextCheckMs
  }

  /**
   * Three checks in a row without a record between them, half the timeout apart, make the stream idle: the first may come right after a
   * record. They are counted, because a task that was held up by a full output comes here late and must not take that time for silence.
   */
  onProcessingTime(nowMs: number): boolean {
    this.#nextCheckMs = nowMs + this.#idleMs / 2
    if (++this.#silentChecks > 2 && !this.#idle) {
      this.#idle = true
      this.#context.emitIdle(true)
    }
    return true
  }

  snapshot(): unknown {
    return this.#latest
  }

  /** After a change of parallelism splits have moved: the smallest time is the only one that is early enough for all of them. */
  restore(states: readonly unknown[]): void {
    this.#latest = Math.min(...(states as readonly number[]))
  }
}
