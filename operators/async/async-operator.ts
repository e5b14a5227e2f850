import type { Operator, OperatorContext } from '../../src/core/operator.ts'
import { WATERMARK_END, WATERMARK_NONE } from '../../src/core/time.ts'
import type { AsyncCall } from './async-call.ts'
import { AsyncCalls } from './async-calls.ts'
import type { AsyncFunction, AsyncSettings } from './async-options.ts'
import type { ResultQueue } from './result-queue.ts'

/**
 * What the two kinds of `asyncMap` have in common. What always holds:
 *
 * - A record is in the queue from its arrival until its result is out, and a checkpoint stores the records in the queue: whatever happens to
 *   its call, its result comes out once.
 * - No result goes out before the watermark that its record followed, nor behind one that came after its record.
 * - The queue holds no more than `concurrency` records, except after a restore with fewer subtasks; then no more than that are called.
 */
export abstract class AsyncOperator implements Operator {
  readonly delaysWatermarks = true
  protected readonly context: OperatorContext
  protected readonly calls: AsyncCalls
  protected readonly queue: ResultQueue
  readonly #concurrency: number
  /** Records of a checkpoint that are not called yet; the first step calls them, when all tasks are there. Others come behind them. */
  #restored: AsyncCall[] = []
  #begun = 0
  /** The last watermark that was passed on. */
  #passed = WATERMARK_NONE
  /** The last watermark that came, short of the end of time: what it makes due is not yet due to the end. */
  #beforeEnd = WATERMARK_NONE

  constructor(fn: AsyncFunction, settings: AsyncSettings, context: OperatorContext, queue: ResultQueue) {
    this.context = context
    this.#concurrency = settings.concurrency
    this.queue = queue
    this.calls = new AsyncCalls(fn, settings, context, (call) => {
      queue.completed(call)
      this.completed(call)
    })
  }

  /** Calls the function for a record, at once or when its turn has come. */
  protected abstract begin(call: AsyncCall): void

  protected completed(_call: AsyncCall): void {}

  get pending(): boolean {
    return this.queue.size > 0
  }

  get full(): boolean {
    return this.queue.size >= this.#concurrency
  }

  abstract onRecord(value: unknown): void

  protected accept(call: AsyncCall): void {
    this.queue.add(call)
    if (this.#restored.length > 0) this.#restored.push(call)
    else this.#begin(call)
    // What is known at once goes on at once, when nothing is before it.
    if (call.state === 'done') this.#emit()
    if (this.full) this.context.hold()
  }

  protected acceptRestored(calls: readonly AsyncCall[]): void {
    for (const call of calls) this.queue.add(call)
    this.#restored = [...calls]
  }

  #begin(call: AsyncCall): void {
    this.#begun++
    this.begin(call)
  }

  #beginRestored(): void {
    const room = this.#concurrency - this.#begun
    if (this.#restored.length > 0 && room > 0) for (const call of this.#restored.splice(0, room)) this.#begin(call)
  }

  deliver(): boolean {
    this.#beginRestored()
    this.calls.settle()
    const emitted = this.#emit()
    return this.#passWatermark() || emitted
  }

  #emit(): boolean {
    const { cell, output } = this.context
    const { timestamp, split } = cell
    let emitted = false
    while (this.context.hasRoom) {
      const call = this.queue.take(this.#passed)
      if (call === undefined) break
      emitted = true
      this.#begun--
      cell.timestamp = call.timestamp
      cell.split = call.split
      if (call.isRefused) this.context.refuse(call.value, call.error)
      else output.onRecord(call.result)
    }
    cell.timestamp = timestamp
    cell.split = split
    return emitted
  }

  /** Passes on the watermark before the next result, or the last one when there is none. The next result waits until it is carried out. */
  #passWatermark(): boolean {
    let watermark = this.queue.watermark ?? this.context.watermark
    if (watermark <= this.#passed) return false
    if (watermark === WATERMARK_END && this.#beforeEnd > this.#passed) watermark = this.#beforeEnd
    this.#passed = watermark
    this.context.emitWatermark(watermark)
    return true
  }

  onWatermark(watermark: number): boolean {
    // Nothing comes any more for which it would be worth waiting.
    if (watermark === WATERMARK_END) this.calls.hurry()
    else this.#beforeEnd = watermark
    this.#passWatermark()
    return true
  }

  nextProcessingTime(): number {
    return this.calls.nextTime()
  }

  onProcessingTime(nowMs: number): boolean {
    this.calls.onTime(nowMs)
    return true
  }

  close(): void {
    this.calls.close()
  }
}
