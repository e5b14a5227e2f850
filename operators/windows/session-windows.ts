import { copyValue } from '../../src/core/copy-value.ts'
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

/**
 * What windows hold together, the earliest first; `undefined` where none holds anything. They stay as they are, but for what `merge` does to the first.
 * @param copies `merge` is given a copy: should it throw, or what comes after it, nothing has happened
 */
export function contentsOf(
  windows: readonly OpenWindow[],
  merge: ((earlier: unknown, later: unknown) => unknown) | undefined,
  copies: boolean,
): unknown {
  const filled = windows.filter((window) => window.filled)
  const first = filled[0]?.contents
  if (filled.length < 2) return first
  return filled.slice(1).reduce((earlier, { contents }) => merge!(earlier, contents), copies ? copyValue(first) : first)
}

/** Makes one session of those that were met, or a new one when there are none. The earliest takes the place of the others; its contents are set behind that. */
export function joinMet(sessions: OpenWindow[], { first, behind, start, end }: MetSessions, timers: WindowTimers): OpenWindow {
  if (first === behind) sessions.splice(first, 0, openWindow(start, end))
  const session = sessions[first]!
  for (let others = behind - first - 1; others > 0; others--) {
    // One by one: those that are still in the row keep the timers that they share with it.
    const [other] = sessions.splice(first + 1, 1)
    session.pending += other!.pending
    session.tickMs = Math.min(session.tickMs, other!.tickMs)
    timers.take(sessions, session, other!)
  }
  session.start = start
  session.end = end
  return session
}
