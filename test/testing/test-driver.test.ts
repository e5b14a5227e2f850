import {
  items,
  type Job,
  job,
  onWatermark,
  output,
  readText,
  slidingWindow,
  tumblingWindow,
  valueState,
  writeJsonLines,
  writeText,
} from 'sluice'
import { describe, expect, test, vi } from 'vitest'
import type { TestDriver } from '../../src/testing/index.ts'
import { testDriver } from '../../src/testing/index.ts'

interface Reading {
  readonly sensor: string
  readonly at: number
  readonly value: number
}

const reading = (sensor: string, at: number, value = 1): Reading => ({ sensor, at, value })

/** Readings in windows of 10 ms, and the late ones beside them. */
function windows(bound = 0): Job {
  const readings = job('windows')
  const results = readings
    .from(items<Reading>([]))
    .withTimestamps((each) => each.at, { maxOutOfOrderness: bound })
    .keyBy((each) => each.sensor)
    .window(tumblingWindow(10), { trigger: onWatermark() })
    .aggregate({
      create: () => 0,
      add: (sum, each) => sum + each.value,
      result: (sum, { key, window }) => [key, window.start, sum],
    })
  results.to(writeJsonLines('out'))
  results.late.to(writeJsonLines('late'))
  return readings
}

describe('the driver', () => {
  test('runs event time as production does: a watermark after each record', () => {
    const driver = testDriver(windows())
    for (const at of [1, 5, 9]) driver.send(reading('a', at))
    expect(driver.output('write-json-lines-1')).toEqual([])
    driver.send(reading('a', 10))
    expect(driver.outputWithTimestamps('write-json-lines-1')).toEqual([{ value: ['a', 0, 3], timestamp: 9 }])
    driver.send(reading('a', 3))
    expect(driver.output('write-json-lines-2')).toEqual([reading('a', 3)])
    expect(driver.late).toBe(1)
  })

  test('moves watermarks by hand', () => {
    const driver = testDriver(windows(), { watermarks: 'manual' })
    for (const at of [25, 1, 12, 3]) driver.send(reading('a', at))
    driver.advanceWatermark(8)
    expect(driver.output('write-json-lines-1')).toEqual([])
    driver.advanceWatermark(9)
    expect(driver.output('write-json-lines-1')).toEqual([['a', 0, 2]])
    driver.finish()
    expect(driver.output('write-json-lines-1')).toEqual([
      ['a', 0, 2],
      ['a', 10, 1],
      ['a', 20, 1],
    ])
  })

  test('shows what a checkpoint has made visible, and takes back what a crash undoes', async () => {
    const words = job('words')
    const out = writeJsonLines<{ key: string; count: number }>('out')
    words
      .from(readText('words.txt'))
      .keyBy((word) => word)
      .count()
      .to(out)
    const driver = testDriver(words)
    driver.send('to')
    driver.send('be')
    await driver.checkpoint()
    driver.send('to')
    const before = driver.output(out)
    expect(before).toEqual([
      { key: 'to', count: 1 },
      { key: 'be', count: 1 },
      { key: 'to', count: 2 },
    ])
    expect(driver.committed(out)).toEqual(before.slice(0, 2))
    for (const parallelism of [1, 3, 2]) {
      driver.crashAndRestore({ parallelism })
      expect(driver.output(out)).toEqual(before)
    }
    driver.send('to')
    expect(driver.output(out).at(-1)).toEqual({ key: 'to', count: 3 })
  })

  test('stops the clock at every timer on its way', () => {
    const clock = job('clock')
    const ticks = clock
      .from(items<string>([]))
      .keyBy((key) => key)
      .process({
        state: { ticks: valueState<number>() },
        onRecord: (_, ctx) => ctx.timers.processingTime(1_005),
        *onTimer(time, ctx) {
          const ticks = (ctx.state.ticks.get() ?? 0) + 1
          ctx.state.ticks.set(ticks)
          if (ticks < 3) ctx.timers.processingTime(time + 3)
          yield [time, driver.now]
        },
      })
    ticks.to(writeJsonLines('out'))
    const driver = testDriver(clock, { startTime: 1_000 })
    driver.send('a')
    driver.advanceProcessingTime(4)
    expect(driver.output()).toEqual([])
    driver.advanceProcessingTime('1s')
    expect(driver.output()).toEqual([
      [1_005, 1_005],
      [1_008, 1_008],
      [1_011, 1_011],
    ])
    expect(driver.now).toBe(2_004)
  })

  test('freezes records, so that a function which changes one fails where it does so', () => {
    const careless = job('careless')
    careless
      .from(items<{ tags: string[] }>([]))
      .map((each) => {
        each.tags.push('seen')
        return each
      })
      .to(writeJsonLines('out'))
    expect(() => testDriver(careless).send({ tags: ['a'] })).toThrow(
      expect.objectContaining({ code: 'OPERATOR_FAILED', operator: 'map-1', hint: expect.stringContaining('frozen in tests') }),
    )
    const driver = testDriver(careless, { freeze: false })
    driver.send({ tags: ['a'] })
    expect(driver.output()).toEqual([{ tags: ['a', 'seen'] }])
  })

  test('says what is there when a source or sink is not', () => {
    const driver = testDriver(windows())
    expect(() => driver.output()).toThrow(
      expect.objectContaining({ hint: 'name one of: write-json-lines-1, write-json-lines-2' }),
    )
    expect(() => driver.send(1, { to: 'nobody' })).toThrow(expect.objectContaining({ hint: 'name one of: items-1' }))
  })

  test('lets a small job be tested in under 20 ms', () => {
    const times = Array.from({ length: 20 }, () => {
      const before = performance.now()
      const driver = testDriver(windows(), { parallelism: 2 })
      for (let at = 0; at < 50; at++) driver.send(reading(`s${at % 5}`, at))
      driver.finish()
      expect(driver.output('write-json-lines-1').length).toBeGreaterThan(10)
      return performance.now() - before
    })
    expect(times.sort((a, b) => a - b)[10]).toBeLessThan(20)
  })

  test('leaves nothing in state when all windows have gone', async () => {
    const sliding = job('sliding')
    sliding
      .from(items<Reading>([]))
      .withTimestamps((each) => each.at)
      .keyBy((each) => each.sensor)
      .window(slidingWindow(10, 5))
      .count()
      .to(writeJsonLines('out'))
    const driver = testDriver(sliding)
    driver.sendAll(Array.from({ length: 100 }, (_, at) => reading(`s${at % 7}`, at)))
    expect((await driver.stateSize()).entries).toBeGreaterThan(0)
    driver.finish()
    expect(await driver.stateSize()).toEqual({ entries: 0, timers: 0 })
  })
})

describe('what is frozen', () => {
  test('are results between operators too', () => {
    const careless = job('careless')
    careless
      .from(items<number>([]))
      .map((n) => ({ n, tags: Object.freeze([{ name: 'a' }]) }))
      .map((each) => {
        each.tags[0]!.name = 'b'
        return each
      })
      .to(writeJsonLines('out'))
    expect(() => testDriver(careless).send(1)).toThrow(
      expect.objectContaining({ operator: 'map-2', cause: expect.any(TypeError) }),
    )
    const driver = testDriver(careless, { freeze: false })
    driver.send(1)
    expect(driver.output()).toEqual([{ n: 1, tags: [{ name: 'b' }] }])
  })

  test('are not accumulators, which may be changed', () => {
    const sums = job('sums')
    sums
      .from(items<number>([]))
      .keyBy(() => 'all')
      .aggregate({
        create: () => ({ sum: 0, all: [] as number[] }),
        add(accumulator, n) {
          accumulator.sum += n
          accumulator.all.push(n)
          return accumulator
        },
      })
      .to(writeJsonLines('out'))
    const driver = testDriver(sums)
    driver.sendAll([1, 2])
    expect(driver.output()).toEqual([
      { sum: 1, all: [1] },
      { sum: 3, all: [1, 2] },
    ])
  })

  test('are values that contain themselves, and not buffers', () => {
    const same = job('same')
    same
      .from(items<unknown>([]))
      .map((value) => value)
      .to(writeJsonLines('out'))
    const driver = testDriver(same)
    const ring: { self?: unknown; bytes: Uint8Array } = { bytes: new Uint8Array([1]) }
    ring.self = ring
    driver.send(ring)
    expect(driver.output()[0]).toBe(ring)
    expect(Object.isFrozen(ring)).toBe(true)
    ring.bytes[0] = 2
    expect(ring.bytes[0]).toBe(2)
  })
})

describe('a job without withTimestamps', () => {
  test('has the times and watermarks that the test gives it', () => {
    const timed = job('timed')
    timed
      .from(items<string>([]))
      .keyBy((key) => key)
      .process({
        state: { seen: valueState<number>() },
        onRecord(_, ctx) {
          ctx.state.seen.set(ctx.timestamp ?? -1)
          ctx.timers.eventTime(100)
        },
        *onTimer(_, ctx) {
          yield [ctx.key, ctx.state.seen.get(), ctx.watermark]
        },
      })
      .to(writeJsonLines('out'))
    const driver = testDriver(timed, { parallelism: 2 })
    driver.send('a', { timestamp: 7 })
    driver.send('b')
    driver.advanceWatermark(99)
    expect(driver.output()).toEqual([])
    driver.advanceWatermark(120)
    const results = driver.outputWithTimestamps()
    expect(results).toHaveLength(2)
    expect(results).toEqual(
      expect.arrayContaining([
        { value: ['a', 7, 120], timestamp: 100 },
        { value: ['b', -1, 120], timestamp: 100 },
      ]),
    )
  })

  test('is refused where windows of event time are in it, as it would be in production', () => {
    const refused = job('refused')
    refused
      .from(items<string>([]))
      .keyBy((key) => key)
      .window(tumblingWindow(10))
      .count()
      .to(writeJsonLines('out'))
    expect(() => testDriver(refused)).toThrow(expect.objectContaining({ code: 'NO_TIMESTAMPS' }))
  })
})

describe('watermarks by hand', () => {
  test('come on top of automatic ones, and smaller ones change nothing', () => {
    const driver = testDriver(windows())
    driver.send(reading('a', 5))
    driver.advanceWatermark(3)
    driver.send(reading('a', 4))
    driver.advanceWatermark(30)
    driver.advanceWatermark(10)
    driver.send(reading('a', 29))
    expect(driver.output('write-json-lines-1')).toEqual([['a', 0, 2]])
    expect(driver.output('write-json-lines-2')).toEqual([reading('a', 29)])
  })

  test('of one source wait for the others', () => {
    const both = job('both')
    const [left, right] = [items<Reading>([]), items<Reading>([])]
    const stamped = both.from(left).withTimestamps((each) => each.at)
    stamped
      .union(both.from(right).withTimestamps((each) => each.at))
      .keyBy((each) => each.sensor)
      .window(tumblingWindow(10))
      .count()
      .to(writeJsonLines('out'))
    const driver = testDriver(both, { watermarks: 'manual' })
    driver.send(reading('a', 1), { to: left })
    driver.advanceWatermark(50, { to: left })
    expect(driver.output()).toEqual([])
    driver.advanceWatermark(9, { to: right })
    expect(driver.output()).toHaveLength(1)
  })
})

describe('sources that wait for each other', () => {
  test('go on as soon as the others have come near, without the clock', () => {
    const aligned = job('aligned')
    const [left, right] = [items<number>([]), items<number>([])]
    const alignment = { group: 'g', maxDrift: 10 }
    const stamped = (source: typeof left) => aligned.from(source).withTimestamps((n) => n, { alignment })
    const [ahead, behind] = [stamped(left), stamped(right)]
    ahead.union(behind).to(writeJsonLines('out'))
    const driver = testDriver(aligned)
    driver.send(0, { to: right })
    driver.send(100, { to: left })
    driver.send(101, { to: left })
    expect(driver.output()).toEqual([0, 100])
    driver.send(95, { to: right })
    expect(driver.output()).toEqual([0, 100, 95, 101])
  })
})

describe('asynchronous calls', () => {
  test('are waited for, and one that never ends is named', async () => {
    const calls = job('calls')
    calls
      .from(items<number>([]))
      .asyncMap((n) => (n > 0 ? Promise.resolve(n) : new Promise<number>(() => undefined)), { timeout: 'none' })
      .to(writeJsonLines('out'))
    const driver = testDriver(calls)
    driver.sendAll([1, 2])
    await driver.settled()
    expect(driver.output()).toEqual([1, 2])
    driver.send(-1)
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const failure = expect.objectContaining({
        message: expect.stringContaining('items-1/0'),
        hint: expect.stringContaining('advanceProcessingTime'),
      })
      const outcome = expect(driver.settled()).rejects.toThrow(failure)
      await vi.advanceTimersByTimeAsync(10_000)
      await outcome
    } finally {
      vi.useRealTimers()
    }
  })

  test('time out and are repeated by the clock of the test', async () => {
    let attempts = 0
    const calls = job('calls')
    calls
      .from(items<number>([]))
      .asyncMap(
        async (n, { attempt }) => {
          attempts = attempt
          if (attempt < 3) throw new Error('busy')
          return n
        },
        { retry: { attempts: 3, delay: '1m', factor: 1 }, timeout: '1h' },
      )
      .to(writeJsonLines('out'))
    const driver = testDriver(calls)
    driver.send(7)
    const turns = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
    for (let minute = 1; minute <= 2; minute++) {
      await turns()
      driver.advanceProcessingTime('1m')
      expect(attempts).toBe(minute + 1)
    }
    await driver.settled()
    expect(driver.output()).toEqual([7])
  })
})

describe('what cannot be', () => {
  const names = (): Job => {
    const built = job('names')
    built.from(items<number>([])).to(writeJsonLines('out'))
    return built
  }

  const sendAfterTheEnd = (driver: TestDriver): void => {
    driver.finish()
    driver.send(1)
  }

  test.each([
    ['a record after the end', sendAfterTheEnd, 'finished'],
    ['a subtask that is not there', (driver: TestDriver) => driver.send(1, { subtask: 2 }), 'had 2 subtasks'],
    ['a timestamp that is none', (driver: TestDriver) => driver.send(1, { timestamp: Number.NaN }), 'timestamp is NaN'],
    ['a watermark of the end of time', (driver: TestDriver) => driver.advanceWatermark(Infinity), 'watermark'],
    ['a parallelism of none', (driver: TestDriver) => driver.crashAndRestore({ parallelism: 0 }), 'parallelism'],
  ])('is refused: %s', (_, action, message) => {
    const driver = testDriver(names(), { parallelism: 2 })
    expect(() => action(driver)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringContaining(message) }),
    )
  })

  test.each([[{ parallelism: 0 }], [{ startTime: Number.NaN }], [{ watermarks: 'sometimes' as 'manual' }]])(
    'is refused: %j',
    (options) => {
      expect(() => testDriver(names(), options)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
    },
  )

  test('is refused: a sink that two streams write to by one object', () => {
    const shared = job('shared')
    const out = writeJsonLines<number>('out')
    shared.from(items<number>([])).to(out).to(out)
    expect(() => testDriver(shared).output(out)).toThrow(
      expect.objectContaining({
        message: expect.stringContaining('more than one'),
        hint: expect.stringContaining('write-json-lines-2'),
      }),
    )
  })
})

describe('side outputs and several sources', () => {
  test('are told apart by the objects that the job was built with', () => {
    const both = job('both')
    const [left, right] = [items<number>([]), items<number>([])]
    const [even, odd] = [writeText('even'), writeText('odd')]
    const split = both
      .from(left)
      .union(both.from(right))
      .process({
        side: { odd: output<string>() },
        *onRecord(n, ctx) {
          if (n % 2 === 0) yield String(n)
          else ctx.emitTo('odd', String(n))
        },
      })
    split.to(even)
    split.side.odd.to(odd)
    const driver = testDriver(both, { parallelism: 2 })
    driver.send(1, { to: left })
    driver.send(2, { to: right })
    driver.sendAll([3, 4], { to: 'items-2' })
    expect(driver.output(even).toSorted()).toEqual(['2', '4'])
    expect(driver.output(odd).toSorted()).toEqual(['1', '3'])
  })
})
