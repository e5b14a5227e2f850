import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { AsyncMapOptions } from '../../../operators/async/async-options.ts'
import { asyncSettings } from '../../../operators/async/async-options.ts'
import { keyedAsyncMapOperator } from '../../../operators/async/keyed-async-map.ts'
import { keyGroupOf, subtaskOfGroup } from '../../../src/core/key-groups.ts'
import type { BenchOptions, BenchSnapshot } from './async-bench.ts'
import { Bench, Calls, settled } from './async-bench.ts'

/** The key of a record is its first letter. */
const keyOf = (value: unknown): string => String(value)[0]!
const subtaskOf = (value: unknown, parallelism: number): number => subtaskOfGroup(keyGroupOf(keyOf(value), 128), parallelism, 128)

function bench(options: AsyncMapOptions<never, unknown> = {}, more: Partial<BenchOptions> = {}, calls = new Calls()) {
  const create = keyedAsyncMapOperator(calls.fn as never, asyncSettings(calls.fn, options))
  return { calls, own: new Bench({ create, keyOf, ...more }) }
}

describe('the records of a key', () => {
  test('are called one after the other, those of different keys at the same time', async () => {
    const { calls, own } = bench()
    for (const value of ['a1', 'a2', 'b1', 'a3', 'b2']) own.record(value)
    expect(calls.values).toEqual(['a1', 'b1'])
    expect(calls.open.map(({ key }) => key)).toEqual(['a', 'b'])
    await calls.answer('b1')
    own.step()
    expect(own.take()).toEqual(["b1'"])
    expect(calls.values).toEqual(['a1', 'b2'])
    await calls.answer('b2', 'a1')
    own.step()
    expect(own.take()).toEqual(["b2'", "a1'"])
    await calls.answer('a2')
    own.step()
    await calls.answer('a3')
    own.step()
    expect(own.take()).toEqual(["a2'", "a3'"])
    expect([own.operator.pending, calls.made]).toEqual([false, 5])
  })

  test('have keys that are equal by value', () => {
    const calls = new Calls()
    const create = keyedAsyncMapOperator(calls.fn as never, asyncSettings(calls.fn, {}))
    const own = new Bench({ create, keyOf: (value) => [(value as number) % 2, new Date(0)] })
    for (const value of [1, 2, 3, 4]) own.record(value)
    expect(calls.values).toEqual([1, 2])
  })

  test('count as under way while they wait: one key may hold up the others', () => {
    const { calls, own } = bench({ concurrency: 3 })
    for (const value of ['a1', 'a2', 'a3']) own.record(value)
    expect([calls.values, own.held, own.operator.full]).toEqual([['a1'], 1, true])
  })

  test('keep their order when a call is made again, and when one takes too long', async () => {
    const { calls, own } = bench({
      timeout: 1_000,
      onTimeout: (value) => `${String(value)} too late`,
      retry: { attempts: 2, delay: 100 },
    })
    for (const value of ['a1', 'a2', 'a3']) own.record(value)
    calls.of('a1').reject(new Error('again'))
    await settled()
    own.step()
    expect(calls.values).toEqual([])
    own.now = 100
    own.step()
    expect(calls.values).toEqual(['a1'])
    await calls.answer('a1')
    own.now = 900
    own.step()
    // The time of a record begins with its own call.
    expect(own.operator.nextProcessingTime!()).toBe(1_900)
    own.now = 1_900
    own.step()
    expect(own.take()).toEqual(["a1'", 'a2 too late'])
    await calls.of('a3').resolve("a3'")
    await settled()
    own.step()
    expect(own.take()).toEqual(["a3'"])
  })

  test('do not cross watermarks', async () => {
    const { calls, own } = bench()
    own.record('a1')
    own.advance(5)
    own.record('b1')
    own.record('a2')
    await calls.answer('b1')
    own.step()
    expect(own.take()).toEqual([])
    await calls.answer('a1')
    own.step()
    expect(own.take()).toEqual(["a1'", 'watermark 5', "b1'"])
    await calls.answer('a2')
    own.step()
    expect(own.take()).toEqual(["a2'"])
  })

  test('that are all known at once do not grow the stack', async () => {
    const { promise, resolve } = Promise.withResolvers<string>()
    const fn = (value: string) => (value === 'a0' ? promise : value)
    const count = 20_000
    const create = keyedAsyncMapOperator(fn as never, asyncSettings(fn, { concurrency: count, timeout: 'none' }))
    const own = new Bench({ create, keyOf })
    for (let index = 0; index < count; index++) own.record(`a${index}`)
    resolve('a0')
    await settled()
    own.step()
    expect(own.take()).toEqual(Array.from({ length: count }, (_, index) => `a${index}`))
  })
})

describe('a checkpoint', () => {
  test('holds the records under way, and no more once they are out', async () => {
    const { calls, own } = bench()
    for (const value of ['a1', 'a2', 'b1']) own.record(value)
    expect(own.snapshot().chunks).not.toEqual([])
    own.snapshot()
    await calls.answer('a1', 'b1')
    own.step()
    await calls.answer('a2')
    own.step()
    expect(own.snapshot()).toMatchObject({ state: undefined, chunks: [] })
  })

  test('is restored with the order of each key, and with the watermarks between', async () => {
    const first = bench()
    first.own.record('a1', 1)
    first.own.advance(5)
    first.own.record('a2', 6)
    first.own.record('b1', 7)
    const { calls, own } = bench({}, { from: [first.own.snapshot()] })
    expect(calls.made).toBe(0)
    own.step()
    expect(calls.values).toEqual(['a1', 'b1'])
    own.record('a3', 8)
    await calls.answer('b1', 'a1')
    own.step()
    expect(own.take()).toEqual(["a1'", 'watermark 5', "b1'"])
    await calls.answer('a2')
    own.step()
    await calls.answer('a3')
    own.step()
    expect(own.take()).toEqual(["a2'", "a3'"])
    expect(own.timestamps).toEqual([1, 7, 6, 8])
  })

  test.each([1, 3])('moves records with their keys to %i subtasks', async (parallelism) => {
    const values = ['a1', 'b1', 'c1', 'd1', 'a2', 'e1', 'f1', 'b2']
    const from = [0, 1].map((subtask): BenchSnapshot => {
      const { own } = bench({}, { subtask, parallelism: 2 })
      for (const value of values) if (subtaskOf(value, 2) === subtask) own.record(value)
      own.advance(5 + subtask)
      return own.snapshot()
    })
    const out: unknown[] = []
    for (let subtask = 0; subtask < parallelism; subtask++) {
      const { calls, own } = bench({}, { from, subtask, parallelism })
      own.step()
      expect(calls.values.every((value) => subtaskOf(value, parallelism) === subtask)).toBe(true)
      while (own.operator.pending) {
        await calls.answer(...calls.values)
        own.step()
      }
      expect(own.out.at(-1)).toBe('watermark 5')
      out.push(...own.take())
    }
    const results = out.filter((each) => !String(each).startsWith('watermark'))
    expect([...results].sort()).toEqual(values.map((value) => `${value}'`).sort())
    for (const key of ['a', 'b']) expect(results.filter((each) => keyOf(each) === key)).toEqual([`${key}1'`, `${key}2'`])
  })
})

const happening = fc.oneof(
  { weight: 6, arbitrary: fc.nat(3).map((choice) => ({ type: 'record' as const, choice })) },
  { weight: 2, arbitrary: fc.constant({ type: 'watermark' as const, choice: 0 }) },
  { weight: 6, arbitrary: fc.nat().map((choice) => ({ type: 'answer' as const, choice })) },
  { weight: 2, arbitrary: fc.nat().map((choice) => ({ type: 'failure' as const, choice })) },
  { weight: 4, arbitrary: fc.constantFrom(1, Number.POSITIVE_INFINITY).map((choice) => ({ type: 'step' as const, choice })) },
  { weight: 1, arbitrary: fc.constant({ type: 'restore' as const, choice: 0 }) },
)

test('whatever happens, every record has its result once, in the order of its key and between the right watermarks', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(happening, { maxLength: 80 }), fc.integer({ min: 1, max: 6 }), async (script, concurrency) => {
      const options = { concurrency, timeout: 'none' as const, retry: { attempts: 1_000, delay: 10 } }
      let { calls, own } = bench(options)
      const out: unknown[] = []
      const expected: string[] = []
      for (const [index, { type, choice }] of script.entries()) {
        if (type === 'record' && !own.operator.full) {
          const value = `${'abcd'[choice]!}${index}`
          own.record(value)
          expected.push(`${value}' behind ${own.watermark}`)
        } else if (type === 'watermark') own.advance(index)
        else if (type === 'answer' && calls.open.length > 0) await calls.answer(calls.values[choice % calls.open.length])
        else if (type === 'failure' && calls.open.length > 0) {
          calls.of(calls.values[choice % calls.open.length]).reject(new Error('again'))
          await settled()
        } else if (type === 'step') {
          own.now += 20
          own.slots = choice
          own.step()
        } else if (type === 'restore') {
          out.push(...own.take())
          const from = [own.snapshot()]
          own.operator.close!()
          ;({ calls, own } = bench(options, { from, now: own.now }))
        }
        const keys = calls.values.map(keyOf)
        expect(new Set(keys).size).toBe(keys.length)
      }
      own.slots = Number.POSITIVE_INFINITY
      own.advance(1_000)
      while (own.operator.pending) {
        own.now += 20
        own.step()
        await calls.answer(...calls.values)
        own.step()
      }
      out.push(...own.take())
      let behind = Number.NEGATIVE_INFINITY
      const results = out.flatMap((each) => {
        const match = /^watermark (.*)$/.exec(String(each))
        if (match !== null) behind = Math.max(behind, Number(match[1]))
        return match === null ? [`${String(each)} behind ${behind}`] : []
      })
      for (const key of 'abcd') {
        const ofKey = (all: readonly string[]) => all.filter((each) => keyOf(each) === key)
        expect(ofKey(results)).toEqual(ofKey(expected))
      }
      expect(behind).toBe(1_000)
      expect(own.snapshot()).toMatchObject({ state: undefined, chunks: [] })
    }),
    { numRuns: 300 },
  )
})
