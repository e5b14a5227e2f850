import { type InputShape, lengthOf, MAX_OUT_OF_ORDER, type Measure, recordOf, type StreamName } from './records.ts'

/*
 * What outputs of the campaign's job must hold, computed by plain loops over its input and nothing of the engine. Outputs that are not here are compared
 * with those of an undisturbed run.
 */

const MINUTE = 60_000
const ALLOWED_LATENESS = 10_000
const PAIR_WITHIN = 3_000

/** Lines by output. */
export function modelOutputs(input: InputShape): ReadonlyMap<string, readonly string[]> {
  const [measures, orders, payments] = [recordsOf('measures', input), recordsOf('orders', input), recordsOf('payments', input)]
  const exact = input.bound === 'exact' ? Object.entries({ distinct: distinct(measures), lists: lists(measures) }) : []
  const always = Object.entries({
    ...tumbling(measures, input),
    reduced: reduced(measures),
    called: called(measures),
    joined: pairs(orders, payments, isNear).map(([order, payment]) => ({
      ...ids(order, payment),
      amount: order.amount + payment.amount,
    })),
    'joined-late': [],
    'joined-late-right': [],
    'window-joined': pairs(orders, payments, isOfOneWindow).map(([order, payment]) => ids(order, payment)),
    connected: connected(orders, payments),
  })
  return new Map([...always, ...exact].map(([output, results]) => [output, results.map((each) => JSON.stringify(each))]))
}

function recordsOf(stream: StreamName, input: InputShape): readonly Measure[] {
  return Array.from({ length: lengthOf(stream, input) }, (_, i) => recordOf(stream, input, i))
}

interface MinuteWindow {
  readonly key: string
  readonly window: { readonly start: number; readonly end: number }
  value: { readonly records: number; readonly amount: number; readonly last: readonly number[] }
  fired: boolean
}

function tumbling(records: readonly Measure[], { bound }: InputShape): Readonly<Record<string, readonly object[]>> {
  const lateness = bound === 'tight' ? ALLOWED_LATENESS : 0
  const windows = new Map<string, MinuteWindow>()
  const [results, late]: [object[], object[]] = [[], []]
  let watermark = Number.NEGATIVE_INFINITY
  const fireDue = (): void => {
    for (const each of windows.values()) {
      if (each.fired || each.window.end - 1 > watermark) continue
      each.fired = true
      results.push(resultOf(each))
    }
  }
  for (const record of records) {
    const start = Math.floor(record.at / MINUTE) * MINUTE
    if (start + MINUTE - 1 + lateness <= watermark) late.push(record)
    else {
      const changed = addToWindow(windows, record, start)
      // A record behind the end of its window, which is still kept, fires its key again.
      if (changed.fired) results.push(resultOf(changed))
    }
    watermark = Math.max(watermark, record.at - MAX_OUT_OF_ORDER[bound] - 1)
    fireDue()
  }
  watermark = Number.POSITIVE_INFINITY
  fireDue()
  return { tumbling: results, 'tumbling-late': late }
}

function addToWindow(windows: Map<string, MinuteWindow>, { user, id, amount }: Measure, start: number): MinuteWindow {
  const name = `${user} ${start}`
  const nothing = { records: 0, amount: 0, last: [] }
  const found = windows.get(name) ?? { key: user, window: { start, end: start + MINUTE }, value: nothing, fired: false }
  const { value } = found
  found.value = { records: value.records + 1, amount: value.amount + amount, last: [...value.last.slice(-2), id] }
  windows.set(name, found)
  return found
}

function resultOf({ key, window, value }: MinuteWindow): object {
  return { key, window, value }
}

function reduced(records: readonly Measure[]): readonly object[] {
  const sums = new Map<string, number>()
  return records.map((record) => {
    const before = sums.get(record.user)
    sums.set(record.user, (before ?? 0) + record.amount)
    return before === undefined ? record : { ...record, amount: before + record.amount, text: '' }
  })
}

function called(records: readonly Measure[]): readonly object[] {
  const sums = new Map<string, number>()
  return records
    .filter(({ id }) => id % 3 === 0)
    .map(({ user, id, amount }) => {
      sums.set(user, (sums.get(user) ?? 0) + amount)
      return { user, id, amount: sums.get(user) }
    })
}

function distinct(records: readonly Measure[]): readonly object[] {
  const seen = new Set<string>()
  return records.filter(({ user, kind }) => seen.size < seen.add(`${user} ${kind}`).size)
}

function lists(records: readonly Measure[]): readonly object[] {
  const [size, slide] = [40_000, 20_000]
  const windows = new Map<string, { key: string; start: number; ids: number[] }>()
  for (const { user: key, id, at } of records) {
    const last = Math.floor(at / slide) * slide
    for (let start = last; start > at - size; start -= slide) {
      const window = windows.get(`${key} ${start}`) ?? { key, start, ids: [] }
      window.ids.push(id)
      windows.set(`${key} ${start}`, window)
    }
  }
  return [...windows.values()]
}

function connected(orders: readonly Measure[], payments: readonly Measure[]): readonly object[] {
  const minutes = new Map<string, { key: string; minute: number; ordered: number; paid: number }>()
  const add = ({ user: key, at }: Measure, ordered: number, paid: number): void => {
    const minute = Math.floor(at / MINUTE)
    const before = minutes.get(`${key} ${minute}`) ?? { key, minute, ordered: 0, paid: 0 }
    minutes.set(`${key} ${minute}`, { ...before, ordered: before.ordered + ordered, paid: before.paid + paid })
  }
  for (const order of orders) add(order, order.amount, 0)
  for (const payment of payments) add(payment, 0, payment.amount)
  return [...minutes.values()]
}

/** All pairs of one user that fit together. */
function pairs(
  orders: readonly Measure[],
  payments: readonly Measure[],
  belong: (order: Measure, payment: Measure) => boolean,
): readonly (readonly [Measure, Measure])[] {
  const byUser = Map.groupBy(payments, ({ user }) => user)
  return orders.flatMap((order) =>
    (byUser.get(order.user) ?? []).filter((payment) => belong(order, payment)).map((payment) => [order, payment] as const),
  )
}

function isNear(order: Measure, payment: Measure): boolean {
  return payment.at >= order.at && payment.at <= order.at + PAIR_WITHIN
}

function isOfOneWindow(order: Measure, payment: Measure): boolean {
  return Math.floor(order.at / 5_000) === Math.floor(payment.at / 5_000)
}

function ids(order: Measure, payment: Measure): object {
  return { order: order.id, payment: payment.id }
}
