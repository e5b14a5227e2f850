import type { OperatorContext } from '../../src/core/operator.ts'
import type { SplitTime, SplitTimes } from './split-times.ts'

/**
 * Says which splits have been silent for too long. It looks at the clock in steps of half the timeout. What always holds:
 *
 * 1. A step in which a record came does not count, and no step counts for more than its length: whoever comes late, because something
 *    held it up, takes one step of that time for silence at most. So a split is idle at the third look without a record, at the earliest.
 * 2. Of a step only the time counts in which the split was asked for records (`SourceSplits.listenedMs`): a full output behind the task,
 *    alignment, or another split's turn stop the clock, because a record may be waiting meanwhile.
 */
export class Idleness {
  readonly #times: SplitTimes
  readonly #context: OperatorContext
  readonly #timeoutMs: number
  #lookedMs: number

  /** @param timeoutMs `Infinity` for never */
  constructor(times: SplitTimes, context: OperatorContext, timeoutMs: number) {
    this.#times = times
    this.#context = context
    this.#timeoutMs = timeoutMs
    this.#lookedMs = context.clock.now()
  }

  /** When to look next. */
  get nextMs(): number {
    return this.#lookedMs + this.#timeoutMs / 2
  }

  /** True when a split has turned idle. */
  look(nowMs: number): boolean {
    const elapsedMs = nowMs - this.#lookedMs
    this.#lookedMs = nowMs
    let turned = false
    for (const time of this.#times.active) turned = this.#lookAt(time, elapsedMs) || turned
    return turned
  }

  #lookAt(time: SplitTime, elapsedMs: number): boolean {
    const { splits } = this.#context
    const clockMs = splits === undefined ? time.clockMs + elapsedMs : splits.listenedMs(time.split)
    const stepMs = Math.max(0, Math.min(clockMs - time.clockMs, this.#timeoutMs / 2))
    time.silentMs = time.fresh ? 0 : time.silentMs + stepMs
    time.clockMs = clockMs
    time.fresh = false
    if (time.idle || time.silentMs < this.#timeoutMs) return false
    time.idle = true
    return true
  }
}
