import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { asyncSettings } from '../../operators/async/async-options.ts'
import { keyedAsyncMapOperator } from '../../operators/async/keyed-async-map.ts'
import { aggregateOperator } from '../../operators/keyed/aggregate.ts'
import { countOperator } from '../../operators/keyed/count.ts'
import { distinctOperator } from '../../operators/keyed/distinct.ts'
import { intervalJoinOperator } from '../../operators/keyed/interval-join.ts'
import { keyedProcessOperator, type Timers } from '../../operators/keyed/process.ts'
import { reduceOperator } from '../../operators/keyed/reduce.ts'
import type { StateOptions } from '../../operators/keyed/state/declaration.ts'
import type { FoldState, ListState, MapState, ValueState } from '../../operators/keyed/state.ts'
import { aggregatingState, listState, mapState, reducingState, valueState } from '../../operators/keyed/state.ts'
import type { WindowAssigner } from '../../operators/windows/assigners.ts'
import { countWindow, globalWindow, sessionWindow, slidingWindow, tumblingWindow } from '../../operators/windows/assigners.ts'
import type { Trigger } from '../../operators/windows/triggers.ts'
import { defaultTrigger, early, onCount, onProcessingTime, onWatermark } from '../../operators/windows/triggers.ts'
import type { WindowFunction } from '../../operators/windows/window-function.ts'
import { windowJoinFunction } from '../../operators/windows/window-join.ts'
import { windowOperator } from '../../operators/windows/window-operator.ts'
import type { Operator, OperatorContext } from '../../src/core/operator.ts'
import { Bench, Calls } from './async/async-bench.ts'
import { EditWatch, spoil } from './edit-watch.ts'
import { WindowHarness } from './windows/window-harness.ts'

type Create = (context: OperatorContext) => Operator

interface Numbered {
  readonly n: number
}

type Step =
  | { readonly type: 'record'; readonly key: number; readonly n: number; readonly jitterMs: number; readonly second: boolean }
  | { readonly type: 'watermark' | 'clock'; readonly byMs: number }
  | { readonly type: 'restart' }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant('record' as const),
      key: fc.nat(2),
      n: fc.nat(40),
      jitterMs: fc.integer({ min: -15, max: 15 }),
      second: fc.boolean(),
    }),
  },
  { weight: 3, arbitrary: fc.record({ type: fc.constantFrom('watermark' as const, 'clock' as const), byMs: fc.nat(15) }) },
  { weight: 1, arbitrary: fc.constant({ type: 'restart' as const }) },
)

/** An operator whose state is watched. Its receiver changes whatever it gets. */
class Watched {
  readonly watch = new EditWatch()
  readonly harness: WindowHarness
  #timeMs = 20
  #clockMs = 0

  constructor(create: Create, oneSlot = false) {
    this.harness = new WindowHarness((context) => create(this.watch.watch(context)), { receive: spoil, oneSlot })
  }

  run(each: Step, twoSided: boolean): void {
    if (each.type === 'record') {
      const side = twoSided && each.second ? 'second' : 'first'
      this.harness.record(each.key, { n: each.n }, Math.max(this.#timeMs + each.jitterMs, 0), side)
    } else if (each.type === 'watermark') this.harness.watermark((this.#timeMs += each.byMs))
    else if (each.type === 'clock') this.harness.clock((this.#clockMs += each.byMs))
    else this.harness.restart()
    this.watch.settle()
  }

  end(): void {
    this.harness.end()
    this.watch.settle()
  }
}

function saysWhatChanges(create: Create, twoSided = false): void {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), fc.boolean(), (steps, oneSlot) => {
      const watched = new Watched(create, oneSlot)
      for (const each of steps) watched.run(each, twoSided)
      watched.end()
    }),
    { numRuns: 60 },
  )
}

describe('a value counts as changed before it changes', () => {
  const append = (all: number[], { n }: Numbered): number[] => {
    all.push(n)
    return all
  }
  const folds: readonly (readonly [name: string, create: Create])[] = [
    ['count', countOperator()],
    ['aggregate', aggregateOperator<Numbered, number[], number[]>({ create: () => [], add: append }) as Create],
    ['aggregate that keeps records', aggregateOperator({ create: () => [] as unknown[], add: (all, one) => [...all, one] })],
    [
      'reduce',
      reduceOperator<{ n: number }>((sum, value) => {
        sum.n += value.n
        return sum
      }) as Create,
    ],
    ['distinct', distinctOperator({})],
    ['distinct with a ttl', distinctOperator({ ttl: 10 })],
    ['distinct with a ttl by the clock', distinctOperator({ ttl: 10, ttlTime: 'processing' })],
  ]
  test.each(folds)('%s', (_, create) => saysWhatChanges(create))

  test.each<readonly [string, StateOptions<never>]>([
    ['without a ttl', {}],
    ['with a ttl', { ttl: 12 }],
    ['with a ttl by the clock', { ttl: 12, ttlTime: 'processing' }],
  ])('the states of process %s', (_, options) => saysWhatChanges(processing(options)))

  test('an interval join', () => {
    const pair = (left: Numbered, right: Numbered): unknown => ({ left: left.n, right: right.n })
    saysWhatChanges(intervalJoinOperator({ lower: '-10ms', upper: 10 }, pair), true)
  })

  const triggers: readonly (readonly [string, Trigger])[] = [
    ['the watermark', onWatermark()],
    ['the watermark, purged', onWatermark({ purge: true })],
    ['a count', onCount(3, { endOfWindow: 'fire' })],
    ['a count, purged', onCount(3, { endOfWindow: 'ignore', purge: true })],
    ['the clock', onProcessingTime(5)],
    ['the clock, purged', onProcessingTime(5, { purge: true })],
    ['the clock and the watermark', early({ every: 5 })],
  ]
  const assigners: readonly (readonly [string, WindowAssigner])[] = [
    ['tumbling', tumblingWindow(10)],
    ['sliding', slidingWindow(10, 4)],
    ['session', sessionWindow(6)],
    ['tumbling by the clock', tumblingWindow(10, { time: 'processing' })],
    ['sliding by the clock', slidingWindow(10, 4, { time: 'processing' })],
    ['session by the clock', sessionWindow(6, { time: 'processing' })],
  ]
  const windows = assigners.flatMap(([name, assigner]) =>
    triggers.map(([by, trigger]) => [`${name} windows fired by ${by}`, assigner, trigger] as const),
  )
  test.each<readonly [string, WindowAssigner, Trigger]>([
    ...windows,
    ['count windows', countWindow(3), defaultTrigger(countWindow(3))],
    ['global windows', globalWindow(), onCount(4)],
  ])('%s', (_, assigner, trigger) => {
    const latenessMs = 'time' in assigner && assigner.time === 'event' ? 8 : 0
    saysWhatChanges(windowOperator(assigner, trigger, latenessMs, LIST))
    saysWhatChanges(windowOperator(assigner, trigger, 0, { ...LIST, divisible: true }))
    saysWhatChanges(windowOperator(assigner, trigger, latenessMs, JOIN), true)
  })

  test('calls that are under way', () => {
    const calls = fc.array(fc.constantFrom('a', 'b', 'c', 'answer', 'snapshot'), { maxLength: 40, size: 'max' })
    fc.assert(fc.asyncProperty(calls, runCalls), { numRuns: 60 })
  })
})

const EMPTY: unknown[] = []

/** Changes its accumulators, which begin as one and the same, and shows them. */
const LIST: WindowFunction = {
  create: () => EMPTY,
  add(values, value) {
    ;(values as unknown[]).push((value as Numbered).n)
    return values
  },
  merge(earlier, later) {
    ;(earlier as unknown[]).push(...(later as unknown[]))
    return earlier
  },
  divisible: false,
  results: (values) => [{ values }],
}

const JOIN = windowJoinFunction((left: Numbered, right: Numbered) => ({ left: left.n, right: right.n }))

interface States {
  readonly value: ValueState<unknown>
  readonly list: ListState<unknown>
  readonly map: MapState<number, unknown>
  readonly sum: FoldState<unknown, unknown>
  readonly all: FoldState<unknown, unknown>
}

interface Handled {
  readonly state: States
  readonly timers: Timers
  readonly timestamp: number | undefined
}

/** Does something of all that can be done to states, as the record says. */
const ACTIONS: readonly ((state: States, n: number) => void)[] = [
  ({ value }, n) => value.set({ n }),
  ({ list }, n) => list.add({ n }),
  ({ list }, n) => list.addAll([{ n }, { n: n + 1 }]),
  ({ list }, n) => list.set([{ n }]),
  ({ map }, n) => map.set(n % 3, { n }),
  ({ map }, n) => map.delete(n % 3),
  ({ sum }, n) => sum.add({ n }),
  ({ all }, n) => all.add({ n }),
  (state, n) => Object.values(state)[n % 5]!.clear(),
  () => undefined,
]

function look({ value, list, map, sum, all }: States): unknown {
  return [value.get(), list.get(), [...map.entries()], map.size, sum.get(), all.get()]
}

function processing(options: StateOptions<never>): Create {
  return keyedProcessOperator({
    state: {
      value: valueState(options),
      list: listState(options),
      map: mapState(options),
      sum: reducingState((sum: { n: number }, more: { n: number }) => {
        sum.n += more.n
        return sum
      }, options),
      all: aggregatingState(
        {
          create: () => [] as unknown[],
          add(list, one: unknown) {
            list.push(one)
            return list
          },
        },
        options,
      ),
    },
    *onRecord({ n }: Numbered, { state, timers, timestamp }: Handled) {
      ACTIONS[n % ACTIONS.length]!(state, n)
      ACTIONS[(n + 5) % ACTIONS.length]!(state, n)
      if (n % 4 === 0) timers.eventTime(timestamp! + 7)
      if (n % 4 === 1) timers.processingTime(n)
      yield look(state)
    },
    *onTimer(time: number, { state }: Handled) {
      ACTIONS[Math.abs(time) % ACTIONS.length]!(state, time)
      yield look(state)
    },
  })
}

async function runCalls(steps: readonly string[]): Promise<void> {
  const watch = new EditWatch()
  const calls = new Calls()
  const operator = keyedAsyncMapOperator(calls.fn as never, asyncSettings(calls.fn, {}))
  const bench = new Bench({ create: (context) => operator(watch.watch(context)), keyOf: (value) => String(value)[0] })
  for (const [index, each] of steps.entries()) {
    if (each === 'snapshot') bench.snapshot()
    else if (each !== 'answer') bench.record(`${each}${index}`)
    else if (calls.open.length > 0) await calls.answer(calls.open[0]!.value)
    bench.step()
    watch.settle()
  }
}

describe('what only looks does not count as a change', () => {
  function changesOf(create: Create, prepare: (own: WindowHarness) => void, look: (own: WindowHarness) => void): number {
    const { watch, harness } = new Watched(create)
    prepare(harness)
    watch.settle()
    const before = watch.changes
    look(harness)
    return watch.changes - before
  }

  test.each<readonly [string, WindowAssigner, Trigger]>([
    ['tumbling windows', tumblingWindow(10), onWatermark()],
    ['sliding windows', slidingWindow(10, 5), onWatermark()],
    ['tumbling windows with a trigger', tumblingWindow(10), onCount(9, { endOfWindow: 'fire' })],
    ['sliding windows with a trigger', slidingWindow(10, 5), early({ every: 5 })],
    ['sessions', sessionWindow(10), onWatermark()],
  ])('a late record of %s', (_, assigner, trigger) => {
    const prepare = (own: WindowHarness): void => {
      own.record('a', { n: 1 }, 95)
      own.record('a', { n: 1 }, 125)
      own.watermark(100)
    }
    expect(changesOf(windowOperator(assigner, trigger, 0, LIST), prepare, (own) => own.record('a', { n: 2 }, 50))).toBe(0)
  })

  test('a late record of an interval join', () => {
    const join = intervalJoinOperator({ lower: 0, upper: 50 }, () => 0)
    const prepare = (own: WindowHarness): void => {
      own.record('a', { n: 1 }, 95)
      own.watermark(100)
    }
    expect(changesOf(join, prepare, (own) => own.record('a', { n: 2 }, 90, 'second'))).toBe(0)
  })

  test('a partner in an interval join', () => {
    const join = intervalJoinOperator({ lower: 0, upper: 50 }, () => 0)
    const changes = changesOf(
      join,
      (own) => own.record('a', { n: 1 }, 95),
      (own) => own.record('a', { n: 2 }, 97, 'second'),
    )
    // The new record alone, which is stored.
    expect(changes).toBe(1)
  })

  test('a duplicate', () => {
    const first = (own: WindowHarness): unknown => own.record('a', { n: 1 }, 95)
    for (const options of [{}, { ttl: 10 }]) expect(changesOf(distinctOperator(options), first, first)).toBe(0)
  })

  const nothing: readonly (readonly [string, (state: States) => void])[] = [
    ['reading', (state) => look(state)],
    ['deleting what is not in a map', ({ map }) => map.delete(99)],
    ['adding nothing to a list', ({ list }) => list.addAll([])],
  ]
  const ttls: readonly StateOptions<never>[] = [{}, { ttl: 100 }]
  test.each(nothing.flatMap(([name, action]) => ttls.map((options) => [name, action, options] as const)))(
    '%s',
    (_, action, options) => expect(changesOf(withStates(options, action), fill, (own) => own.record('a', { n: 0 }, 95))).toBe(0),
  )

  test('writing what is over already', () => {
    const write = ({ list, map, all }: States): void => {
      list.add({ n: 1 })
      map.set(99, { n: 1 })
      all.get()
    }
    const changes = changesOf(withStates({ ttl: 100 }, write), fill, (own) => {
      own.watermark(150)
      own.record('a', { n: 0 }, 45)
    })
    expect(changes).toBe(0)
  })

  /** A record of more than 0 fills all states, another one does what it is told. */
  function withStates(options: StateOptions<never>, action: (state: States) => void): Create {
    return keyedProcessOperator({
      state: {
        value: valueState(options),
        list: listState(options),
        map: mapState(options),
        sum: reducingState((sum: number, more: number) => sum + more, options),
        all: aggregatingState({ create: () => 0, add: (sum, more: number) => sum + more }, options),
      },
      onRecord({ n }: Numbered, { state }: Handled) {
        if (n === 0) return action(state)
        state.value.set(n)
        state.list.add(n)
        state.map.set(n, n)
        state.sum.add(n)
        state.all.add(n)
      },
    })
  }

  function fill(own: WindowHarness): void {
    own.record('a', { n: 1 }, 90)
    own.record('a', { n: 2 }, 95)
  }
})
