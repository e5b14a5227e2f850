import type { KeyedTimers } from '../../src/core/keyed-state.ts'
import type { OpenWindow } from './keyed-window-state.ts'
import { NEVER } from './keyed-window-state.ts'

/**
 * The timer of what ends with the input: later than any record, and still a time, so that the last watermark, which is infinite, fires it.
 */
export const END_OF_INPUT = Number.MAX_VALUE

/**
 * The timers of the current key's windows. What always holds:
 *
 * 1. A window has at most one timer by event time and one by the clock, neither after the time at which something is due.
 * 2. The timers that are set for a key are those that its windows name; windows of the same time share one.
 *
 * They may be too early: a session that grows with every record keeps its first timer, and looks again when that fires. So a record that moves
 * a deadline costs nothing, and when the last window is gone no timer is left.
 */
export class WindowTimers {
  readonly #timers: KeyedTimers

  constructor(timers: KeyedTimers) {
    this.#timers = timers
  }

  /** Something of `window` is due at these times, `NEVER` for none. */
  arm(windows: readonly OpenWindow[], window: OpenWindow, eventTime: number, clockTime: number): void {
    if (eventTime < window.eventTimer) {
      this.#releaseEvent(windows, window)
      window.eventTimer = eventTime
      this.#timers.setEventTime(eventTime)
    }
    if (clockTime < window.clockTimer) {
      this.#releaseClock(windows, window)
      window.clockTimer = clockTime
      this.#timers.setProcessingTime(clockTime)
    }
  }

  /** `window` is gone, and with it its timers. */
  release(windows: readonly OpenWindow[], window: OpenWindow): void {
    this.#releaseEvent(windows, window)
    this.#releaseClock(windows, window)
  }

  /** `into` takes the place of `window`: it keeps the earlier timers of both. */
  take(windows: readonly OpenWindow[], into: OpenWindow, window: OpenWindow): void {
    const { eventTimer, clockTimer } = into
    into.eventTimer = Math.min(eventTimer, window.eventTimer)
    into.clockTimer = Math.min(clockTimer, window.clockTimer)
    window.eventTimer = Math.max(eventTimer, window.eventTimer)
    window.clockTimer = Math.max(clockTimer, window.clockTimer)
    this.release(windows, window)
  }

  #releaseEvent(windows: readonly OpenWindow[], window: OpenWindow): void {
    const { eventTimer } = window
    window.eventTimer = NEVER
    if (eventTimer === NEVER) return
    for (const other of windows) if (other.eventTimer === eventTimer) return
    this.#timers.deleteEventTime(eventTimer)
  }

  #releaseClock(windows: readonly OpenWindow[], window: OpenWindow): void {
    const { clockTimer } = window
    window.clockTimer = NEVER
    if (clockTimer === NEVER) return
    for (const other of windows) if (other.clockTimer === clockTimer) return
    this.#timers.deleteProcessingTime(clockTimer)
  }
}
