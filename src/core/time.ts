import { SluiceError } from './errors.ts'
import { shown } from './shown.ts'

/** A length of time: milliseconds as a number, or a literal that the compiler checks. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** The watermark before any record: nothing is late yet. */
export const WATERMARK_NONE: number = Number.NEGATIVE_INFINITY

/** The watermark after the last record: every window and timer is due. */
export const WATERMARK_END: number = Number.POSITIVE_INFINITY

/** The timestamp of a record that has none. */
export const NO_TIMESTAMP: number = Number.NaN

/**
 * A duration in whole milliseconds. `what` names the setting in the error.
 * @throws SluiceError `INVALID_DURATION` for anything but a finite length of zero or more.
 */
export function durationMs(duration: Duration, what: string): number {
  const ms = typeof duration === 'number' ? duration : parse(duration)
  if (ms === undefined || !Number.isFinite(ms) || ms < 0) {
    throw new SluiceError('INVALID_DURATION', `${what} is not a duration: ${shown(duration)}`, {
      hint: "write milliseconds as a number, or a literal such as '250ms', '5s', '10m', '1h', '1d'",
    })
  }
  return Math.round(ms)
}

function parse(text: unknown): number | undefined {
  const match = typeof text === 'string' ? /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text) : null
  return match ? Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS] : undefined
}

/** Where the engine reads the time, so that tests can move it by hand. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number
  /** Measures how long work takes, in milliseconds since any instant. Default: `performance.now()`. */
  elapsed?(): number
}

export const systemClock: Clock = { now: () => Date.now() }

/** How the main thread waits, so that a simulation can let time pass. */
export interface Timers {
  /** Milliseconds on a clock that never goes back: intervals must not depend on somebody setting the time. */
  nowMs(): number
  /** Calls back once so much time has passed. Returns what takes that back. */
  set(callback: () => void, delayMs: number): () => void
  /** Settles when everything else that is due has had its turn. */
  turn(): Promise<void>
}

/** A timer of Node that is longer fires at once. */
const TIMER_MAX_MS = 2 ** 31 - 1

export const systemTimers: Timers = {
  nowMs: () => performance.now(),
  set(callback, delayMs) {
    const timer = setTimeout(callback, Math.min(Math.max(0, delayMs), TIMER_MAX_MS))
    return () => clearTimeout(timer)
  },
  turn: () => new Promise((resolve) => setImmediate(resolve)),
}
