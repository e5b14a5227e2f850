import { describe, expect, test } from 'vitest'
import { AlignedWindowOperator } from '../../../operators/windows/aligned-window-operator.ts'
import type { SlidingWindow, TumblingWindow } from '../../../operators/windows/assigners.ts'
import { slidingWindow, tumblingWindow } from '../../../operators/windows/assigners.ts'
import type { WindowFunction } from '../../../operators/windows/window-function.ts'
import { groupsOfSubtask, keyGroupOf } from '../../../src/core/key-groups.ts'
import type { Operator, OperatorContext } from '../../../src/core/operator.ts'
import type { Emitted, HarnessOptions } from './window-harness.ts'
import { WindowHarness } from './window-harness.ts'

interface Sum {
  readonly key: unknown
  readonly start: number
  readonly sum: number
}

const SUM: WindowFunction = {
  create: () => 0,
  add: (sum, value) => (sum as number) + (value as number),
  merge: (a, b) => (a as number) + (b as number),
  divisible: true,
  results: (sum, key, { start }) => [{ key, start, sum }],
}

/** Shows the accumulator itself, and merges into its first one. */
const LIST: WindowFunction = {
  create: () => [],
  add(list, value) {
    ;(list as unknown[]).push(value)
    return list
  },
  merge(a, b) {
    ;(a as unknown[]).push(...(b as unknown[]))
    return a
  },
  divisible: true,
  results: (list) => [list],
}

const WHOLE_LIST: WindowFunction = { ...LIST, divisible: false }

type Aligned = TumblingWindow | SlidingWindow

function aligned(assigner: Aligned, latenessMs: number, fn: WindowFunction): (context: OperatorContext) => Operator {
  return (context) => new AlignedWindowOperator(context, assigner, latenessMs, fn)
}

function harness<R = Sum>(assigner: Aligned, latenessMs = 0, fn = SUM, options: HarnessOptions = {}): WindowHarness<R> {
  return new WindowHarness<R>(aligned(assigner, latenessMs, fn), options)
}

const shown = (results: readonly Emitted<Sum>[]): string[] =>
  results.map(({ value: { key, start, sum }, timestamp }) => `${String(key)} ${start}: ${sum} @${timestamp}`)

describe('tumbling windows of event time', () => {
  test('fire when the watermark reaches their last millisecond, and not before', () => {
    const windows = harness(tumblingWindow(10))
    windows.record('a', 1, 0)
    windows.record('a', 2, 9)
    windows.record('a', 4, 10)
    expect(windows.watermark(8)).toEqual([])
    expect(shown(windows.watermark(9))).toEqual(['a 0: 3 @9'])
    expect(shown(windows.watermark(18))).toEqual([])
    expect(shown(windows.watermark(19))).toEqual(['a 10: 4 @19'])
    expect(windows.isEmpty).toBe(true)
  })

  test('fire in the order of their ends, all keys of one before the next', () => {
    const windows = harness(tumblingWindow(10))
    windows.record('b', 1, 25)
    windows.record('a', 2, 5)
    windows.record('b', 4, -1)
    windows.record('a', 8, 21)
    expect(shown(windows.end())).toEqual(['b -10: 4 @-1', 'a 0: 2 @9', 'b 20: 1 @29', 'a 20: 8 @29'])
    expect(windows.isEmpty).toBe(true)
  })

  test('begin where the offset says, also a negative one', () => {
    const windows = harness(tumblingWindow(5, { offset: -2 }))
    for (const time of [3, 7, 8, -3]) windows.record('a', 1, time)
    expect(shown(windows.end())).toEqual(['a -7: 1 @-3', 'a 3: 2 @7', 'a 8: 1 @12'])
  })

  test('send what comes after they are gone to the late output, untouched and counted', () => {
    const windows = harness(tumblingWindow(10))
    const value = { any: 'thing' }
    windows.watermark(9)
    expect(windows.record('a', value, 9)).toEqual([])
    expect(windows.late()).toEqual([value])
    expect(windows.isEmpty).toBe(true)
    windows.record('a', 1, 10)
    expect(windows.late()).toEqual([])
  })

  test('take a record behind the watermark as long as their end is ahead of it', () => {
    const windows = harness(tumblingWindow(10))
    windows.watermark(8)
    windows.record('a', 1, 2)
    expect(windows.late()).toEqual([])
    expect(shown(windows.watermark(9))).toEqual(['a 0: 1 @9'])
  })

  test('fire again for each record within the allowed lateness, for its key alone', () => {
    const windows = harness(tumblingWindow(10), 5)
    windows.record('a', 1, 1)
    windows.record('b', 2, 1)
    expect(shown(windows.watermark(9))).toEqual(['a 0: 1 @9', 'b 0: 2 @9'])
    expect(shown(windows.record('a', 4, 2))).toEqual(['a 0: 5 @9'])
    expect(shown(windows.record('c', 8, 3))).toEqual(['c 0: 8 @9'])
    expect(windows.watermark(13)).toEqual([])
    expect(shown(windows.record('a', 16, 2))).toEqual(['a 0: 21 @9'])
    // The last millisecond and the lateness make 14: then it is gone.
    expect(windows.watermark(14)).toEqual([])
    expect(windows.isEmpty).toBe(true)
    expect(windows.record('a', 32, 2)).toEqual([])
    expect(windows.late()).toEqual([32])
  })

  test('that nobody had come to before the watermark passed are opened by a record within the lateness', () => {
    const windows = harness(tumblingWindow(10), 5)
    windows.watermark(12)
    expect(shown(windows.record('a', 1, 3))).toEqual(['a 0: 1 @9'])
    expect(windows.end()).toEqual([])
    expect(windows.isEmpty).toBe(true)
  })

  test('are never gone when the lateness reaches beyond all numbers', () => {
    const windows = harness(tumblingWindow(10), Number.MAX_VALUE)
    windows.record('a', 1, 3)
    expect(shown(windows.watermark(8e15))).toEqual(['a 0: 1 @9'])
    expect(shown(windows.record('a', 2, 3))).toEqual(['a 0: 3 @9'])
    expect(windows.end()).toEqual([])
    expect(windows.isEmpty).toBe(true)
  })

  test('keep keys apart that look alike, and give them back as they were', () => {
    const windows = harness(tumblingWindow(10))
    for (const key of [1, '1', ['1'], new Date(1), true, 1n]) windows.record(key, 1, 0)
    windows.restart()
    const keys = windows.end().map(({ value }) => value.key)
    expect(keys).toHaveLength(6)
    expect(keys).toEqual(expect.arrayContaining([1, '1', ['1'], new Date(1), true, 1n]))
  })

  test('hold undefined like any other accumulator', () => {
    const calls: unknown[] = []
    const fn: WindowFunction = {
      create: () => 'new',
      add: (accumulator) => void calls.push(accumulator),
      divisible: false,
      results: (accumulator) => [String(accumulator)],
    }
    const windows = harness<string>(tumblingWindow(10), 0, fn)
    windows.record('a', 1, 0)
    windows.record('a', 1, 0)
    expect(calls).toEqual(['new', undefined])
    expect(windows.end()).toEqual([{ value: 'undefined', timestamp: 9 }])
  })

  test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])('refuse a record at %d', (timestamp) => {
    for (const assigner of [tumblingWindow(10), slidingWindow(10, 5)]) {
      expect(() => harness(assigner).record('a', 1, timestamp)).toThrow(
        expect.objectContaining({
          code: 'NO_TIMESTAMPS',
          operator: 'window-1',
          hint: expect.stringMatching(/withTimestamps.*global and count windows/s),
        }),
      )
    }
  })

  test.each([1e300, -1e300, 9e15])('refuse a record at %d, where milliseconds cannot be told apart', (timestamp) => {
    expect(() => harness(slidingWindow(10, 5)).record('a', 1, timestamp)).toThrow(
      expect.objectContaining({ code: 'INVALID_TIMESTAMP' }),
    )
  })
})

describe.each([
  ['merged from panes', { ...SUM, divisible: true }],
  ['kept whole', { ...SUM, divisible: false }],
])('sliding windows %s', (_, fn) => {
  test('hold a record as often as they overlap', () => {
    const windows = harness(slidingWindow(10, 5), 0, fn)
    windows.record('a', 1, 7)
    windows.record('a', 2, -1)
    expect(shown(windows.watermark(-1))).toEqual(['a -10: 2 @-1'])
    expect(shown(windows.watermark(4))).toEqual(['a -5: 2 @4'])
    expect(shown(windows.end())).toEqual(['a 0: 1 @9', 'a 5: 1 @14'])
    expect(windows.isEmpty).toBe(true)
  })

  test('may have a size that is no multiple of the slide', () => {
    const windows = harness(slidingWindow(7, 3), 0, fn)
    windows.record('a', 1, 7)
    windows.record('a', 2, 6)
    windows.record('a', 4, 9)
    expect(shown(windows.end())).toEqual(['a 0: 2 @6', 'a 3: 7 @9', 'a 6: 7 @12', 'a 9: 4 @15'])
    expect(windows.isEmpty).toBe(true)
  })

  test('count a record that is late for the older of them in the newer ones alone', () => {
    const windows = harness(slidingWindow(10, 5), 0, fn)
    windows.watermark(9)
    windows.record('a', 1, 7)
    expect(windows.late()).toEqual([])
    expect(shown(windows.end())).toEqual(['a 5: 1 @14'])
  })

  test('call a record late when all of them are gone', () => {
    const windows = harness(slidingWindow(10, 5), 2, fn)
    windows.watermark(15)
    expect(shown(windows.record('a', 1, 7))).toEqual(['a 5: 1 @14'])
    windows.watermark(16)
    expect(windows.record('a', 1, 7)).toEqual([])
    expect(windows.late()).toEqual([1])
    expect(windows.isEmpty).toBe(true)
  })

  test('fire again within the allowed lateness, those that have fired and are kept, the oldest first', () => {
    const windows = harness(slidingWindow(9, 3), 5, fn)
    windows.record('a', 1, 4)
    windows.record('b', 2, 4)
    // Of [-3, 6), [0, 9) and [3, 12), which hold 4, the first is gone at 10, the second is kept until 13, the third ends at 12.
    expect(shown(windows.watermark(8))).toEqual(['a -3: 1 @5', 'b -3: 2 @5', 'a 0: 1 @8', 'b 0: 2 @8'])
    expect(shown(windows.record('a', 4, 4))).toEqual(['a -3: 5 @5', 'a 0: 5 @8'])
    windows.watermark(10)
    expect(shown(windows.record('a', 8, 4))).toEqual(['a 0: 13 @8'])
    expect(shown(windows.watermark(11))).toEqual(['a 3: 13 @11', 'b 3: 2 @11'])
    expect(shown(windows.record('b', 16, 3))).toEqual(['b 0: 18 @8', 'b 3: 18 @11'])
    expect(shown(windows.end())).toEqual([])
    expect(windows.isEmpty).toBe(true)
  })

  test('fire after a restart what has not fired, and nothing twice', () => {
    const windows = harness(slidingWindow(10, 5), 3, fn)
    windows.record('a', 1, 7)
    windows.record('a', 2, 12)
    expect(shown(windows.watermark(10))).toEqual(['a 0: 1 @9'])
    windows.restart()
    expect(shown(windows.watermark(14))).toEqual(['a 5: 3 @14'])
    windows.restart()
    expect(shown(windows.end())).toEqual(['a 10: 2 @19'])
    expect(windows.isEmpty).toBe(true)
  })
})

describe('sliding windows in panes', () => {
  test('keep one accumulator for each pane, until the last window that contains it is gone', () => {
    const windows = harness(slidingWindow(7, 3), 2)
    for (let time = 0; time < 9; time++) windows.record('a', 1, time)
    expect(windows.cells('pane')).toEqual([0, 1, 3, 4, 6, 7])
    // [0, 7) is the last window with the panes 0 and 1 in it, and gone at 6 + 2.
    windows.watermark(7)
    expect(windows.cells('pane')).toEqual([0, 1, 3, 4, 6, 7])
    windows.watermark(8)
    expect(windows.cells('pane')).toEqual([3, 4, 6, 7])
    windows.watermark(11)
    expect(windows.cells('pane')).toEqual([6, 7])
    windows.end()
    expect(windows.isEmpty).toBe(true)
  })

  test('are kept window by window when the order of records counts, or nothing can be merged', () => {
    const { merge: _, ...unmerged } = SUM
    for (const fn of [{ ...SUM, divisible: false }, unmerged]) {
      const windows = harness(slidingWindow(10, 5), 0, fn)
      windows.record('a', 1, 7)
      expect([windows.cells('window'), windows.cells('pane')]).toEqual([[0, 5], []])
    }
  })

  test('refuse state that was kept in the other way, which they would lose', () => {
    for (const divisible of [true, false]) {
      const make = (fn: WindowFunction): ReturnType<typeof aligned> => aligned(slidingWindow(10, 5), 0, fn)
      const windows = new WindowHarness(make({ ...SUM, divisible }))
      windows.record('a', 1, 7)
      expect(() => WindowHarness.merged([windows], make({ ...SUM, divisible: !divisible }))).toThrow(
        expect.objectContaining({ code: 'STATE_OF_ANOTHER_GRAPH', operator: 'window-1' }),
      )
    }
  })

  test('are not merged into: what a window shows is its own', () => {
    const windows = harness<number[]>(slidingWindow(9, 3), 9, LIST, { receive: (list) => void (list as number[]).push(-1) })
    for (const [index, time] of [0, 3, 6, 9].entries()) windows.record('a', index, time)
    const lists = (results: readonly Emitted<number[]>[]): (readonly number[])[] => results.map(({ value }) => value)
    expect(lists(windows.watermark(11))).toEqual([[0], [0, 1], [0, 1, 2], [1, 2, 3]])
    expect(lists(windows.record('a', 4, 7))).toEqual([
      [0, 1, 2, 4],
      [1, 2, 4, 3],
    ])
    expect(lists(windows.end())).toEqual([[2, 4, 3], [3]])
  })

  test('survive a merge that hangs parts of the second accumulator into the first', () => {
    type Tags = Record<string, number[]>
    const tags: WindowFunction = {
      create: () => ({}),
      add(accumulator, value) {
        const all = accumulator as Tags
        ;(all.x ??= []).push(value as number)
        return all
      },
      merge(a, b) {
        const [into, from] = [a as Tags, b as Tags]
        for (const [tag, list] of Object.entries(from)) {
          if (into[tag] === undefined) into[tag] = list
          else into[tag].push(...list)
        }
        return into
      },
      divisible: true,
      results: (accumulator) => [accumulator],
    }
    const hanging: WindowFunction = { ...tags, merge: (a, b) => tags.merge!(tags.merge!({}, a), b) }
    for (const fn of [tags, hanging]) {
      const windows = harness<Tags>(slidingWindow(9, 3), 0, fn)
      for (const time of [0, 3, 6]) windows.record('a', time, time)
      expect(windows.end().map(({ value }) => value.x)).toEqual([[0], [0, 3], [0, 3, 6], [3, 6], [6]])
    }
  })

  test('survive a merge that returns either of the two', () => {
    const greatest: WindowFunction = {
      create: () => ({ max: Number.NEGATIVE_INFINITY, seen: 0 }),
      add: (a, value) => ({ max: Math.max((a as { max: number }).max, value as number), seen: 1 }),
      merge(a, b) {
        const [first, second] = [a as { max: number; seen: number }, b as { max: number; seen: number }]
        first.seen = -1
        return first.max >= second.max ? first : second
      },
      divisible: true,
      results: (a) => [{ ...(a as object) }],
    }
    const windows = harness<{ max: number; seen: number }>(slidingWindow(6, 2), 0, greatest)
    for (const [time, value] of [
      [0, 1],
      [2, 3],
      [4, 2],
    ] as const) {
      windows.record('a', value, time)
    }
    const results = windows.end().map(({ value }) => value)
    expect(results.map(({ max }) => max)).toEqual([1, 3, 3, 3, 2])
    // The last window is one pane alone, in which no merge may have left its mark.
    expect(results.at(-1)!.seen).toBe(1)
  })
})

describe('what windows show', () => {
  const spoil = { receive: (list: unknown) => void (list as number[]).push(-1) }

  test('is a copy as long as the window is kept', () => {
    const windows = harness<number[]>(tumblingWindow(10), 5, LIST, spoil)
    windows.record('a', 1, 0)
    expect(windows.watermark(9)).toEqual([{ value: [1], timestamp: 9 }])
    expect(windows.record('a', 2, 0)).toEqual([{ value: [1, 2], timestamp: 9 }])
    expect(windows.record('a', 3, 0)).toEqual([{ value: [1, 2, 3], timestamp: 9 }])
  })

  test('is no record that another window still holds', () => {
    const windows = harness<{ n: number }[]>(slidingWindow(10, 5), 0, WHOLE_LIST, {
      receive: (list) => void ((list as { n: number }[])[0]!.n = -1),
    })
    windows.record('a', { n: 1 }, 7)
    expect(windows.end().map(({ value }) => value)).toEqual([[{ n: 1 }], [{ n: 1 }]])
  })

  test('is a window of its own for each key', () => {
    const fn: WindowFunction = { ...SUM, results: (sum, key, window) => [{ key, window, sum }] }
    const windows = harness<{ window: { start: number } }>(tumblingWindow(10), 0, fn, {
      receive: (result) => void ((result as { window: { start: number } }).window.start = 99),
    })
    windows.record('a', 1, 0)
    windows.record('b', 1, 0)
    expect(windows.end().map(({ value, timestamp }) => [value.window.start, timestamp])).toEqual([
      [0, 9],
      [0, 9],
    ])
  })

  test('may be many results for a key, or none', () => {
    const fn: WindowFunction = { ...LIST, results: (list) => (list as number[]).filter((value) => value > 1) }
    const windows = harness<number>(tumblingWindow(10), 0, fn, { oneSlot: true })
    for (const value of [1, 2, 3]) windows.record('a', value, 0)
    windows.record('b', 1, 0)
    expect(windows.end()).toEqual([
      { value: 2, timestamp: 9 },
      { value: 3, timestamp: 9 },
    ])
  })
})

describe('a full output', () => {
  test('stops the firing at any key, and it goes on from there', () => {
    for (const assigner of [tumblingWindow(10), slidingWindow(10, 5)]) {
      const expected = harness(assigner)
      const windows = harness(assigner, 0, SUM, { oneSlot: true })
      for (let i = 0; i < 60; i++) {
        expected.record(`key ${i % 7}`, i, i)
        windows.record(`key ${i % 7}`, i, i)
      }
      expect(shown(windows.watermark(40))).toEqual(shown(expected.watermark(40)))
      windows.restart()
      expected.restart()
      expect(shown(windows.end())).toEqual(shown(expected.end()))
      expect(windows.isEmpty).toBe(true)
    }
  })
})

describe('a window of processing time at a full output', () => {
  test('asks for the clock until all of it is out', () => {
    const windows = harness(tumblingWindow(10, { time: 'processing' }), 0, SUM, { oneSlot: true })
    for (const key of ['a', 'b', 'c']) windows.record(key, 1)
    expect(shown(windows.clock(10))).toEqual(['a 0: 1 @9', 'b 0: 1 @9', 'c 0: 1 @9'])
    expect(windows.isEmpty).toBe(true)
  })
})

describe('the functions of a window', () => {
  const broken = (): never => {
    throw new Error('broken by the user')
  }
  const failed = expect.objectContaining({ code: 'OPERATOR_FAILED', message: expect.stringContaining('broken by the user') })

  test.each<[string, Partial<WindowFunction>]>([
    ['create', { create: broken }],
    ['add', { add: broken }],
  ])('%s: what they throw names the operator', (_, part) => {
    expect(() => harness(tumblingWindow(10), 0, { ...SUM, ...part }).record('a', 1, 0)).toThrow(failed)
  })

  test.each<[string, Partial<WindowFunction>]>([
    ['merge', { merge: broken }],
    ['results', { results: broken }],
    [
      'an iterator',
      {
        *results() {
          yield 1
          broken()
        },
      },
    ],
  ])('%s: what they throw while a window fires names the operator', (_, part) => {
    const windows = harness(slidingWindow(10, 5), 20, { ...SUM, ...part })
    windows.record('a', 1, 2)
    windows.record('a', 1, 7)
    expect(() => windows.end()).toThrow(failed)
    const again = harness(slidingWindow(10, 5), 20, { ...SUM, ...part })
    again.watermark(12)
    expect(() => {
      again.record('a', 1, 7)
      again.record('a', 1, 2)
    }).toThrow(failed)
  })

  test('take records of a second input into the same windows', () => {
    const fn: WindowFunction = { ...SUM, addSecond: (sum, value) => (sum as number) + 100 * (value as number) }
    const windows = harness(tumblingWindow(10), 0, fn)
    windows.record('a', 1, 0)
    windows.record('a', 2, 5, 'second')
    expect(shown(windows.end())).toEqual(['a 0: 201 @9'])
    windows.record('a', 4, 0, 'second')
    expect(windows.late()).toEqual([4])
  })
})

describe('windows of processing time', () => {
  test('fire when the clock reaches their end, when their last millisecond is over', () => {
    const windows = harness(tumblingWindow(10, { time: 'processing' }))
    windows.nowMs = 12
    windows.record('a', 1)
    expect(windows.nextProcessingTime).toBe(20)
    expect(windows.clock(19)).toEqual([])
    windows.record('a', 2)
    expect(shown(windows.clock(20))).toEqual(['a 10: 3 @19'])
    expect(windows.isEmpty).toBe(true)
  })

  test('take no notice of timestamps and watermarks, and call nothing late', () => {
    const windows = harness(tumblingWindow(10, { time: 'processing' }))
    windows.nowMs = 12
    windows.watermark(1000)
    windows.record('a', 1, 3)
    windows.record('a', 2, Number.POSITIVE_INFINITY)
    expect(windows.watermark(2000)).toEqual([])
    expect(windows.late()).toEqual([])
    expect(shown(windows.clock(30))).toEqual(['a 10: 3 @19'])
  })

  test('take what comes in their last millisecond, and give one result', () => {
    const windows = harness(tumblingWindow(10, { time: 'processing' }))
    windows.record('a', 1)
    expect(windows.clock(9)).toEqual([])
    windows.record('a', 2)
    expect(windows.fireDue()).toEqual([])
    expect(shown(windows.clock(10))).toEqual(['a 0: 3 @9'])
    expect(windows.isEmpty).toBe(true)
  })

  test('slide', () => {
    const windows = harness(slidingWindow(10, 5, { time: 'processing', offset: -1 }))
    windows.nowMs = 7
    windows.record('a', 1)
    windows.clock(8)
    windows.record('a', 2)
    expect(shown(windows.clock(9))).toEqual(['a -1: 3 @8'])
    expect(shown(windows.clock(100))).toEqual(['a 4: 3 @13'])
    expect(windows.isEmpty).toBe(true)
  })

  test('that are overdue after a restart fire with the first step, not before', () => {
    const windows = harness(slidingWindow(10, 5, { time: 'processing' }))
    windows.nowMs = 7
    windows.record('a', 1)
    expect(shown(windows.clock(10))).toEqual(['a 0: 1 @9'])
    windows.nowMs = 50
    windows.restart()
    expect(windows.taken()).toEqual([])
    expect(windows.nextProcessingTime).toBe(15)
    expect(shown(windows.fireDue())).toEqual(['a 5: 1 @14'])
    expect(windows.isEmpty).toBe(true)
  })

  test('are not skipped because their groups had seen a watermark', () => {
    const [low, high] = twoKeys()
    const create = aligned(tumblingWindow(10, { time: 'processing' }), 0, SUM)
    const former = [0, 1].map((subtask) => new WindowHarness<Sum>(create, { subtask, parallelism: 2 }))
    former[0]!.record(low, 1)
    former[1]!.record(high, 2)
    former[0]!.watermark(1000)
    const merged = WindowHarness.merged(former, create)
    expect(shown(merged.clock(10)).sort()).toEqual([`${low} 0: 1 @9`, `${high} 0: 2 @9`].sort())
  })

  test('fire at the end of the input without waiting for the clock', () => {
    const windows = harness(slidingWindow(10, 5, { time: 'processing' }), 0, SUM, { oneSlot: true })
    windows.nowMs = 7
    windows.record('a', 1)
    windows.record('b', 2)
    expect(shown(windows.end())).toEqual(['a 0: 1 @9', 'b 0: 2 @9', 'a 5: 1 @14', 'b 5: 2 @14'])
    expect(windows.isEmpty).toBe(true)
  })
})

/** A key of the lower half of the key groups and one of the upper half. */
function twoKeys(): [string, string] {
  const { last } = groupsOfSubtask(0, 2, 128)
  const names = Array.from({ length: 50 }, (_, i) => `k${i}`)
  return [names.find((name) => keyGroupOf(name, 128) <= last)!, names.find((name) => keyGroupOf(name, 128) > last)!]
}

describe('after a change of parallelism', () => {
  test('windows do not fire again for groups that were ahead', () => {
    const [low, high] = twoKeys()
    const create = aligned(tumblingWindow(10), 5, SUM)
    const former = [0, 1].map((subtask) => new WindowHarness<Sum>(create, { subtask, parallelism: 2 }))
    former[0]!.record(low, 1, 3)
    former[1]!.record(high, 2, 3)
    expect(shown(former[0]!.watermark(11))).toEqual([`${low} 0: 1 @9`])
    former[1]!.watermark(4)

    const merged = WindowHarness.merged(former, create)
    // The group that was ahead is still within the lateness, so a record fires at once; the other one waits for its watermark.
    expect(shown(merged.record(low, 4, 3))).toEqual([`${low} 0: 5 @9`])
    expect(merged.record(high, 8, 3)).toEqual([])
    merged.restart()
    expect(shown(merged.watermark(9))).toEqual([`${high} 0: 10 @9`])
    expect(shown(merged.record(high, 16, 3))).toEqual([`${high} 0: 26 @9`])
    expect(merged.end()).toEqual([])
    expect(merged.isEmpty).toBe(true)
  })

  test('late is what was late for the group', () => {
    const [low, high] = twoKeys()
    const create = aligned(slidingWindow(10, 5), 0, SUM)
    const former = [0, 1].map((subtask) => new WindowHarness<Sum>(create, { subtask, parallelism: 2 }))
    former[0]!.watermark(14)
    former[1]!.watermark(4)
    const merged = WindowHarness.merged(former, create)
    merged.record(low, 1, 7)
    merged.record(high, 2, 7)
    merged.record(low, 4, 12)
    expect(merged.late()).toEqual([1])
    expect(shown(merged.end())).toEqual([`${high} 0: 2 @9`, `${high} 5: 2 @14`, `${low} 10: 4 @19`])
  })
})
