import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { asyncMapOperator } from '../../../operators/async/async-map.ts'
import type { AsyncMapOptions } from '../../../operators/async/async-options.ts'
import { asyncSettings } from '../../../operators/async/async-options.ts'
import type { Operator, OperatorContext } from '../../../src/core/operator.ts'
import { decodeValue } from '../../../src/core/value-codec.ts'
import type { BenchOptions } from './async-bench.ts'
import { Bench, Calls, settled } from './async-bench.ts'

function asyncMap(
  fn: (...parameters: never) => unknown,
  options: AsyncMapOptions<never, unknown> = {},
): (context: OperatorContext) => Operator {
  return asyncMapOperator(fn as never, asyncSettings(fn, options))
}

function bench(options: AsyncMapOptions<never, unknown> = {}, more: Partial<BenchOptions> = {}) {
  const calls = new Calls()
  return { calls, own: new Bench({ create: asyncMap(calls.fn, options), ...more }) }
}

describe('ordered results', () => {
  test('come in the order of the records, whoever answers first, with the timestamps of their records', async () => {
    const { calls, own } = bench()
    own.record('a', 1)
    own.record('b')
    own.record('c', 3)
    await calls.answer('c', 'b')
    own.step()
    expect(own.take()).toEqual([])
    await calls.answer('a')
    own.cell.timestamp = 99
    own.step()
    expect(own.take()).toEqual(["a'", "b'", "c'"])
    expect(own.timestamps).toEqual([1, Number.NaN, 3])
    expect(own.cell.timestamp).toBe(99)
    expect(own.operator.pending).toBe(false)
  })

  test('do not pass watermarks, nor are they passed', async () => {
    const { calls, own } = bench()
    own.advance(1)
    expect(own.take()).toEqual(['watermark 1'])
    own.record('a')
    own.advance(5)
    own.record('b')
    own.advance(7)
    own.advance(9)
    own.record('c')
    await calls.answer('b', 'a')
    own.step()
    expect(own.take()).toEqual(["a'", 'watermark 5', "b'", 'watermark 9'])
    own.advance(Number.POSITIVE_INFINITY)
    expect(own.take()).toEqual([])
    await calls.answer('c')
    own.step()
    expect(own.take()).toEqual(["c'", 'watermark Infinity'])
  })

  test('stop at a watermark until it is carried out behind the operator', async () => {
    const { calls, own } = bench()
    own.record('a')
    own.advance(5)
    own.record('b')
    await calls.answer('a', 'b')
    expect(own.operator.deliver!()).toBe(true)
    expect(own.take()).toEqual(["a'", 'watermark 5'])
    expect(own.operator.deliver!()).toBe(true)
    expect(own.take()).toEqual(["b'"])
    expect(own.operator.deliver!()).toBe(false)
  })

  test('go one by one when there is one slot', async () => {
    const { calls, own } = bench()
    own.slots = 0
    for (const value of ['a', 'b', 'c']) own.record(value)
    await calls.answer('a', 'b', 'c')
    own.step()
    expect(own.take()).toEqual([])
    own.slots = 1
    own.step()
    expect(own.take()).toEqual(["a'"])
    own.stepSlotBySlot()
    expect(own.take()).toEqual(["b'", "c'"])
  })
})

describe('unordered results', () => {
  test('come as they are there, but never across a watermark', async () => {
    const { calls, own } = bench({ ordered: false })
    for (const value of ['a', 'b']) own.record(value)
    own.advance(5)
    for (const value of ['c', 'd']) own.record(value)
    await calls.answer('d', 'b')
    own.step()
    expect(own.take()).toEqual(["b'"])
    await calls.answer('a')
    own.step()
    expect(own.take()).toEqual(["a'", 'watermark 5', "d'"])
    await calls.answer('c')
    own.step()
    expect(own.take()).toEqual(["c'"])
  })
})

describe('a result that is there at once', () => {
  test('goes on at once when nothing is before it', async () => {
    const { calls, own } = bench()
    const create = asyncMap((value: string) => (value.startsWith('known') ? `${value}!` : calls.fn(value, NO_CONTEXT)))
    const mixed = new Bench({ create })
    mixed.record('known 1')
    expect(mixed.take()).toEqual(['known 1!'])
    mixed.record('asked')
    mixed.record('known 2')
    expect(mixed.take()).toEqual([])
    await calls.answer('asked')
    mixed.step()
    expect(mixed.take()).toEqual(["asked'", 'known 2!'])
    expect([mixed.held, own.held]).toEqual([0, 0])
  })

  test('passes others in flight when results are unordered, and waits for room', async () => {
    const create = asyncMap((value: number) => (value % 2 === 0 ? value : new Promise(() => {})), { ordered: false })
    const own = new Bench({ create })
    own.record(1)
    own.record(2)
    expect(own.take()).toEqual([2])
    own.slots = 0
    own.record(4)
    own.record(6)
    expect(own.take()).toEqual([])
    own.stepSlotBySlot()
    expect(own.take()).toEqual([4, 6])
  })

  test('may be undefined, and may be an object that only looks like a promise to nobody', () => {
    const own = new Bench({ create: asyncMap((value: unknown) => value) })
    const result = { then: 5 }
    own.record(undefined)
    own.record(null)
    own.record(result)
    expect(own.take()).toEqual([undefined, null, result])
  })
})

const NO_CONTEXT = { attempt: 1, watermark: 0 }

describe('concurrency', () => {
  test('holds the input when that many records are under way, also those that wait for their turn', async () => {
    const { calls, own } = bench({ concurrency: 2 })
    own.record('a')
    expect([own.held, own.operator.full]).toEqual([0, false])
    own.record('b')
    expect([own.held, own.operator.full]).toEqual([1, true])
    await calls.answer('b')
    own.step()
    expect(own.operator.full).toBe(true)
    await calls.answer('a')
    own.step()
    expect(own.operator.full).toBe(false)
  })

  test('is kept when a restore brings more records than that', async () => {
    const first = bench({ concurrency: 2 })
    first.own.record('a')
    first.own.record('b')
    const second = bench({ concurrency: 2 })
    second.own.record('c')
    second.own.record('d')
    const { calls, own } = bench({ concurrency: 2 }, { from: [first.own.snapshot(), second.own.snapshot()] })
    own.step()
    expect(calls.values).toEqual(['a', 'b'])
    expect(own.operator.full).toBe(true)
    await calls.answer('b')
    own.step()
    expect(calls.values).toEqual(['a'])
    await calls.answer('a')
    own.step()
    expect(calls.values).toEqual(['c', 'd'])
    expect(own.operator.full).toBe(true)
    await calls.answer('c', 'd')
    own.step()
    expect(own.take()).toEqual(["a'", "b'", "c'", "d'"])
  })
})

describe('a timeout', () => {
  test('fails the job with the operator and what to do about it', () => {
    const { calls, own } = bench({ timeout: '5s' })
    own.record('a')
    own.now = 4_999
    own.step()
    expect(own.operator.nextProcessingTime!()).toBe(5_000)
    own.now = 5_000
    expect(() => own.step()).toThrow(
      expect.objectContaining({
        code: 'ASYNC_TIMEOUT',
        operator: 'async-map-1',
        subtask: 0,
        canRestart: true,
        message: "'async-map-1' got no answer for a record in 5000 ms",
        hint: expect.stringContaining('onTimeout'),
      }),
    )
    own.operator.close!()
    expect(calls.of('a').signal.aborted).toBe(true)
  })

  test('gives way to a result that onTimeout supplies; the signal is aborted, and a late answer is not heard', async () => {
    const seen: unknown[] = []
    const onTimeout = (value: never, context: { attempt: number; timestamp: number | undefined }) => {
      seen.push([value, context.attempt, context.timestamp])
      return 'none'
    }
    const { calls, own } = bench({ timeout: 100, onTimeout })
    own.record('a', 7)
    const call = calls.of('a')
    expect(call.signal.aborted).toBe(false)
    own.now = 100
    own.step()
    expect(own.take()).toEqual(['none'])
    expect(seen).toEqual([['a', 1, 7]])
    expect(call.signal.reason).toMatchObject({ code: 'ASYNC_TIMEOUT' })
    const { wakes } = own
    call.resolve('too late')
    await settled()
    own.step()
    expect([own.take(), own.wakes]).toEqual([[], wakes])
  })

  test('does not overrule an answer that has come before it, though no step has seen it yet', async () => {
    const { calls, own } = bench({ timeout: 100 })
    own.record('a')
    await calls.answer('a')
    own.now = 500
    own.step()
    expect(own.take()).toEqual(["a'"])
  })

  test('covers all attempts of a record, and then says what the last one failed with', async () => {
    const { calls, own } = bench({ timeout: 150, retry: { attempts: 5, delay: 100 } })
    own.record('a')
    calls.of('a').reject(new TypeError('first'))
    await settled()
    own.step()
    own.now = 100
    own.step()
    expect(calls.open.map(({ attempt }) => attempt)).toEqual([2])
    own.now = 150
    expect(() => own.step()).toThrow(
      expect.objectContaining({
        code: 'ASYNC_TIMEOUT',
        message: expect.stringContaining('in 2 calls'),
        cause: new TypeError('first'),
      }),
    )
  })

  test('of a record that waits for its next attempt takes the attempt away', async () => {
    const { calls, own } = bench({ timeout: 150, onTimeout: () => 'none', retry: { attempts: 5, delay: 1_000 } })
    own.record('a')
    calls.of('a').reject(new Error('no'))
    await settled()
    own.step()
    own.now = 150
    own.step()
    expect(own.take()).toEqual(['none'])
    own.now = 2_000
    own.step()
    expect([calls.made, own.operator.nextProcessingTime!()]).toEqual([1, Number.POSITIVE_INFINITY])
  })

  test("of 'none' never comes", () => {
    const { own } = bench({ timeout: 'none' })
    own.record('a')
    expect(own.operator.nextProcessingTime!()).toBe(Number.POSITIVE_INFINITY)
  })

  test('is that of each record by itself', async () => {
    const { calls, own } = bench({ timeout: 100, ordered: false, onTimeout: (value) => `late ${String(value)}` })
    for (const [value, at] of [
      ['a', 0],
      ['b', 40],
      ['c', 50],
    ] as const) {
      own.now = at
      own.record(value)
    }
    await calls.answer('a')
    own.step()
    expect(own.operator.nextProcessingTime!()).toBe(140)
    own.now = 145
    own.step()
    expect(own.take()).toEqual(["a'", 'late b'])
    expect(own.operator.nextProcessingTime!()).toBe(150)
  })

  test('whose function throws fails the job with that', () => {
    const { own } = bench({
      timeout: 100,
      onTimeout: () => {
        throw new RangeError('nothing to give')
      },
    })
    own.record('a')
    own.now = 100
    expect(() => own.step()).toThrow(expect.objectContaining({ code: 'OPERATOR_FAILED', operator: 'async-map-1' }))
  })
})

describe('a call that fails', () => {
  test.each([
    ['rejects', () => Promise.reject(new TypeError('no such user'))],
    [
      'throws',
      () => {
        throw new TypeError('no such user')
      },
    ],
    [
      'has a `then` that throws',
      () =>
        Object.defineProperty({}, 'then', {
          get() {
            throw new TypeError('no such user')
          },
        }),
    ],
  ])('because its function %s fails the job in the next step, and not before', async (_, fn) => {
    const own = new Bench({ create: asyncMap(fn) })
    own.record('a')
    await settled()
    expect(own.wakes).toBe(1)
    expect(() => own.operator.deliver!()).toThrow(
      expect.objectContaining({
        code: 'OPERATOR_FAILED',
        operator: 'async-map-1',
        message: expect.stringContaining('no such user'),
        cause: expect.any(TypeError),
      }),
    )
  })

  test('is made again after delays that grow, by the clock of the job', async () => {
    const { calls, own } = bench({ retry: { attempts: 5, delay: 100, factor: 3, maxDelay: 500 } })
    own.now = 1_000
    own.record('a')
    const times: number[] = []
    for (const attempt of [1, 2, 3, 4]) {
      expect(calls.open.map((call) => call.attempt)).toEqual([attempt])
      calls.of('a').reject(new Error(`failure ${attempt}`))
      await settled()
      own.step()
      expect(calls.open).toEqual([])
      const next = own.operator.nextProcessingTime!()
      times.push(next - own.now)
      own.now = next - 1
      own.step()
      expect(calls.open).toEqual([])
      own.now = next
      own.step()
    }
    expect(times).toEqual([100, 300, 500, 500])
    await calls.answer('a')
    own.step()
    expect(own.take()).toEqual(["a'"])
  })

  test('fails the job when there are no more attempts', async () => {
    const { calls, own } = bench({ retry: { attempts: 2, delay: 10 } })
    own.record('a')
    calls.of('a').reject(new Error('first'))
    await settled()
    own.step()
    own.now = 10
    own.step()
    calls.of('a').reject(new Error('second'))
    await settled()
    expect(() => own.step()).toThrow(expect.objectContaining({ message: expect.stringContaining('second') }))
  })

  test('fails the job at once when the error is not worth another attempt', async () => {
    const { calls, own } = bench({ retry: { attempts: 9, if: (error) => (error as Error).message === 'busy' } })
    own.record('a')
    calls.of('a').reject(new Error('busy'))
    await settled()
    own.step()
    own.now = 100
    own.step()
    calls.of('a').reject(new Error('forbidden'))
    await settled()
    expect(() => own.step()).toThrow(expect.objectContaining({ message: expect.stringContaining('forbidden') }))
  })

  test('fails the job with what the question about it throws', async () => {
    const { calls, own } = bench({
      retry: {
        attempts: 9,
        if: () => {
          throw new RangeError('which error?')
        },
      },
    })
    own.record('a')
    calls.of('a').reject(new Error('busy'))
    await settled()
    expect(() => own.step()).toThrow(expect.objectContaining({ message: expect.stringContaining('which error?') }))
  })

  test('by throwing is retried too, and keeps its place', async () => {
    let failures = 2
    const create = asyncMap(
      (value: string) => {
        if (value === 'a' && failures-- > 0) throw new Error('not yet')
        return value
      },
      { retry: { attempts: 3, delay: 10 } },
    )
    const own = new Bench({ create })
    own.record('a')
    own.record('b')
    own.step()
    own.now = 10
    own.step()
    expect(own.take()).toEqual([])
    own.now = 30
    own.step()
    expect(own.take()).toEqual(['a', 'b'])
  })

  test('and waits is made again at once when the input ends', async () => {
    const { calls, own } = bench({ retry: { attempts: 3, delay: '1h' }, timeout: 'none' })
    own.record('a')
    own.record('b')
    calls.of('a').reject(new Error('no'))
    await settled()
    own.step()
    expect(calls.values).toEqual(['b'])
    // Not looked at by any step before the end comes.
    calls.of('b').reject(new Error('no'))
    await settled()
    own.advance(Number.POSITIVE_INFINITY)
    expect(calls.values).toEqual(['a', 'b'])
    await calls.answer('a', 'b')
    own.step()
    expect(own.take()).toEqual(["a'", "b'", 'watermark Infinity'])
  })

  test('after the operator is closed changes nothing, and is no unhandled rejection', async () => {
    const { calls, own } = bench()
    own.record('a')
    own.record('b')
    const [a, b] = [calls.of('a'), calls.of('b')]
    own.operator.close!()
    expect([a.signal.aborted, (a.signal.reason as Error).name]).toEqual([true, 'AbortError'])
    a.reject(new Error('aborted'))
    b.resolve('b')
    await settled()
    expect([own.wakes, own.operator.deliver!(), own.out]).toEqual([0, false, []])
  })
})

describe('a checkpoint', () => {
  test('holds the records whose results are not out, and they are called again in their order', async () => {
    const { calls, own } = bench()
    own.record('a', 1)
    own.record('b', 2)
    own.advance(5)
    own.record('c', 6)
    await calls.answer('a', 'c')
    own.step()
    expect(own.take()).toEqual(["a'"])
    const snapshot = own.snapshot()
    const again = bench({}, { from: [snapshot] })
    expect(again.calls.made).toBe(0)
    again.own.step()
    expect(again.calls.open.map(({ value, timestamp, watermark, attempt }) => [value, timestamp, watermark, attempt])).toEqual([
      ['b', 2, Number.NEGATIVE_INFINITY, 1],
      ['c', 6, 5, 1],
    ])
    again.own.record('d', 8)
    await again.calls.answer('d', 'c', 'b')
    again.own.step()
    expect(again.own.take()).toEqual(["b'", 'watermark 5', "c'", "d'"])
    expect(again.own.timestamps).toEqual([2, 6, 8])
  })

  test('is empty when nothing is under way', async () => {
    const { calls, own } = bench()
    own.record('a')
    await calls.answer('a')
    own.step()
    expect(own.snapshot().state).toBeUndefined()
  })

  test('after a change of parallelism deals the records in turn, and promises no more than all had been promised', async () => {
    const first = bench()
    first.own.record('a')
    first.own.advance(10)
    first.own.record('b')
    const second = bench()
    second.own.record('c')
    second.own.advance(4)
    second.own.record('d')
    second.own.advance(8)
    const from = [first.own.snapshot(), second.own.snapshot()]
    const shares = await Promise.all(
      [0, 1, 2].map(async (subtask) => {
        const { calls, own } = bench({}, { from, subtask, parallelism: 3 })
        own.step()
        await calls.answer(...calls.values)
        own.step()
        return own.take()
      }),
    )
    expect(shares).toEqual([
      ["a'", 'watermark 4', "d'", 'watermark 8'],
      ['watermark 8', "b'"],
      ["c'", 'watermark 8'],
    ])
  })

  test('knows the split of a record as long as the parallelism is the same', () => {
    const { own } = bench()
    own.cell.split = 3
    own.record('a')
    const snapshot = own.snapshot()
    expect(decodeValue(snapshot.state!)).toEqual([['a', Number.NaN, Number.NEGATIVE_INFINITY, 3]])
    const { own: one } = bench({}, { from: [snapshot] })
    expect(decodeValue(one.snapshot().state!)).toEqual([['a', Number.NaN, Number.NEGATIVE_INFINITY, 3]])
    const { own: other } = bench({}, { from: [snapshot], parallelism: 2 })
    expect(decodeValue(other.snapshot().state!)).toEqual([['a', Number.NaN, Number.NEGATIVE_INFINITY, -1]])
  })

  test('is complete also when results have been there for ever but had no room', async () => {
    const { calls, own } = bench()
    own.slots = 1
    own.record('a')
    own.record('b')
    await calls.answer('a', 'b')
    own.step()
    expect(own.take()).toEqual(["a'"])
    const again = bench({}, { from: [own.snapshot()] })
    again.own.step()
    expect(again.calls.values).toEqual(['b'])
  })
})

describe('options', () => {
  test.each([
    [{ concurrency: 0 }, 'INVALID_OPTION'],
    [{ concurrency: 1.5 }, 'INVALID_OPTION'],
    [{ concurrency: '5' as never }, 'INVALID_OPTION'],
    [{ ordered: 'yes' as never }, 'INVALID_OPTION'],
    [{ timeout: 0 }, 'INVALID_DURATION'],
    [{ timeout: 'soon' as never }, 'INVALID_DURATION'],
    [{ timeout: 'none', onTimeout: () => 1 }, 'INVALID_OPTION'],
    [{ onTimeout: 5 as never }, 'INVALID_OPTION'],
    [{ retry: {} as never }, 'INVALID_OPTION'],
    [{ retry: { attempts: 0 } }, 'INVALID_OPTION'],
    [{ retry: { attempts: 3, factor: 0.5 } }, 'INVALID_OPTION'],
    [{ retry: { attempts: 3, delay: -1 } }, 'INVALID_DURATION'],
    [{ retry: { attempts: 3, maxDelay: 'long' as never } }, 'INVALID_DURATION'],
    [{ retry: { attempts: 3, if: true as never } }, 'INVALID_OPTION'],
  ] as const)('of %o are refused: %s', (options, code) => {
    expect(() => asyncSettings(() => 1, options)).toThrow(expect.objectContaining({ code }))
  })

  test('that are left out', () => {
    expect(asyncSettings(() => 1, { retry: { attempts: 2 } })).toMatchObject({
      concurrency: 100,
      ordered: true,
      timeoutMs: 60_000,
      onTimeout: undefined,
      retry: { attempts: 2, delayMs: 100, factor: 2, maxDelayMs: 60_000 },
    })
    expect(asyncSettings(() => 1, {}).retry.attempts).toBe(1)
    expect(() => asyncSettings('fetch', {})).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
  })
})

/** What may happen next; numbers choose among what there is. */
const happening = fc.oneof(
  { weight: 6, arbitrary: fc.constant({ type: 'record' as const, choice: 0 }) },
  { weight: 2, arbitrary: fc.constant({ type: 'watermark' as const, choice: 0 }) },
  { weight: 6, arbitrary: fc.nat().map((choice) => ({ type: 'answer' as const, choice })) },
  { weight: 2, arbitrary: fc.nat().map((choice) => ({ type: 'failure' as const, choice })) },
  { weight: 4, arbitrary: fc.constant({ type: 'step' as const, choice: 0 }) },
  { weight: 2, arbitrary: fc.constant({ type: 'one-slot' as const, choice: 0 }) },
  { weight: 1, arbitrary: fc.constant({ type: 'restore' as const, choice: 0 }) },
)

/** Each result with the last watermark before it. */
function inSegments(out: readonly unknown[]): readonly (readonly [watermark: number, result: unknown])[] {
  let watermark = Number.NEGATIVE_INFINITY
  return out.flatMap((each) => {
    const match = /^watermark (.*)$/.exec(String(each))
    // A restore may say again what was said before.
    if (match !== null) watermark = Math.max(watermark, Number(match[1]))
    return match === null ? [[watermark, each] as const] : []
  })
}

describe.each([true, false])('whatever happens, ordered: %s', (ordered) => {
  test('every record has its result once, between the right watermarks', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(happening, { maxLength: 80 }), fc.integer({ min: 1, max: 5 }), async (script, concurrency) => {
        const options = { ordered, concurrency, timeout: 'none' as const, retry: { attempts: 1_000, delay: 10 } }
        let { calls, own } = bench(options)
        const out: unknown[] = []
        const expected: (readonly [number, string])[] = []
        for (const [index, { type, choice }] of script.entries()) {
          if (type === 'record' && !own.operator.full) {
            own.record(index)
            expected.push([own.watermark, `${index}'`])
          } else if (type === 'watermark') own.advance(index)
          else if (type === 'answer' && calls.open.length > 0) await calls.answer(calls.values[choice % calls.open.length])
          else if (type === 'failure' && calls.open.length > 0) {
            calls.of(calls.values[choice % calls.open.length]).reject(new Error('again'))
            await settled()
          } else if (type === 'step') {
            own.now += 20
            own.slots = Number.POSITIVE_INFINITY
            own.step()
          } else if (type === 'one-slot') {
            own.slots = 1
            own.step()
          } else if (type === 'restore') {
            out.push(...own.take())
            const from = [own.snapshot()]
            own.operator.close!()
            ;({ calls, own } = bench(options, { from, now: own.now }))
          }
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
        const sorted = <E>(all: readonly E[]): readonly E[] => (ordered ? all : [...all].sort())
        expect(sorted(inSegments(out))).toEqual(sorted(expected))
        expect(out.filter((each) => String(each).startsWith('watermark')).at(-1)).toBe('watermark 1000')
        expect(own.snapshot().state).toBeUndefined()
      }),
      { numRuns: 300 },
    )
  })
})
