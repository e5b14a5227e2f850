import type { Stream } from 'sluice'
import {
  aggregatingState,
  countWindow,
  early,
  globalWindow,
  listState,
  mapState,
  onCount,
  onProcessingTime,
  onWatermark,
  operatorListState,
  output,
  reducingState,
  sessionWindow,
  slidingWindow,
  tumblingWindow,
  valueState,
} from 'sluice'
import { describe, expect, test } from 'vitest'
import type { CheckOptions, Fragment, Item } from '../../src/testing/index.ts'
import { checkOperator, end, processingTime, record, second, watermark } from '../../src/testing/index.ts'

/*
 * Every operator, item by item: run plainly, saved and restored between any two items into a fresh instance, with one slot for results.
 */

interface Case extends CheckOptions {
  readonly name: string
  readonly build: Fragment<number, number>
  readonly items: readonly Item[]
}

const numbers = (...values: number[]): Item[] => values.map((value) => record(value, value))
const seconds = (...values: number[]): Item[] => values.map((value) => second(value, value))
const sum = { create: () => 0, add: (total: number, n: number) => total + n, merge: (a: number, b: number) => a + b }
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
    // Between the keys of a window no order is promised: those that are read back come after those in memory.
    ordered: false,
    emptyAtEnd: true,
  },
  {
    name: 'withTimestamps',
    build: (input) => input.withTimestamps((n) => n * 10, { maxOutOfOrderness: 5 }),
    items: [...numbers(1, 3, 2), watermark(2), ...numbers(4), end()],
    expected: [1, 3, 2, 4],
  },
  {
    name: 'withTimestamps by the clock',
    build: (input) => input.withTimestamps((n) => n * 10, { watermarkEvery: 10 }),
    items: [...numbers(1, 3), processingTime(10), ...numbers(2, 4), processingTime(35), end()],
    expected: [1, 3, 2, 4],
  },
  {
    name: 'process with operator state',
    build: (input) =>
      input.process({
        state: { pair: operatorListState<number>() },
        *onRecord(n, ctx) {
          ctx.state.pair.add(n)
          if (ctx.state.pair.get().length < 2) return
          yield ctx.state.pair.get().join('+')
          ctx.state.pair.clear()
        },
      }),
    items: [...numbers(1, 2, 3, 4, 5), end()],
    expected: ['1+2', '3+4'],
  },
  {
    name: 'split',
    build: (input) => input.split({ even: (n) => n % 2 === 0, large: (n) => n > 4 }),
    items: [...numbers(1, 2, 5, 6), watermark(6), end()],
    expected: [1, 2, 5, 6],
  },
  {
    name: 'union',
    build: (first, other) => first.union(other),
    items: [...numbers(1), ...seconds(2), watermark(5, 0), ...numbers(7), watermark(6, 1), end()],
    expected: [1, 2, 7],
  },
  {
    name: 'distinct',
    build: (input) => input.keyBy((n) => n % 3).distinct(),
    items: [...numbers(1, 4, 2, 1, 3), end()],
    expected: [1, 2, 3],
  },
  {
    name: 'distinct with a time to live',
    build: (input) => input.keyBy((n) => n % 3).distinct({ ttl: 5 }),
    items: [...numbers(1, 4), watermark(4), ...numbers(7), watermark(20), ...numbers(25), end()],
    expected: [1, 25],
    emptyAtEnd: true,
  },
  {
    name: 'keyed process with every kind of state',
    build: (input) =>
      parity(input).process({
        state: {
          last: valueState<number>(),
          all: listState<number>(),
          seen: mapState<number, number>(),
          sum: reducingState<number>((a, b) => a + b),
          text: aggregatingState({ create: () => '', add: (text: string, n: number) => `${text}${n}` }),
        },
        *onRecord(n, { state }) {
          yield [state.last.get(), state.all.get(), [...state.seen.entries()], state.sum.get(), state.text.get()]
          state.last.set(n)
          state.all.add(n)
          state.seen.set(n, (state.seen.get(n) ?? 0) + 1)
          state.sum.add(n)
          state.text.add(n)
        },
      }),
    items: [...numbers(1, 3, 2, 1, 3), end()],
    expected: [
      [undefined, [], [], undefined, undefined],
      [1, [1], [[1, 1]], 1, '1'],
      [undefined, [], [], undefined, undefined],
      [
        3,
        [1, 3],
        [
          [1, 1],
          [3, 1],
        ],
        4,
        '13',
      ],
      [
        1,
        [1, 3, 1],
        [
          [1, 2],
          [3, 1],
        ],
        5,
        '131',
      ],
    ],
  },
  {
    name: 'keyed process that forgets',
    build: (input) =>
      parity(input).process({
        state: { value: valueState<number>({ ttl: 10 }), list: listState<number>({ ttl: 10 }) },
        *onRecord(n, { state }) {
          yield [state.value.get() ?? 0, state.list.get().length]
          state.value.set(n)
          state.list.add(n)
        },
      }),
    items: [...numbers(1, 3), watermark(5), ...numbers(7), watermark(14), ...numbers(15), watermark(40), ...numbers(41), end()],
    emptyAtEnd: true,
  },
  {
    name: 'sliding windows',
    build: (input) => {
      const results = parity(input).window(slidingWindow(10, 5), { allowedLateness: 5 }).aggregate(sum)
      return { main: results, late: results.late }
    },
    items: [...numbers(1, 2, 7), watermark(4), ...numbers(3), watermark(12), ...numbers(4, 8, -20), watermark(30), end()],
    ordered: false,
    emptyAtEnd: true,
  },
  {
    name: 'sliding windows of an indivisible process',
    build: (input) =>
      parity(input)
        .window(slidingWindow(7, 3))
        .process((all) => [all.join('+')]),
    items: [...numbers(1, 2, 7, 8), watermark(6), ...numbers(9), end()],
    ordered: false,
    emptyAtEnd: true,
  },
  {
    name: 'session windows',
    build: (input) => {
      const results = parity(input).window(sessionWindow(5), { allowedLateness: 10 }).aggregate(sum)
      return { main: results, late: results.late }
    },
    items: [...numbers(1, 2, 11, 5), watermark(9), ...numbers(7, 20), watermark(30), ...numbers(3, 22), watermark(60), end()],
    ordered: false,
    emptyAtEnd: true,
  },
  {
    name: 'count windows',
    build: (input) =>
      parity(input)
        .window(countWindow(2))
        .reduce((a, b) => a + b),
    items: [...numbers(1, 2, 3, 4, 5), end()],
    emptyAtEnd: true,
  },
  {
    name: 'global windows',
    build: (input) =>
      parity(input)
        .window(globalWindow(), { trigger: onCount(2, { purge: true }) })
        .count(),
    items: [...numbers(1, 2, 3, 4, 5, 7), end()],
  },
  {
    name: 'global windows until the end',
    build: (input) => parity(input).window(globalWindow()).aggregate(sum),
    items: [...numbers(1, 2, 3), watermark(50), ...numbers(4), end()],
    ordered: false,
    emptyAtEnd: true,
  },
  {
    name: 'windows of processing time',
    build: (input) =>
      parity(input)
        .window(tumblingWindow(10, { time: 'processing' }))
        .count(),
    items: [...numbers(1, 2), processingTime(4), ...numbers(3), processingTime(12), ...numbers(5), end()],
    ordered: false,
    emptyAtEnd: true,
  },
  {
    name: 'sessions of processing time',
    build: (input) =>
      parity(input)
        .window(sessionWindow(10, { time: 'processing' }))
        .count(),
    items: [...numbers(1, 2), processingTime(8), ...numbers(3), processingTime(12), processingTime(30), ...numbers(5), end()],
    ordered: false,
    emptyAtEnd: true,
  },
  {
    name: 'a watermark trigger that purges',
    build: (input) =>
      parity(input)
        .window(tumblingWindow(10), { allowedLateness: 5, trigger: onWatermark({ purge: true }) })
        .aggregate(sum),
    items: [...numbers(1, 3, 5), watermark(9), ...numbers(7), watermark(14), ...numbers(9, 11), end()],
    ordered: false,
    emptyAtEnd: true,
  },
  {
    name: 'a count trigger',
    build: (input) =>
      parity(input)
        .window(tumblingWindow(10), { trigger: onCount(2, { endOfWindow: 'fire' }) })
        .aggregate(sum),
    items: [...numbers(1, 3, 5, 2), watermark(9), ...numbers(11, 13), end()],
    ordered: false,
    emptyAtEnd: true,
  },
  {
    name: 'a trigger by the clock',
    build: (input) =>
      parity(input)
        .window(tumblingWindow(10), { trigger: onProcessingTime(5, { purge: true }) })
        .aggregate(sum),
    items: [...numbers(1, 3), processingTime(6), ...numbers(5), processingTime(13), ...numbers(7), watermark(9), end()],
    ordered: false,
    emptyAtEnd: true,
  },
  {
    name: 'an early trigger',
    build: (input) =>
      parity(input)
        .window(tumblingWindow(10), { trigger: early({ every: 5 }) })
        .aggregate(sum),
    items: [...numbers(1, 3), processingTime(6), processingTime(11), ...numbers(5), processingTime(16), watermark(9), end()],
    ordered: false,
    emptyAtEnd: true,
  },
  {
    name: 'intervalJoin',
    build: (first, other) => {
      const joined = parity(first).intervalJoin(parity(other), { lower: -2, upper: 4 }, (a, b) => `${a}-${b}`)
      return { main: joined, lateLeft: joined.lateLeft, lateRight: joined.lateRight }
    },
    items: [...numbers(3, 8), ...seconds(1, 7, 12), watermark(9), ...numbers(11, 2), ...seconds(15, 4), watermark(20), end()],
    emptyAtEnd: true,
  },
  {
    name: 'windowJoin',
    build: (first, other) => {
      const joined = parity(first).windowJoin(parity(other), tumblingWindow(5), (a, b) => `${a}-${b}`, { allowedLateness: 10 })
      return { main: joined, late: joined.late }
    },
    items: [...numbers(3, 8, 1), ...seconds(1, 7, 12), watermark(9), ...numbers(11, 2), ...seconds(15, 4), watermark(20), end()],
    emptyAtEnd: true,
  },
  {
    name: 'windowJoin of sliding windows',
    build: (first, other) => {
      const joined = parity(first).windowJoin(parity(other), slidingWindow(10, 5), (a, b) => `${a}-${b}`)
      return { main: joined, late: joined.late }
    },
    items: [...numbers(3, 8, 1), ...seconds(1, 7, 12), watermark(9), ...numbers(11, 2), ...seconds(15, 4), watermark(20), end()],
    emptyAtEnd: true,
    // No order is promised between the keys of a window.
    ordered: false,
  },
  {
    name: 'windowJoin of sessions',
    build: (first, other) => {
      const joined = parity(first).windowJoin(parity(other), sessionWindow(4), (a, b) => `${a}-${b}`)
      return { main: joined, late: joined.late }
    },
    items: [...numbers(3, 8, 1), ...seconds(1, 7, 12), watermark(9), ...numbers(11, 2), ...seconds(15, 4), watermark(20), end()],
    emptyAtEnd: true,
  },
  {
    name: 'windowJoin with a trigger',
    build: (first, other) => {
      const joined = parity(first).windowJoin(parity(other), tumblingWindow(5), (a, b) => `${a}-${b}`, {
        trigger: onCount(2, { endOfWindow: 'fire' }),
      })
      return { main: joined, late: joined.late }
    },
    items: [...numbers(3, 8, 1), ...seconds(1, 7, 12), watermark(9), ...numbers(11, 2), ...seconds(15, 4), watermark(20), end()],
    emptyAtEnd: true,
  },
  {
    name: 'connect',
    build: (first, other) =>
      first.connect(other).process({
        *onLeft(n) {
          yield `left ${n}`
        },
        *onRight(n) {
          yield `right ${n}`
        },
      }),
    items: [...numbers(1), ...seconds(2), watermark(3), ...numbers(4), end()],
    expected: ['left 1', 'right 2', 'left 4'],
  },
  {
    name: 'connect of keyed streams',
    build: (first, other) =>
      parity(first)
        .connect(parity(other))
        .process({
          state: { waiting: listState<number>() },
          onLeft(n, ctx) {
            ctx.state.waiting.add(n)
            ctx.timers.eventTime(n + 10)
          },
          *onRight(n, ctx) {
            yield [n, ctx.state.waiting.get()]
          },
          *onTimer(time, ctx) {
            yield [time, ctx.key]
            ctx.state.waiting.clear()
          },
        }),
    items: [...numbers(1, 3), ...seconds(5, 6), watermark(11), ...seconds(13), ...numbers(20), watermark(13), end()],
    emptyAtEnd: true,
  },
  {
    name: 'connect with a broadcast stream',
    build: (first, other) =>
      first.connect(other.broadcast()).process({
        broadcast: { rules: mapState<number, string>() },
        *onLeft(n, ctx) {
          yield [n, ctx.broadcast.rules.get(n % 2)]
        },
        onRight(n, ctx) {
          ctx.broadcast.rules.set(n % 2, `rule ${n}`)
        },
      }),
    items: [...numbers(1), ...seconds(1, 2), ...numbers(3, 4), ...seconds(5), ...numbers(7), end()],
    expected: [
      [1, undefined],
      [3, 'rule 1'],
      [4, 'rule 2'],
      [7, 'rule 5'],
    ],
  },
  {
    name: 'connect of a keyed stream with a broadcast one',
    build: (first, other) =>
      parity(first)
        .connect(other.broadcast())
        .process({
          state: { sum: valueState<number>() },
          broadcast: { factor: mapState<string, number>() },
          *onLeft(n, ctx) {
            const next = (ctx.state.sum.get() ?? 0) + n * (ctx.broadcast.factor.get('') ?? 1)
            ctx.state.sum.set(next)
            yield [ctx.key, next]
          },
          onRight(n, ctx) {
            ctx.broadcast.factor.set('', n)
            if (n === 0) ctx.forEachKey('sum', (_, sumOfKey) => sumOfKey.clear())
          },
        }),
    items: [...numbers(1, 2), ...seconds(10), ...numbers(3, 4), ...seconds(0), ...numbers(5, 6), end()],
    expected: [
      [1, 1],
      [0, 2],
      [1, 31],
      [0, 42],
      [1, 0],
      [0, 0],
    ],
  },
  {
    name: 'asyncMap',
    build: (input) => input.asyncMap(slowly),
    items: [...numbers(3, 1, 2), watermark(3), ...numbers(5), end()],
    expected: [6, 2, 4, 10],
    inFlight: true,
  },
  {
    name: 'asyncMap with little room',
    build: (input) => input.asyncMap(slowly, { concurrency: 1 }),
    items: [...numbers(3, 1, 2), watermark(3), ...numbers(5), end()],
    expected: [6, 2, 4, 10],
    inFlight: true,
  },
  {
    name: 'asyncMap in any order',
    build: (input) => input.asyncMap(slowly, { ordered: false }),
    items: [...numbers(3, 1, 2), watermark(3), ...numbers(9, 5), watermark(9), end()],
    ordered: false,
    inFlight: true,
  },
  {
    name: 'asyncMap of a keyed stream',
    build: (input) => parity(input).asyncMap(slowly),
    items: [...numbers(3, 1, 2, 4), watermark(4), ...numbers(9, 5), end()],
    ordered: false,
    inFlight: true,
    emptyAtEnd: true,
  },
]

/** Answers after as many turns as the number says, so that later records overtake earlier ones. */
async function slowly(n: number): Promise<number> {
  for (let turn = 0; turn < n; turn++) await Promise.resolve()
  return n * 2
}

describe('every way to run it gives the same:', () => {
  test.each(CASES)('$name', async ({ build, items, ...options }) => {
    const { outcomes } = await checkOperator(build, items, options)
    expect(outcomes.length).toBeGreaterThan(0)
  })
})
