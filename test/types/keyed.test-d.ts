import type { FoldState, KeyedStream, MapState, OperatorListState, StateDeclaration, Stream, ValueState } from 'sluice'
import { aggregatingState, listState, mapState, operatorListState, reducingState, valueState } from 'sluice'
import { type Equal, expectType, type Flight, type ItemOf, streamOf } from './expect.ts'

const flights = streamOf<Flight>()

/* keyBy: a key is compared by value, so only values with one are keys. */
{
  const byOrigin = flights.keyBy((flight) => flight.origin)
  expectType<Equal<typeof byOrigin, KeyedStream<string, Flight>>>()
  flights.keyBy((flight) => flight.delay)
  flights.keyBy((flight) => flight.delay > 0)
  flights.keyBy((flight) => BigInt(flight.delay))
  flights.keyBy((flight) => flight.date)
  flights.keyBy((flight) => [flight.origin, flight.destination])
  flights.keyBy((flight) => [flight.origin, flight.delay, [flight.date]] as const)
  flights.keyBy((flight) => flight.gate ?? 'none')

  const byRoute = flights.keyBy((flight) => [flight.origin, flight.delay]).count()
  expectType<Equal<ItemOf<typeof byRoute>, { key: readonly [string, number]; count: number }>>()

  // @ts-expect-error an object is not a key
  flights.keyBy((flight) => ({ origin: flight.origin }))
  // @ts-expect-error a record is not a key
  flights.keyBy((flight) => flight)
  // @ts-expect-error an object in a tuple is not a key either
  flights.keyBy((flight) => [flight.origin, { to: flight.destination }])
  // @ts-expect-error not every flight has a gate
  flights.keyBy((flight) => flight.gate)
  // @ts-expect-error null is not a key
  flights.keyBy((flight) => flight.gate ?? null)
  // @ts-expect-error undefined is not a key
  flights.keyBy(() => undefined)
  // @ts-expect-error nothing is not a key
  flights.keyBy(() => {})
  // @ts-expect-error a Map is not a key
  flights.keyBy(() => new Map<string, string>())
  // @ts-expect-error a function is not a key
  flights.keyBy((flight) => () => flight.origin)
  // @ts-expect-error a symbol is not a key
  flights.keyBy(() => Symbol('key'))
  // @ts-expect-error a promise is not a key
  flights.keyBy(async (flight) => flight.origin)
  // @ts-expect-error who knows what is a key
  streamOf<unknown>().keyBy((value) => value)
}

/* count */
{
  const counts = flights.keyBy((flight) => flight.origin).count()
  expectType<Equal<typeof counts, Stream<{ key: string; count: number }>>>()
  const literal = streamOf<{ side: 'left' | 'right' }>()
    .keyBy((value) => value.side)
    .count()
  expectType<Equal<ItemOf<typeof literal>, { key: 'left' | 'right'; count: number }>>()
}

/* reduce */
{
  const worst = flights.keyBy((flight) => flight.origin).reduce((a, b) => (a.delay >= b.delay ? a : b))
  expectType<Equal<typeof worst, Stream<Flight>>>()
  const sums = streamOf<number>()
    .keyBy((value) => value % 2)
    .reduce((sum, value) => sum + value)
  expectType<Equal<typeof sums, Stream<number>>>()
  // @ts-expect-error a reduce gives what it takes
  flights.keyBy((flight) => flight.origin).reduce((a, b) => a.delay + b.delay)
}

/* aggregate without `result`: the accumulator */
{
  const byOrigin = flights.keyBy((flight) => flight.origin)
  const totals = byOrigin.aggregate({
    create: () => ({ flights: 0, minutes: 0 }),
    add: (sum, flight) => ({ flights: sum.flights + 1, minutes: sum.minutes + flight.delay }),
  })
  expectType<Equal<typeof totals, Stream<{ flights: number; minutes: number }>>>()
  const minutes = byOrigin.aggregate({ create: () => 0, add: (sum, flight) => sum + flight.delay })
  expectType<Equal<typeof minutes, Stream<number>>>()
  const named = byOrigin.aggregate({
    create: () => new Set<string>(),
    add: (set, flight) => new Set([...set, flight.destination]),
  })
  expectType<Equal<typeof named, Stream<Set<string>>>>()
  // @ts-expect-error an accumulator of another type
  byOrigin.aggregate({ create: () => 0, add: (_, flight) => flight.origin })
  // @ts-expect-error no such property of a record
  byOrigin.aggregate({ create: () => 0, add: (sum, flight) => sum + flight.minutes })
  // @ts-expect-error nothing to begin with
  byOrigin.aggregate({ add: (sum: number, flight) => sum + flight.delay })
}

/* aggregate with `result`: what it returns */
{
  const byOrigin = flights.keyBy((flight) => flight.origin)
  const means = byOrigin.aggregate({
    create: () => ({ flights: 0, minutes: 0 }),
    add: (sum, flight) => ({ flights: sum.flights + 1, minutes: sum.minutes + flight.delay }),
    result: (sum, key) => ({ airport: key, mean: sum.minutes / sum.flights }),
  })
  expectType<Equal<typeof means, Stream<{ airport: string; mean: number }>>>()
  const text = byOrigin.aggregate({ create: () => 0, add: (sum, flight) => sum + flight.delay, result: (sum) => sum.toFixed(1) })
  expectType<Equal<typeof text, Stream<string>>>()
  // The order in which the functions stand does not matter.
  const turned = byOrigin.aggregate({
    result: (sum) => sum.minutes,
    add: (sum, flight) => ({ minutes: sum.minutes + flight.delay }),
    create: () => ({ minutes: 0 }),
  })
  expectType<Equal<typeof turned, Stream<number>>>()
  byOrigin.aggregate({
    create: () => 0,
    add: (sum, flight) => sum + flight.delay,
    // @ts-expect-error the accumulator is a number
    result: (sum) => sum.minutes,
  })
}

/* distinct: the same records */
{
  const firsts = flights.keyBy((flight) => flight.origin).distinct()
  expectType<Equal<typeof firsts, Stream<Flight>>>()
  flights.keyBy((flight) => flight.origin).distinct({ ttl: '1h', ttlTime: 'event' })
  // @ts-expect-error not a duration
  flights.keyBy((flight) => flight.origin).distinct({ ttl: 'an hour' })
  // @ts-expect-error duplicates have no version
  flights.keyBy((flight) => flight.origin).distinct({ version: 2 })
}

/* Options of states: the type of the values comes from the declaration or from migrate. */
{
  const value = valueState<Flight>({ ttl: '1h', ttlTime: 'processing', version: 2, migrate: (old) => old as Flight })
  expectType<Equal<typeof value, StateDeclaration<ValueState<Flight>>>>()
  const inferred = valueState({ version: 2, migrate: (old, version) => Number(old) + version })
  expectType<Equal<typeof inferred, StateDeclaration<ValueState<number>>>>()
  const map = mapState<Date, number>({ ttl: 1000, migrate: (old) => Number(old) })
  expectType<Equal<typeof map, StateDeclaration<MapState<Date, number>>>>()
  const sum = reducingState((a: number, b: number) => a + b, { version: 2, migrate: (old) => Number(old) })
  expectType<Equal<typeof sum, StateDeclaration<FoldState<number, number>>>>()
  const mean = aggregatingState(
    { create: () => ({ n: 0 }), add: (mean, value: number) => ({ n: mean.n + value }), result: (mean) => String(mean.n) },
    { ttl: '5m', migrate: (old) => ({ n: Number(old) }) },
  )
  expectType<Equal<typeof mean, StateDeclaration<FoldState<number, string>>>>()
  // @ts-expect-error migrate makes another type
  listState<number>({ version: 2, migrate: (old) => String(old) })
  // @ts-expect-error the accumulator is an object
  aggregatingState({ create: () => ({ n: 0 }), add: (mean, value: number) => ({ n: mean.n + value }) }, { migrate: () => 0 })
  // @ts-expect-error there is no such clock
  valueState<number>({ ttl: '1h', ttlTime: 'wall' })
  // @ts-expect-error no such option
  valueState<number>({ timeToLive: '1h' })
}

/* The list state of a plain process */
{
  const pairs = flights.process({
    state: { waiting: operatorListState<Flight>({ redistribute: 'split' }) },
    *onRecord(flight, ctx) {
      expectType<Equal<typeof ctx.state.waiting, OperatorListState<Flight>>>()
      ctx.state.waiting.add(flight)
      // @ts-expect-error another type of element
      ctx.state.waiting.add(flight.origin)
      // @ts-expect-error the list is not the handler's to change
      ctx.state.waiting.get().push(flight)
      // @ts-expect-error no state of that name
      ctx.state.missing
      yield ctx.state.waiting.get().length
    },
  })
  expectType<Equal<ItemOf<typeof pairs>, number>>()
  // @ts-expect-error keyed state needs a key
  flights.process({ state: { last: valueState<Flight>() }, onRecord() {} })
  // @ts-expect-error a list of a subtask is no state of a key
  flights.keyBy((flight) => flight.origin).process({ state: { waiting: operatorListState<Flight>() }, onRecord() {} })
}
