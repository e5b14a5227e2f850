import type { BroadcastStream, KeyedStream, ReadonlyMapState, Stream } from 'sluice'
import { listState, mapState, output, valueState } from 'sluice'
import { type Alert, type Equal, expectType, type Flight, type ItemOf, type Payment, streamOf } from './expect.ts'

interface Rule {
  readonly name: string
  readonly most: number
}

const payments = streamOf<Payment>()
const flights = streamOf<Flight>()
const rules = streamOf<Rule>()

/* rebalance and broadcast */
{
  expectType<Equal<ReturnType<typeof payments.rebalance>, Stream<Payment>>>()
  expectType<Equal<ReturnType<typeof rules.broadcast>, BroadcastStream<Rule>>>()
  const asStream: Stream<Rule> = rules.broadcast()
  // @ts-expect-error a plain stream is not broadcast
  const asBroadcast: BroadcastStream<Rule> = rules
  void [asStream, asBroadcast]
  expectType<Equal<ItemOf<ReturnType<typeof rules.broadcast>>, Rule>>()
}

/* connect of two plain streams: a handler for each, the results of both */
{
  const both = payments.connect(flights).process({
    side: { alerts: output<Alert>() },
    *onLeft(payment, ctx) {
      expectType<Equal<typeof payment, Payment>>()
      expectType<Equal<typeof ctx.timestamp, number | undefined>>()
      yield payment.amount
    },
    onRight(flight, ctx) {
      expectType<Equal<typeof flight, Flight>>()
      ctx.emitTo('alerts', { card: '', from: flight.origin, to: flight.destination })
      return [flight.origin]
    },
  })
  expectType<Equal<ItemOf<typeof both>, number | string>>()
  expectType<Equal<typeof both.side.alerts, Stream<Alert>>>()

  const emitted = payments.connect(flights).process({
    out: output<string>(),
    onLeft: (payment, ctx) => ctx.emit(payment.card),
    onRight: () => {},
  })
  expectType<Equal<ItemOf<typeof emitted>, string>>()

  payments.connect(flights).process({
    // @ts-expect-error the left records are payments
    onLeft: (payment) => [payment.origin],
    onRight: () => {},
  })
  // @ts-expect-error both sides have a handler
  payments.connect(flights).process({ onLeft: (payment) => [payment] })
  payments.connect(flights).process({
    onLeft(_, ctx) {
      // @ts-expect-error there is no state without a key
      ctx.state
      // @ts-expect-error there are no timers without a key
      ctx.timers
      // @ts-expect-error nothing is broadcast
      ctx.broadcast
    },
    onRight: () => {},
  })
  // @ts-expect-error a keyed stream goes with a keyed one
  payments.connect(flights.keyBy((flight) => flight.origin))
}

/* connect of two keyed streams: shared state, keys of one type */
{
  const byCard = payments.keyBy((payment) => payment.card)
  const connected = byCard.connect(flights.keyBy((flight) => flight.origin))
  const met = connected.process({
    state: { last: valueState<Payment>(), seen: listState<string>() },
    onLeft(payment, ctx) {
      expectType<Equal<typeof ctx.key, string>>()
      ctx.state.last.set(payment)
      ctx.timers.eventTime(payment.at)
    },
    *onRight(flight, ctx) {
      const last = ctx.state.last.get()
      expectType<Equal<typeof last, Payment | undefined>>()
      if (last) yield { flight, last }
      // @ts-expect-error the state holds payments
      ctx.state.last.set(flight)
    },
    *onTimer(time, ctx) {
      yield { time, seen: ctx.state.seen.get() }
    },
  })
  expectType<Equal<ItemOf<typeof met>, { flight: Flight; last: Payment } | { time: number; seen: readonly string[] }>>()

  // @ts-expect-error keys of different types never meet
  byCard.connect(flights.keyBy((flight) => flight.delay))
  // @ts-expect-error a tuple is no string
  byCard.connect(flights.keyBy((flight) => [flight.origin]))
  // @ts-expect-error a plain stream has no key: keyBy or broadcast
  byCard.connect(flights)
  connected.process({
    state: { last: valueState<Payment>() },
    // @ts-expect-error there is no state of that name
    onLeft: (_, ctx) => void ctx.state.first,
    onRight: () => {},
  })
}

/* connect with a broadcast stream: one side reads, the other one writes */
{
  const checked = payments.connect(rules.broadcast()).process({
    broadcast: { rules: mapState<string, Rule>() },
    *onLeft(payment, ctx) {
      expectType<Equal<typeof ctx.broadcast.rules, ReadonlyMapState<string, Rule>>>()
      const rule = ctx.broadcast.rules.get(payment.card)
      expectType<Equal<typeof rule, Rule | undefined>>()
      for (const [name, each] of ctx.broadcast.rules.entries()) yield { name, most: each.most }
      // @ts-expect-error the records' side only reads
      ctx.broadcast.rules.set('a', { name: 'a', most: 1 })
      // @ts-expect-error the records' side only reads
      ctx.broadcast.rules.delete('a')
      // @ts-expect-error the records' side only reads
      ctx.broadcast.rules.clear()
      // @ts-expect-error keys are strings
      ctx.broadcast.rules.get(1)
    },
    onRight(rule, ctx) {
      expectType<Equal<typeof rule, Rule>>()
      ctx.broadcast.rules.set(rule.name, rule)
      ctx.broadcast.rules.delete('b')
      // @ts-expect-error the map holds rules
      ctx.broadcast.rules.set(rule.name, rule.most)
      // @ts-expect-error there are no keys to visit
      ctx.forEachKey
    },
  })
  expectType<Equal<ItemOf<typeof checked>, { name: string; most: number }>>()

  payments.connect(rules.broadcast()).process({
    // @ts-expect-error broadcast state is a map
    broadcast: { last: valueState<Rule>() },
    onLeft: () => {},
    onRight: () => {},
  })
}

/* connect of a keyed stream with a broadcast one */
{
  const byCard = payments.keyBy((payment) => payment.card)
  const checked = byCard.connect(rules.broadcast()).process({
    state: { spent: valueState<number>(), places: listState<string>() },
    broadcast: { rules: mapState<string, Rule>(), counts: mapState<number, bigint>() },
    side: { alerts: output<Alert>() },
    *onLeft(payment, ctx) {
      expectType<Equal<typeof ctx.key, string>>()
      ctx.state.spent.set((ctx.state.spent.get() ?? 0) + payment.amount)
      expectType<Equal<typeof ctx.broadcast.counts, ReadonlyMapState<number, bigint>>>()
      yield payment
      // @ts-expect-error all keys are a matter of the broadcast side
      ctx.forEachKey
    },
    *onRight(rule, ctx) {
      ctx.broadcast.rules.set(rule.name, rule)
      ctx.forEachKey('spent', (key, spent) => {
        expectType<Equal<typeof key, string>>()
        const amount = spent.get()
        expectType<Equal<typeof amount, number | undefined>>()
        spent.clear()
      })
      ctx.forEachKey('places', (_, places) => places.add('here'))
      // @ts-expect-error there is no state of that name
      ctx.forEachKey('rules', () => {})
      // @ts-expect-error a broadcast record has no key
      ctx.key
      // @ts-expect-error and no state of a key
      ctx.state
      // @ts-expect-error and no timers
      ctx.timers
      yield rule.name
    },
    *onTimer(time, ctx) {
      expectType<Equal<typeof ctx.broadcast.rules, ReadonlyMapState<string, Rule>>>()
      yield time
    },
  })
  expectType<Equal<ItemOf<typeof checked>, Payment | string | number>>()
  expectType<Equal<typeof checked.side.alerts, Stream<Alert>>>()
}

/* intervalJoin: the results, and what was late on each side */
{
  const byCard = payments.keyBy((payment) => payment.card)
  const byOrigin = flights.keyBy((flight) => flight.origin)
  const joined = byCard.intervalJoin(byOrigin, { lower: '-5m', upper: '1h' }, (payment, flight) => ({
    card: payment.card,
    to: flight.destination,
  }))
  expectType<Equal<ItemOf<typeof joined>, { card: string; to: string }>>()
  expectType<Equal<typeof joined.lateLeft, Stream<Payment>>>()
  expectType<Equal<typeof joined.lateRight, Stream<Flight>>>()
  byCard.intervalJoin(byOrigin, { lower: -1, upper: 0 }, () => 1)
  expectType<Equal<typeof byCard, KeyedStream<string, Payment>>>()

  const byDelay = flights.keyBy((flight) => flight.delay)
  // @ts-expect-error keys of different types never meet
  byCard.intervalJoin(byDelay, { lower: 0, upper: 0 }, () => 1)
  // @ts-expect-error not a duration
  byCard.intervalJoin(byOrigin, { lower: '-5 minutes', upper: 0 }, () => 1)
  // @ts-expect-error both bounds are needed
  byCard.intervalJoin(byOrigin, { upper: 0 }, () => 1)
  // @ts-expect-error a plain stream has no key
  byCard.intervalJoin(flights, { lower: 0, upper: 0 }, () => 1)
  // @ts-expect-error the right records are flights
  byCard.intervalJoin(byOrigin, { lower: 0, upper: 0 }, (_, flight) => flight.card)
}
