import { SluiceError } from '../src/core/errors.ts'
import type { Operator, OperatorContext } from '../src/core/operator.ts'
import type { RecordStep } from '../src/core/record-step.ts'
import { WATERMARK_END, WATERMARK_NONE } from '../src/core/time.ts'
import type { RecordContext } from './record-context.ts'
import { CurrentRecord } from './record-context.ts'
import { Idleness } from './time/idleness.ts'
import { PeriodicEmission } from './time/periodic-emission.ts'
import type { SplitTime, StoredSplitTimes } from './time/split-times.ts'
import { SplitTimes } from './time/split-times.ts'
import type { TimestampOptions, TimestampSettings } from './time/timestamp-options.ts'
import { timestampSettings } from './time/timestamp-options.ts'

export type { AlignmentOptions, TimestampOptions, TimestampSettings } from './time/timestamp-options.ts'
export { timestampSettings } from './time/timestamp-options.ts'

/**
 * Gives records their event time, and the stream its watermarks: the latest time seen, less the bound, less one millisecond
 * (a watermark of `w` promises that no record with a time of `w` or earlier follows). Watermarks from upstream are replaced, except the
 * last one, which ends all time.
 *
 * ```ts
 * from([{ at: 1_000 }, { at: 5_000 }, { at: 3_000 }])
 *   .withTimestamps((flight) => flight.at, { maxOutOfOrderness: '1s' })
 *   .map((flight, ctx) => (flight.at > ctx.watermark ? 'in time' : 'late'))
 * // -> 'in time', 'in time', 'late'
 * ```
 *
 * - **When.** After each record that is later than all before it, behind that record; or by the clock with `watermarkEvery`. So the same input read in
 *   the same order always makes the same records late.
 * - **Per split.** Directly behind a source (no `keyBy`, `rebalance` or `union` between) the latest time is kept for each split that the
 *   subtask is reading, and the smallest counts. So splits of different speed make nothing late among themselves, also when a change of
 *   parallelism brings them into one subtask. A split that is done no longer counts; one without a record yet holds the watermark back.
 *   The bound is thus counted in the order of reading within a split: between files that are read one after the other, times should
 *   not go back further than the bound. Behind an exchange there is one latest time for each subtask.
 * - **Idleness.** With `idleTimeout`, a split without records does not hold the watermark back. When all splits of a subtask are idle, the
 *   largest of their watermarks is sent, and then that the subtask is idle.
 * - **Alignment.** With `alignment`, sources that are far ahead of others wait for them.
 * - **Restart.** Latest times and the last watermark are part of checkpoints: what was late before a failure is late after it.
 */
export function timestampsOperator<T>(
  fn: (value: T, context: RecordContext) => number,
  options: TimestampOptions,
): (context: OperatorContext) => Operator<T> {
  const settings = timestampSettings(options)
  return (context) => new TimestampAssigner(fn as (value: unknown, context: RecordContext) => number, settings, context)
}

/** What a checkpoint holds of one subtask. */
interface StoredTime {
  readonly emitted: number
  readonly latest: StoredSplitTimes
}

class TimestampAssigner implements Operator {
  readonly makesWatermarks = true
  readonly #fn: (value: unknown, context: RecordContext) => number
  readonly #settings: TimestampSettings
  readonly #context: OperatorContext
  readonly #record: RecordContext
  readonly #times: SplitTimes
  readonly #idleness: Idleness
  readonly #emission: PeriodicEmission | undefined
  readonly step: RecordStep
  /** The record on its way is later than all before it of its split, whose time this is. */
  #risen: SplitTime | undefined
  #emitted = WATERMARK_NONE
  #idle = false

  constructor(fn: (value: unknown, context: RecordContext) => number, settings: TimestampSettings, context: OperatorContext) {
    this.#fn = fn
    this.#settings = settings
    this.#context = context
    this.#record = new CurrentRecord(context)
    this.#times = new SplitTimes(context)
    this.#idleness = new Idleness(this.#times, context, settings.idleTimeoutMs ?? Number.POSITIVE_INFINITY)
    const { watermarkEveryMs } = settings
    this.#emission = watermarkEveryMs === null ? undefined : new PeriodicEmission(watermarkEveryMs, context.clock.now())
    this.step = {
      kind: 'timestamp',
      fn,
      context: this.#record,
      failure: (error) => context.failure(error),
      cell: context.cell,
      output: context.output,
      check: timestampOf,
      before: (timestamp) => this.#before(timestamp),
      after: () => this.#after(),
    }
  }

  open(): void {
    const { splits, watermarkGroup } = this.#context
    // Said again after a restore: a channel that is new, because the parallelism has changed, has not heard it.
    if (this.#emitted !== WATERMARK_END) this.#context.emitWatermark(this.#emitted)
    if (watermarkGroup === undefined) return
    this.#show()
    splits?.holdBack((split) => this.#isAhead(split))
  }

  onRecord(value: unknown): void {
    const { cell, output } = this.#context
    const timestamp = this.#timestampOf(value)
    this.#before(timestamp)
    const before = cell.timestamp
    cell.timestamp = timestamp
    output.onRecord(value)
    cell.timestamp = before
    this.#after()
  }

  #before(timestamp: number): void {
    const time = this.#times.of(this.#context.cell.split)
    const rises = timestamp > time.latest
    if (rises) time.latest = timestamp
    this.#risen = rises && this.#emission === undefined ? time : undefined
    time.fresh = true
    if (time.idle) this.#wake(time)
  }

  /** A record goes before the watermark that it makes. */
  #after(): void {
    if (this.#risen !== undefined) this.#rise(this.#risen)
  }

  #rise(time: SplitTime): void {
    if (this.#times.only !== time) return this.#emit()
    const watermark = this.#watermarkAt(time.latest)
    if (watermark <= this.#emitted) return
    this.#emitted = watermark
    this.#context.emitWatermark(watermark)
  }

  #timestampOf(value: unknown): number {
    try {
      return timestampOf(this.#fn(value, this.#record))
    } catch (error) {
      throw this.#context.failure(error)
    }
  }

  #wake(time: { idle: boolean }): void {
    time.idle = false
    this.#sayIdle(false)
  }

  onBatchEnd(): void {
    if (this.#emission === undefined) this.#emit()
    else if (this.#watermark > this.#emitted) this.#emission.rise(this.#context.clock.now())
    this.#settleIdle()
    this.#show()
  }

  /** The end of all time is passed on by the chain. */
  onWatermark(watermark: number): boolean {
    if (watermark !== WATERMARK_END) return true
    this.#emitted = WATERMARK_END
    this.#show()
    return true
  }

  get #watermark(): number {
    return this.#watermarkAt(this.#times.latest)
  }

  #watermarkAt(latest: number): number {
    return latest - this.#settings.maxOutOfOrdernessMs - 1
  }

  #emit(): void {
    this.#emission?.sent()
    const watermark = this.#watermark
    if (watermark <= this.#emitted) return
    this.#emitted = watermark
    this.#context.emitWatermark(watermark)
  }

  // By the clock

  nextProcessingTime(): number {
    return Math.min(this.#idleness.nextMs, this.#emission?.nextMs ?? Number.POSITIVE_INFINITY)
  }

  onProcessingTime(nowMs: number): boolean {
    if (this.#emission !== undefined && this.#emission.nextMs <= nowMs) this.#emit()
    if (this.#idleness.nextMs <= nowMs && this.#idleness.look(nowMs)) {
      // A split that held the watermark back does so no more.
      this.#emit()
      this.#settleIdle()
      this.#show()
    }
    return true
  }

  /** The subtask is idle when all of its splits are; one that begins, or ends, changes that too. */
  #settleIdle(): void {
    if (this.#times.active.length === 0 || this.#times.idle === this.#idle) return
    if (this.#times.idle) this.#emit()
    this.#sayIdle(this.#times.idle)
  }

  #sayIdle(idle: boolean): void {
    if (idle === this.#idle) return
    this.#idle = idle
    this.#context.emitIdle(idle)
    this.#show()
  }

  // Alignment

  #show(): void {
    const { watermarkGroup } = this.#context
    if (watermarkGroup === undefined) return
    if (this.#emitted === WATERMARK_END || this.#times.active.length === 0) watermarkGroup.show(WATERMARK_END)
    // What was sent still holds while the next split has not begun to give records.
    else watermarkGroup.show(this.#idle ? Number.NaN : Math.max(this.#emitted, this.#watermark))
  }

  /** A split without a record is never ahead: no time is below `WATERMARK_NONE`. */
  #isAhead(split: number): boolean {
    const { watermarkGroup } = this.#context
    const watermark = this.#watermarkAt(this.#times.of(split).latest)
    return watermark > watermarkGroup!.smallest + this.#settings.alignment!.maxDriftMs
  }

  // Checkpoints

  snapshot(): StoredTime {
    return { emitted: this.#emitted, latest: this.#times.store() }
  }

  /** After a change of parallelism the smallest watermark is the only one that is early enough for all splits. */
  restore(states: readonly unknown[]): void {
    const former = states as readonly StoredTime[]
    this.#emitted = Math.min(...former.map((state) => state.emitted))
    this.#times.restore(former.flatMap((state) => state.latest))
  }
}

function timestampOf(result: unknown): number {
  // Windows and watermarks are whole milliseconds: what lies between two belongs to the earlier one.
  if (Number.isFinite(result)) return Math.floor(result as number)
  throw new SluiceError('INVALID_TIMESTAMP', `the timestamp of a record is ${String(result)}`, {
    hint: 'return milliseconds since 1970 from withTimestamps, such as Date.parse(text) or date.getTime(); filter records without a time before it',
  })
}
