import type { Stream } from 'sluice'
import { output, tumblingWindow, valueState } from 'sluice'
import { describe, expect, test } from 'vitest'
import type { CheckOptions, Fragment, Item } from '../../src/testing/index.ts'
import { checkOperator, end, processingTime, record, watermark } from '../../src/testing/index.ts'

/*
 * Every operator, item by item: run plainly, saved and restored between any two items into a fresh instance, with one slot for results.
 */

interface Case extends CheckOptions {
  readonly name: string
  readonly build: Fragment<number, number>
  readonly items: readonly Item[]
}

const numbers = (...values: number[]): Item[] => values.map((value) => record(value, value))
const parity = (stream: Stream<number>) => stream.keyBy((n) => n % 2)

const CASES: readonly Case[] = [
  {
    name: 'map',
    build: (input) => input.map((n) => n * 2),
    items: [...numbers(1, 2), watermark(2), end()],
    expected: [2, 4],
  },
  { name: 'filter', build: (input) => input.filter((n) => n > 1), items: [...numbers(1, 2), end()], expected: [2] },
  {
    name: 'flatMap',
    build: (input) => input.flatMap((n) => Array(n).fill(n)),
    items: [...numbers(2, 0, 3), end()],
    expected: [2, 2, 3, 3, 3],
  },
  {
    name: 'process',
    build: (input) => {
      const stream = input.process({
        side: { odd: output<number>() },
        *onRecord(n, ctx) {
          if (n % 2 === 1) ctx.emitTo('odd', n)
          else yield n
        },
      })
      return { main: stream, odd: stream.side.odd }
    },
    items: [...numbers(1, 2, 3), end()],
    expected: [1, 2, 3],
  },
  {
    name: 'count',
    build: (input) => parity(input).count(),
    items: [...numbers(1, 2, 3), end()],
    expected: [
      { key: 1, count: 1 },
      { key: 0, count: 1 },
      { key: 1, count: 2 },
    ],
  },
  {
    name: 'reduce',
    build: (input) => parity(input).reduce((a, b) => a + b),
    items: [...numbers(1, 2, 3, 4), end()],
    expected: [1, 2, 4, 6],
  },
  {
    name: 'aggregate',
    build: (input) => parity(input).aggregate({ create: () => [] as number[], add: (all, n) => [...all, n] }),
    items: [...numbers(1, 2, 3), end()],
    expected: [[1], [2], [1, 3]],
  },
  {
    name: 'keyed process with timers',
    build: (input) =>
      parity(input).process({
        state: { sum: valueState<number>() },
        onRecord(n, ctx) {
          ctx.state.sum.set((ctx.state.sum.get() ?? 0) + n)
          ctx.timers.eventTime(n + 5)
          ctx.timers.processingTime(100)
        },
        *onTimer(time, ctx) {
          yield { time, key: ctx.key, sum: ctx.state.sum.get() }
          if (time === 100) ctx.state.sum.clear()
        },
      }),
    items: [...numbers(1, 2, 3), watermark(6), watermark(7), processingTime(50), processingTime(150), end()],
    expected: [
      { time: 6, key: 1, sum: 4 },
      { time: 7, key: 0, sum: 2 },
      { time: 100, key: 0, sum: 2 },
      { time: 100, key: 1, sum: 4 },
      { time: 8, key: 1, sum: undefined },
    ],
    emptyAtEnd: true,
    ordered: false,
  },
  {
    name: 'tumbling windows',
    build: (input) => {
      const results = parity(input).window(tumblingWindow(5), { allowedLateness: 5 }).count()
      return { main: results, late: results.late }
    },
    items: [...numbers(1, 2, 7), watermark(4), ...numbers(3), watermark(9), ...numbers(4, 8), end()],
    emptyAtEnd: true,
  },
]

describe('every way to run it gives the same:', () => {
  test.each(CASES)('$name', async ({ build, items, ...options }) => {
    const { outcomes } = await checkOperator(build, items, options)
    expect(outcomes.length).toBeGreaterThan(0)
  })
})
