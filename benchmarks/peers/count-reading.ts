import type { Reading } from './workload.ts'

export interface KeyCount {
  readonly key: string | number
  readonly count: number
}

/**
 * The function for the `scan` of a library without keyed streams, or whose keyed streams cost more: it keeps the counts of all keys, and its
 * accumulator is the newest result.
 */
export function countReading(): (newest: KeyCount, reading: Reading) => KeyCount {
  const counts = new Map<string | number, number>()
  return (_newest, { key }) => {
    const count = (counts.get(key) ?? 0) + 1
    counts.set(key, count)
    return { key, count }
  }
}
