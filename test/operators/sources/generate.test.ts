import { describe, expect, expectTypeOf, test } from 'vitest'
import { generate } from '../../../operators/sources/index.ts'
import { checkSource, context, readAll, splitsOf } from './conformance.ts'

const at = (i: number) => ({ id: i })

test.each([1, 2, 3, 7])('deals out the numbers among %i subtasks', async (parallelism) => {
  const splits = Array.from({ length: parallelism }, (_, k) => k)
  const expected = splits.flatMap((k) => Array.from({ length: 20 }, (_, i) => i).filter((i) => i % parallelism === k))
  await checkSource(generate({ count: 20, at: (i) => i }), expected, parallelism)
})

test('has splits without records when there are more subtasks than records', async () => {
  await checkSource(generate({ count: 2, at }), [at(0), at(1)], 5)
  await checkSource(generate({ count: 0, at }), [], 2)
})

test('keeps its share when it is restored with another parallelism', async () => {
  const source = generate({ count: 10, at: (i) => i })
  const split = (await splitsOf(source, 2))[1]!
  const reader = await source.open(split, 5, context)
  expect(await reader.poll(10)).toEqual([5, 7, 9])
})

test('does not end without a count', async () => {
  const source = generate({ at: (i) => i })
  const reader = await source.open((await splitsOf(source))[0]!, 1_000_000, context)
  expect(await reader.poll(2)).toEqual([1_000_000, 1_000_001])
})

describe('with a rate', () => {
  async function open(position?: number, count?: number) {
    const clock = { time: 1000 }
    const source = generate({ rate: 100, at: (i) => i, ...(count === undefined ? {} : { count }) })
    const split = (await splitsOf(source, 2))[0]!
    const reader = await source.open(split, position, { ...context, now: () => clock.time })
    return { clock, reader }
  }

  test('sends an even share of the records, and nothing ahead of time', async () => {
    const { clock, reader } = await open()
    expect(await reader.poll(10)).toEqual([])
    clock.time += 60
    expect(await reader.poll(10)).toEqual([0, 2, 4])
    expect(await reader.poll(10)).toEqual([])
    clock.time += 19
    expect(await reader.poll(10)).toEqual([])
    clock.time += 1
    expect(await reader.poll(10)).toEqual([6])
  })

  test('catches up when it was asked too late, by as much as is asked for', async () => {
    const { clock, reader } = await open()
    clock.time += 1000
    expect(await reader.poll(30)).toHaveLength(30)
    expect(await reader.poll(30)).toHaveLength(20)
    expect(await reader.poll(30)).toHaveLength(0)
  })

  test('starts the pace anew after a restart', async () => {
    const { clock, reader } = await open(500)
    expect(await reader.poll(10)).toEqual([])
    clock.time += 20
    expect(await reader.poll(10)).toEqual([500])
    expect(reader.position()).toBe(502)
  })

  test('waits while the clock goes backwards', async () => {
    const { clock, reader } = await open()
    clock.time -= 500
    expect(await reader.poll(10)).toEqual([])
  })

  test('ends', async () => {
    const { clock, reader } = await open(undefined, 3)
    clock.time += 1000
    expect(await reader.poll(10)).toEqual([0, 2])
    expect(await reader.poll(10)).toBe(null)
  })
})

test.each([{ count: -1 }, { count: 1.5 }, { count: Number.NaN }, { rate: 0 }, { rate: Number.POSITIVE_INFINITY }, { at: 3 }])(
  'refuses %j',
  (options) => {
    expect(() => generate({ at, ...(options as object) })).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
  },
)

test('has the type of what is made', async () => {
  expectTypeOf(await readAll(generate({ count: 1, at }))).toEqualTypeOf<{ id: number }[]>()
})
