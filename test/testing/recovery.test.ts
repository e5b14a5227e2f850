import {
  aggregatingState,
  countWindow,
  early,
  globalWindow,
  items,
  type Job,
  job,
  type KeyedStream,
  listState,
  mapState,
  operatorListState,
  reducingState,
  type Stream,
  sessionWindow,
  slidingWindow,
  tumblingWindow,
  valueState,
  writeJsonLines,
} from 'sluice'
import { describe, expect, test } from 'vitest'
import type { TestDriver } from '../../src/testing/index.ts'
import { testDriver } from '../../src/testing/index.ts'

/*
 * Crashes by hand. A job that was killed anywhere, and went on with any other parallelism, gives what it gives undisturbed.
 */

interface Reading {
  readonly sensor: string
  readonly at: number
}

const READINGS: readonly Reading[] = Array.from({ length: 60 }, (_, index) => ({ sensor: `s${(index * 7) % 11}`, at: index * 3 }))

type Piece = (readings: Stream<Reading>) => Stream<unknown>

const keyed = (readings: Stream<Reading>): KeyedStream<string, Reading> => readings.keyBy((reading) => reading.sensor)
const rules = items<number>([])

/** Gives each key's state once, at the end, because records of a key that different subtasks read come in no promised order. */
const PIECES: Readonly<Record<string, Piece>> = {
  'value, reducing and aggregating state, and event-time timers': (readings) =>
    keyed(readings).process({
      state: {
        latest: valueState<number>(),
        sum: reducingState<number>((a, b) => a + b),
        count: aggregatingState({ create: () => 0, add: (count: number, _: Reading) => count + 1 }),
      },
      onRecord(reading, { state, timers }) {
        state.latest.set(Math.max(reading.at, state.latest.get() ?? 0))
        state.sum.add(reading.at)
        state.count.add(reading)
        timers.eventTime(10_000)
      },
      *onTimer(time, { key, state }) {
        yield [time, key, state.latest.get(), state.sum.get(), state.count.get()]
      },
    }),
  'list and map state': (readings) =>
    keyed(readings).process({
      state: { all: listState<number>(), places: mapState<number, string>() },
      onRecord(reading, { state, timers }) {
        state.all.add(reading.at)
        state.places.set(reading.at % 5, reading.sensor)
        timers.eventTime(10_000)
      },
      *onTimer(_, { key, state }) {
        yield [key, [...state.all.get()].sort((a, b) => a - b), [...state.places.keys()].sort()]
      },
    }),
  'state with a time to live': (readings) =>
    keyed(readings)
      .distinct({ ttl: 1_000 })
      .map((reading) => reading.sensor),
  'processing-time timers': (readings) =>
    keyed(readings).process({
      state: { count: valueState<number>() },
      onRecord(_, { state, timers }) {
        state.count.set((state.count.get() ?? 0) + 1)
        timers.processingTime(5_000)
      },
      *onTimer(time, { key, state }) {
        yield [time, key, state.count.get()]
      },
    }),
  count: (readings) => keyed(readings).count(),
  reduce: (readings) => keyed(readings).reduce((a, b) => ({ sensor: a.sensor, at: Math.max(a.at, b.at) })),
  'tumbling windows': (readings) => keyed(readings).window(tumblingWindow(30)).count(),
  'sliding windows': (readings) => keyed(readings).window(slidingWindow(40, 15)).count(),
  'session windows': (readings) => keyed(readings).window(sessionWindow(20)).count(),
  'count windows': (readings) =>
    keyed(readings)
      .window(countWindow(2))
      .count()
      .map(({ key, count }) => ({ key, count })),
  'global windows': (readings) =>
    keyed(readings)
      .window(globalWindow())
      .count()
      .map(({ key, count }) => ({ key, count })),
  'an early trigger': (readings) =>
    keyed(readings)
      .window(tumblingWindow(100), { trigger: early({ every: 1_000_000 }) })
      .count(),
  intervalJoin: (readings) =>
    keyed(readings).intervalJoin(keyed(readings), { lower: -33, upper: 33 }, (a, b) => [a.sensor, a.at, b.at]),
  'connect of keyed streams': (readings) =>
    keyed(readings)
      .connect(keyed(readings))
      .process({
        state: { left: valueState<number>(), right: valueState<number>() },
        onLeft(_, { state, timers }) {
          state.left.set((state.left.get() ?? 0) + 1)
          timers.eventTime(10_000)
        },
        onRight(_, { state }) {
          state.right.set((state.right.get() ?? 0) + 1)
        },
        *onTimer(_, { key, state }) {
          yield [key, state.left.get(), state.right.get()]
        },
      }),
  asyncMap: (readings) => readings.asyncMap(async (reading) => reading.at, { ordered: false }),
  'asyncMap of a keyed stream': (readings) => keyed(readings).asyncMap(async (reading, { key }) => [key, reading.at]),
}

function readingsJob(piece: Piece): Job {
  const readings = job('readings')
  const stream = readings.from(items<Reading>([])).withTimestamps((reading) => reading.at, { maxOutOfOrderness: 200 })
  piece(stream).to(writeJsonLines('out'))
  return readings
}

async function finished(driver: TestDriver): Promise<readonly string[]> {
  driver.advanceProcessingTime('10s')
  await driver.settled()
  driver.finish()
  await driver.settled()
  await driver.checkpoint()
  expect(driver.committed().length).toBe(driver.output().length)
  return driver
    .committed()
    .map((value) => JSON.stringify(value))
    .sort()
}

describe.each(Object.entries(PIECES))('after crashes with other parallelisms, %s', (name, piece) => {
  /* Running values of `reduce` depend on the order, so there only one subtask reads; the others are dealt to all of them. */
  test.each([[[1, 3, 2, 1]], [[2, 1, 4, 3]], [[4, 1, 1, 4]]])('gives the same with %j', async (parallelisms) => {
    const undisturbed = testDriver(readingsJob(piece), { parallelism: 1 })
    undisturbed.sendAll(READINGS)
    const driver = testDriver(readingsJob(piece), { parallelism: parallelisms[0]! })
    for (const [index, reading] of READINGS.entries()) {
      driver.send(reading, name === 'reduce' ? { subtask: 0 } : {})
      if (index % 15 === 4) await driver.checkpoint()
      if (index % 15 === 9) driver.crashAndRestore({ parallelism: parallelisms[Math.floor(index / 15)]! })
    }
    expect(await finished(driver)).toEqual(await finished(undisturbed))
  })
})

describe('broadcast state', () => {
  test('is whole in each subtask after a change of parallelism', async () => {
    const ruled = job('ruled')
    const values = items<number>([])
    ruled
      .from(values)
      .connect(ruled.from(rules).broadcast())
      .process({
        broadcast: { rules: mapState<number, number>() },
        *onLeft(n, ctx) {
          yield [n, ctx.broadcast.rules.get(n % 3)]
        },
        onRight(rule, ctx) {
          ctx.broadcast.rules.set(rule % 3, rule)
        },
      })
      .to(writeJsonLines('out'))
    const driver = testDriver(ruled, { parallelism: 2 })
    driver.sendAll([3, 4, 5], { to: rules })
    await driver.checkpoint()
    driver.crashAndRestore({ parallelism: 4 })
    driver.sendAll([0, 1, 2, 3, 4, 5, 6, 7], { to: values })
    expect(driver.output().toSorted()).toEqual([0, 1, 2, 3, 4, 5, 6, 7].map((n) => [n, 3 + (n % 3)]))
  })
})

describe('operator state', () => {
  test.each([
    ['split', 1],
    ['union', 2],
  ] as const)('is redistributed as it says: %s', async (redistribute, copies) => {
    const kept = job('kept')
    kept
      .from(items<number>([]))
      .process({
        state: { kept: operatorListState<number>({ redistribute }) },
        *onRecord(n, { state }) {
          if (n >= 0) return state.kept.add(n)
          yield* state.kept.get()
          state.kept.clear()
        },
      })
      .to(writeJsonLines('out'))
    const driver = testDriver(kept, { parallelism: 3 })
    const numbers = [0, 1, 2, 3, 4, 5, 6]
    driver.sendAll(numbers)
    await driver.checkpoint()
    driver.crashAndRestore({ parallelism: 2 })
    for (const subtask of [0, 1]) driver.send(-1, { subtask })
    const expected = numbers.flatMap((n) => Array<number>(copies).fill(n))
    expect(driver.output<number>().toSorted((a, b) => a - b)).toEqual(expected)
  })
})

/** Windows of 10 ms; late readings are counted. */
function windows(): Job {
  return readingsJobOf((readings) => keyed(readings).window(tumblingWindow(10)).count())
}

function readingsJobOf(piece: Piece): Job {
  const readings = job('windows')
  piece(readings.from(items<Reading>([])).withTimestamps((reading) => reading.at)).to(writeJsonLines('out'))
  return readings
}

describe('a crash', () => {
  test('without a checkpoint goes back to the start', () => {
    const driver = testDriver(windows())
    driver.sendAll([
      { sensor: 'a', at: 1 },
      { sensor: 'a', at: 12 },
    ])
    const before = driver.outputWithTimestamps()
    expect(before).toEqual([{ value: { key: 'a', window: { start: 0, end: 10 }, count: 1 }, timestamp: 9 }])
    for (const parallelism of [1, 3, 2]) {
      driver.crashAndRestore({ parallelism })
      expect(driver.outputWithTimestamps()).toEqual(before)
    }
  })

  test('has watermarks that were raised by hand in their places', async () => {
    const driver = testDriver(windows(), { watermarks: 'manual' })
    driver.send({ sensor: 'a', at: 1 })
    await driver.checkpoint()
    driver.advanceWatermark(9)
    driver.send({ sensor: 'a', at: 2 })
    driver.send({ sensor: 'a', at: 15 })
    const outcome = (): unknown => [driver.output(), driver.late]
    const before = outcome()
    expect(before).toEqual([[{ key: 'a', window: { start: 0, end: 10 }, count: 1 }], 1])
    driver.crashAndRestore()
    expect(outcome()).toEqual(before)
    await driver.checkpoint()
    driver.crashAndRestore({ parallelism: 2 })
    expect(outcome()).toEqual(before)
    driver.send({ sensor: 'a', at: 3 })
    expect(driver.late).toBe(2)
  })

  test('lets a watermark wait for all splits that come together in one subtask', () => {
    const driver = testDriver(windows(), { parallelism: 2, watermarks: 'manual' })
    driver.send({ sensor: 'a', at: 1 }, { subtask: 0 })
    driver.send({ sensor: 'a', at: 2 }, { subtask: 1 })
    driver.advanceWatermark(9)
    driver.crashAndRestore({ parallelism: 1 })
    expect(driver.late).toBe(0)
    expect(driver.output()).toEqual([{ key: 'a', window: { start: 0, end: 10 }, count: 2 }])
  })

  test('leaves the clock where it is, and what was due meanwhile fires after the start', async () => {
    const timed = job('timed')
    timed
      .from(items<string>([]))
      .keyBy((key) => key)
      .process({
        state: { due: valueState<boolean>() },
        onRecord: (_, ctx) => ctx.timers.processingTime(100),
        *onTimer(time, ctx) {
          yield [ctx.key, time, driver.now]
        },
      })
      .to(writeJsonLines('out'))
    const driver = testDriver(timed, { startTime: 90 })
    driver.send('a')
    await driver.checkpoint()
    driver.advanceProcessingTime(30)
    expect(driver.output()).toEqual([['a', 100, 100]])
    driver.crashAndRestore()
    expect(driver.now).toBe(120)
    expect(driver.output()).toEqual([['a', 100, 120]])
  })

  test('repeats asynchronous calls that were under way at the checkpoint, and their results count once', async () => {
    const calls: number[] = []
    const slow = job('slow')
    slow
      .from(items<number>([]))
      .asyncMap(async (n) => {
        calls.push(n)
        for (let turn = 0; turn < 5; turn++) await Promise.resolve()
        return n * 2
      })
      .to(writeJsonLines('out'))
    const driver = testDriver(slow)
    driver.sendAll([1, 2, 3])
    expect(driver.output()).toEqual([])
    await driver.checkpoint()
    await driver.settled()
    expect(driver.output()).toEqual([2, 4, 6])
    expect(driver.committed()).toEqual([])
    driver.crashAndRestore()
    expect(driver.output()).toEqual([])
    await driver.settled()
    expect(driver.output()).toEqual([2, 4, 6])
    expect(calls).toEqual([1, 2, 3, 1, 2, 3])
    await driver.checkpoint()
    expect(driver.committed()).toEqual([2, 4, 6])
  })

  test('after the end of the input comes to the same end', async () => {
    const driver = testDriver(windows(), { parallelism: 2 })
    driver.sendAll(READINGS)
    await driver.checkpoint()
    driver.finish()
    const before = driver
      .output()
      .map((value) => JSON.stringify(value))
      .sort()
    driver.crashAndRestore({ parallelism: 3 })
    expect(
      driver
        .output()
        .map((value) => JSON.stringify(value))
        .sort(),
    ).toEqual(before)
    await driver.checkpoint()
    driver.crashAndRestore({ parallelism: 1 })
    expect(
      driver
        .committed()
        .map((value) => JSON.stringify(value))
        .sort(),
    ).toEqual(before)
  })

  test('is how a job goes on whose function has thrown', async () => {
    let broken = true
    const flaky = job('flaky')
    flaky
      .from(items<number>([]))
      .map((n) => {
        if (n === 2 && broken) throw new RangeError('not today')
        return n
      })
      .to(writeJsonLines('out'))
    const driver = testDriver(flaky)
    driver.send(1)
    const failure = expect.objectContaining({
      code: 'OPERATOR_FAILED',
      operator: 'map-1',
      subtask: 0,
      cause: expect.any(RangeError),
    })
    expect(() => driver.send(2)).toThrow(failure)
    expect(() => driver.send(3)).toThrow(failure)
    await expect(driver.checkpoint()).rejects.toEqual(failure)
    expect(() => driver.crashAndRestore()).toThrow(failure)
    broken = false
    driver.crashAndRestore()
    expect(driver.output()).toEqual([1, 2, 3])
  })
})
