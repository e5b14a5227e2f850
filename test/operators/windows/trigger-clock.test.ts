import { describe, expect, test } from 'vitest'
import { globalWindow, sessionWindow, slidingWindow, tumblingWindow } from '../../../operators/windows/assigners.ts'
import { early, onProcessingTime, onWatermark } from '../../../operators/windows/triggers.ts'
import { keyedWindows, values } from './keyed-fixtures.ts'

describe('onProcessingTime', () => {
  test('fires at multiples of its interval, from the first after the first record', () => {
    const windows = keyedWindows(globalWindow(), { trigger: onProcessingTime(10) })
    windows.clock(7)
    windows.record('a', 'x')
    expect(windows.nextProcessingTime).toBe(10)
    expect(windows.clock(9)).toEqual([])
    expect(values(windows.clock(10))).toEqual(['-Infinity..Infinity x'])
    windows.record('a', 'y')
    // The record came at 10 itself; the next instant is 20.
    expect(windows.clock(19)).toEqual([])
    expect(values(windows.clock(20))).toEqual(['-Infinity..Infinity x y'])
  })

  test('fires at each instant that has passed, also with nothing new, as long as the window holds anything', () => {
    const windows = keyedWindows(tumblingWindow(1_000), { trigger: onProcessingTime(10) })
    windows.record('a', 'x', 5)
    expect(values(windows.clock(35))).toEqual(['0..1000 x', '0..1000 x', '0..1000 x'])
    windows.restart()
    expect(values(windows.clock(40))).toEqual(['0..1000 x'])
    windows.watermark(999)
    expect(windows.clock(100)).toEqual([])
    expect(windows.isEmpty).toBe(true)
  })

  test('does not fire at the end of a window of event time, nor at the end of the input', () => {
    const windows = keyedWindows(tumblingWindow(10), { trigger: onProcessingTime(100), latenessMs: 5 })
    windows.record('a', 'x', 5)
    windows.record('a', 'y', 15)
    expect(windows.watermark(9)).toEqual([])
    // Within the lateness the window still lives, and fires by the clock alone.
    expect(windows.record('a', 'z', 6)).toEqual([])
    expect(values(windows.clock(100))).toEqual(['0..10 x z', '10..20 y'])
    expect(windows.end()).toEqual([])
    expect(windows.isEmpty).toBe(true)
  })

  test('in a global window: what has not fired at the end of the input is dropped', () => {
    const windows = keyedWindows(globalWindow(), { trigger: onProcessingTime(10) })
    windows.record('a', 'x')
    expect(windows.end()).toEqual([])
    expect(windows.isEmpty).toBe(true)
  })

  test('with purge gives each record once, and nothing while nothing comes', () => {
    const windows = keyedWindows(globalWindow(), { trigger: onProcessingTime(10, { purge: true }) })
    windows.record('a', 'x')
    expect(values(windows.clock(35))).toEqual(['-Infinity..Infinity x'])
    expect(windows.isEmpty).toBe(true)
    windows.record('a', 'y')
    expect(values(windows.clock(40))).toEqual(['-Infinity..Infinity y'])
  })

  // Apache Flink, ContinuousProcessingTimeTriggerTest.
  test('in windows of processing time fires at their end too', () => {
    const windows = keyedWindows(tumblingWindow(10, { time: 'processing' }), { trigger: onProcessingTime(5) })
    windows.record('a', 1)
    expect(windows.clock(5)).toEqual([{ value: '0..10 1', timestamp: 9 }])
    windows.record('a', 2)
    expect(windows.clock(9)).toEqual([])
    expect(windows.clock(10)).toEqual([{ value: '0..10 1 2', timestamp: 9 }])
    expect(windows.isEmpty).toBe(true)
    windows.record('a', 3)
    expect(values(windows.clock(15))).toEqual(['10..20 3'])
    expect(values(windows.clock(22))).toEqual(['10..20 3'])
    expect(windows.isEmpty).toBe(true)
  })

  // Apache Flink, ContinuousProcessingTimeTriggerTest.
  test('of sessions by the clock goes on when they grow', () => {
    const windows = keyedWindows(sessionWindow(10, { time: 'processing' }), { trigger: onProcessingTime(5) })
    windows.record('a', 1)
    windows.clock(2)
    windows.record('a', 2)
    expect(values(windows.clock(5))).toEqual(['0..12 1 2'])
    expect(windows.clock(9)).toEqual([])
    expect(values(windows.clock(10))).toEqual(['0..12 1 2'])
    expect(values(windows.clock(15))).toEqual(['0..12 1 2'])
    expect(windows.isEmpty).toBe(true)
  })

  test('fires the windows of a key in the order of time', () => {
    const windows = keyedWindows(slidingWindow(10, 5), { trigger: onProcessingTime(10) })
    windows.record('a', 'y', 16)
    windows.record('a', 'x', 6)
    expect(values(windows.clock(10))).toEqual(['0..10 x', '5..15 x', '10..20 y', '15..25 y'])
  })

  test('that became due while nobody looked fires after a restore, all instants in turn', () => {
    const windows = keyedWindows(globalWindow(), { trigger: onProcessingTime(10) })
    windows.record('a', 'x')
    windows.restart()
    windows.nowMs = 25
    expect(values(windows.fireDue())).toEqual(['-Infinity..Infinity x', '-Infinity..Infinity x'])
    expect(windows.nextProcessingTime).toBe(30)
  })
})

describe('early', () => {
  test('fires by the clock when there is anything new, and at the end in any case', () => {
    const windows = keyedWindows(tumblingWindow(100), { trigger: early({ every: 10 }) })
    windows.record('a', 'x', 1)
    expect(windows.clock(10)).toEqual([{ value: '0..100 x', timestamp: 99 }])
    expect(windows.clock(35)).toEqual([])
    windows.record('a', 'y', 2)
    windows.restart()
    expect(values(windows.clock(60))).toEqual(['0..100 x y'])
    expect(values(windows.watermark(99))).toEqual(['0..100 x y'])
    expect(windows.isEmpty).toBe(true)
  })

  test('fires for each record within the lateness, at once, and by the clock no more', () => {
    const windows = keyedWindows(tumblingWindow(10), { trigger: early({ every: 10 }), latenessMs: 20 })
    windows.record('a', 'x', 1)
    expect(values(windows.watermark(9))).toEqual(['0..10 x'])
    expect(values(windows.record('a', 'y', 2))).toEqual(['0..10 x y'])
    expect(windows.clock(100)).toEqual([])
    expect(values(windows.record('a', 'z', 3))).toEqual(['0..10 x y z'])
    expect(windows.clock(200)).toEqual([])
    windows.watermark(29)
    expect(windows.isEmpty).toBe(true)
  })

  test('with purge gives each record once', () => {
    const windows = keyedWindows(tumblingWindow(100), { trigger: early({ every: 10, purge: true }), latenessMs: 10 })
    windows.record('a', 'x', 1)
    expect(values(windows.clock(10))).toEqual(['0..100 x'])
    windows.record('a', 'y', 2)
    expect(values(windows.watermark(99))).toEqual(['0..100 y'])
    expect(values(windows.record('a', 'z', 3))).toEqual(['0..100 z'])
    expect(windows.end()).toEqual([])
    expect(windows.isEmpty).toBe(true)
  })

  test('in a global window gives the last result at the end of the input', () => {
    const windows = keyedWindows(globalWindow(), { trigger: early({ every: 10 }) })
    windows.record('a', 'x')
    windows.clock(10)
    windows.record('a', 'y')
    expect(values(windows.end())).toEqual(['-Infinity..Infinity x y'])
    expect(windows.isEmpty).toBe(true)
  })

  test('in windows of processing time ends with the clock', () => {
    const windows = keyedWindows(tumblingWindow(25, { time: 'processing' }), { trigger: early({ every: 10 }) })
    windows.record('a', 'x')
    expect(values(windows.clock(10))).toEqual(['0..25 x'])
    expect(windows.clock(20)).toEqual([])
    expect(values(windows.clock(25))).toEqual(['0..25 x'])
    expect(windows.isEmpty).toBe(true)
  })

  test('of sessions that grow together fires for what is new in any of them', () => {
    const windows = keyedWindows(sessionWindow(10), { trigger: early({ every: 10 }) })
    windows.record('a', 'x', 0)
    expect(values(windows.clock(10))).toEqual(['0..10 x'])
    windows.record('a', 'y', 15)
    windows.record('a', 'z', 7)
    expect(values(windows.clock(20))).toEqual(['0..25 x y z'])
    expect(windows.clock(30)).toEqual([])
  })
})

test('an instant that has passed unseen still fires a session that has grown into another meanwhile', () => {
  const windows = keyedWindows(sessionWindow(10), { trigger: early({ every: 10 }) })
  windows.record('a', 'x', 0)
  windows.clock(15)
  windows.record('a', 'y', 15)
  windows.nowMs = 25
  windows.record('a', 'z', 7)
  expect(values(windows.fireDue())).toEqual(['0..25 x y z'])
})

describe('onWatermark with purge', () => {
  test('gives each record once, at the end or when it comes late', () => {
    const windows = keyedWindows(tumblingWindow(10), { trigger: onWatermark({ purge: true }), latenessMs: 5 })
    windows.record('a', 'x', 1)
    expect(values(windows.watermark(9))).toEqual(['0..10 x'])
    expect(windows.isEmpty).toBe(true)
    expect(values(windows.record('a', 'y', 2))).toEqual(['0..10 y'])
    windows.watermark(14)
    expect(windows.record('a', 'z', 3)).toEqual([])
    expect(windows.late()).toEqual(['z'])
  })

  test('in overlapping windows empties each by itself', () => {
    const windows = keyedWindows(slidingWindow(10, 5), { trigger: onWatermark({ purge: true }) })
    windows.record('a', 'x', 6)
    expect(values(windows.watermark(9))).toEqual(['0..10 x'])
    expect(values(windows.watermark(14))).toEqual(['5..15 x'])
    expect(windows.isEmpty).toBe(true)
  })
})
