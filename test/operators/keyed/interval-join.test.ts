import type { SluiceError } from 'sluice'
import { collect, items, job, writeJsonLines } from 'sluice'
import { describe, expect, test } from 'vitest'
import type { IntervalBounds } from '../../../operators/keyed/interval-join.ts'
import { intervalJoinOperator } from '../../../operators/keyed/interval-join.ts'
import type { OperatorContext, Receiver } from '../../../src/core/operator.ts'
import type { Stream } from '../../../src/dsl/stream.ts'
import { KeyedBackend } from '../../../src/state/keyed-backend.ts'
import type { Item } from '../../../src/testing/index.ts'
import { checkOperator, end, record, runOperator, second, testDriver, watermark } from '../../../src/testing/index.ts'

interface Timed {
  readonly id: string
  readonly key: string
  readonly at: number
}

function joined(bounds: IntervalBounds) {
  return (left: Stream<Timed>, right: Stream<Timed>) => {
    const results = left
      .keyBy((value) => value.key)
      .intervalJoin(
        right.keyBy((value) => value.key),
        bounds,
        (a, b) => `${a.id}${b.id}`,
      )
    return { main: results, lateLeft: results.lateLeft, lateRight: results.lateRight }
  }
}

const a = (id: string, at: number, key = 'k'): Item => record({ id: `a${id}`, key, at }, at)
const b = (id: string, at: number, key = 'k'): Item => second({ id: `b${id}`, key, at }, at)

async function outcomes(bounds: IntervalBounds, all: readonly Item[]): Promise<readonly unknown[]> {
  const run = await checkOperator(joined(bounds), [...all, end()], { emptyAtEnd: true })
  return run.outcomes.flatMap((outcome) => ('watermark' in outcome ? [] : [outcome]))
}

/** The results alone, as text with their timestamps. */
async function results(bounds: IntervalBounds, all: readonly Item[]): Promise<readonly string[]> {
  const found = (await outcomes(bounds, all)) as readonly { output: string; value: string; timestamp: number }[]
  return found.filter(({ output }) => output === 'main').map(({ value, timestamp }) => `${value}@${timestamp}`)
}

describe('an interval join', () => {
  test('includes both of its bounds, and nothing beyond them', async () => {
    const rights = [4, 5, 6, 9, 10, 11].map((at) => b(String(at), at))
    expect(await results({ lower: -5, upper: 0 }, [a('', 10), ...rights])).toEqual(['ab5@10', 'ab6@10', 'ab9@10', 'ab10@10'])
    expect(await results({ lower: -5, upper: 0 }, [...rights, a('', 10)])).toEqual(['ab5@10', 'ab6@10', 'ab9@10', 'ab10@10'])
    expect(await results({ lower: 1, upper: 1 }, [a('', 10), ...rights])).toEqual(['ab11@11'])
    expect(await results({ lower: -4, upper: -1 }, [...rights, a('', 10)])).toEqual(['ab6@10', 'ab9@10'])
    expect(await results({ lower: -6, upper: '-5ms' }, [a('', 10), ...rights])).toEqual(['ab4@10', 'ab5@10'])
  })

  test('joins equal keys only', async () => {
    expect(await results({ lower: 0, upper: 0 }, [a('x', 1, 'x'), a('y', 1, 'y'), b('y', 1, 'y'), b('z', 1, 'z')])).toEqual([
      'ayby@1',
    ])
  })

  test('takes durations, also negative ones', async () => {
    expect(
      await results({ lower: '-1s', upper: '0.5s' }, [a('', 10_000), b('1', 9_000), b('2', 10_500), b('3', 10_501)]),
    ).toEqual(['ab1@10000', 'ab2@10500'])
  })

  test('gives the results of a record by the times of its partners, equal times by their arrival', async () => {
    const partners = [b('1', 7), b('2', 3), b('3', 7), b('4', 5), b('5', 3), b('6', 9)]
    expect(await results({ lower: -10, upper: 10 }, [...partners, a('', 6)])).toEqual([
      'ab2@6',
      'ab5@6',
      'ab4@6',
      'ab1@7',
      'ab3@7',
      'ab6@9',
    ])
  })

  test('puts records at or before the watermark out at its late outputs, unjoined, and counts them', async () => {
    const all = [a('1', 10), b('1', 10), watermark(10), a('2', 10), a('3', 11), b('2', 10), b('3', 11)]
    expect(await outcomes({ lower: -5, upper: 5 }, all)).toEqual([
      { output: 'main', value: 'a1b1', timestamp: 10 },
      { output: 'lateLeft', value: { id: 'a2', key: 'k', at: 10 }, timestamp: 10 },
      { output: 'main', value: 'a3b1', timestamp: 11 },
      { output: 'lateRight', value: { id: 'b2', key: 'k', at: 10 }, timestamp: 10 },
      { output: 'main', value: 'a1b3', timestamp: 11 },
      { output: 'main', value: 'a3b3', timestamp: 11 },
    ])
  })

  test('waits with its watermark for the slower side', async () => {
    const all = [watermark(100, 0), a('1', 101), b('1', 20), watermark(50, 1), b('2', 50), b('3', 99)]
    expect(await outcomes({ lower: -5, upper: 5 }, all)).toEqual([
      { output: 'lateRight', value: { id: 'b2', key: 'k', at: 50 }, timestamp: 50 },
      { output: 'main', value: 'a1b3', timestamp: 101 },
    ])
  })

  test.each([
    { bounds: { lower: -3, upper: 5 }, left: 5, right: 3 },
    { bounds: { lower: 2, upper: 5 }, left: 5, right: 0 },
    { bounds: { lower: -5, upper: -2 }, left: 0, right: 5 },
    { bounds: { lower: 0, upper: 0 }, left: 0, right: 0 },
  ])('keeps left records for max(upper, 0) and right ones for max(-lower, 0): $bounds', async ({ bounds, left, right }) => {
    const sizeAt = async (item: Item, time: number) => (await runOperator(joined(bounds), [item, watermark(time)])).state
    // With nothing to wait for, a record goes as soon as the watermark reaches it.
    if (left > 0) expect(await sizeAt(a('', 10), 10 + left - 1)).toEqual({ entries: 1, timers: 1 })
    else expect(await sizeAt(a('', 10), 9)).toEqual({ entries: 1, timers: 1 })
    expect(await sizeAt(a('', 10), 10 + left)).toEqual({ entries: 0, timers: 0 })
    if (right > 0) expect(await sizeAt(b('', 10), 10 + right - 1)).toEqual({ entries: 1, timers: 1 })
    else expect(await sizeAt(b('', 10), 9)).toEqual({ entries: 1, timers: 1 })
    expect(await sizeAt(b('', 10), 10 + right)).toEqual({ entries: 0, timers: 0 })
  })

  test('has one timer for each key and side, however many records wait and in whatever order they came', async () => {
    const many = [5, 3, 9, 1, 7, 2].flatMap((at) => [a(String(at), at), b(String(at), at), a(String(at), at, 'other')])
    const { state } = await runOperator(joined({ lower: -100, upper: 100 }), [...many, watermark(102), watermark(104)])
    expect(state).toEqual({ entries: 3, timers: 3 })
  })

  test('holds no more of a busy key than what is still waited for', () => {
    const context = handMade() as { -readonly [Name in keyof OperatorContext]: OperatorContext[Name] }
    const operator = intervalJoinOperator({ lower: -100, upper: 100 }, () => 0)(context)
    const keyed = context.keyed as KeyedBackend
    let largest = 0
    for (let at = 0; at < 20_000; at++) {
      keyed.setKey('busy')
      context.cell.timestamp = at
      operator.onRecord('a record')
      if (at % 50 !== 49) continue
      context.watermark = at
      operator.onWatermark!(at)
      keyed.freeze(at)
      keyed.encode(() => false)
      largest = Math.max(largest, ...keyed.takeChunks().map((chunk) => chunk.bytes.byteLength))
    }
    // At most 150 records are waited for, of about 20 bytes each, and up to as many again that are gone and not yet cut off.
    expect(largest).toBeGreaterThan(100 * 10)
    expect(largest).toBeLessThan(2 * 150 * 25)
  })

  test('refuses a lower bound above the upper one, and says what to write', () => {
    const build = () => intervalJoinOperator({ lower: '5s', upper: '-1s' }, () => 0)
    expect(build).toThrow(
      expect.objectContaining({
        code: 'INVALID_OPTION',
        message: 'the lower bound of an intervalJoin (5000 ms) is above its upper one (-1000 ms)',
        hint: 'no pair could match; write { lower: -1000, upper: 5000 } for left.time - 1000 <= right.time <= left.time + 5000',
      }),
    )
    expect(() => intervalJoinOperator({ lower: 'soon' as '1s', upper: 0 }, () => 0)).toThrow(
      expect.objectContaining({ code: 'INVALID_DURATION' }),
    )
    expect(() => intervalJoinOperator({ lower: 0, upper: Number.POSITIVE_INFINITY }, () => 0)).toThrow(
      expect.objectContaining({ code: 'INVALID_DURATION' }),
    )
  })

  test('of streams without timestamps is refused before the job runs', async () => {
    const untimed = job('untimed', { workers: 0 })
    const numbers = untimed.from(items([1, 2]))
    const timed = numbers.withTimestamps((n) => n)
    timed
      .keyBy((n) => n)
      .intervalJoin(
        numbers.keyBy((n) => n),
        { lower: 0, upper: 0 },
        (n) => n,
      )
      .to(collect<number>([]))
    await expect(untimed.run({ quiet: true })).rejects.toMatchObject({ code: 'NO_TIMESTAMPS', operator: 'interval-join-1' })
  })

  test('of streams of two jobs, or with a stream that has no key, is refused', () => {
    const keyed = (name: string) =>
      job(name)
        .from(items([1]))
        .keyBy((n) => n)
    const join = (other: unknown) => () =>
      keyed('one').intervalJoin(other as ReturnType<typeof keyed>, { lower: 0, upper: 0 }, () => 0)
    expect(join(keyed('two'))).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', message: 'intervalJoin takes streams of the same job' }),
    )
    expect(join(job('two').from(items([1])))).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', hint: 'call keyBy on it first' }),
    )
  })

  test('of a record without a timestamp, which only a broken operator lets through, fails', () => {
    const context = handMade()
    const operator = intervalJoinOperator({ lower: 0, upper: 0 }, () => 0)(context)
    for (const take of [() => operator.onRecord(1), () => operator.onSecond!(1)]) {
      expect(take).toThrow(expect.objectContaining({ code: 'NO_TIMESTAMPS' }))
    }
  })

  test('blames the operator for what the function of the user throws', async () => {
    const broken = (left: Stream<Timed>, right: Stream<Timed>) =>
      left
        .keyBy((value) => value.key)
        .intervalJoin(
          right.keyBy((value) => value.key),
          { lower: 0, upper: 0 },
          () => {
            throw new TypeError('no')
          },
        )
    await expect(runOperator(broken, [a('', 1), b('', 1)])).rejects.toMatchObject({
      code: 'OPERATOR_FAILED',
      operator: 'interval-join-1',
    })
  })
})

describe('after a change of parallelism', () => {
  test('an interval join goes on with what each key has kept, and late stays late', async () => {
    const scaled = job('scaled')
    const [lefts, rights] = [items<Timed>([]), items<Timed>([])]
    const [main, late] = [writeJsonLines<string>('main'), writeJsonLines<Timed>('late')]
    const timed = (source: typeof lefts) => scaled.from(source).withTimestamps((value) => value.at)
    const results = timed(lefts)
      .keyBy((value) => value.key)
      .intervalJoin(
        timed(rights).keyBy((value) => value.key),
        { lower: -10, upper: 10 },
        (left, right) => `${left.id}${right.id}`,
      )
    results.to(main)
    results.lateLeft.to(late)
    const driver = testDriver(scaled, { parallelism: 3, watermarks: 'manual' })
    const keys = Array.from({ length: 40 }, (_, index) => `key ${index}`)
    driver.sendAll(
      keys.map((key) => ({ id: `${key} left `, key, at: 100 })),
      { to: lefts },
    )
    driver.advanceWatermark(105)
    await driver.checkpoint()
    for (const parallelism of [2, 5, 1]) {
      driver.crashAndRestore({ parallelism })
      driver.sendAll(
        keys.map((key) => ({ id: `right ${parallelism}`, key, at: 110 })),
        { to: rights },
      )
      driver.sendAll(
        keys.map((key) => ({ id: `late ${parallelism}`, key, at: 105 })),
        { to: lefts },
      )
      await driver.checkpoint()
    }
    expect([...driver.output(main)].sort()).toEqual(
      [2, 5, 1].flatMap((parallelism) => keys.map((key) => `${key} left right ${parallelism}`)).sort(),
    )
    expect(driver.output<Timed>(late).length).toBe(3 * keys.length)
    driver.advanceWatermark(110)
    expect(await driver.stateSize()).toEqual({ entries: keys.length, timers: keys.length })
    driver.finish()
    expect(await driver.stateSize()).toEqual({ entries: 0, timers: 0 })
  })

  test('a key group that had seen a later watermark than its new subtask takes nothing that was late for it', () => {
    const context = handMade()
    const late: unknown[] = []
    const sides = { ...context, side: (): Receiver => ({ onRecord: (value) => void late.push(value) }), late: () => {} }
    const keyed = context.keyed as KeyedBackend
    keyed.setWatermarkFloor(0, 127, 100)
    const operator = intervalJoinOperator({ lower: 0, upper: 0 }, () => 0)(sides)
    keyed.setKey('a')
    for (const at of [100, 101]) {
      context.cell.timestamp = at
      operator.onRecord(at)
      operator.onSecond!(at)
    }
    expect(late).toEqual([100, 100])
  })
})

/** As much of a task as the operator sees. */
function handMade(): OperatorContext {
  const nowhere: Receiver = { onRecord: () => {} }
  return {
    operatorId: 'interval-join-1',
    subtask: 0,
    parallelism: 1,
    cell: { timestamp: Number.NaN, split: -1 },
    output: nowhere,
    side: () => nowhere,
    keyed: new KeyedBackend({ groups: { first: 0, last: 127 }, maxParallelism: 128 }),
    watermark: Number.NEGATIVE_INFINITY,
    hasRoom: true,
    late: () => {},
    failure: (error: unknown) => error as SluiceError,
  } as unknown as OperatorContext
}
