import type { Stream, TimeWindow, TumblingWindow } from 'sluice'
import { tumblingWindow, writeJsonLines, writeText } from 'sluice'
import { type Equal, expectType, type Flight, type ItemOf, streamOf } from './expect.ts'

const hours = streamOf<Flight>()
  .keyBy((flight) => flight.origin)
  .window(tumblingWindow('1h'))

/* count, reduce */
{
  const counts = hours.count()
  expectType<Equal<ItemOf<typeof counts>, { key: string; window: TimeWindow; count: number }>>()
  const worst = hours.reduce((a, b) => (a.delay >= b.delay ? a : b))
  expectType<Equal<ItemOf<typeof worst>, { key: string; window: TimeWindow; value: Flight }>>()
}

/* aggregate with and without `result` */
{
  const totals = hours.aggregate({ create: () => 0, add: (sum, flight) => sum + flight.delay })
  expectType<Equal<ItemOf<typeof totals>, { key: string; window: TimeWindow; value: number }>>()
  const rows = hours.aggregate({
    create: () => ({ flights: 0, minutes: 0 }),
    add: (sum, flight) => ({ flights: sum.flights + 1, minutes: sum.minutes + flight.delay }),
    merge: (a, b) => ({ flights: a.flights + b.flights, minutes: a.minutes + b.minutes }),
    result: (sum, { key, window }) => ({ airport: key, hour: window.start, ...sum }),
  })
  expectType<Equal<ItemOf<typeof rows>, { flights: number; minutes: number; airport: string; hour: number }>>()
  const texts = hours.aggregate({
    create: () => 0,
    add: (sum, flight) => sum + flight.delay,
    result: (sum, info) => `${info.key} ${info.window.end} ${sum}`,
  })
  expectType<Equal<ItemOf<typeof texts>, string>>()
  texts.to(writeText('out'))
  // @ts-expect-error the accumulator is a number
  hours.aggregate({ create: () => 0, add: (sum, flight) => sum + flight.delay, merge: (a: string, b: string) => a + b })
  // @ts-expect-error there is no such thing to know about a window
  hours.aggregate({ create: () => 0, add: (sum) => sum + 1, result: (_, info) => info.watermark })
}

/* process */
{
  const sorted = hours.process((records, { key, window }) =>
    records.map((flight) => ({ key, start: window.start, delay: flight.delay })),
  )
  expectType<Equal<ItemOf<typeof sorted>, { key: string; start: number; delay: number }>>()
  const generated = hours.process(function* (records) {
    for (const record of records) yield record.delay
  })
  expectType<Equal<ItemOf<typeof generated>, number>>()
  // @ts-expect-error the records are not the function's to change
  hours.process((records) => [records.pop()])
}

/* What comes too late is of the type of the input, whatever the window gives. */
{
  const lates = [
    hours.count().late,
    hours.reduce((a) => a).late,
    hours.aggregate({ create: () => 0, add: (sum) => sum + 1 }).late,
    hours.aggregate({ create: () => 0, add: (sum) => sum + 1, result: (sum) => `${sum}` }).late,
    hours.process(() => [1]).late,
  ]
  expectType<Equal<typeof lates, Stream<Flight>[]>>()
  hours.count().late.to(writeJsonLines('out/late'))
  // @ts-expect-error late flights are not text
  hours.count().late.to(writeText('out/late'))
}

/* Lengths of time and options */
{
  const byOrigin = streamOf<Flight>().keyBy((flight) => flight.origin)
  const assigner = tumblingWindow(3_600_000)
  expectType<Equal<typeof assigner, TumblingWindow>>()
  for (const size of ['250ms', '5s', '5m', '1h', '1.5h', '1d'] as const) tumblingWindow(size)
  tumblingWindow('1d', { offset: '8h' })
  tumblingWindow('1d', { offset: '-8h' })
  tumblingWindow('1d', { offset: -8 * 3_600_000 })
  byOrigin.window(tumblingWindow('1h'), { allowedLateness: '10m' })
  // @ts-expect-error no such unit
  tumblingWindow('30 minutes')
  // @ts-expect-error no unit
  tumblingWindow('30')
  // @ts-expect-error no number
  tumblingWindow('m')
  // @ts-expect-error no such unit
  tumblingWindow('2w')
  // @ts-expect-error any string may be wrong
  tumblingWindow('1h' as string)
  // @ts-expect-error no such option
  tumblingWindow('1h', { ofset: '5m' })
  // @ts-expect-error not a duration
  byOrigin.window(tumblingWindow('1h'), { allowedLateness: 'never' })
  // @ts-expect-error no such option
  byOrigin.window(tumblingWindow('1h'), { lateness: '10m' })
  // @ts-expect-error a size is not an assigner
  byOrigin.window('1h')
}
