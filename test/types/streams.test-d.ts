import type { JobResult, Stream } from 'sluice'
import { job, output, print, readJsonLines, tumblingWindow, writeJsonLines } from 'sluice'
import { type Equal, expectType, type Flight, type ItemOf, streamOf } from './expect.ts'

/* From the source to the sink without an annotation in the middle, as the first page of the documentation has it. */
{
  const delays = job('delays-per-airport', { checkpoint: { every: '1s' } })
  const hourly = delays
    .from(readJsonLines<{ date: string; delay: number; origin: string }>('flights/*.jsonl'))
    .withTimestamps((f) => Date.parse(f.date), { maxOutOfOrderness: '5m' })
    .keyBy((f) => f.origin)
    .window(tumblingWindow('1h'), { allowedLateness: '10m' })
    .aggregate({
      create: () => ({ flights: 0, minutes: 0 }),
      add: (sum, f) => ({ flights: sum.flights + 1, minutes: sum.minutes + f.delay }),
      result: (sum, { key, window }) => ({ airport: key, hour: window.start, ...sum }),
    })
  expectType<Equal<ItemOf<typeof hourly>, { flights: number; minutes: number; airport: string; hour: number }>>()
  expectType<Equal<ItemOf<typeof hourly.late>, { date: string; delay: number; origin: string }>>()
  hourly.to(writeJsonLines('out/hourly'))
  hourly.late.to(writeJsonLines('out/late'))
  const result = delays.run()
  expectType<Equal<typeof result, Promise<JobResult>>>()
}

/* map */
{
  const flights = streamOf<Flight>()
  const delays = flights.map((flight) => flight.delay)
  expectType<Equal<typeof delays, Stream<number>>>()
  const pairs = flights.map((flight, context) => ({ from: flight.origin, at: context.timestamp, subtask: context.subtask }))
  expectType<Equal<ItemOf<typeof pairs>, { from: string; at: number | undefined; subtask: number }>>()
  const chained = flights.map((flight) => flight.origin).map((origin) => origin.length)
  expectType<Equal<ItemOf<typeof chained>, number>>()
  // @ts-expect-error a flight has no such property
  flights.map((flight) => flight.airline)
  // @ts-expect-error the function takes something else
  flights.map((flight: string) => flight)
}

/* filter */
{
  type Event = { kind: 'click'; x: number } | { kind: 'key'; code: string }
  const events = streamOf<Event>()
  const clicks = events.filter((event): event is Extract<Event, { kind: 'click' }> => event.kind === 'click')
  expectType<Equal<ItemOf<typeof clicks>, { kind: 'click'; x: number }>>()
  clicks.map((click) => click.x)

  // The compiler sees by itself that these are type guards.
  const inferred = events.filter((event) => event.kind === 'key')
  expectType<Equal<ItemOf<typeof inferred>, { kind: 'key'; code: string }>>()
  const defined = streamOf<string | undefined>().filter((text) => text !== undefined)
  expectType<Equal<ItemOf<typeof defined>, string>>()

  const late = streamOf<Flight>().filter((flight) => flight.delay > 0)
  expectType<Equal<typeof late, Stream<Flight>>>()
  // Whatever is truthy is accepted.
  const gates = streamOf<Flight>().filter((flight) => flight.gate)
  expectType<Equal<typeof gates, Stream<Flight>>>()
  // @ts-expect-error a promise is always truthy
  streamOf<Flight>().filter(async (flight) => flight.delay > 0)
  // @ts-expect-error a guard for something that no event is
  events.filter((event): event is string => typeof event === 'string')
}

/* flatMap */
{
  const lines = streamOf<string>()
  const words = lines.flatMap((line) => line.split(' '))
  expectType<Equal<typeof words, Stream<string>>>()
  const generated = lines.flatMap(function* (line) {
    for (const word of line.split(' ')) yield { word, length: word.length }
  })
  expectType<Equal<ItemOf<typeof generated>, { word: string; length: number }>>()
  const matched = lines.flatMap((line) => line.match(/\p{L}+/gu) ?? [])
  expectType<Equal<ItemOf<typeof matched>, string>>()
  const set = lines.flatMap((line) => new Set([line.length]))
  expectType<Equal<ItemOf<typeof set>, number>>()
  const mixed = lines.flatMap(function* (line) {
    if (line === '') return
    yield line
    yield line.length
  })
  expectType<Equal<ItemOf<typeof mixed>, string | number>>()
  // @ts-expect-error a number cannot be iterated over
  lines.flatMap((line) => line.length)
  // @ts-expect-error functions are synchronous
  lines.flatMap(async (line) => [line])
}

/* withTimestamps */
{
  const flights = streamOf<Flight>()
  const stamped = flights.withTimestamps((flight) => flight.date.getTime(), { maxOutOfOrderness: '5m' })
  expectType<Equal<typeof stamped, Stream<Flight>>>()
  flights.withTimestamps((flight) => flight.date.getTime())
  flights.withTimestamps((flight) => flight.date.getTime(), { maxOutOfOrderness: 300_000 })
  // @ts-expect-error milliseconds, not a Date
  flights.withTimestamps((flight) => flight.date)
  // @ts-expect-error not every flight has a gate
  flights.withTimestamps((flight) => flight.gate?.length)
  // @ts-expect-error not a duration
  flights.withTimestamps((flight) => flight.delay, { maxOutOfOrderness: '5 minutes' })
  // @ts-expect-error no such option
  flights.withTimestamps((flight) => flight.delay, { maxOutOfOrdernes: '5m' })
}

/* union */
{
  const flights = streamOf<Flight>()
  const both = flights.union(streamOf<Flight>(), streamOf<Flight>())
  expectType<Equal<typeof both, Stream<Flight>>>()
  // Records with more than is asked for are of the type too.
  flights.union(streamOf<Flight & { airline: string }>())
  // @ts-expect-error another type
  flights.union(streamOf<string>())
  // @ts-expect-error one of them is of another type
  flights.union(streamOf<Flight>(), streamOf<{ origin: string }>())
}

/* What returns the stream itself keeps its type. */
{
  const flights = streamOf<Flight>()
  const same = flights.named('flights').withParallelism(2).to(print())
  expectType<Equal<typeof same, Stream<Flight>>>()
  const windowed = flights
    .keyBy((flight) => flight.origin)
    .window(tumblingWindow('1h'))
    .count()
    .named('hourly')
  expectType<Equal<ItemOf<typeof windowed.late>, Flight>>()
  const sided = flights.process({ side: { odd: output<number>() }, onRecord() {} }).named('sided')
  expectType<Equal<ItemOf<typeof sided.side.odd>, number>>()
}

/* Verbs of one's own are generic functions. */
{
  const longest = <T extends { readonly delay: number }>(stream: Stream<T>, keyOf: (value: T) => string): Stream<T> =>
    stream.keyBy(keyOf).reduce((a, b) => (a.delay >= b.delay ? a : b))
  const worst = longest(streamOf<Flight>(), (flight) => flight.origin)
  expectType<Equal<typeof worst, Stream<Flight>>>()
}
