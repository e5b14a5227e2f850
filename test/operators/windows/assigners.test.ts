import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AlignedLayout } from '../../../operators/windows/aligned-layout.ts'
import {
  countWindow,
  globalWindow,
  sessionWindow,
  signedMs,
  slidingWindow,
  tumblingWindow,
  windowStart,
} from '../../../operators/windows/assigners.ts'
import { windowsOf } from './window-model.ts'

const HOUR = 3_600_000

function windowsByLayout(layout: AlignedLayout, time: number): [number, number][] {
  const windows: [number, number][] = []
  for (let start = layout.newest(time); start >= layout.oldest(time); start -= layout.slideMs) {
    windows.push([start, start + layout.sizeMs])
  }
  return windows
}

describe('the start of a window', () => {
  test.each([
    [7, 0, 5, 5],
    [-1, 0, 5, -5],
    [-5, 0, 5, -5],
    [-6, 0, 5, -10],
    [7, 2, 5, 7],
    [1, 2, 5, -3],
    [7, -2, 5, 3],
    [-1, 3, 5, -2],
    [1_700_000_000_000, -28_800_000, 86_400_000, 1_699_977_600_000],
  ])('of time %d with offset %d and size %d is %d', (time, offset, size, start) => {
    expect(windowStart(time, size, offset)).toBe(start)
  })

  test('is never -0', () => {
    for (const [time, size, offset] of [
      [-0, 5, 0],
      [0, 5, -0],
      [4, 5, 0],
      [2, 5, -5],
    ] as const) {
      expect(Object.is(windowStart(time, size, offset), -0)).toBe(false)
    }
  })

  test('begins the one window of the grid that holds the time', () => {
    fc.assert(
      fc.property(fc.integer({ min: -1e6, max: 1e6 }), fc.integer({ min: 1, max: 100 }), fc.integer(), (time, size, any) => {
        const offset = any % size
        const start = windowStart(time, size, offset)
        expect(start <= time && time < start + size).toBe(true)
        expect(Math.abs((start - offset) % size)).toBe(0)
      }),
    )
  })
})

describe('sliding windows', () => {
  test.each([
    [
      7,
      10,
      5,
      [
        [5, 15],
        [0, 10],
      ],
    ],
    [
      -1,
      10,
      5,
      [
        [-5, 5],
        [-10, 0],
      ],
    ],
    [
      7,
      7,
      3,
      [
        [6, 13],
        [3, 10],
      ],
    ],
    [7, 5, 5, [[5, 10]]],
  ] as const)('of time %d with size %d and slide %d', (time, size, slide, windows) => {
    expect(windowsByLayout(new AlignedLayout(slidingWindow(size, slide)), time)).toEqual(windows)
  })

  test('with an offset', () => {
    expect(windowsByLayout(new AlignedLayout(slidingWindow(10, 5, { offset: 2 })), 1)).toEqual([
      [-3, 7],
      [-8, 2],
    ])
    expect(windowsByLayout(new AlignedLayout(slidingWindow(10, 5, { offset: -2 })), 7)).toEqual([
      [3, 13],
      [-2, 8],
    ])
  })

  test('are made of panes: every slide is cut where older windows end', () => {
    const layout = new AlignedLayout(slidingWindow(7, 3))
    expect(layout.panes(3)).toEqual([3, 4, 6, 7, 9])
    expect([6, 7, 8, 9].map((time) => layout.pane(time))).toEqual([6, 7, 7, 9])
    expect(new AlignedLayout(slidingWindow(10, 5)).panes(-10)).toEqual([-10, -5])
    expect(new AlignedLayout(tumblingWindow(10)).panes(0)).toEqual([0])
  })

  test('hold a time exactly if they hold the whole of its pane', () => {
    const settings = fc.integer({ min: 1, max: 30 }).chain((size) =>
      fc.integer({ min: 1, max: size }).chain((slide) =>
        fc.record({
          size: fc.constant(size),
          slide: fc.constant(slide),
          offset: fc.integer({ min: 1 - slide, max: slide - 1 }),
          time: fc.integer({ min: -200, max: 200 }),
        }),
      ),
    )
    fc.assert(
      fc.property(settings, ({ size, slide, offset, time }) => {
        const layout = new AlignedLayout(slidingWindow(size, slide, { offset }))
        const windows = windowsOf(time, { sizeMs: size, slideMs: slide, offsetMs: offset })
        expect(windowsByLayout(layout, time)).toEqual(windows.map(({ start, end }) => [start, end]).reverse())
        const pane = layout.pane(time)
        expect([layout.oldest(pane), layout.newest(pane)]).toEqual([windows[0]!.start, windows.at(-1)!.start])
        for (const { start, end } of windows) {
          const panes = layout.panes(start)
          expect(panes).toContain(pane)
          expect(panes).toEqual([...new Set(Array.from({ length: size }, (_, i) => layout.pane(start + i)))])
          expect(panes.every((each) => each >= start && each < end)).toBe(true)
        }
      }),
    )
  })
})

describe('assigners', () => {
  test('say what they are', () => {
    expect(tumblingWindow('1h')).toEqual({ kind: 'tumbling', time: 'event', sizeMs: HOUR, offsetMs: 0 })
    expect(tumblingWindow('1d', { offset: '-8h', time: 'processing' })).toEqual({
      kind: 'tumbling',
      time: 'processing',
      sizeMs: 24 * HOUR,
      offsetMs: -8 * HOUR,
    })
    expect(slidingWindow('1h', '5m')).toEqual({ kind: 'sliding', time: 'event', sizeMs: HOUR, slideMs: 300_000, offsetMs: 0 })
    expect(sessionWindow('30m')).toEqual({ kind: 'session', time: 'event', gapMs: HOUR / 2 })
    expect(countWindow(3)).toEqual({ kind: 'count', count: 3 })
    expect(globalWindow()).toEqual({ kind: 'global' })
  })

  test.each([
    ['a size of zero', () => tumblingWindow(0)],
    ['a size below a millisecond', () => tumblingWindow(0.2)],
    ['a slide of zero', () => slidingWindow(10, 0)],
    ['a slide that leaves holes', () => slidingWindow(5, 10)],
    ['an offset as long as the size', () => tumblingWindow(10, { offset: 10 })],
    ['a negative offset as long as the size', () => tumblingWindow(10, { offset: -10 })],
    ['an offset as long as the slide', () => slidingWindow(10, 5, { offset: 5 })],
    ['a gap of zero', () => sessionWindow(0)],
    ['a count of zero', () => countWindow(0)],
    ['half a record', () => countWindow(1.5)],
    ['a time that is none', () => tumblingWindow(10, { time: 'ingestion' as 'event' })],
  ])('refuse %s', (_, make) => {
    expect(make).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
  })

  test.each([
    ['a negative size', () => tumblingWindow(-1)],
    ['an endless size', () => tumblingWindow(Number.POSITIVE_INFINITY)],
    ['an offset that is no duration', () => tumblingWindow(10, { offset: '--1s' as '-1s' })],
    ['a gap that is none', () => sessionWindow(Number.NaN)],
  ])('refuse %s', (_, make) => {
    expect(make).toThrow(expect.objectContaining({ code: 'INVALID_DURATION' }))
  })

  test('take offsets of either sign', () => {
    expect([signedMs(-5, 'x'), signedMs('-2s', 'x'), signedMs('2s', 'x')]).toEqual([-5, -2000, 2000])
    expect(tumblingWindow(10, { offset: -9 }).offsetMs).toBe(-9)
  })
})
