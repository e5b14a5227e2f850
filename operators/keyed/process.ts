import { copyValue } from '../../src/core/copy-value.ts'
import { SluiceError } from '../../src/core/errors.ts'
import type { KeyedContext, KeyedTimers } from '../../src/core/keyed-state.ts'
import type { Operator, OperatorContext } from '../../src/core/operator.ts'
import { emitAll } from '../flat-map.ts'
import type { ProcessContext, ProcessHandlers, SideOutputs } from '../process.ts'
import { guarded } from '../process.ts'
import { CurrentRecord } from '../record-context.ts'
import { keyedContext } from './keyed-context.ts'
import { StateTime } from './state/state-time.ts'
import type { StateDeclarations, StateHandles } from './state.ts'

export type { StateDeclarations, StateHandles } from './state.ts'

/**
 * Timers of the current key. A time is in milliseconds since 1970; setting the same one twice is one timer. What is due fires in the order
 * of (time, key group, key), whenever it was set. At the end of the input the watermark is `Infinity` and every event-time timer fires,
 * also one that is set meanwhile: a handler that always sets the next one asks `ctx.watermark < Infinity` first. One that does not is
 * stopped after a million such timers and more (`TIMER_LOOP`). Timers by the clock that are still set at the end of the input do not fire.
 */
export interface Timers {
  /** Calls `onTimer` once the watermark has reached `time`; one in the past waits for the next watermark. */
  eventTime(time: number): void
  deleteEventTime(time: number): void
  /** Calls `onTimer` once the clock has reached `time`. */
  processingTime(time: number): void
  deleteProcessingTime(time: number): void
}

/** What the handlers of a keyed `process` are given. */
export interface KeyedProcessContext<K, Out, Side extends SideOutputs, S extends StateDeclarations>
  extends ProcessContext<Out, Side> {
  readonly key: K
  /**
   * No record at or before this instant is expected any more. After a change of parallelism it may for some keys be ahead of that of the
   * subtask: for each key it never goes back.
   */
  readonly watermark: number
  readonly state: StateHandles<S>
  readonly timers: Timers
}

/** The handlers of a keyed `process`, as the operator sees them. */
export interface KeyedProcessHandlers extends ProcessHandlers {
  state?: StateDeclarations
  onTimer?: (time: number, context: never) => Iterable<unknown> | void
}

/**
 * Anything, with state and timers for each key.
 *
 * ```ts
 * const payments = from([
 *   { card: 'A', country: 'FR', at: 1000 },
 *   { card: 'A', country: 'NZ', at: 2000 },
 * ]).withTimestamps((payment) => payment.at)
 *
 * payments.keyBy((payment) => payment.card).process({
 *   state: { last: valueState({ ttl: '1h' }) },
 *   *onRecord(payment, ctx) {
 *     const last = ctx.state.last.get()
 *     if (last && last.country !== payment.country) yield `${ctx.key}: ${last.country} and ${payment.country}`
 *     ctx.state.last.set(payment)
 *     ctx.timers.eventTime(payment.at + 60_000)
 *   },
 *   *onTimer(time, ctx) {
 *     if (ctx.state.last.get().at === time - 60_000) yield `${ctx.key}: nothing for a minute`
 *   },
 * })
 * // -> 'A: FR and NZ', 'A: nothing for a minute'
 * ```
 */
export function keyedProcessOperator(handlers: KeyedProcessHandlers): (context: OperatorContext) => Operator {
  return (context) => new KeyedProcess(handlers, context)
}

class KeyedProcess implements Operator {
  readonly #handlers: KeyedProcessHandlers
  readonly #context: OperatorContext
  readonly #timers: KeyedTimers
  readonly #time: StateTime
  readonly #record: KeyedRecord

  constructor(handlers: KeyedProcessHandlers, context: OperatorContext) {
    const keyed = keyedContext(context)
    this.#handlers = handlers
    this.#context = context
    this.#timers = keyed.timers()
    this.#time = new StateTime(context, keyed)
    this.#record = new KeyedRecord(handlers.state ?? {}, keyed, this.#timers, this.#time, context)
  }

  open(): void {
    guarded(this.#context, () => this.#handlers.open?.(this.#record))
  }

  onRecord(value: unknown): void {
    let results: Iterable<unknown> | void
    try {
      results = this.#handlers.onRecord(value as never, this.#record as never)
    } catch (error) {
      throw this.#context.failure(error)
    }
    if (results !== undefined) emitAll(results, this.#context.output, this.#context)
  }

  onWatermark(watermark: number): boolean {
    this.#time.beginWatermark()
    const fired = this.#timers.fireEventTime(
      watermark,
      (time) => {
        this.#time.onTimer(time)
        this.#onTimer(time, time)
      },
      () => this.#context.hasRoom,
    )
    if (fired) this.#time.endWatermark(watermark)
    return fired
  }

  nextProcessingTime(): number {
    return Math.min(this.#timers.nextProcessingTime(), this.#time.nextProcessingTime())
  }

  onProcessingTime(nowMs: number): boolean {
    const fired = this.#timers.fireProcessingTime(
      nowMs,
      (time) => this.#onTimer(time, Number.NaN),
      () => this.#context.hasRoom,
    )
    if (fired) this.#time.onProcessingTime(nowMs)
    return fired
  }

  /** Results of an event-time timer bear its time; those of a processing-time timer none. */
  #onTimer(time: number, timestamp: number): void {
    const { cell } = this.#context
    const before = cell.timestamp
    cell.timestamp = timestamp
    const results = guarded(this.#context, () => this.#handlers.onTimer?.(time, this.#record as never))
    if (results !== undefined) emitAll(results, this.#context.output, this.#context)
    cell.timestamp = before
  }

  close(): void {
    this.#handlers.close?.()
  }
}

class KeyedRecord extends CurrentRecord {
  readonly state: Readonly<Record<string, unknown>>
  readonly timers: Timers
  readonly #keyed: KeyedContext
  readonly #context: OperatorContext

  constructor(state: StateDeclarations, keyed: KeyedContext, timers: KeyedTimers, time: StateTime, context: OperatorContext) {
    super(context)
    this.#keyed = keyed
    this.#context = context
    this.state = Object.fromEntries(
      Object.entries(state).map(([name, declaration]) => [name, declaration.open(keyed, name, time)]),
    )
    this.timers = {
      eventTime: (time) => timers.setEventTime(valid(time)),
      deleteEventTime: (time) => timers.deleteEventTime(valid(time)),
      processingTime: (time) => timers.setProcessingTime(valid(time)),
      deleteProcessingTime: (time) => timers.deleteProcessingTime(valid(time)),
    }
  }

  get key(): unknown {
    // A date or an array that a handler changed would no longer be the key that it stands for.
    return copyValue(this.#keyed.key)
  }

  override get watermark(): number {
    return Math.max(this.#context.watermark, this.#keyed.watermarkFloor)
  }

  emit(value: unknown): void {
    this.#context.output.onRecord(value)
  }

  emitTo(side: string, value: unknown): void {
    this.#context.side(`side:${side}`).onRecord(value)
  }
}

function valid(time: number): number {
  if (Number.isFinite(time)) return time
  throw new SluiceError('INVALID_TIMESTAMP', `a timer is set for ${String(time)}`, {
    hint: 'a timer takes milliseconds since 1970',
  })
}
