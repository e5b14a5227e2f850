import type { OpenWindow } from './keyed-window-state.ts'
import { openWindow } from './keyed-window-state.ts'
import type { WindowTimers } from './keyed-window-timers.ts'

/*
 * Sessions that grow together. What always holds between two records: the sessions of a key are ordered by time, and no two of them overlap or
 * touch (`a.start <= b.end && a.end >= b.start`, as in Apache Flink, so records exactly one gap apart are one session).
 *
 * Because of that the sessions that a new one meets stand in a row, and what they become together meets no other.
 */

/** The sessions that a new one meets: those from `first` up to, but not including, `behind`; none when the two are equal. */
export interface MetSessions {
  first: number
  behind: number
  /** The bounds of all of them with the new one. */
  start: number
  end: number
}

/** Looks for the sessions that one from `start` to `end` meets, without changing any. Looked for from the latest down. */
export function meet(sessions: readonly OpenWindow[], start: number, end: number, met: MetSessions): void {
  let behind = sessions.length
  while (behind > 0 && sessions[behind - 1]!.start > end) behind--
  let first = behind
  while (first > 0 && sessions[first - 1]!.end >= start) first--
  met.first = first
  met.behind = behind
  met.start = first === behind ? start : Math.min(start, sessions[first]!.start)
  met.end = first === behind ? end : Math.max(end, sessions[behind - 1]!.end)
}

/** Makes one session of those that were met, or a new one when there are none. The earliest takes in the others, in the order of time. */
export function mergeMet(
  sessions: OpenWindow[],
  { first, behind, start, end }: MetSessions,
  timers: WindowTimers,
  merge: (earlier: unknown, later: unknown) => unknown,
): OpenWindow {
  if (first === behind) sessions.splice(first, 0, openWindow(start, end))
  const session = sessions[first]!
  for (let others = behind - first - 1; others > 0; others--) {
    // One by one: those that are still in the row keep the timers that they share with it.
    const [other] = sessions.splice(first + 1, 1)
    absorb(session, other!, merge)
    timers.take(sessions, session, other!)
  }
  session.start = start
  session.end = end
  return session
}

function absorb(into: OpenWindow, other: OpenWindow, merge: (earlier: unknown, later: unknown) => unknown): void {
  if (other.filled) into.contents = into.filled ? merge(into.contents, other.contents) : other.contents
  into.filled ||= other.filled
  into.pending += other.pending
  into.tickMs = Math.min(into.tickMs, other.tickMs)
}
