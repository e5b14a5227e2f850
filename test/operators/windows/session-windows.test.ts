import { describe, expect, test } from 'vitest'
import { sessionWindow } from '../../../operators/windows/assigners.ts'
import { KeyedWindowOperator } from '../../../operators/windows/keyed-window-operator.ts'
import { onCount, onWatermark } from '../../../operators/windows/triggers.ts'
import { ALL, keyedWindows, TimerLog, values } from './keyed-fixtures.ts'
import { WindowHarness } from './window-harness.ts'

describe('sessions', () => {
  test('begin at their first record and end one gap after their last', () => {
    const windows = keyedWindows(sessionWindow(10))
    for (const time of [3, 8, 15]) windows.record('a', time, time)
    windows.record('b', 4, 4)
    expect(windows.watermark(12)).toEqual([])
    expect(windows.watermark(13)).toEqual([{ value: '4..14 4', timestamp: 13 }])
    expect(windows.watermark(23)).toEqual([])
    expect(windows.watermark(24)).toEqual([{ value: '3..25 3 8 15', timestamp: 24 }])
    expect(windows.isEmpty).toBe(true)
  })

  test('touch when records are exactly one gap apart, and not when they are a millisecond further', () => {
    const touching = keyedWindows(sessionWindow(10))
    touching.record('a', 'x', 0)
    touching.record('a', 'y', 10)
    expect(values(touching.end())).toEqual(['0..20 x y'])
    const apart = keyedWindows(sessionWindow(10))
    apart.record('a', 'x', 0)
    apart.record('a', 'y', 11)
    expect(values(apart.end())).toEqual(['0..10 x', '11..21 y'])
  })

  test('touch from the other side too', () => {
    const windows = keyedWindows(sessionWindow(10))
    windows.record('a', 'x', 10)
    windows.record('a', 'y', 0)
    expect(values(windows.end())).toEqual(['0..20 x y'])
  })

  test('are joined by a record between them, the earlier one first, and the record last', () => {
    const windows = keyedWindows(sessionWindow(10))
    windows.record('a', 'late', 15)
    windows.record('a', 'early', 0)
    windows.record('a', 'between', 8)
    expect(values(windows.end())).toEqual(['0..25 early late between'])
  })

  test('stay apart from those that the new one does not reach', () => {
    const windows = keyedWindows(sessionWindow(5))
    for (const time of [40, 0, 20, 60]) windows.record('a', time, time)
    windows.record('a', 23, 23)
    expect(values(windows.end())).toEqual(['0..5 0', '20..28 20 23', '40..45 40', '60..65 60'])
  })

  test('of many records become one by the last, across several', () => {
    const windows = keyedWindows(sessionWindow(10))
    for (const time of [0, 30, 12, 24]) windows.record('a', time, time)
    // [0,10) [12,22) [24,40)
    windows.record('a', 'join', 5)
    expect(windows.watermark(20)).toEqual([])
    windows.record('a', 'all', 21)
    expect(values(windows.end())).toEqual(['0..40 0 12 join 30 24 all'])
  })

  test('before 1970 are sessions like others', () => {
    const windows = keyedWindows(sessionWindow(10))
    windows.record('a', 'x', -25)
    windows.record('a', 'y', -15)
    windows.record('a', 'z', -4)
    expect(values(windows.end())).toEqual(['-25..-5 x y', '-4..6 z'])
  })

  test('of other keys are not touched', () => {
    const windows = keyedWindows(sessionWindow(10))
    windows.record('a', 'a', 0)
    windows.record('b', 'b', 5)
    windows.record('a', 'a', 5)
    expect(values(windows.end()).sort()).toEqual(['0..15 a a', '5..15 b'])
  })
})

describe('lateness of sessions', () => {
  test('is that of the session after merging', () => {
    const windows = keyedWindows(sessionWindow(10))
    windows.record('a', 'x', 15)
    windows.watermark(20)
    // By itself [8, 18) is gone; it joins [15, 25).
    windows.record('a', 'y', 8)
    expect(windows.late()).toEqual([])
    // [0, 10) meets [8, 25), though long gone by itself.
    windows.record('a', 'z', 0)
    expect(windows.late()).toEqual([])
    expect(values(windows.watermark(24))).toEqual(['0..25 x y z'])
  })

  test('leaves everything untouched when a record is late', () => {
    const windows = keyedWindows(sessionWindow(10))
    windows.record('a', 'x', 30)
    windows.watermark(20)
    windows.record('a', 'y', 11)
    expect(windows.late()).toEqual(['y'])
    windows.record('a', 'z', 12)
    expect(windows.late()).toEqual([])
    expect(values(windows.end())).toEqual(['12..22 z', '30..40 x'])
  })

  test('decides at its last millisecond', () => {
    const windows = keyedWindows(sessionWindow(10), { latenessMs: 5 })
    windows.watermark(19)
    windows.record('a', 'late', 5)
    expect(windows.late()).toEqual(['late'])
    expect(values(windows.record('a', 'last', 6))).toEqual(['6..16 last'])
    expect(windows.watermark(20)).toEqual([])
    expect(windows.isEmpty).toBe(true)
  })

  test('keeps a session that has fired: a record that does not move its end fires it again', () => {
    const windows = keyedWindows(sessionWindow(10), { latenessMs: 20 })
    windows.record('a', 'x', 5)
    expect(values(windows.watermark(16))).toEqual(['5..15 x'])
    expect(values(windows.record('a', 'y', 3))).toEqual(['3..15 x y'])
    windows.watermark(34)
    windows.record('a', 'late', 4)
    expect(windows.late()).toEqual(['late'])
    expect(windows.isEmpty).toBe(true)
  })

  test('keeps a session that has fired: a record that moves its end beyond the watermark fires it at the new end', () => {
    const windows = keyedWindows(sessionWindow(10), { latenessMs: 50 })
    windows.record('a', 'x', 5)
    expect(values(windows.watermark(14))).toEqual(['5..15 x'])
    expect(windows.record('a', 'y', 12)).toEqual([])
    windows.restart()
    expect(windows.watermark(20)).toEqual([])
    expect(values(windows.watermark(21))).toEqual(['5..22 x y'])
    expect(values(windows.end())).toEqual([])
  })

  test('of a fired session that joins one that has not: the whole fires once more', () => {
    const windows = keyedWindows(sessionWindow(10), { latenessMs: 100 })
    windows.record('a', 'x', 0)
    windows.record('a', 'y', 18)
    expect(values(windows.watermark(9))).toEqual(['0..10 x'])
    expect(windows.record('a', 'z', 9)).toEqual([])
    expect(values(windows.watermark(27))).toEqual(['0..28 x y z'])
  })

  test('of two fired sessions that a late record joins: the whole fires at once', () => {
    const windows = keyedWindows(sessionWindow(10), { latenessMs: 100 })
    windows.record('a', 'x', 0)
    windows.record('a', 'y', 15)
    expect(values(windows.watermark(50))).toEqual(['0..10 x', '15..25 y'])
    expect(values(windows.record('a', 'z', 7))).toEqual(['0..25 x y z'])
    expect(windows.end()).toEqual([])
    expect(windows.isEmpty).toBe(true)
  })
})

describe('sessions and triggers', () => {
  test('add their counts when they grow together', () => {
    const windows = keyedWindows(sessionWindow(10), { trigger: onCount(4, { endOfWindow: 'ignore' }) })
    expect([0, 1, 20].flatMap((time) => windows.record('a', time, time))).toEqual([])
    expect(values(windows.record('a', 10, 10))).toEqual(['0..30 0 1 20 10'])
    // The count begins anew, the records stay.
    expect([2, 3, 4].flatMap((time) => windows.record('a', time, time))).toEqual([])
    expect(values(windows.record('a', 5, 5))).toEqual(['0..30 0 1 20 10 2 3 4 5'])
  })

  test('live on when they are purged: what comes next still joins them, with their bounds', () => {
    const windows = keyedWindows(sessionWindow(10), { trigger: onCount(2, { endOfWindow: 'fire', purge: true }) })
    windows.record('a', 'x', 0)
    expect(values(windows.record('a', 'y', 5))).toEqual(['0..15 x y'])
    windows.restart()
    windows.record('a', 'z', 12)
    expect(values(windows.end())).toEqual(['0..22 z'])
    expect(windows.isEmpty).toBe(true)
  })

  test('give nothing at their end when they are empty', () => {
    const windows = keyedWindows(sessionWindow(10), { trigger: onCount(1, { endOfWindow: 'fire', purge: true }) })
    expect(values(windows.record('a', 'x', 0))).toEqual(['0..10 x'])
    expect(windows.isEmpty).toBe(false)
    expect(windows.watermark(9)).toEqual([])
    expect(windows.isEmpty).toBe(true)
  })

  test('purged at the end of a session, the next result within the lateness is of new records alone', () => {
    const windows = keyedWindows(sessionWindow(10), { trigger: onWatermark({ purge: true }), latenessMs: 30 })
    windows.record('a', 'x', 0)
    windows.record('a', 'y', 30)
    expect(values(windows.watermark(9))).toEqual(['0..10 x'])
    windows.watermark(25)
    expect(values(windows.record('a', 'z', 4))).toEqual(['0..14 z'])
    // An empty session and a full one, joined.
    windows.record('a', 'between', 22)
    expect(values(windows.end())).toEqual(['22..40 y between'])
  })
})

describe('sessions by the clock', () => {
  test('end one gap after the clock of their last record', () => {
    const windows = keyedWindows(sessionWindow(10, { time: 'processing' }))
    windows.record('a', 'x')
    windows.clock(5)
    windows.record('a', 'y')
    expect(windows.clock(14)).toEqual([])
    expect(windows.clock(15)).toEqual([{ value: '0..15 x y', timestamp: 14 }])
    expect(windows.isEmpty).toBe(true)
  })

  test('fire once at the end of the input', () => {
    const windows = keyedWindows(sessionWindow(10, { time: 'processing' }))
    windows.record('a', 'x')
    windows.record('b', 'y')
    expect(windows.watermark(1_000)).toEqual([])
    expect(values(windows.end()).sort()).toEqual(['0..10 x', '0..10 y'])
    expect(windows.isEmpty).toBe(true)
  })
})

describe('the timers of sessions', () => {
  const logged = (latenessMs = 0): { windows: WindowHarness<string>; log: TimerLog } => {
    const log = new TimerLog()
    const windows = new WindowHarness<string>(
      (context) => new KeyedWindowOperator(log.watch(context), sessionWindow(10), onWatermark(), latenessMs, ALL),
    )
    return { windows, log }
  }

  test('are not set anew for each record', () => {
    const { windows, log } = logged()
    for (let time = 0; time < 1000; time++) windows.record('a', time, time)
    expect(log.sets).toBe(1)
    // Too early: looked at again, and set for the true end.
    expect(windows.watermark(9)).toEqual([])
    expect([...log.event]).toEqual(['a@1008'])
    expect(log.sets).toBe(2)
    windows.watermark(1_008)
    expect(log.event.size).toBe(0)
  })

  test('are one for each session, also when sessions have grown together', () => {
    const { windows, log } = logged()
    for (const time of [0, 20, 40, 60]) windows.record('a', time, time)
    expect([...log.event]).toEqual(['a@9', 'a@29', 'a@49', 'a@69'])
    windows.record('a', 10, 10)
    windows.record('a', 50, 50)
    expect([...log.event]).toEqual(['a@9', 'a@49'])
    windows.record('a', 35, 35)
    expect([...log.event].length).toBe(2)
    windows.watermark(9)
    expect(log.event.size).toBe(2)
    windows.end()
    expect(log.event.size).toBe(0)
  })

  test('do not pile up while a session that has fired grows on within the lateness', () => {
    const { windows, log } = logged(1_000)
    for (let time = 0; time < 500; time += 10) {
      windows.record('a', time, time)
      windows.watermark(time + 9)
      expect(log.event.size).toBe(1)
    }
    windows.end()
    expect(log.event.size).toBe(0)
    expect(windows.isEmpty).toBe(true)
  })
})
