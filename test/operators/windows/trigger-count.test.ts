import { describe, expect, test } from 'vitest'
import { countWindow, globalWindow, slidingWindow, tumblingWindow } from '../../../operators/windows/assigners.ts'
import { onCount } from '../../../operators/windows/triggers.ts'
import { keyedWindows, values } from './keyed-fixtures.ts'

/** Records of one key, each at its time; all results. */
function feed(windows: ReturnType<typeof keyedWindows>, times: readonly number[], key = 'a'): string[] {
  return times.flatMap((time) => values(windows.record(key, time, time)))
}

describe('a count window', () => {
  test('gives a result whenever it is full, each of new records', () => {
    const windows = keyedWindows(countWindow(3))
    expect(feed(windows, [1, 2, 3, 4, 5, 6, 7])).toEqual(['-Infinity..Infinity 1 2 3', '-Infinity..Infinity 4 5 6'])
  })

  test('counts for each key by itself', () => {
    const windows = keyedWindows(countWindow(2))
    expect(feed(windows, [1], 'a')).toEqual([])
    expect(feed(windows, [2], 'b')).toEqual([])
    expect(feed(windows, [3], 'a')).toEqual(['-Infinity..Infinity 1 3'])
    expect(feed(windows, [4], 'b')).toEqual(['-Infinity..Infinity 2 4'])
  })

  test('has no state and no timers for a key right after it has fired', () => {
    const windows = keyedWindows(countWindow(2))
    for (let round = 0; round < 3; round++) {
      feed(windows, [1])
      expect(windows.isEmpty).toBe(false)
      windows.restart()
      feed(windows, [2])
      expect(windows.isEmpty).toBe(true)
    }
  })

  test('of one record gives each record', () => {
    const windows = keyedWindows(countWindow(1))
    expect(feed(windows, [1, 2])).toEqual(['-Infinity..Infinity 1', '-Infinity..Infinity 2'])
    expect(windows.isEmpty).toBe(true)
  })

  test('that is not full at the end of the input gives nothing and is gone', () => {
    const windows = keyedWindows(countWindow(3))
    feed(windows, [1, 2], 'a')
    feed(windows, [1], 'b')
    expect(windows.watermark(1e15)).toEqual([])
    expect(windows.isEmpty).toBe(false)
    expect(windows.end()).toEqual([])
    expect(windows.isEmpty).toBe(true)
  })

  test('needs no timestamps; its results have no time of their own', () => {
    const windows = keyedWindows(countWindow(1))
    expect(windows.record('a', 'x')).toEqual([{ value: '-Infinity..Infinity x', timestamp: Number.NaN }])
  })
})

describe('onCount in a global window', () => {
  test('shows all records so far, and what is left at the end of the input is dropped without a word', () => {
    const windows = keyedWindows(globalWindow(), { trigger: onCount(2) })
    expect(feed(windows, [1, 2, 3, 4, 5])).toEqual(['-Infinity..Infinity 1 2', '-Infinity..Infinity 1 2 3 4'])
    expect(windows.end()).toEqual([])
    expect(windows.isEmpty).toBe(true)
  })

  test('with purge is a count window', () => {
    const windows = keyedWindows(globalWindow(), { trigger: onCount(2, { purge: true }) })
    expect(feed(windows, [1, 2, 3, 4, 5])).toEqual(['-Infinity..Infinity 1 2', '-Infinity..Infinity 3 4'])
  })

  test("with endOfWindow: 'fire' gives the rest at the end of the input, once", () => {
    const windows = keyedWindows(globalWindow(), { trigger: onCount(2, { endOfWindow: 'fire' }) })
    feed(windows, [1, 2, 3], 'a')
    feed(windows, [1, 2], 'b')
    expect(values(windows.end())).toEqual(['-Infinity..Infinity 1 2 3'])
    expect(windows.isEmpty).toBe(true)
  })
})

describe('onCount in windows of time', () => {
  test('drops what comes after the last full count when nothing is said of it', () => {
    const [said, unsaid] = [{ endOfWindow: 'ignore' } as const, {}].map((options) => {
      const windows = keyedWindows(tumblingWindow(10), { trigger: onCount(2, options) })
      return [1, 2, 3].flatMap((n) => windows.record('k', n, n)).concat(windows.watermark(100))
    })
    expect(unsaid).toEqual(said)
    expect(unsaid).toHaveLength(1)
  })

  test('counts in each window by itself', () => {
    const windows = keyedWindows(tumblingWindow(10), { trigger: onCount(2, { endOfWindow: 'ignore' }) })
    expect(feed(windows, [1, 11, 2, 12, 3])).toEqual(['0..10 1 2', '10..20 11 12'])
  })

  test('fires overlapping windows, the newest first', () => {
    const windows = keyedWindows(slidingWindow(10, 5), { trigger: onCount(2, { endOfWindow: 'ignore' }) })
    expect(feed(windows, [6, 7])).toEqual(['5..15 6 7', '0..10 6 7'])
    expect(feed(windows, [11])).toEqual([])
    expect(feed(windows, [12])).toEqual(['10..20 11 12', '5..15 6 7 11 12'])
  })

  test("'ignore' drops the rest when the window is gone", () => {
    const windows = keyedWindows(tumblingWindow(10), { trigger: onCount(2, { endOfWindow: 'ignore' }), latenessMs: 5 })
    feed(windows, [1, 2, 3])
    expect(windows.watermark(9)).toEqual([])
    // Counting goes on within the lateness.
    expect(feed(windows, [4])).toEqual(['0..10 1 2 3 4'])
    feed(windows, [5])
    expect(windows.end()).toEqual([])
    expect(windows.isEmpty).toBe(true)
  })

  test("'fire' gives the rest at the end of the window, and then each late record at once", () => {
    const windows = keyedWindows(tumblingWindow(10), { trigger: onCount(2, { endOfWindow: 'fire' }), latenessMs: 5 })
    feed(windows, [1, 2, 3])
    expect(windows.watermark(9)).toEqual([{ value: '0..10 1 2 3', timestamp: 9 }])
    windows.restart()
    expect(feed(windows, [4])).toEqual(['0..10 1 2 3 4'])
    expect(feed(windows, [5])).toEqual(['0..10 1 2 3 4 5'])
    windows.watermark(14)
    expect(windows.isEmpty).toBe(true)
    feed(windows, [6])
    expect(windows.late()).toEqual([6])
  })

  test("'fire' gives nothing at the end when all have been counted out", () => {
    const windows = keyedWindows(tumblingWindow(10), { trigger: onCount(2, { endOfWindow: 'fire' }) })
    feed(windows, [1, 2])
    expect(windows.end()).toEqual([])
  })

  test("'fire' with purge gives the rest alone", () => {
    const windows = keyedWindows(tumblingWindow(10), { trigger: onCount(2, { endOfWindow: 'fire', purge: true }), latenessMs: 5 })
    expect(feed(windows, [1, 2, 3])).toEqual(['0..10 1 2'])
    expect(values(windows.watermark(9))).toEqual(['0..10 3'])
    expect(feed(windows, [4])).toEqual(['0..10 4'])
    expect(windows.end()).toEqual([])
    expect(windows.isEmpty).toBe(true)
  })

  test('by the clock: the rest when the clock or the input ends the window', () => {
    const trigger = onCount(2, { endOfWindow: 'fire' })
    const windows = keyedWindows(tumblingWindow(10, { time: 'processing' }), { trigger })
    expect(feed(windows, [1, 2, 3])).toEqual(['0..10 1 2'])
    expect(windows.clock(9)).toEqual([])
    expect(windows.clock(10)).toEqual([{ value: '0..10 1 2 3', timestamp: 9 }])
    feed(windows, [4])
    expect(values(windows.end())).toEqual(['10..20 4'])
    expect(windows.isEmpty).toBe(true)
  })
})
