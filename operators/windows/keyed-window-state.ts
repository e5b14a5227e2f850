/** No timer is set, or nothing is due: no clock and no watermark but the last comes this far. */
export const NEVER = Number.POSITIVE_INFINITY

/** A window of one key as it is kept in state: plain data. */
export interface OpenWindow {
  start: number
  end: number
  /** What its records were folded into; meaningless unless `filled`. */
  contents: unknown
  /** Whether any record is in it: a purge takes them all out. */
  filled: boolean
  /** Records since it last fired. */
  pending: number
  /** The watermark has reached its last millisecond, and what that fires has been fired. */
  ended: boolean
  /** The instant at which its trigger wants to fire by the clock. */
  tickMs: number
  /** The timers that are set for it, by event time and by the clock. */
  eventTimer: number
  clockTimer: number
}

export function openWindow(start: number, end: number): OpenWindow {
  return {
    start,
    end,
    contents: undefined,
    filled: false,
    pending: 0,
    ended: false,
    tickMs: NEVER,
    eventTimer: NEVER,
    clockTimer: NEVER,
  }
}

/**
 * The place of the window that begins at `start` among `windows`, which are ordered by their start, or the place where it belongs. Looked for
 * from `from` down: records come roughly in the order of time.
 */
export function placeOf(windows: readonly OpenWindow[], start: number, from: number): number {
  let place = Math.min(from, windows.length)
  while (place > 0 && windows[place - 1]!.start >= start) place--
  return place
}
