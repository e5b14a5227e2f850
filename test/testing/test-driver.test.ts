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
import { describe, expect, test } from 'vitest'
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
      expect.objectContaining({ code: 'OPERATOR_FAILED', operator: 'map-1' }),
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
