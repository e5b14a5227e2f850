import fc from 'fast-check'
import {
  aggregatingState,
  collect,
  items,
  job,
  type ListState,
  listState,
  type MapState,
  mapState,
  reducingState,
  type Stream,
  type ValueState,
  valueState,
} from 'sluice'
import { describe, expect, test } from 'vitest'
import type { StateDeclaration } from '../../../operators/keyed/state/declaration.ts'
import { keyGroupOf } from '../../../src/core/key-groups.ts'
import { checkOperator, end, processingTime, record, runOperator, testDriver, watermark } from '../../../src/testing/index.ts'
import { StateBench } from './state-bench.ts'

const END = Number.POSITIVE_INFINITY

describe('a value with a ttl of event time', () => {
  const lives10 = (): StateBench<ValueState<string>> => new StateBench(valueState<string>({ ttl: 10 }))

  test('is over once the watermark has reached the time of its record and the ttl', () => {
    const bench = lives10()
    bench.record('a', 100).set('x')
    bench.watermark(109)
    expect(bench.record('a', 115).get()).toBe('x')
    bench.watermark(110)
    expect([bench.record('a', 105).get(), bench.stored()]).toEqual([undefined, 0])
  })

  test('lives on from each write, and not from reads', () => {
    const bench = lives10()
    bench.record('a', 100).set('x')
    bench.watermark(105)
    expect(bench.record('a', 106).get()).toBe('x')
    bench.record('a', 108).set('y')
    bench.watermark(117)
    expect(bench.record('a', 118).get()).toBe('y')
    bench.watermark(118)
    expect([bench.record('a', 119).get(), bench.stored()]).toEqual([undefined, 0])
  })

  test('is not shortened by a record out of order', () => {
    const bench = lives10()
    bench.record('a', 100).set('x')
    bench.record('a', 93).set('y')
    bench.watermark(109)
    expect(bench.record('a', 110).get()).toBe('y')
    bench.watermark(110)
    expect(bench.stored()).toBe(0)
  })

  test('that is over when it is written is not kept', () => {
    const bench = lives10()
    bench.watermark(100)
    bench.record('a', 90).set('x')
    expect([bench.handle.get(), bench.stored()]).toEqual([undefined, 0])
    bench.record('a', 91).set('y')
    expect(bench.handle.get()).toBe('y')
    bench.watermark(101)
    expect(bench.stored()).toBe(0)
  })

  test('that nobody touches is removed, whatever the others do', () => {
    const bench = lives10()
    for (let key = 0; key < 1000; key++) bench.record(key, key).set('x')
    // Each key has a value and the timer that removes it.
    expect(bench.stored()).toBe(2000)
    bench.watermark(509)
    expect(bench.stored()).toBe(1000)
    bench.watermark(END)
    expect(bench.stored()).toBe(0)
  })

  test('that was cleared and set again has a life of its own', () => {
    const bench = lives10()
    bench.record('a', 100).set('x')
    bench.handle.clear()
    bench.record('a', 105).set('y')
    bench.watermark(112)
    expect(bench.record('a', 112).get()).toBe('y')
    bench.watermark(115)
    expect(bench.stored()).toBe(0)
  })

  test('written before there was any time counts as written at the first watermark', () => {
    const bench = lives10()
    bench.record('a').set('x')
    expect(bench.handle.get()).toBe('x')
    bench.watermark(50)
    expect(bench.record('a').get()).toBe('x')
    bench.watermark(59)
    expect(bench.record('a').get()).toBe('x')
    bench.watermark(60)
    expect([bench.record('a').get(), bench.stored()]).toEqual([undefined, 0])
    const other = lives10()
    other.record('a').set('x')
    other.watermark(END)
    expect(other.stored()).toBe(0)
  })

  test('sees the watermark that its key group had seen before a change of parallelism', () => {
    const bench = lives10()
    bench.record('a', 100).set('x')
    const next = bench.restored(undefined, { watermark: 50 })
    next.backend.setWatermarkFloor(0, 127, 109)
    expect(next.record('a', 100).get()).toBe('x')
    next.backend.setWatermarkFloor(0, 127, 110)
    expect(next.record('a', 100).get()).toBeUndefined()
    next.record('a', 99).set('late')
    expect(next.handle.get()).toBeUndefined()
    next.watermark(110)
    expect(next.stored()).toBe(0)
  })

  test('goes on where it was after a restore', () => {
    const bench = lives10()
    bench.record('a', 100).set('x')
    bench.record('a', 104).set('x')
    bench.watermark(105)
    const next = bench.restored()
    next.watermark(113)
    expect(next.record('a', 114).get()).toBe('x')
    next.watermark(114)
    expect(next.stored()).toBe(0)
  })
})

describe('a value with a ttl of processing time', () => {
  const lives10 = (timed = true): StateBench<ValueState<string>> =>
    new StateBench(valueState<string>(timed ? { ttl: 10, ttlTime: 'processing' } : { ttl: 10 }), { timed })

  test.each([true, false])('is over by the clock, and is removed by a timer (timestamps: %s)', (timed) => {
    const bench = lives10(timed)
    bench.clock(100)
    bench.record('a', 5).set('x')
    bench.watermark(50)
    expect(bench.time.nextProcessingTime()).toBe(110)
    bench.clock(109)
    expect(bench.record('a').get()).toBe('x')
    bench.record('a').set('y')
    bench.clock(118)
    expect([bench.record('a').get(), bench.time.nextProcessingTime()]).toEqual(['y', 119])
    bench.clock(119)
    expect([bench.record('a').get(), bench.stored(), bench.time.nextProcessingTime()]).toEqual([undefined, 0, END])
  })

  test('stays over when the clock is set back', () => {
    const bench = lives10()
    bench.clock(100)
    bench.record('a').set('x')
    bench.clock(200)
    bench.record('a').set('y')
    bench.clock(50)
    expect(bench.record('a').get()).toBe('y')
    bench.clock(210)
    expect([bench.record('a').get(), bench.stored()]).toEqual([undefined, 0])
  })

  test('may be over right after a restore, and is removed then', () => {
    const bench = lives10()
    bench.record('a').set('x')
    const next = bench.restored(undefined, { now: 1000 })
    expect([next.record('a').get(), next.time.nextProcessingTime()]).toEqual([undefined, 10])
    next.clock(1000)
    expect([next.stored(), next.time.nextProcessingTime()]).toEqual([0, END])
  })
})

test('event time without timestamps is refused when the operator is made', () => {
  expect(() => new StateBench(valueState({ ttl: 10, ttlTime: 'event' }), { timed: false })).toThrow(
    expect.objectContaining({ code: 'NO_TIMESTAMPS', operator: 'process-1', message: expect.stringContaining("'state'") }),
  )
})

describe('entries of their own life', () => {
  test('in a list', () => {
    const bench = new StateBench(listState<string>({ ttl: 10 }))
    bench.record('a', 100).add('x')
    bench.record('a', 105).addAll(['y', 'z'])
    bench.record('a', 95).add('old')
    expect(bench.handle.get()).toEqual(['x', 'y', 'z', 'old'])
    bench.watermark(105)
    expect(bench.record('a', 110).get()).toEqual(['x', 'y', 'z'])
    bench.watermark(110)
    bench.record('a', 100).add('late')
    expect(bench.handle.get()).toEqual(['y', 'z'])
    bench.record('a', 103).set(['y', 'w'])
    bench.watermark(114)
    expect(bench.record('a', 115).get()).toEqual(['y', 'w'])
    bench.watermark(115)
    expect([bench.record('a', 116).get(), bench.stored()]).toEqual([[], 0])
    bench.record('a', 120).add('new')
    expect(bench.handle.get()).toEqual(['new'])
    bench.handle.clear()
    expect(bench.stored()).toBe(0)
  })

  test('in a map', () => {
    const bench = new StateBench(mapState<string, number>({ ttl: 10 }))
    bench.record('a', 100).set('x', 1)
    bench.record('a', 104).set('y', 2)
    bench.record('a', 97).set('x', 3)
    bench.record('a', 95).set('old', 4)
    bench.watermark(105)
    const state = bench.record('a', 108)
    expect([[...state.entries()], state.size, state.has('old')]).toEqual([
      [
        ['x', 3],
        ['y', 2],
      ],
      2,
      false,
    ])
    state.set('y', 5)
    bench.watermark(110)
    expect([[...bench.record('a', 110).keys()], bench.handle.size]).toEqual([['y'], 1])
    bench.watermark(117)
    expect([...bench.record('a', 120).values()]).toEqual([5])
    bench.watermark(118)
    expect([bench.record('a', 120).size, bench.stored()]).toEqual([0, 0])
    bench.record('a', 107).set('late', 1)
    bench.record('a', 120).set('x', 1)
    bench.record('a', 105).set('late', 1)
    expect([...bench.handle.keys()]).toEqual(['x'])
    bench.handle.delete('x')
    expect(bench.stored()).toBe(0)
  })

  test('folds begin anew when they are over', () => {
    const bench = new StateBench(reducingState((a: number, b: number) => a + b, { ttl: 10 }))
    bench.record('a', 100).add(1)
    bench.record('a', 101).add(2)
    expect(bench.handle.get()).toBe(3)
    bench.watermark(111)
    expect(bench.record('a', 112).get()).toBeUndefined()
    bench.handle.add(5)
    expect(bench.handle.get()).toBe(5)
    const mean = new StateBench(
      aggregatingState(
        { create: () => [] as number[], add: (all, n: number) => [...all, n], result: (all) => all.length },
        { ttl: 10 },
      ),
    )
    mean.record('a', 100).add(1)
    mean.record('a', 105).add(2)
    expect(mean.handle.get()).toBe(2)
    mean.watermark(END)
    expect(mean.stored()).toBe(0)
  })
})

describe('what was stored in another way', () => {
  type Kind = readonly [
    name: string,
    declare: (options: object) => StateDeclaration<unknown>,
    write: (handle: never) => void,
    read: (handle: never) => unknown,
    expected: unknown,
  ]
  const kinds: readonly Kind[] = [
    [
      'value',
      (options) => valueState(options),
      (state: ValueState<number>) => state.set(1),
      (state: ValueState<number>) => state.get(),
      1,
    ],
    [
      'list',
      (options) => listState(options),
      (state: ListState<number>) => state.addAll([1, 2]),
      (state: ListState<number>) => state.get(),
      [1, 2],
    ],
    [
      'map',
      (options) => mapState(options),
      (state: MapState<Date, number>) => state.set(new Date(3), 1),
      (state: MapState<Date, number>) => [...state.entries()],
      [[new Date(3), 1]],
    ],
  ]

  test.each(kinds)(
    '%s: without a ttl counts as written at the restore, by the watermark of that moment',
    (_, declare, write, read, expected) => {
      const bench = new StateBench(declare({}))
      write(bench.record('a', 100) as never)
      bench.watermark(500)
      const next = bench.restored(declare({ ttl: 10 }))
      next.watermark(509)
      expect(read(next.record('a', 509) as never)).toEqual(expected)
      next.watermark(510)
      expect(next.stored()).toBe(0)
    },
  )

  test.each(kinds)('%s: with a ttl that is gone lives for ever', (_, declare, write, read, expected) => {
    const bench = new StateBench(declare({ ttl: 10 }))
    write(bench.record('a', 100) as never)
    const next = bench.restored(declare({}))
    next.watermark(10_000)
    next.clock(10_000)
    expect(read(next.record('a', 509) as never)).toEqual(expected)
    expect(next.time.nextProcessingTime()).toBe(END)
    // The timer that would have removed it is gone too.
    expect(next.stored()).toBe(1)
    // And with one again it counts as written then.
    const third = next.restored(declare({ ttl: 10 }))
    third.watermark(10_009)
    expect(read(third.record('a') as never)).toEqual(expected)
    third.watermark(10_010)
    expect(third.stored()).toBe(0)
  })

  test.each(kinds)('%s: with another length of life has that one, longer or shorter', (_, declare, write, read, expected) => {
    const bench = new StateBench(declare({ ttl: 10 }))
    write(bench.record('a', 100) as never)
    const [longer, shorter] = [bench.restored(declare({ ttl: 20 })), bench.restored(declare({ ttl: 5 }))]
    longer.watermark(119)
    expect(read(longer.record('a') as never)).toEqual(expected)
    longer.watermark(120)
    shorter.watermark(104)
    expect(read(shorter.record('a') as never)).toEqual(expected)
    shorter.watermark(105)
    expect([longer.stored(), shorter.stored()]).toEqual([0, 0])
  })

  test.each(kinds)(
    '%s: with another length of life is removed also if nobody touches it',
    (_, declare, write, read, expected) => {
      const bench = new StateBench(declare({ ttl: 10 }))
      write(bench.record('a', 100) as never)
      const [longer, shorter] = [bench.restored(declare({ ttl: 20 })), bench.restored(declare({ ttl: 5 }))]
      shorter.watermark(105)
      const touched = shorter.restored()
      expect(read(touched.record('a') as never)).not.toEqual(expected)
      // No later than at its old time.
      for (const each of [longer, shorter, touched]) each.watermark(110)
      expect([longer.stored(), shorter.stored(), touched.stored()]).toEqual([2, 0, 0])
      longer.watermark(119)
      expect(read(longer.restored().record('a') as never)).toEqual(expected)
      longer.watermark(120)
      expect(longer.stored()).toBe(0)
    },
  )

  test('a timer that a restore has moved and no snapshot knows of does no harm', () => {
    const bench = new StateBench(listState<number>({ ttl: 10 }))
    bench.record('a', 100).add(1)
    const shorter = bench.restored(listState<number>({ ttl: 5 }))
    // Read, which moves the timer from 110 to 105, and not written.
    expect(shorter.record('a').get()).toEqual([1])
    const longer = shorter.restored(listState<number>({ ttl: 20 }))
    longer.record('a', 103).add(2)
    longer.watermark(105)
    expect(longer.record('a').get()).toEqual([1, 2])
    longer.watermark(120)
    expect(longer.record('a').get()).toEqual([2])
    longer.watermark(123)
    expect(longer.stored()).toBe(0)
  })

  test('before there was any time is removed after the first watermark, also when nobody touches it', () => {
    const bench = new StateBench(valueState<string>({ ttl: 10 }))
    bench.record('a').set('x')
    const next = bench.restored()
    next.watermark(50)
    expect(next.stored()).toBe(2)
    next.watermark(60)
    expect(next.stored()).toBe(0)
  })

  test.each(kinds)("%s: with another clock's stamp counts as written at the restore", (_, declare, write, read, expected) => {
    const bench = new StateBench(declare({ ttl: 10, ttlTime: 'event' }))
    write(bench.record('a', 100) as never)
    const next = bench.restored(declare({ ttl: 10, ttlTime: 'processing' }), { now: 7000 })
    next.watermark(END)
    next.clock(7009)
    expect(read(next.record('a') as never)).toEqual(expected)
    // Its value and the timer of this clock; that of the other one is gone.
    expect(next.stored()).toBe(2)
    next.clock(7010)
    expect(next.stored()).toBe(0)
  })
})

describe('timers and time to live', () => {
  /** Writes the value of a record, sets a timer for it, and reads when the timer fires. */
  const reader = (input: Stream<number>): Stream<unknown> =>
    input
      .keyBy(() => 'a')
      .process({
        state: { last: valueState<number>({ ttl: 10 }) },
        onRecord(time, ctx) {
          ctx.state.last.set(time)
          ctx.timers.eventTime(time + 9)
          ctx.timers.eventTime(time + 10)
        },
        *onTimer(time, ctx) {
          yield [time, ctx.state.last.get()]
        },
      })

  test('a timer sees what was there at its time, also at the end of the input; afterwards nothing is left', async () => {
    const expected = [
      [109, 100],
      [110, undefined],
    ]
    await checkOperator(reader, [record(100, 100), end()], { expected, emptyAtEnd: true })
    await checkOperator(reader, [record(100, 100), watermark(500), end()], { expected, emptyAtEnd: true })
  })

  test('what a timer writes bears its time', async () => {
    const build = (input: Stream<number>): Stream<unknown> =>
      input
        .keyBy(() => 'a')
        .process({
          state: { last: valueState<string>({ ttl: 10 }) },
          *onRecord(time, ctx) {
            ctx.timers.eventTime(time)
            yield ctx.state.last.get()
          },
          onTimer: (time, ctx) => ctx.state.last.set(`written at ${time}`),
        })
    const items = [
      record(100, 100),
      watermark(104),
      record(108, 108),
      watermark(109),
      record(200, 200),
      watermark(118),
      record(201, 201),
      end(),
    ]
    await checkOperator(build, items, { expected: [undefined, 'written at 100', 'written at 108', undefined], emptyAtEnd: true })
  })

  test('a timer of the past sees the watermark before, and nothing that was over by then', async () => {
    const build = (input: Stream<string>): Stream<unknown> =>
      input
        .keyBy(() => 'a')
        .process({
          state: { last: mapState<string, boolean>({ ttl: 10 }) },
          onRecord(value, ctx) {
            ctx.state.last.set(value, true)
            if (value === 'late') ctx.timers.eventTime(1)
          },
          *onTimer(time, ctx) {
            yield [time, ctx.timestamp, ...ctx.state.last.keys()]
          },
        })
    const items = [record('x', 95), watermark(100), record('late', 90), record('in time', 91), watermark(101), end()]
    await checkOperator(build, items, { expected: [[1, 1, 'x', 'in time']], emptyAtEnd: true })
  })

  test('state by the clock goes away while no record comes', async () => {
    const build = (input: Stream<string>): Stream<unknown> =>
      input
        .keyBy((word) => word)
        .process({
          state: { seen: valueState<boolean>({ ttl: '1s', ttlTime: 'processing' }) },
          *onRecord(word, ctx) {
            yield `${word} ${ctx.state.seen.get() ?? 'new'}`
            ctx.state.seen.set(true)
          },
        })
    const items = [record('a'), processingTime(999), record('a'), processingTime(1999), record('a'), processingTime(5000)]
    await checkOperator(build, items, { expected: ['a new', 'a true', 'a new'], emptyAtEnd: true })
  })
})

test('values, their ends and the order of timers outlive changes of parallelism', async () => {
  const sink = collect<string>([])
  const sessions = job('sessions')
  sessions
    .from(items<{ readonly id: string; readonly at: number }>([]))
    .withTimestamps(({ at }) => at)
    .keyBy(({ id }) => id)
    .process({
      state: { last: valueState<number>({ ttl: 10 }) },
      *onRecord({ id, at }, { state }) {
        yield `${id} at ${at}: ${state.last.get() ?? 'new'}`
        state.last.set(at)
      },
    })
    .to(sink)
  const driver = testDriver(sessions, { parallelism: 3, watermarks: 'manual' })
  const ids = Array.from({ length: 40 }, (_, index) => `key ${index}`)
  driver.sendAll(ids.map((id, index) => ({ id, at: 100 + (index % 20) })))
  driver.advanceWatermark(112)
  for (const parallelism of [1, 5, 2]) {
    await driver.checkpoint()
    driver.crashAndRestore({ parallelism })
  }
  driver.sendAll(ids.map((id) => ({ id, at: 113 })))
  const expected = ids.flatMap((id, index) => {
    const at = 100 + (index % 20)
    return [`${id} at ${at}: new`, `${id} at 113: ${at + 10 <= 112 ? 'new' : at}`]
  })
  expect([...driver.output(sink)].sort()).toEqual(expected.sort())
})

/*
 * The model: a list of everything that was ever written, with its stamp; what can be seen is worked out anew each time.
 */
describe('against a model', () => {
  interface Step {
    readonly kind: 'record' | 'watermark'
    readonly key: string
    readonly entry: string
    readonly action: 'set' | 'delete' | 'clear' | 'none'
    readonly time: number
    readonly timer: number | undefined
  }
  const step: fc.Arbitrary<Step> = fc.record({
    kind: fc.constantFrom('record' as const, 'record' as const, 'watermark' as const),
    key: fc.constantFrom('a', 'b'),
    entry: fc.constantFrom('x', 'y', 'z'),
    action: fc.constantFrom('set' as const, 'set' as const, 'set' as const, 'delete' as const, 'clear' as const, 'none' as const),
    time: fc.nat(60),
    timer: fc.option(fc.nat(70), { nil: undefined }),
  })
  const TTL = 10

  const build = (input: Stream<Step>): Stream<unknown> =>
    input
      .keyBy(({ key }) => key)
      .process({
        state: {
          map: mapState<string, number>({ ttl: TTL }),
          list: listState<number>({ ttl: TTL }),
          value: valueState<number>({ ttl: TTL }),
          sum: reducingState((a: number, b: number) => a + b, { ttl: TTL }),
        },
        *onRecord({ action, entry, time, timer }, { state, timers }) {
          if (action === 'set') {
            state.map.set(entry, time)
            state.list.add(time)
            state.value.set(time)
            state.sum.add(1)
          } else if (action === 'delete') state.map.delete(entry)
          else if (action === 'clear') for (const each of Object.values(state)) each.clear()
          if (timer !== undefined) timers.eventTime(timer)
          yield ['record', [...state.map.entries()].sort(), [...state.list.get()], state.value.get(), state.sum.get()]
        },
        *onTimer(time, { key, state }) {
          yield ['timer', time, key, [...state.map.entries()].sort(), [...state.list.get()], state.value.get(), state.sum.get()]
        },
      })

  class Model {
    readonly results: unknown[] = []
    readonly #maps = new Map<string, Map<string, { value: number; stamp: number }>>()
    readonly #lists = new Map<string, { value: number; stamp: number }[]>()
    readonly #values = new Map<string, { value: number; sum: number; stamp: number }>()
    #timers: { key: string; time: number }[] = []
    #watermark = Number.NEGATIVE_INFINITY

    apply({ kind, key, entry, action, time, timer }: Step): void {
      if (kind === 'watermark') return time > this.#watermark ? this.#advance(time) : undefined
      const now = this.#watermark
      this.#forget(now)
      const map = this.#maps.get(key) ?? new Map<string, { value: number; stamp: number }>()
      const list = this.#lists.get(key) ?? []
      if (action === 'set') {
        map.set(entry, { value: time, stamp: Math.max(time, map.get(entry)?.stamp ?? time) })
        list.push({ value: time, stamp: time })
        const before = this.#values.get(key)
        this.#values.set(key, { value: time, sum: (before?.sum ?? 0) + 1, stamp: Math.max(time, before?.stamp ?? time) })
      } else if (action === 'delete') map.delete(entry)
      else if (action === 'clear') {
        map.clear()
        list.length = 0
        this.#values.delete(key)
      }
      this.#maps.set(key, map)
      this.#lists.set(key, list)
      if (timer !== undefined && !this.#timers.some((each) => each.key === key && each.time === timer))
        this.#timers.push({ key, time: timer })
      this.#forget(now)
      this.results.push(['record', ...this.#seen(key)])
    }

    #forget(now: number): void {
      const live = ({ stamp }: { stamp: number }): boolean => stamp + TTL > now
      for (const map of this.#maps.values()) for (const [name, entry] of map) if (!live(entry)) map.delete(name)
      for (const [key, list] of this.#lists) this.#lists.set(key, list.filter(live))
      for (const [key, value] of this.#values) if (!live(value)) this.#values.delete(key)
    }

    #seen(key: string): readonly unknown[] {
      const map = [...(this.#maps.get(key) ?? [])].map(([name, { value }]) => [name, value]).sort()
      const list = (this.#lists.get(key) ?? []).map(({ value }) => value)
      return [map, list, this.#values.get(key)?.value, this.#values.get(key)?.sum]
    }

    #advance(watermark: number): void {
      const due = this.#timers
        .filter(({ time }) => time <= watermark)
        .sort((x, y) => x.time - y.time || keyGroupOf(x.key, 128) - keyGroupOf(y.key, 128))
      this.#timers = this.#timers.filter(({ time }) => time > watermark)
      for (const { key, time } of due) {
        this.#forget(Math.max(time, this.#watermark))
        this.results.push(['timer', time, key, ...this.#seen(key)])
      }
      this.#watermark = watermark
      this.#forget(watermark)
    }

    finish(): readonly unknown[] {
      this.#advance(END)
      return this.results
    }
  }

  test('map, list, value and sum are what is left of everything that was written, also after restores', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), fc.array(fc.nat(24), { maxLength: 3 }), async (steps, restoreAfter) => {
        const model = new Model()
        for (const each of steps) model.apply(each)
        const items = steps.map((each) => (each.kind === 'watermark' ? watermark(each.time) : record(each, each.time)))
        const { outcomes, state } = await runOperator(build, [...items, end()], { restoreAfter })
        expect(outcomes.flatMap((outcome) => ('value' in outcome ? [outcome.value] : []))).toEqual(model.finish())
        expect(state).toEqual({ entries: 0, timers: 0 })
      }),
      { numRuns: 300 },
    )
  })
})
