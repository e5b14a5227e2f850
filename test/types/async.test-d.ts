import type { AsyncContext, KeyedAsyncContext } from 'sluice'
import { type Equal, expectType, type ItemOf, type Payment, streamOf } from './expect.ts'

const payments = streamOf<Payment>()
const byCard = payments.keyBy((payment) => payment.card)

/* The result of the promise, or of the function itself, is the type of the stream. */
{
  const looked = payments.asyncMap(async (payment) => ({ card: payment.card, risk: 1 }))
  expectType<Equal<ItemOf<typeof looked>, { card: string; risk: number }>>()
  const known = payments.asyncMap((payment) => payment.amount)
  expectType<Equal<ItemOf<typeof known>, number>>()
  const cache = new Map<string, number>()
  const either = payments.asyncMap((payment) => cache.get(payment.card) ?? Promise.resolve(1))
  expectType<Equal<ItemOf<typeof either>, number>>()
  const explicit = payments.asyncMap<string | undefined>(async (payment) => payment.country, { onTimeout: () => undefined })
  expectType<Equal<ItemOf<typeof explicit>, string | undefined>>()
  const supplied = payments.asyncMap(async (payment) => payment.country, { onTimeout: (payment) => payment.amount })
  expectType<Equal<ItemOf<typeof supplied>, string | number>>()
  payments.asyncMap(async (_, context) => {
    expectType<Equal<typeof context, AsyncContext>>()
    expectType<Equal<typeof context.timestamp, number | undefined>>()
    expectType<Equal<typeof context.signal, AbortSignal>>()
    // @ts-expect-error there is no key
    context.key
  })
  payments.asyncMap(async () => 1, {
    concurrency: 10,
    ordered: false,
    timeout: 'none',
    retry: { attempts: 3, delay: '1s', factor: 1, maxDelay: 5_000, if: (error) => error instanceof TypeError },
  })
  // @ts-expect-error not a duration
  payments.asyncMap(async () => 1, { timeout: 'never' })
  // @ts-expect-error a retry says how often
  payments.asyncMap(async () => 1, { retry: { delay: '1s' } })
  // @ts-expect-error the function wants more than a payment has
  payments.asyncMap(async (payment: Payment & { bank: string }) => payment.bank)
}

/* With a key, records have an order for each key, so there is no `ordered`. */
{
  const keyed = byCard.asyncMap(async (payment, context) => {
    expectType<Equal<typeof context, KeyedAsyncContext<string>>>()
    return [context.key, payment.amount] as const
  })
  expectType<Equal<ItemOf<typeof keyed>, readonly [string, number]>>()
  byCard.asyncMap(async () => 1, { concurrency: 5, onTimeout: (payment, context) => context.key.length + payment.amount })
  // @ts-expect-error the order is that of each key
  byCard.asyncMap(async () => 1, { ordered: false })
}

interface Circle {
  readonly kind: 'circle'
  readonly radius: number
}
interface Square {
  readonly kind: 'square'
  readonly side: number
}
interface Line {
  readonly kind: 'line'
}
type Shape = Circle | Square | Line

const shapes = streamOf<Shape>()
const isCircle = (shape: Shape): shape is Circle => shape.kind === 'circle'

/* A stream for each branch; type guards narrow theirs, and are no part of the rest. */
{
  const { large, small, rest } = payments.split({ large: (payment) => payment.amount > 100, small: ({ amount }) => amount < 1 })
  expectType<Equal<ItemOf<typeof large>, Payment>>()
  expectType<Equal<ItemOf<typeof small>, Payment>>()
  expectType<Equal<ItemOf<typeof rest>, Payment>>()
  const branches = shapes.split({ circles: isCircle, squares: (shape): shape is Square => shape.kind === 'square' })
  expectType<Equal<ItemOf<typeof branches.circles>, Circle>>()
  expectType<Equal<ItemOf<typeof branches.squares>, Square>>()
  expectType<Equal<ItemOf<typeof branches.rest>, Line>>()
  const mixed = shapes.split({ circles: isCircle, late: (_, context) => context.watermark > 5 })
  expectType<Equal<ItemOf<typeof mixed.late>, Shape>>()
  expectType<Equal<ItemOf<typeof mixed.rest>, Square | Line>>()
  // @ts-expect-error there is no such branch
  branches.triangles
  // @ts-expect-error a promise is always true
  payments.split({ asked: async (payment) => payment.amount > 100 })
  // @ts-expect-error 'rest' is what no branch accepts
  payments.split({ rest: (payment) => payment.amount > 100 })
  // @ts-expect-error not a function
  payments.split({ large: 100 })
  // @ts-expect-error the predicate wants more than a payment has
  payments.split({ banked: (payment: Payment & { bank: string }) => payment.bank === '' })
}
