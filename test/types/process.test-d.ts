import type { FoldState, KeyedProcessContext, ListState, MapState, ProcessContext, Stream, Timers, ValueState } from 'sluice'
import { aggregatingState, listState, mapState, output, reducingState, valueState, writeJsonLines } from 'sluice'
import { type Alert, type Equal, expectType, type ItemOf, type Payment, streamOf } from './expect.ts'

const payments = streamOf<Payment>()
const byCard = payments.keyBy((payment) => payment.card)

/* What is yielded or returned is the type of the stream. */
{
  const generated = payments.process({
    *onRecord(payment) {
      yield { card: payment.card, cents: payment.amount * 100 }
    },
  })
  expectType<Equal<ItemOf<typeof generated>, { card: string; cents: number }>>()
  const returned = payments.process({ onRecord: (payment) => [payment.amount] })
  expectType<Equal<ItemOf<typeof returned>, number>>()
  const sometimes = payments.process({
    onRecord(payment) {
      if (payment.amount > 0) return [payment.card]
    },
  })
  expectType<Equal<ItemOf<typeof sometimes>, string>>()
  const either = payments.process({
    *onRecord(payment) {
      if (payment.amount > 0) yield payment.card
      else yield payment.amount
    },
  })
  expectType<Equal<ItemOf<typeof either>, string | number>>()
  const nothing = payments.process({ onRecord() {} })
  expectType<Equal<ItemOf<typeof nothing>, never>>()
  // @ts-expect-error handlers are synchronous
  payments.process({ async onRecord() {} })
  // @ts-expect-error a number cannot be iterated over
  payments.process({ onRecord: (payment) => payment.amount })
  // @ts-expect-error the handler wants more than a payment has
  payments.process({ onRecord: (payment: Payment & { bank: string }) => [payment.bank] })
  // @ts-expect-error a process without a handler
  payments.process({})
  // @ts-expect-error no such handler
  payments.process({ onRecord() {}, onRecrod() {} })
  // @ts-expect-error timers need a key
  payments.process({ onRecord() {}, onTimer() {} })
}

/* What `out` declares is what `ctx.emit` takes. */
{
  const emitted = payments.process({
    out: output<Alert>(),
    onRecord(payment, ctx) {
      ctx.emit({ card: payment.card, from: payment.country, to: payment.country })
      // @ts-expect-error not an alert
      ctx.emit({ card: payment.card })
      // @ts-expect-error not an alert
      ctx.emit(payment.card)
    },
  })
  expectType<Equal<ItemOf<typeof emitted>, Alert>>()
  const both = payments.process({
    out: output<number>(),
    *onRecord(payment, ctx) {
      ctx.emit(payment.amount)
      yield payment.card
    },
  })
  expectType<Equal<ItemOf<typeof both>, string | number>>()
  payments.process({
    onRecord(payment, ctx) {
      // @ts-expect-error nothing says what is emitted
      ctx.emit(payment)
    },
  })
}

/* Side outputs by name */
{
  const checked = payments.process({
    side: { suspicious: output<Alert>(), counted: output<number>() },
    *onRecord(payment, ctx) {
      expectType<Equal<typeof ctx.timestamp, number | undefined>>()
      ctx.emitTo('suspicious', { card: payment.card, from: 'here', to: payment.country })
      ctx.emitTo('counted', payment.amount)
      // @ts-expect-error no output of that name
      ctx.emitTo('suspicius', { card: payment.card, from: 'here', to: payment.country })
      // @ts-expect-error not an alert
      ctx.emitTo('suspicious', payment.amount)
      // @ts-expect-error one output's type is not another's
      ctx.emitTo('counted', { card: payment.card, from: 'here', to: payment.country })
      yield payment
    },
  })
  expectType<Equal<ItemOf<typeof checked>, Payment>>()
  expectType<Equal<typeof checked.side.suspicious, Stream<Alert>>>()
  expectType<Equal<typeof checked.side.counted, Stream<number>>>()
  checked.side.suspicious.to(writeJsonLines('out/alerts'))
  // @ts-expect-error no output of that name
  checked.side.suspicius

  const declaredLast = payments.process({
    onRecord(payment, ctx) {
      ctx.emitTo('odd', payment.amount)
      return [payment.card]
    },
    side: { odd: output<number>() },
  })
  expectType<Equal<ItemOf<typeof declaredLast>, string>>()
  expectType<Equal<ItemOf<typeof declaredLast.side.odd>, number>>()

  const sideless = payments.process({
    onRecord(payment, ctx) {
      // @ts-expect-error there are no side outputs
      ctx.emitTo('odd', payment.amount)
    },
  })
  // @ts-expect-error there are no side outputs
  sideless.side.odd
}

/* A keyed process as the documentation has it */
{
  const checked = byCard.process({
    state: { last: valueState<Payment>() },
    side: { suspicious: output<Alert>() },
    *onRecord(payment, ctx) {
      expectType<Equal<typeof payment, Payment>>()
      expectType<Equal<typeof ctx.key, string>>()
      expectType<Equal<typeof ctx.state.last, ValueState<Payment>>>()
      const last = ctx.state.last.get()
      expectType<Equal<typeof last, Payment | undefined>>()
      if (last && payment.country !== last.country) {
        ctx.emitTo('suspicious', { card: ctx.key, from: last.country, to: payment.country })
      }
      ctx.state.last.set(payment)
      ctx.timers.eventTime(payment.at + 60_000)
      yield { card: ctx.key, amount: payment.amount }
    },
  })
  expectType<Equal<ItemOf<typeof checked>, { card: string; amount: number }>>()
  expectType<Equal<ItemOf<typeof checked.side.suspicious>, Alert>>()
  checked.side.suspicious.to(writeJsonLines('out/alerts'))
}

/* State handles */
{
  byCard.process({
    state: {
      last: valueState<Payment>(),
      seen: listState<number>(),
      countries: mapState<string, number>(),
      total: reducingState((a: number, b: number) => a + b),
      longest: aggregatingState({ create: () => '', add: (text, next: string) => (next.length > text.length ? next : text) }),
      mean: aggregatingState({
        create: () => ({ sum: 0, count: 0 }),
        add: (mean, amount: number) => ({ sum: mean.sum + amount, count: mean.count + 1 }),
        result: (mean) => mean.sum / mean.count,
      }),
    },
    onRecord(payment, { state }) {
      expectType<Equal<typeof state.last, ValueState<Payment>>>()
      expectType<Equal<typeof state.seen, ListState<number>>>()
      expectType<Equal<typeof state.countries, MapState<string, number>>>()
      expectType<Equal<typeof state.total, FoldState<number, number>>>()
      expectType<Equal<typeof state.longest, FoldState<string, string>>>()
      expectType<Equal<typeof state.mean, FoldState<number, number>>>()
      const entries = [...state.countries.entries()]
      expectType<Equal<typeof entries, (readonly [string, number])[]>>()
      state.seen.addAll([payment.amount])
      state.mean.add(payment.amount)
      // @ts-expect-error another type of value
      state.last.set(payment.amount)
      // @ts-expect-error a value is cleared, not set to nothing
      state.last.set(undefined)
      // @ts-expect-error another type of element
      state.seen.add(payment.card)
      // @ts-expect-error the list is not the handler's to change
      state.seen.get().push(1)
      // @ts-expect-error another type of key
      state.countries.get(1)
      // @ts-expect-error a mean is made of numbers
      state.mean.add({ sum: 1, count: 1 })
      // @ts-expect-error no state of that name
      state.first
    },
  })
  byCard.process({
    onRecord(_, ctx) {
      // @ts-expect-error there is no state
      ctx.state.last
    },
  })
  // @ts-expect-error a type is not a declaration
  byCard.process({ state: { last: 0 }, onRecord() {} })
}

/* Timers yield too, and see the same context. */
{
  const both = byCard.process({
    state: { total: reducingState((a: number, b: number) => a + b) },
    *onRecord(payment, ctx) {
      expectType<Equal<typeof ctx.timers, Timers>>()
      ctx.state.total.add(payment.amount)
      yield payment.card
    },
    *onTimer(time, ctx) {
      expectType<Equal<typeof time, number>>()
      expectType<Equal<typeof ctx.key, string>>()
      yield { card: ctx.key, total: ctx.state.total.get() ?? 0 }
    },
  })
  expectType<Equal<ItemOf<typeof both>, string | { card: string; total: number }>>()
  const onlyTimer = byCard.process({
    onRecord(payment, ctx) {
      ctx.timers.processingTime(payment.at)
    },
    *onTimer(time) {
      yield time
    },
  })
  expectType<Equal<ItemOf<typeof onlyTimer>, number>>()
}

/* Handlers may be written elsewhere. */
{
  const onRecord = (payment: Payment, ctx: ProcessContext<Alert, Record<never, never>>) => {
    ctx.emit({ card: payment.card, from: '', to: '' })
  }
  const alerts = payments.process({ out: output<Alert>(), onRecord })
  expectType<Equal<ItemOf<typeof alerts>, Alert>>()
  const state = { last: valueState<Payment>() }
  function* onKeyed(payment: Payment, ctx: KeyedProcessContext<string, never, Record<never, never>, typeof state>) {
    ctx.state.last.set(payment)
    yield payment.amount
  }
  const amounts = byCard.process({ state, onRecord: onKeyed })
  expectType<Equal<ItemOf<typeof amounts>, number>>()
}
