import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import type { Job, Stream } from 'sluice'
import { collect, countWindow, globalWindow, items, job, onCount, sessionWindow, slidingWindow, tumblingWindow } from 'sluice'
import { afterAll, describe, expect, test } from 'vitest'
import type { WindowAssigner } from '../../../operators/windows/assigners.ts'
import { KeyedWindowOperator } from '../../../operators/windows/keyed-window-operator.ts'
import type { Trigger } from '../../../operators/windows/triggers.ts'
import { defaultTrigger } from '../../../operators/windows/triggers.ts'
import { windowJoinFunction } from '../../../operators/windows/window-join.ts'
import { windowOperator } from '../../../operators/windows/window-operator.ts'
import type { Operator, OperatorContext } from '../../../src/core/operator.ts'
import { values } from './keyed-fixtures.ts'
import { KeyedModel } from './keyed-model.ts'
import { WindowHarness } from './window-harness.ts'

const JOIN = windowJoinFunction<string, string, string>((a, b) => `${a}${b}`)

interface Joining {
  readonly trigger?: Trigger
  readonly latenessMs?: number
  /** Key by key also where windows could be kept side by side. */
  readonly keyed?: boolean
  readonly oneSlot?: boolean
}

function joining(assigner: WindowAssigner, options: Joining = {}): WindowHarness<string> {
  const { trigger = defaultTrigger(assigner), latenessMs = 0, keyed = false, oneSlot = false } = options
  const create = keyed
    ? (context: OperatorContext): Operator => new KeyedWindowOperator(context, assigner, trigger, latenessMs, JOIN)
    : windowOperator(assigner, trigger, latenessMs, JOIN)
  return new WindowHarness<string>(create, { oneSlot })
}

function left(windows: WindowHarness<string>, value: string, time: number, key = 'k'): string[] {
  return values(windows.record(key, value, time, 'first'))
}

function right(windows: WindowHarness<string>, value: string, time: number, key = 'k'): string[] {
  return values(windows.record(key, value, time, 'second'))
}

describe.each([
  ['side by side', false],
  ['key by key', true],
])('windows %s join', (_, keyed) => {
  test('all pairs of a window, in the order of the left records and then of the right ones', () => {
    const windows = joining(tumblingWindow(10), { keyed })
    right(windows, '2', 9)
    left(windows, 'b', 5)
    right(windows, '1', 3)
    left(windows, 'a', 1)
    expect(windows.watermark(8)).toEqual([])
    expect(windows.watermark(9)).toEqual(['b2', 'b1', 'a2', 'a1'].map((value) => ({ value, timestamp: 9 })))
    expect(windows.isEmpty).toBe(true)
  })

  test('nothing across windows, across keys, or with one side alone', () => {
    const windows = joining(tumblingWindow(10), { keyed })
    left(windows, 'a', 9)
    right(windows, '1', 10)
    left(windows, 'c', 25, 'other')
    right(windows, '2', 25)
    expect(windows.end()).toEqual([])
    expect(windows.isEmpty).toBe(true)
  })

  test('in each of the overlapping windows that two records share', () => {
    const windows = joining(slidingWindow(10, 5), { keyed })
    left(windows, 'a', 6)
    right(windows, '1', 8)
    right(windows, '2', 12)
    expect(windows.end()).toEqual([
      { value: 'a1', timestamp: 9 },
      { value: 'a1', timestamp: 14 },
      { value: 'a2', timestamp: 14 },
    ])
  })

  test('once more for a record within the lateness; late records of both sides go to the late output', () => {
    const windows = joining(tumblingWindow(10), { keyed, latenessMs: 5 })
    left(windows, 'a', 1)
    right(windows, '1', 2)
    expect(values(windows.watermark(9))).toEqual(['a1'])
    windows.restart()
    expect(right(windows, '2', 3)).toEqual(['a1', 'a2'])
    windows.watermark(14)
    left(windows, 'late', 4)
    right(windows, 'too', 5)
    expect(windows.late()).toEqual(['late', 'too'])
    expect(windows.isEmpty).toBe(true)
  })

  test('by the clock', () => {
    const windows = joining(tumblingWindow(10, { time: 'processing' }), { keyed })
    left(windows, 'a', Number.NaN)
    windows.clock(5)
    right(windows, '1', Number.NaN)
    expect(windows.clock(10)).toEqual([{ value: 'a1', timestamp: 9 }])
    expect(windows.isEmpty).toBe(true)
  })
})

describe('sessions join', () => {
  test('what has grown together, the earlier session first', () => {
    const windows = joining(sessionWindow(10))
    left(windows, 'late', 25)
    right(windows, '2', 26)
    left(windows, 'early', 0)
    right(windows, '1', 8)
    right(windows, '3', 17)
    expect(values(windows.end())).toEqual(['early1', 'early2', 'early3', 'late1', 'late2', 'late3'])
  })

  test('two records of different sides that are one gap apart', () => {
    const windows = joining(sessionWindow(10))
    left(windows, 'a', 0)
    right(windows, '1', 10)
    left(windows, 'b', 40)
    right(windows, '2', 51)
    expect(windows.end()).toEqual([{ value: 'a1', timestamp: 19 }])
  })
})

describe('a global window joins', () => {
  test('everything at the end of the input', () => {
    const windows = joining(globalWindow())
    left(windows, 'a', Number.NaN)
    right(windows, '1', Number.NaN)
    left(windows, 'b', Number.NaN)
    expect(values(windows.end())).toEqual(['a1', 'b1'])
    expect(windows.isEmpty).toBe(true)
  })

  test('whenever its trigger says so, counting both sides', () => {
    const windows = joining(globalWindow(), { trigger: onCount(2, { purge: true }) })
    expect([...left(windows, 'a', 1), ...right(windows, '1', 1), ...left(windows, 'b', 1), ...left(windows, 'c', 1)]).toEqual([
      'a1',
    ])
    expect(windows.isEmpty).toBe(true)
  })
})

/* Random records of two sides against the model, which keeps every record and pairs them when a window fires. */
describe('random records', () => {
  interface Sided {
    readonly side: 'first' | 'second'
    readonly value: string
  }
  const anyAssigner: fc.Arbitrary<WindowAssigner> = fc.oneof(
    fc.integer({ min: 1, max: 15 }).map((size) => tumblingWindow(size)),
    fc
      .record({ size: fc.integer({ min: 1, max: 15 }), slide: fc.integer({ min: 1, max: 15 }) })
      .map(({ size, slide }) => slidingWindow(size, Math.min(size, slide))),
    fc.integer({ min: 1, max: 12 }).map((gap) => sessionWindow(gap)),
  )
  const anyStep = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        type: fc.constant('record' as const),
        side: fc.constantFrom('first' as const, 'second' as const),
        key: fc.constantFrom('a', 'b', 'c'),
        jitterMs: fc.integer({ min: -30, max: 10 }),
      }),
    },
    { weight: 2, arbitrary: fc.record({ type: fc.constant('watermark' as const), byMs: fc.integer({ min: 0, max: 15 }) }) },
    { weight: 1, arbitrary: fc.constant({ type: 'restart' as const }) },
  )

  test.each([
    ['as they are chosen', false],
    ['key by key', true],
  ])('give the pairs of the model, in windows %s', (_, keyed) => {
    fc.assert(
      fc.property(
        anyAssigner,
        fc.oneof(fc.constant(0), fc.nat(20)),
        fc.nat(30),
        fc.boolean(),
        fc.array(anyStep, { maxLength: 60, size: 'max' }),
        (assigner, latenessMs, delayMs, oneSlot, steps) => {
          const windows = joining(assigner, { latenessMs, keyed, oneSlot })
          const models = new Map(
            ['a', 'b', 'c'].map((key) => [key, new KeyedModel<Sided>(assigner, defaultTrigger(assigner), latenessMs, 0)]),
          )
          const pairs = (fired: readonly { end: number; values: readonly Sided[] }[]): string[] =>
            fired.flatMap(({ end, values: all }) => {
              const [lefts, rights] = (['first', 'second'] as const).map((side) => all.filter((each) => each.side === side))
              return lefts!.flatMap((a) => rights!.map((b) => `${a.value}${b.value}@${end - 1}`))
            })
          const shown = (emitted: readonly { value: string; timestamp: number }[]): string[] =>
            emitted.map(({ value, timestamp }) => `${value}@${timestamp}`)
          let latest = 0
          for (const [index, step] of steps.entries()) {
            if (step.type === 'restart') windows.restart()
            else if (step.type === 'watermark') {
              latest += step.byMs
              const expected = [...models.values()].flatMap((model) => pairs(model.onWatermark(latest - delayMs)))
              expect(shown(windows.watermark(latest - delayMs)).sort()).toEqual(expected.sort())
            } else {
              const value = `(${step.key}${index})`
              const fired = models.get(step.key)!.record({ side: step.side, value }, latest + step.jitterMs)
              const emitted = windows.record(step.key, value, latest + step.jitterMs, step.side)
              // Overlapping windows that a late record fires again: kept side by side the oldest comes first, key by key the newest.
              expect(shown(emitted).sort()).toEqual(pairs(fired).sort())
            }
          }
          const expected = [...models.values()].flatMap((model) => pairs(model.onWatermark(Number.POSITIVE_INFINITY)))
          expect(shown(windows.end()).sort()).toEqual(expected.sort())
          const late = [...models.values()].flatMap((model) => model.late.map(({ value }) => value))
          expect(windows.late().sort()).toEqual(late.sort())
          expect(windows.isEmpty).toBe(true)
        },
      ),
      { numRuns: 300 },
    )
  })
})

describe('windowJoin in a job', () => {
  interface Order {
    readonly id: number
    readonly at: number
  }
  interface Payment {
    readonly order: number
    readonly at: number
  }
  const stateDirectory = mkdtempSync(join(tmpdir(), 'sluice-join-'))
  afterAll(() => rmSync(stateDirectory, { recursive: true }))
  const inline = (): Job => job('window-join', { workers: 0, parallelism: 2, checkpoint: { every: 'off' }, stateDirectory })
  const orders = (of: Job): Stream<Order> =>
    of
      .from(
        items<Order>([
          { id: 1, at: 1 },
          { id: 2, at: 2 },
          { id: 1, at: 30 },
        ]),
      )
      .withTimestamps((order) => order.at)
  const payments = (of: Job): Stream<Payment> =>
    of
      .from(
        items<Payment>([
          { order: 1, at: 5 },
          { order: 3, at: 6 },
          { order: 1, at: 31 },
        ]),
      )
      .withTimestamps((payment) => payment.at)

  test('gives typed pairs, and a late stream of both types', async () => {
    const shop = inline()
    const joined = orders(shop)
      .keyBy((order) => order.id)
      .windowJoin(
        payments(shop).keyBy((payment) => payment.order),
        tumblingWindow(10),
        (order, payment) => ({ id: order.id, ordered: order.at, paid: payment.at }),
      )
    const typed: Stream<{ id: number; ordered: number; paid: number }> = joined
    const late: Stream<Order | Payment> = joined.late
    const [results, lates]: [{ id: number; ordered: number; paid: number }[], (Order | Payment)[]] = [[], []]
    typed.to(collect(results))
    late.to(collect(lates))
    await shop.run({ quiet: true, fresh: true })
    expect(results).toEqual([
      { id: 1, ordered: 1, paid: 5 },
      { id: 1, ordered: 30, paid: 31 },
    ])
    expect(lates).toEqual([])
  })

  test('over countWindow is refused', () => {
    const shop = inline()
    const keyed = orders(shop).keyBy((order) => order.id)
    expect(() => keyed.windowJoin(keyed, countWindow(5), (a) => a)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringMatching(/^windowJoin over countWindow/) }),
    )
  })

  test('with a stream of another job is refused', () => {
    const other = payments(inline()).keyBy((payment) => payment.order)
    const keyed = orders(inline()).keyBy((order) => order.id)
    expect(() => keyed.windowJoin(other, tumblingWindow(10), (a) => a)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', message: 'windowJoin takes streams of the same job' }),
    )
  })

  test('with a stream without a key is refused', () => {
    const shop = inline()
    const keyed = orders(shop).keyBy((order) => order.id)
    expect(() => keyed.windowJoin(payments(shop) as never, tumblingWindow(10), (a) => a)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION' }),
    )
  })
})
