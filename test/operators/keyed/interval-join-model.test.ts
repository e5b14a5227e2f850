import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Stream } from '../../../src/dsl/stream.ts'
import type { Item, Outcome } from '../../../src/testing/index.ts'
import { end, record, runOperator, second, watermark } from '../../../src/testing/index.ts'

/*
 * The interval join against a model that keeps everything and looks at all of it: random records of a few keys, out of order, random
 * watermarks of either side, random bounds, saved and restored anywhere.
 */

interface Timed {
  readonly id: number
  readonly key: number
  readonly at: number
}

interface Bounds {
  readonly lower: number
  readonly upper: number
}

const bounds: fc.Arbitrary<Bounds> = fc
  .tuple(fc.integer({ min: -12, max: 12 }), fc.oneof(fc.constant(0), fc.nat(15)))
  .map(([lower, width]) => ({ lower, upper: lower + width }))

const happening = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('record' as const),
      input: fc.constantFrom<0 | 1>(0, 1),
      key: fc.nat(2),
      at: fc.oneof(fc.integer({ min: -10, max: 40 }), fc.constantFrom(10, 10.5, 20)),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('watermark' as const),
      input: fc.constantFrom(undefined, undefined, 0 as const, 1 as const),
      time: fc.integer({ min: -10, max: 45 }),
    }),
  },
)

function itemsOf(happenings: readonly (typeof happening extends fc.Arbitrary<infer H> ? H : never)[]): readonly Item[] {
  return happenings.map((each, id) => {
    if (each.type === 'watermark') return watermark(each.time, each.input)
    const value: Timed = { id, key: each.key, at: each.at }
    return each.input === 0 ? record(value, each.at) : second(value, each.at)
  })
}

interface Modelled {
  readonly outcomes: readonly Outcome[]
  /** Keys and sides that hold a record after the last item, before the end. */
  readonly kept: number
}

/** What the contract says, word for word. */
function model({ lower, upper }: Bounds, items: readonly Item[]): Modelled {
  const sides: readonly [Timed[], Timed[]] = [[], []]
  const watermarks: [number, number] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]
  const outcomes: Outcome[] = []
  for (const item of items) {
    if (item.type === 'watermark') {
      for (const input of [0, 1] as const) {
        if (item.input === undefined || item.input === input) watermarks[input] = Math.max(watermarks[input], item.time)
      }
    }
    if (item.type !== 'record') continue
    const value = item.value as Timed
    if (value.at <= Math.min(...watermarks)) {
      outcomes.push({ output: item.input === 0 ? 'lateLeft' : 'lateRight', value, timestamp: value.at })
      continue
    }
    sides[item.input].push(value)
    const partners = sides[item.input === 0 ? 1 : 0].filter((other) => {
      const [left, right] = item.input === 0 ? [value, other] : [other, value]
      return left.key === right.key && left.at + lower <= right.at && right.at <= left.at + upper
    })
    for (const other of partners.toSorted((one, two) => one.at - two.at)) {
      const pair = item.input === 0 ? [value.id, other.id] : [other.id, value.id]
      outcomes.push({ output: 'main', value: pair, timestamp: Math.max(value.at, other.at) })
    }
  }
  const passed = Math.min(...watermarks)
  const holders = sides.flatMap((side, input) => {
    const keptMs = input === 0 ? Math.max(upper, 0) : Math.max(-lower, 0)
    return [...new Set(side.filter((value) => value.at + keptMs > passed).map((value) => value.key))]
  })
  return { outcomes, kept: holders.length }
}

function join({ lower, upper }: Bounds) {
  return (left: Stream<Timed>, right: Stream<Timed>) => {
    const results = left
      .keyBy((value) => value.key)
      .intervalJoin(
        right.keyBy((value) => value.key),
        { lower, upper },
        (one, two) => [one.id, two.id],
      )
    return { main: results, lateLeft: results.lateLeft, lateRight: results.lateRight }
  }
}

test('an interval join is what comparing every record with every other one gives, in the same order', async () => {
  await fc.assert(
    fc.asyncProperty(
      bounds,
      fc.array(happening, { maxLength: 40 }).map(itemsOf),
      fc.array(fc.nat(40), { maxLength: 4 }),
      fc.boolean(),
      async (interval, items, restoreAfter, oneSlot) => {
        const expected = model(interval, items)
        const run = await runOperator(join(interval), items, { restoreAfter, oneSlot })
        expect(run.outcomes.filter((outcome) => !('watermark' in outcome))).toEqual(expected.outcomes)
        expect(run.state).toEqual({ entries: expected.kept, timers: expected.kept })
      },
    ),
    { numRuns: 400 },
  )
})

test('nothing is left after the end, and nothing more comes out', async () => {
  await fc.assert(
    fc.asyncProperty(bounds, fc.array(happening, { maxLength: 25 }).map(itemsOf), async (interval, items) => {
      const run = await runOperator(join(interval), [...items, end()], { restoreAfter: 'all' })
      expect(run.outcomes.filter((outcome) => !('watermark' in outcome))).toEqual(model(interval, items).outcomes)
      expect(run.state).toEqual({ entries: 0, timers: 0 })
    }),
    { numRuns: 40 },
  )
})

test('one key with many records in order and a few out of it', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.constantFrom<0 | 1>(0, 1), fc.nat(6)), { minLength: 150, maxLength: 250 }),
      async (steps) => {
        const items = steps.flatMap(([input, back], id) => {
          const value: Timed = { id, key: 0, at: id - back }
          return [input === 0 ? record(value, value.at) : second(value, value.at), ...(id % 10 === 9 ? [watermark(id - 5)] : [])]
        })
        const interval = { lower: -20, upper: 30 }
        const run = await runOperator(join(interval), items, { restoreAfter: [30, 90, 140] })
        expect(run.outcomes.filter((outcome) => !('watermark' in outcome))).toEqual(model(interval, items).outcomes)
      },
    ),
    { numRuns: 15 },
  )
})
