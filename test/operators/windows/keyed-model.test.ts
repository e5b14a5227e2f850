import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { WindowAssigner, WindowTime } from '../../../operators/windows/assigners.ts'
import { countWindow, globalWindow, sessionWindow, slidingWindow, tumblingWindow } from '../../../operators/windows/assigners.ts'
import { KeyedWindowOperator } from '../../../operators/windows/keyed-window-operator.ts'
import type { Trigger } from '../../../operators/windows/triggers.ts'
import { defaultTrigger, early, onCount, onProcessingTime, onWatermark } from '../../../operators/windows/triggers.ts'
import type { WindowFunction } from '../../../operators/windows/window-function.ts'
import { canonicalKey, keyGroupOf, subtaskOfGroup } from '../../../src/core/key-groups.ts'
import type { Key } from '../../../src/core/keyed-state.ts'
import type { Operator, OperatorContext } from '../../../src/core/operator.ts'
import type { FiredWindow } from './keyed-model.ts'
import { KeyedModel } from './keyed-model.ts'
import type { Emitted } from './window-harness.ts'
import { WindowHarness } from './window-harness.ts'

/*
 * Every kind of window with every trigger against a model that goes through time step by step. Values are numbers in the order of arrival, so a
 * list of them tells what is missing, what counts twice, and in which order it came.
 */

interface Shown {
  readonly key: Key
  readonly start: number
  readonly end: number
  readonly values: number[]
}

/** Changes its accumulators and shows them. */
const LIST: WindowFunction = {
  create: () => [],
  add(values, value) {
    ;(values as unknown[]).push(value)
    return values
  },
  merge(a, b) {
    ;(a as unknown[]).push(...(b as unknown[]))
    return a
  },
  divisible: false,
  results: (values, key, { start, end }) => [{ key, start, end, values }],
}

/** A receiver that treats what it is given as its own. */
function spoil(value: unknown): void {
  const shown = value as { key: Key; values: number[] }
  shown.values.fill(-1)
  shown.values.push(-2)
  if (Array.isArray(shown.key)) (shown.key as Key[]).length = 0
}

type Step =
  | { readonly type: 'record'; readonly key: Key; readonly jitterMs: number }
  | { readonly type: 'watermark'; readonly byMs: number }
  | { readonly type: 'clock'; readonly byMs: number }
  | { readonly type: 'restart' }

interface Case {
  readonly assigner: WindowAssigner
  readonly trigger: Trigger
  readonly latenessMs: number
  /** How far the watermark is behind the time around which records come. */
  readonly delayMs: number
  readonly oneSlot: boolean
  readonly restartAlways: boolean
  readonly steps: readonly Step[]
}

const KEYS: readonly Key[] = ['a', 'b', 7, '7', ['t', 1], 'user-2']

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant('record' as const),
      // Often the same key: what matters happens among the records of one.
      key: fc.oneof(fc.constant('a'), fc.constantFrom(...KEYS)),
      jitterMs: fc.integer({ min: -50, max: 15 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('watermark' as const), byMs: fc.integer({ min: 0, max: 15 }) }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('clock' as const), byMs: fc.integer({ min: 0, max: 12 }) }) },
  { weight: 1, arbitrary: fc.constant({ type: 'restart' as const }) },
)

const anyTime: fc.Arbitrary<WindowTime> = fc.constantFrom('event', 'event', 'processing')

const anyAssigner: fc.Arbitrary<WindowAssigner> = fc.oneof(
  fc
    .record({ size: fc.integer({ min: 1, max: 15 }), offset: fc.double({ min: -0.99, max: 0.99, noNaN: true }), time: anyTime })
    .map(({ size, offset, time }) => tumblingWindow(size, { time, offset: Math.trunc(size * offset) })),
  fc
    .record({ size: fc.integer({ min: 1, max: 15 }), part: fc.double({ min: 0.1, max: 1, noNaN: true }), time: anyTime })
    .map(({ size, part, time }) => slidingWindow(size, Math.ceil(size * part), { time })),
  // The only ones that grow together, so they are tried more often.
  {
    weight: 4,
    arbitrary: fc
      .record({ gap: fc.integer({ min: 1, max: 12 }), time: anyTime })
      .map(({ gap, time }) => sessionWindow(gap, { time })),
  },
  fc.integer({ min: 1, max: 5 }).map((count) => countWindow(count)),
  fc.constant(globalWindow()),
)

const anyTrigger: fc.Arbitrary<Trigger> = fc.boolean().chain((purge) =>
  fc.oneof(
    fc.constant(onWatermark({ purge })),
    fc
      .record({ count: fc.integer({ min: 1, max: 5 }), endOfWindow: fc.constantFrom('fire' as const, 'ignore' as const) })
      .map(({ count, endOfWindow }) => onCount(count, { endOfWindow, purge })),
    fc.integer({ min: 1, max: 15 }).map((every) => onProcessingTime(every, { purge })),
    fc.integer({ min: 1, max: 15 }).map((every) => early({ every, purge })),
  ),
)

const anyCase: fc.Arbitrary<Case> = anyAssigner.chain((assigner) =>
  fc.record({
    assigner: fc.constant(assigner),
    trigger: assigner.kind === 'count' ? fc.constant(defaultTrigger(assigner)) : anyTrigger,
    latenessMs:
      'time' in assigner && assigner.time === 'event'
        ? fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 40 }))
        : fc.constant(0),
    delayMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 60 })),
    oneSlot: fc.boolean(),
    restartAlways: fc.boolean(),
    steps: fc.array(anyStep, { maxLength: 60, size: 'max' }),
  }),
)

function keyed({ assigner, trigger, latenessMs }: Case): (context: OperatorContext) => Operator {
  return (context) => new KeyedWindowOperator(context, assigner, trigger, latenessMs, LIST)
}

const FIRST_MS = 100

/** A model for each key; the watermark of a key is the largest that its subtask has had. */
class Models {
  readonly keys = new Map<unknown, { readonly key: Key; readonly model: KeyedModel<number> }>()
  nowMs = FIRST_MS

  constructor(all: Case) {
    for (const key of KEYS) {
      const model = new KeyedModel<number>(all.assigner, all.trigger, all.latenessMs, this.nowMs)
      this.keys.set(canonicalKey(key), { key, model })
    }
  }

  of(key: Key): KeyedModel<number> {
    return this.keys.get(canonicalKey(key))!.model
  }

  /** What all keys give, as the operator shows it. */
  each(act: (model: KeyedModel<number>, key: Key) => readonly FiredWindow<number>[]): readonly Emitted<Shown>[] {
    return [...this.keys.values()].flatMap(({ key, model }) => this.shown(key, act(model, key)))
  }

  shown(key: Key, fired: readonly FiredWindow<number>[]): Emitted<Shown>[] {
    return fired.map(({ start, end, values }) => ({
      value: { key, start, end, values: [...values] },
      timestamp: end === Number.POSITIVE_INFINITY ? Number.NaN : end - 1,
    }))
  }
}

/** What came out for each key; the order between keys is the business of the timers. */
function byKey(emitted: readonly Emitted<Shown>[]): Map<unknown, Emitted<Shown>[]> {
  const keys = new Map<unknown, Emitted<Shown>[]>()
  for (const each of emitted) {
    const key = canonicalKey(each.value.key)
    keys.set(key, [...(keys.get(key) ?? []), each])
  }
  return new Map([...keys].sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)))
}

describe('windows key by key', () => {
  test('give what the model gives, step by step, with restarts anywhere and room for one result', () => {
    fc.assert(
      fc.property(anyCase, (all) => {
        const harness = new WindowHarness<Shown>(keyed(all), { oneSlot: all.oneSlot, receive: spoil })
        const models = new Models(all)
        harness.nowMs = models.nowMs
        let latest = FIRST_MS
        let value = 0
        for (const step of all.steps) {
          if (all.restartAlways || step.type === 'restart') harness.restart()
          if (step.type === 'record') {
            const time = latest + step.jitterMs
            const fired = models.of(step.key).record(value, time)
            expect(harness.record(step.key, value, time)).toEqual(models.shown(step.key, fired))
            value++
          } else if (step.type === 'watermark') {
            latest += step.byMs
            const watermark = latest - all.delayMs
            const emitted = harness.watermark(watermark)
            expect(byKey(emitted)).toEqual(byKey(models.each((model) => model.onWatermark(watermark))))
            const times = emitted.map(({ timestamp }) => timestamp)
            expect(times).toEqual(times.toSorted((a, b) => a - b))
          } else if (step.type === 'clock') {
            models.nowMs += step.byMs
            expect(byKey(harness.clock(models.nowMs))).toEqual(byKey(models.each((model) => model.onClock(models.nowMs))))
          }
        }
        if (all.restartAlways) harness.restart()
        expect(byKey(harness.end())).toEqual(byKey(models.each((model) => model.onWatermark(Number.POSITIVE_INFINITY))))
        const late = [...models.keys.values()].flatMap(({ model }) => model.late)
        expect(harness.late()).toEqual(late.sort((a, b) => a - b))
        expect(harness.isEmpty).toBe(true)
      }),
      { numRuns: 1000 },
    )
  })

  test('know what each key group has seen when subtasks that stood at different watermarks become one', () => {
    fc.assert(
      fc.property(anyCase, fc.nat(60), fc.integer({ min: 0, max: 40 }), (all, cut, aheadMs) => {
        const former = [0, 1].map(
          (subtask) => new WindowHarness<Shown>(keyed(all), { subtask, parallelism: 2, oneSlot: all.oneSlot }),
        )
        const models = new Models(all)
        const subtaskOf = (key: Key): number => subtaskOfGroup(keyGroupOf(key, 128), 2, 128)
        for (const harness of former) harness.nowMs = models.nowMs
        let merged: WindowHarness<Shown> | undefined
        let latest = FIRST_MS
        let value = 0
        for (const [index, step] of all.steps.entries()) {
          if (index === cut) merged = WindowHarness.merged(former, keyed(all), { oneSlot: all.oneSlot })
          const harnesses = merged ? [merged] : former
          if (step.type === 'record') {
            const time = latest + step.jitterMs
            const harness = merged ?? former[subtaskOf(step.key)]!
            const fired = models.of(step.key).record(value, time)
            expect(harness.record(step.key, value, time)).toEqual(models.shown(step.key, fired))
            value++
          } else if (step.type === 'watermark') {
            latest += step.byMs
            // The second subtask is ahead of the first as long as there are two.
            const watermarks = harnesses.map((_, subtask) => latest - all.delayMs + subtask * aheadMs)
            const emitted = harnesses.flatMap((harness, subtask) => harness.watermark(watermarks[subtask]!))
            const expected = models.each((model, key) => model.onWatermark(watermarks[merged ? 0 : subtaskOf(key)]!))
            expect(byKey(emitted)).toEqual(byKey(expected))
          } else if (step.type === 'clock') {
            models.nowMs += step.byMs
            const emitted = harnesses.flatMap((harness) => harness.clock(models.nowMs))
            expect(byKey(emitted)).toEqual(byKey(models.each((model) => model.onClock(models.nowMs))))
          }
        }
        const harnesses = merged ? [merged] : former
        const expected = models.each((model) => model.onWatermark(Number.POSITIVE_INFINITY))
        expect(byKey(harnesses.flatMap((harness) => harness.end()))).toEqual(byKey(expected))
        for (const harness of harnesses) expect(harness.isEmpty).toBe(true)
      }),
      { numRuns: 1000 },
    )
  })
})
