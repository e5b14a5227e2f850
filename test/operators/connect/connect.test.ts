import { items, job, output, valueState, writeJsonLines } from 'sluice'
import { describe, expect, test } from 'vitest'
import type { Stream } from '../../../src/dsl/stream.ts'
import type { Item } from '../../../src/testing/index.ts'
import {
  checkOperator,
  end,
  processingTime,
  record,
  runOperator,
  second,
  testDriver,
  watermark,
} from '../../../src/testing/index.ts'

describe('connect of two plain streams', () => {
  test('gives each side its handler, and both one context and one set of outputs', async () => {
    const { outcomes } = await checkOperator(
      (numbers: Stream<number>, words: Stream<string>) => {
        const both = numbers.connect(words).process({
          out: output<string>(),
          side: { odd: output<number>() },
          *onLeft(n, ctx) {
            if (n % 2 === 1) ctx.emitTo('odd', n)
            else yield n
            ctx.emit(`left at ${ctx.timestamp}`)
          },
          onRight(word, ctx) {
            ctx.emit(`right at ${ctx.timestamp}, ${ctx.watermark}`)
            return [word, word]
          },
        })
        return { main: both, odd: both.side.odd }
      },
      [record(1, 10), second('one', 20), watermark(15), record(2), second('two', 30), end()],
    )
    expect(outcomes).toEqual([
      { output: 'odd', value: 1, timestamp: 10 },
      { output: 'main', value: 'left at 10', timestamp: 10 },
      { output: 'main', value: 'right at 20, -Infinity', timestamp: 20 },
      { output: 'main', value: 'one', timestamp: 20 },
      { output: 'main', value: 'one', timestamp: 20 },
      { watermark: 15 },
      { output: 'main', value: 2, timestamp: undefined },
      { output: 'main', value: 'left at undefined', timestamp: undefined },
      { output: 'main', value: 'right at 30, 15', timestamp: 30 },
      { output: 'main', value: 'two', timestamp: 30 },
      { output: 'main', value: 'two', timestamp: 30 },
      { watermark: Number.POSITIVE_INFINITY },
    ])
  })

  test('opens and closes once, with the handlers as methods of their object', async () => {
    const calls: string[] = []
    const handlers = {
      name: 'handlers',
      open() {
        calls.push(`open ${this.name}`)
      },
      onLeft() {
        calls.push(`left ${this.name}`)
      },
      onRight() {
        calls.push(`right ${this.name}`)
      },
      close() {
        calls.push(`close ${this.name}`)
      },
    }
    const closing = job('closing')
    const [numbers, words] = [items([1]), items(['a'])]
    closing.from(numbers).connect(closing.from(words)).process(handlers)
    const driver = testDriver(closing)
    driver.send(1, { to: numbers })
    driver.send('a', { to: words })
    driver.crashAndRestore()
    expect(calls).toEqual([
      'open handlers',
      'left handlers',
      'right handlers',
      'close handlers',
      'open handlers',
      'left handlers',
      'right handlers',
    ])
  })

  test('blames the operator for what a handler throws', async () => {
    const broken = (left: Stream<number>, right: Stream<number>) =>
      left.connect(right).process({
        onLeft: () => {},
        onRight() {
          throw new RangeError('no')
        },
      })
    await expect(runOperator(broken, [record(1), second(1)])).rejects.toMatchObject({
      code: 'OPERATOR_FAILED',
      operator: 'connect-1',
    })
  })
})

interface Order {
  readonly id: string
  readonly cents: number
}

interface Payment {
  readonly order: string
  readonly paid: number
}

/** Pays orders off, whichever of order and payment comes first; what stays open for 10 ms of event time goes to a side output. */
function settle(orders: Stream<Order>, payments: Stream<Payment>) {
  const settled = orders
    .keyBy((order) => order.id)
    .connect(payments.keyBy((payment) => payment.order))
    .process({
      state: { open: valueState<number>() },
      side: { unpaid: output<{ order: string; open: number }>() },
      *onLeft(order, ctx) {
        const open = (ctx.state.open.get() ?? 0) + order.cents
        if (open === 0) {
          ctx.state.open.clear()
          yield ctx.key
        } else {
          ctx.state.open.set(open)
          ctx.timers.eventTime(ctx.timestamp! + 10)
        }
      },
      *onRight(payment, ctx) {
        const open = (ctx.state.open.get() ?? 0) - payment.paid
        if (open === 0) {
          ctx.state.open.clear()
          yield ctx.key
        } else ctx.state.open.set(open)
      },
      onTimer(time, ctx) {
        const open = ctx.state.open.get()
        if (open !== undefined) ctx.emitTo('unpaid', { order: `${ctx.key} at ${time}`, open })
        ctx.state.open.clear()
      },
    })
  return { main: settled, unpaid: settled.side.unpaid }
}

const order = (id: string, cents: number, at: number): Item => record({ id, cents }, at)
const payment = (id: string, paid: number, at: number): Item => second({ order: id, paid }, at)

describe('connect of two keyed streams', () => {
  test('shares state and timers of equal keys between both sides, through saves and restores', async () => {
    const happenings = [
      order('a', 100, 1),
      payment('b', 50, 2),
      payment('a', 60, 3),
      order('b', 50, 4),
      payment('a', 40, 5),
      order('c', 70, 6),
      payment('c', 30, 7),
      watermark(11),
      watermark(15),
      watermark(16),
      end(),
    ]
    const { outcomes } = await checkOperator(settle, happenings, { emptyAtEnd: true })
    expect(outcomes).toEqual([
      { output: 'main', value: 'b', timestamp: 4 },
      { output: 'main', value: 'a', timestamp: 5 },
      { watermark: 11 },
      { watermark: 15 },
      { output: 'unpaid', value: { order: 'c at 16', open: 40 }, timestamp: 16 },
      { watermark: 16 },
      { watermark: Number.POSITIVE_INFINITY },
    ])
  })

  test('fires timers of the clock, too', async () => {
    const { outcomes } = await checkOperator(
      (left: Stream<string>, right: Stream<string>) =>
        left
          .keyBy((word) => word)
          .connect(right.keyBy((word) => word))
          .process({
            onLeft: () => {},
            onRight: (_, ctx) => ctx.timers.processingTime(50),
            onTimer: (time, ctx) => [`${ctx.key} ${time}`],
          }),
      [record('a'), second('a'), second('b'), processingTime(49), processingTime(50)],
    )
    expect(outcomes.map((outcome) => 'value' in outcome && outcome.value).sort()).toEqual(['a 50', 'b 50'])
  })

  test('brings equal keys of both sides together at any parallelism, before and after a change of it', async () => {
    const scaled = job('scaled')
    const [orders, payments] = [items<Order>([]), items<Payment>([])]
    const out = writeJsonLines<string>('out')
    const timedOrders = scaled.from(orders).withTimestamps(() => 0)
    const timedPayments = scaled.from(payments).withTimestamps(() => 0)
    settle(timedOrders, timedPayments).main.to(out)
    const driver = testDriver(scaled, { parallelism: 3, watermarks: 'manual' })
    const ids = Array.from({ length: 30 }, (_, index) => `order ${index}`)
    const pay = (): void =>
      driver.sendAll(
        ids.map((id) => ({ order: id, paid: 10 })),
        { to: payments },
      )
    driver.sendAll(
      ids.map((id) => ({ id, cents: 30 })),
      { to: orders },
    )
    pay()
    await driver.checkpoint()
    driver.crashAndRestore({ parallelism: 2 })
    pay()
    expect(driver.output(out)).toEqual([])
    await driver.checkpoint()
    driver.crashAndRestore({ parallelism: 5 })
    pay()
    expect([...driver.output<string>(out)].sort()).toEqual([...ids].sort())
    driver.finish()
    expect(await driver.stateSize()).toEqual({ entries: 0, timers: 0 })
  })
})

describe('connect refuses', () => {
  const plain = (name = 'one') => job(name).from(items([1]))
  const keyed = (name = 'one') => plain(name).keyBy((n) => n)

  test.each([
    ['plain streams of two jobs', () => plain('one').connect(plain('two')), /same job/],
    ['keyed streams of two jobs', () => keyed('one').connect(keyed('two')), /same job/],
    ['broadcast streams of two jobs', () => keyed('one').connect(plain('two').broadcast()), /same job/],
    ['a plain stream beside a keyed one', () => keyed().connect(plain() as unknown as ReturnType<typeof keyed>), /without a key/],
    ['a keyed stream beside a plain one', () => plain().connect(keyed() as unknown as ReturnType<typeof plain>), /takes a plain/],
  ])('%s', (_, build, message) => {
    expect(build).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringMatching(message), hint: expect.any(String) }),
    )
  })
})

describe('rebalance', () => {
  test('deals records to all subtasks in turn', () => {
    const dealt = job('dealt')
    const out = writeJsonLines<{ n: number; subtask: number }>('out')
    dealt
      .from(items<number>([]))
      .rebalance()
      .map((n, { subtask }) => ({ n, subtask }))
      .to(out)
    const driver = testDriver(dealt, { parallelism: 3 })
    driver.sendAll([0, 1, 2, 3, 4, 5], { subtask: 0 })
    const found = [...driver.output(out)].sort((a, b) => a.n - b.n)
    expect(found.map(({ subtask }) => subtask)).toEqual([0, 1, 2, 0, 1, 2])
  })
})
