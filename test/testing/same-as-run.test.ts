import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  collect,
  items,
  type Job,
  job,
  type Sink,
  type Stream,
  sessionWindow,
  slidingWindow,
  tumblingWindow,
  valueState,
} from 'sluice'
import { afterAll, expect, test } from 'vitest'
import { testDriver } from '../../src/testing/index.ts'

/* The driver beside the engine: one job over the same input, by hand and by `run({ workers: 0 })`. */

interface Visit {
  readonly page: string
  readonly at: number
}

/** Out of order by up to 30 ms and more, so that some visits are late. */
const VISITS: readonly Visit[] = Array.from({ length: 400 }, (_, index) => ({
  page: `/${(index * 31) % 7}`,
  at: index * 5 + ((index * 37) % 13) * 4 - (index % 29 === 0 ? 200 : 0),
}))

const pages = (visits: Stream<Visit>) => visits.keyBy((visit) => visit.page)

type Piece = (visits: Stream<Visit>, main: Sink<unknown>, late: Sink<unknown>) => void

const PIECES: Readonly<Record<string, Piece>> = {
  'stateless operators': (visits, main) => {
    visits
      .filter((visit) => visit.at % 3 > 0)
      .flatMap((visit) => [visit.page, visit.at])
      .map((value) => [value])
      .to(main)
  },
  'running values': (visits, main) => {
    pages(visits).count().to(main)
  },
  'tumbling windows': (visits, main, late) => {
    const counts = pages(visits).window(tumblingWindow(50)).count()
    counts.to(main)
    counts.late.to(late)
  },
  'sliding windows with lateness': (visits, main, late) => {
    const counts = pages(visits).window(slidingWindow(60, 20), { allowedLateness: 30 }).count()
    counts.to(main)
    counts.late.to(late)
  },
  'session windows': (visits, main, late) => {
    const counts = pages(visits).window(sessionWindow(40)).count()
    counts.to(main)
    counts.late.to(late)
  },
  'timers and state': (visits, main) => {
    pages(visits)
      .process({
        state: { latest: valueState<number>() },
        onRecord(visit, { state, timers }) {
          state.latest.set(visit.at)
          timers.eventTime(visit.at + 25)
        },
        *onTimer(time, { key, state, watermark }) {
          yield [time, key, state.latest.get(), watermark === Number.POSITIVE_INFINITY]
        },
      })
      .to(main)
  },
  'calls in order': (visits, main) => {
    visits.asyncMap(async (visit) => visit.at).to(main)
  },
}

const state = mkdtempSync(join(tmpdir(), 'sluice-driver-'))
afterAll(() => rmSync(state, { recursive: true }))

function build(piece: Piece, visits: readonly Visit[], main: Sink<unknown>, late: Sink<unknown>): Job {
  const built = job('visits', { stateDirectory: state, checkpoint: { every: 'off' } })
  piece(
    built.from(items(visits)).withTimestamps((visit) => visit.at, { maxOutOfOrderness: 20 }),
    main,
    late,
  )
  return built
}

const texts = (values: readonly unknown[]): readonly string[] => values.map((value) => JSON.stringify(value))

test.each(Object.entries(PIECES))('%s: the same results in the same order', async (_, piece) => {
  const found: { main: unknown[]; late: unknown[] } = { main: [], late: [] }
  await build(piece, VISITS, collect(found.main), collect(found.late)).run({
    workers: 0,
    parallelism: 1,
    quiet: true,
    fresh: true,
  })

  const [main, late] = [collect<unknown>([]), collect<unknown>([])]
  const driver = testDriver(build(piece, [], main, late))
  for (const visit of VISITS) driver.send(visit)
  driver.finish()
  await driver.settled()
  expect(found.main.length).toBeGreaterThan(30)
  expect(texts(driver.output(main))).toEqual(texts(found.main))
  if (found.late.length > 0) expect(texts(driver.output(late))).toEqual(texts(found.late))
  expect(driver.late).toBe(found.late.length)
})
