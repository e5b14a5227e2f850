import { describe, expect, test } from 'vitest'
import type { WindowAssigner } from '../../../operators/windows/assigners.ts'
import { countWindow, globalWindow, sessionWindow, slidingWindow, tumblingWindow } from '../../../operators/windows/assigners.ts'
import { KeyedWindowOperator } from '../../../operators/windows/keyed-window-operator.ts'
import type { Trigger } from '../../../operators/windows/triggers.ts'
import { early, onCount, onProcessingTime, onWatermark } from '../../../operators/windows/triggers.ts'
import { ALL, keyedWindows, TimerLog, values } from './keyed-fixtures.ts'
import { WindowHarness } from './window-harness.ts'

describe('records', () => {
  test('without a timestamp are refused by windows of event time, and named', () => {
    for (const assigner of [tumblingWindow(10), slidingWindow(10, 5), sessionWindow(10)]) {
      const windows = keyedWindows(assigner, { trigger: onWatermark({ purge: true }) })
      for (const time of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
        expect(() => windows.record('a', 'x', time)).toThrow(
          expect.objectContaining({ code: 'NO_TIMESTAMPS', operator: 'window-1', subtask: 0 }),
        )
      }
      expect(() => windows.record('a', 'x', 1e16)).toThrow(expect.objectContaining({ code: 'INVALID_TIMESTAMP' }))
      expect(windows.isEmpty).toBe(true)
    }
  })

  test('need none in windows of processing time', () => {
    const windows = keyedWindows(tumblingWindow(10, { time: 'processing' }), { trigger: onCount(1, { endOfWindow: 'ignore' }) })
    windows.nowMs = 25
    expect(windows.record('a', 'x')).toEqual([{ value: '20..30 x', timestamp: 29 }])
  })

  test('that are late are counted and handed on, but only if all their windows are gone', () => {
    const windows = keyedWindows(slidingWindow(10, 5), { trigger: onWatermark({ purge: true }) })
    windows.watermark(9)
    // [0, 10) is gone, [5, 15) is not.
    windows.record('a', 'half', 6)
    expect(windows.late()).toEqual([])
    windows.record('a', 'late', 4)
    expect(windows.late()).toEqual(['late'])
    expect(values(windows.end())).toEqual(['5..15 half'])
  })
})

describe('a window that has ended at the watermark', () => {
  test('fires at the last millisecond of the window, not before', () => {
    const windows = keyedWindows(globalWindow())
    windows.record('a', 'x', 5)
    expect(windows.watermark(1e15)).toEqual([])
    expect(windows.end()).toEqual([{ value: '-Infinity..Infinity x', timestamp: Number.NaN }])
    expect(windows.isEmpty).toBe(true)
  })

  test('fires in the order of time across keys', () => {
    const windows = keyedWindows(sessionWindow(10))
    for (const [key, time] of [
      ['c', 30],
      ['a', 20],
      ['b', 10],
      ['a', 0],
    ] as const)
      windows.record(key, key + time, time)
    expect(windows.end().map(({ timestamp }) => timestamp)).toEqual([9, 19, 29, 39])
  })

  test('does not fire again after a restore in between', () => {
    const windows = keyedWindows(sessionWindow(10), { latenessMs: 100 })
    windows.record('a', 'x', 5)
    expect(values(windows.watermark(14))).toEqual(['5..15 x'])
    windows.restart()
    expect(windows.watermark(50)).toEqual([])
    expect(windows.end()).toEqual([])
    expect(windows.isEmpty).toBe(true)
  })

  test('of a group that was ahead of the others fires no second time when the watermark comes by again', () => {
    const create = (context: ConstructorParameters<typeof KeyedWindowOperator>[0]): KeyedWindowOperator =>
      new KeyedWindowOperator(context, sessionWindow(10), onWatermark(), 100, ALL)
    const former = [0, 1].map((subtask) => new WindowHarness<string>(create, { subtask, parallelism: 2 }))
    // 'user-2' belongs to key group 22, 'a' to 81.
    former[0]!.record('user-2', 'x', 0)
    former[1]!.record('a', 'y', 0)
    expect(values(former[1]!.watermark(50))).toEqual(['0..10 y'])
    const merged = WindowHarness.merged(former, create)
    expect(values(merged.watermark(20))).toEqual(['0..10 x'])
    // For the group of 'a' the watermark is still 50: [0, 15) has ended and fires at once; what ends by then is gone at 150, not at 120.
    expect(values(merged.record('a', 'z', 5))).toEqual(['0..15 y z'])
    expect(merged.record('a', 'new', 45)).toEqual([])
    expect(values(merged.watermark(54))).toEqual(['45..55 new'])
    expect(merged.end()).toEqual([])
    expect(merged.isEmpty).toBe(true)
  })
})

describe('what is handed out', () => {
  const records = {
    ...ALL,
    results: (all: unknown, _: unknown, { start }: { start: number }) => [{ start, all }],
  }
  const spoil = (value: unknown): void => {
    for (const record of (value as { all: { n: number }[] }).all) record.n = -1
  }
  const shown = (assigner: WindowAssigner, trigger: Trigger, times: readonly number[]): number[][] => {
    const windows = new WindowHarness<{ start: number; all: { n: number }[] }>(
      (context) => new KeyedWindowOperator(context, assigner, trigger, 0, records),
      { receive: spoil },
    )
    const emitted = times.flatMap((time) => windows.record('a', { n: time }, time))
    return [...emitted, ...windows.end()].map(({ value }) => value.all.map(({ n }) => n))
  }

  test('may be changed without harm to a window that lives on', () => {
    expect(shown(tumblingWindow(10), onCount(1, { endOfWindow: 'ignore' }), [1, 2])).toEqual([[1], [1, 2]])
    expect(shown(sessionWindow(10), onCount(1, { endOfWindow: 'ignore' }), [1, 2])).toEqual([[1], [1, 2]])
    expect(shown(globalWindow(), onCount(1), [1, 2])).toEqual([[1], [1, 2]])
  })

  test('may be changed without harm to overlapping windows, purged or not', () => {
    expect(shown(slidingWindow(10, 5), onWatermark({ purge: true }), [6])).toEqual([[6], [6]])
    expect(shown(slidingWindow(10, 5), onCount(1, { endOfWindow: 'ignore', purge: true }), [6])).toEqual([[6], [6]])
  })
})

describe('a function of the user that throws', () => {
  const boom = (): never => {
    throw new RangeError('boom')
  }
  const named = expect.objectContaining({
    code: 'OPERATOR_FAILED',
    operator: 'window-1',
    message: expect.stringContaining('boom'),
  })

  test.each([
    ['create', { create: boom }],
    ['add', { add: boom }],
    ['results', { results: boom }],
    [
      'the iterator of results',
      {
        *results() {
          yield 1
          boom()
        },
      },
    ],
  ])('in %s is reported with the operator', (_, broken) => {
    const windows = keyedWindows(countWindow(1), { fn: { ...ALL, ...broken } })
    expect(() => windows.record('a', 'x')).toThrow(named)
  })

  test('in merge is reported with the operator', () => {
    const windows = keyedWindows(sessionWindow(10), { fn: { ...ALL, merge: boom } })
    windows.record('a', 'x', 0)
    windows.record('a', 'y', 20)
    expect(() => windows.record('a', 'z', 10)).toThrow(named)
  })
})

describe('an output with room for one', () => {
  test('is waited for between the windows of different keys', () => {
    const windows = keyedWindows(sessionWindow(10), { oneSlot: true })
    for (let key = 0; key < 50; key++) windows.record(key, key, key % 3)
    const emitted = windows.end()
    expect(emitted.length).toBe(50)
    expect(windows.isEmpty).toBe(true)
  })
})

describe('state and timers', () => {
  const kinds: readonly (readonly [string, WindowAssigner, Trigger, number])[] = [
    ['tumbling, count', tumblingWindow(10), onCount(3, { endOfWindow: 'fire', purge: true }), 20],
    ['sliding, early', slidingWindow(20, 5), early({ every: 7 }), 0],
    ['session, processing time', sessionWindow(3), onProcessingTime(7, { purge: true }), 20],
    ['session, watermark', sessionWindow(3), onWatermark(), 20],
    ['session by the clock', sessionWindow(3, { time: 'processing' }), early({ every: 2 }), 0],
    ['sliding by the clock', slidingWindow(20, 7, { time: 'processing' }), onProcessingTime(3, { purge: true }), 0],
    ['global, early', globalWindow(), early({ every: 5, purge: true }), 0],
    ['global, processing time', globalWindow(), onProcessingTime(5), 0],
    ['count', countWindow(4), onCount(4, { purge: true }), 0],
  ]

  test.each(kinds)(
    '%s: a timer for each window and domain at most, and none when all is drained',
    (_, assigner, trigger, latenessMs) => {
      const log = new TimerLog()
      const windows = new WindowHarness<string>(
        (context) => new KeyedWindowOperator(log.watch(context), assigner, trigger, latenessMs, ALL),
      )
      const open = 8 + latenessMs
      for (let n = 0; n < 2_000; n++) {
        windows.record(n % 7, n, n + ((n * 31) % 17))
        if (n % 3 === 0) windows.clock(n)
        if (n % 5 === 0) windows.watermark(n)
        expect(log.event.size).toBeLessThanOrEqual(7 * open)
        expect(log.clock.size).toBeLessThanOrEqual(7 * open)
      }
      windows.end()
      expect([log.event.size, log.clock.size]).toEqual([0, 0])
      expect(windows.isEmpty).toBe(true)
      // No more than one for each record, window and domain.
      expect(log.sets).toBeLessThanOrEqual(2_000 * (assigner.kind === 'sliding' ? 8 : 2))
    },
  )

  test('follow the open windows, not the stream', () => {
    const windows = keyedWindows(sessionWindow(5))
    for (let time = 0; time < 20_000; time++) {
      windows.record(`key-${time % 4_000}`, time, time * 10)
      windows.watermark(time * 10)
      if (time % 1_000 === 0) expect(windows.isEmpty).toBe(false)
    }
    windows.watermark(200_005)
    expect(windows.isEmpty).toBe(true)
  })
})
