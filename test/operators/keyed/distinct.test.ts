import fc from 'fast-check'
import { collect, items, job, type Stream } from 'sluice'
import { describe, expect, test } from 'vitest'
import type { Item } from '../../../src/testing/index.ts'
import { checkOperator, end, processingTime, record, runOperator, testDriver, watermark } from '../../../src/testing/index.ts'

interface Click {
  readonly id: string
  readonly at: number
}

const by =
  (options: { ttl?: number; ttlTime?: 'event' | 'processing' }) =>
  (input: Stream<Click>): Stream<Click> =>
    input.keyBy(({ id }) => id).distinct(options)

function click(id: string, at: number): Item {
  return record({ id, at }, at)
}

describe('distinct', () => {
  test('passes the first record of each key, for ever', async () => {
    const items = [click('a', 1), click('b', 2), click('a', 3), watermark(1000), click('b', 1001), click('c', 1002), end()]
    const { outcomes } = await checkOperator(by({}), items, {
      expected: [
        { id: 'a', at: 1 },
        { id: 'b', at: 2 },
        { id: 'c', at: 1002 },
      ],
    })
    expect(outcomes[0]).toEqual({ output: 'main', value: { id: 'a', at: 1 }, timestamp: 1 })
  })

  test('with a ttl takes a key for new once the watermark has reached the ttl after its first record, whatever duplicates came', async () => {
    const items = [
      click('a', 100),
      click('a', 109),
      watermark(109),
      click('a', 115),
      watermark(110),
      click('a', 116),
      click('a', 117),
      end(),
    ]
    await checkOperator(by({ ttl: 10 }), items, {
      expected: [
        { id: 'a', at: 100 },
        { id: 'a', at: 116 },
      ],
      emptyAtEnd: true,
    })
  })

  test('forgets keys that never come again', async () => {
    const items: Item[] = Array.from({ length: 500 }, (_, at) => click(`key ${at}`, at))
    const { state } = await runOperator(by({ ttl: 10 }), [...items, watermark(509)])
    expect(state).toEqual({ entries: 0, timers: 0 })
  })

  test('with a ttl by the clock', async () => {
    const items = [
      click('a', 1),
      processingTime(999),
      click('a', 2),
      processingTime(1000),
      click('a', 3),
      watermark(1e9),
      click('a', 4),
      processingTime(3000),
    ]
    const expected = [
      { id: 'a', at: 1 },
      { id: 'a', at: 3 },
    ]
    await checkOperator(by({ ttl: 1000, ttlTime: 'processing' }), items, { expected, emptyAtEnd: true })
  })

  test('does not remember a record that is later than the ttl', async () => {
    const items = [click('a', 100), watermark(100), click('b', 90), click('b', 90), click('b', 91), click('b', 91), end()]
    const { outcomes } = await checkOperator(by({ ttl: 10 }), items, { emptyAtEnd: true })
    expect(outcomes.flatMap((outcome) => ('value' in outcome ? [(outcome.value as Click).at] : []))).toEqual([100, 90, 90, 91])
  })

  test('keeps what it has seen when the parallelism changes', async () => {
    const source = items<string>([])
    const found: string[] = []
    const sink = collect(found)
    const unique = job('unique')
    unique
      .from(source)
      .keyBy((word) => word)
      .distinct()
      .to(sink)
    const words = Array.from({ length: 50 }, (_, index) => `word ${index}`)
    const driver = testDriver(unique, { parallelism: 3 })
    driver.sendAll(words)
    for (const parallelism of [1, 4, 2]) {
      await driver.checkpoint()
      driver.crashAndRestore({ parallelism })
      driver.sendAll(words)
    }
    expect([...driver.output(sink)].sort()).toEqual(words.sort())
  })

  test('refuses a ttl that is none, and event time without timestamps when the job is run', async () => {
    const words = job('words')
      .from(items(['a']))
      .keyBy((word) => word)
    expect(() => words.distinct({ ttl: 0 })).toThrow(expect.objectContaining({ code: 'INVALID_DURATION' }))
    const timeless = job('timeless', { workers: 0 })
    timeless
      .from(items(['a']))
      .keyBy((word) => word)
      .distinct({ ttl: '1h', ttlTime: 'event' })
    await expect(timeless.run({ quiet: true })).rejects.toMatchObject({ code: 'NO_TIMESTAMPS', operator: 'distinct-1' })
  })

  test('does what a list of first times does, also after restores', async () => {
    const step = fc.record({ mark: fc.boolean(), id: fc.constantFrom('a', 'b', 'c'), at: fc.nat(60) })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), fc.array(fc.nat(29), { maxLength: 3 }), async (steps, restoreAfter) => {
        const expected: Click[] = []
        const first = new Map<string, number>()
        let time = Number.NEGATIVE_INFINITY
        for (const { mark, id, at } of steps) {
          if (mark) time = Math.max(time, at)
          else if (!first.has(id) || first.get(id)! + 10 <= time) {
            expected.push({ id, at })
            first.set(id, at)
          }
        }
        const all = steps.map(({ mark, id, at }) => (mark ? watermark(at) : click(id, at)))
        const { outcomes, state } = await runOperator(by({ ttl: 10 }), [...all, end()], { restoreAfter })
        expect(outcomes.flatMap((outcome) => ('value' in outcome ? [outcome.value] : []))).toEqual(expected)
        expect(state).toEqual({ entries: 0, timers: 0 })
      }),
      { numRuns: 200 },
    )
  })
})
