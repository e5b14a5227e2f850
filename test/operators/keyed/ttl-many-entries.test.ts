import type { Stream } from 'sluice'
import { items, job, listState, mapState, writeJsonLines } from 'sluice'
import { testDriver } from 'sluice/testing'
import { expect, test } from 'vitest'

const LIFE_MS = 1_000

/** One key that gets an entry with every millisecond, each of which lives for a second. */
function manyEntries() {
  const many = job('many')
  const numbers: Stream<number> = many.from(items<number>([])).withTimestamps((n) => n)
  numbers
    .keyBy(() => 'all')
    .process({
      state: { map: mapState<number, number>({ ttl: LIFE_MS }), list: listState<number>({ ttl: LIFE_MS }) },
      *onRecord(n, ctx) {
        ctx.state.map.set(n, n)
        ctx.state.list.add(n)
        if (n % 500 === 0) yield [ctx.state.map.size, ctx.state.list.get().length]
      },
    })
    .to(writeJsonLines('out'))
  return testDriver(many)
}

test('entries that are over are never seen, however many there are, and are gone in the end', async () => {
  const driver = manyEntries()
  driver.sendAll(Array.from({ length: 5_001 }, (_, n) => n))
  // At record n the watermark is n - 2, and what was written a second before it is over.
  const seen = [0, 500, 1_000, ...Array(8).fill(1_002)].map((live, index) => (index < 3 ? live + 1 : live))
  expect(driver.output()).toEqual(seen.map((live) => [live, live]))
  driver.finish()
  expect(await driver.stateSize()).toEqual({ entries: 0, timers: 0 })
})
