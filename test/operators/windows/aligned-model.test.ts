import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AlignedWindowOperator } from '../../../operators/windows/aligned-window-operator.ts'
import type { SlidingWindow, TumblingWindow, WindowTime } from '../../../operators/windows/assigners.ts'
import { slidingWindow, tumblingWindow } from '../../../operators/windows/assigners.ts'
import type { WindowFunction } from '../../../operators/windows/window-function.ts'
import { canonicalKey, keyGroupOf, subtaskOfGroup } from '../../../src/core/key-groups.ts'
import type { Key } from '../../../src/core/keyed-state.ts'
import type { Operator, OperatorContext } from '../../../src/core/operator.ts'
import type { Emitted } from './window-harness.ts'
import { WindowHarness } from './window-harness.ts'
import type { Fired, ModelWindows } from './window-model.ts'
import { KeyModel } from './window-model.ts'

/*
 * Random records against a model that keeps all of them and folds each window anew. Values are numbers in the order of arrival, so that a list of
 * them tells everything: what is missing, what counts twice, and in which order it came.
 */

interface Shown {
  readonly key: Key
  readonly start: number
  readonly end: number
  /** By parity, so that merging has parts to hang over from one accumulator to the other. */
  readonly lists: { even?: number[]; odd?: number[] }
}

type Lists = Shown['lists']

const nameOf = (value: unknown): keyof Lists => ((value as number) % 2 === 0 ? 'even' : 'odd')

/** A fold that does all that a user's may: changes its first argument, returns either, shares the second, shows the accumulator. */
function lists(divisible: boolean): WindowFunction {
  return {
    create: () => ({}),
    add(accumulator, value) {
      const all = accumulator as Lists
      ;(all[nameOf(value)] ??= []).push(value as number)
      return all
    },
    merge(a, b) {
      const [into, from] = [a as Lists, b as Lists]
      if (into.even === undefined && from.odd === undefined && into.odd !== undefined) {
        from.odd = into.odd
        return from
      }
      for (const name of ['even', 'odd'] as const) {
        if (from[name] === undefined) continue
        if (into[name] === undefined) into[name] = from[name]
        else into[name].push(...from[name])
      }
      return into
    },
    divisible,
    results: (accumulator, key, { start, end }) => [{ key, start, end, lists: accumulator }],
  }
}

/** A receiver that treats what it is given as its own. */
function spoil(value: unknown): void {
  const { lists: shown } = value as Shown
  for (const list of Object.values(shown)) list.fill(-1)
  shown.even = [-2]
  delete shown.odd
}

function aligned(
  assigner: TumblingWindow | SlidingWindow,
  latenessMs: number,
  fn: WindowFunction,
): (context: OperatorContext) => Operator {
  return (context) => new AlignedWindowOperator(context, assigner, latenessMs, fn)
}

type Step =
  | { readonly type: 'record'; readonly key: Key; readonly jitterMs: number }
  | { readonly type: 'advance'; readonly byMs: number; readonly fires: boolean }
  | { readonly type: 'restart' }

interface Case extends ModelWindows {
  readonly tumbling: boolean
  readonly divisible: boolean
  readonly oneSlot: boolean
  readonly restartAlways: boolean
  readonly delayMs: number
  readonly steps: readonly Step[]
}

const KEYS: readonly Key[] = ['a', 'b', 7, '7', ['t', 1], 'user-2', 'sensor_1']

const anyStep = (): fc.Arbitrary<Step> =>
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        type: fc.constant('record' as const),
        key: fc.constantFrom(...KEYS),
        jitterMs: fc.integer({ min: -25, max: 12 }),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({ type: fc.constant('advance' as const), byMs: fc.integer({ min: 0, max: 15 }), fires: fc.boolean() }),
    },
    { weight: 1, arbitrary: fc.constant({ type: 'restart' as const }) },
  )

const anyCase = (): fc.Arbitrary<Case> =>
  fc
    .record({ sizeMs: fc.integer({ min: 1, max: 15 }), part: fc.double({ min: 0, max: 1, noNaN: true }), tumbling: fc.boolean() })
    .chain(({ sizeMs, part, tumbling }) => {
      const slideMs = tumbling ? sizeMs : Math.max(1, Math.ceil(sizeMs * part))
      return fc.record({
        sizeMs: fc.constant(sizeMs),
        slideMs: fc.constant(slideMs),
        tumbling: fc.constant(tumbling),
        offsetMs: fc.integer({ min: 1 - slideMs, max: slideMs - 1 }),
        latenessMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 20 })),
        divisible: fc.boolean(),
        oneSlot: fc.boolean(),
        restartAlways: fc.boolean(),
        delayMs: fc.integer({ min: 0, max: 10 }),
        steps: fc.array(anyStep(), { maxLength: 60 }),
      })
    })

function assignerOf({ tumbling, sizeMs, slideMs, offsetMs }: Case, time: WindowTime): TumblingWindow | SlidingWindow {
  const options = { time, offset: offsetMs }
  return tumbling ? tumblingWindow(sizeMs, options) : slidingWindow(sizeMs, slideMs, options)
}

/** One model for each key. */
class Model {
  readonly #windows: ModelWindows
  readonly keys = new Map<unknown, { readonly key: Key; readonly model: KeyModel }>()

  constructor(windows: ModelWindows) {
    this.#windows = windows
  }

  of(key: Key, watermark: number): KeyModel {
    const canonical = canonicalKey(key)
    let found = this.keys.get(canonical)
    if (found === undefined) {
      this.keys.set(canonical, (found = { key, model: new KeyModel(this.#windows) }))
      found.model.watermark = watermark
    }
    return found.model
  }

  all(step: (model: KeyModel, key: Key) => Fired[]): string[] {
    const fired = [...this.keys.values()].flatMap(({ key, model }) => step(model, key).map((each) => ({ key, ...each })))
    return fired.map((each) => text(each.key, each, each.values)).sort()
  }
}

function text(key: Key, { start, end }: { start: number; end: number }, values: readonly number[]): string {
  return `${JSON.stringify(key)} [${start}, ${end}) ${sortedLists(values).join(' ')}`
}

/** Even ones, then odd ones, each as they came. */
function sortedLists(values: readonly number[]): number[] {
  return [...values.filter((value) => value % 2 === 0), ...values.filter((value) => value % 2 !== 0)]
}

/** In panes the values of a window are in the order of panes, so only which they are is compared. */
function shownText(inOrder: boolean): (result: Emitted<Shown>) => string {
  return ({ value: { key, start, end, lists: all }, timestamp }) => {
    expect(timestamp).toBe(end - 1)
    const values = [...(all.even ?? []), ...(all.odd ?? [])]
    return text(key, { start, end }, inOrder ? values : [...values].sort((a, b) => a - b))
  }
}

function expectOrdered(results: readonly Emitted<Shown>[]): void {
  const ends = results.map(({ value }) => value.end)
  expect(ends).toEqual([...ends].sort((a, b) => a - b))
}

describe('aligned windows do what the model does', () => {
  test('in event time', () => {
    fc.assert(
      fc.property(anyCase(), (each) => {
        const create = aligned(assignerOf(each, 'event'), each.latenessMs, lists(each.divisible))
        const windows = new WindowHarness<Shown>(create, { oneSlot: each.oneSlot, receive: spoil })
        runInEventTime(each, [windows], create)
      }),
      { numRuns: 600 },
    )
  })

  test('in event time when two subtasks become one', () => {
    fc.assert(
      fc.property(anyCase(), fc.nat(40), fc.integer({ min: -20, max: 20 }), (each, mergeAt, aheadMs) => {
        const create = aligned(assignerOf(each, 'event'), each.latenessMs, lists(each.divisible))
        const options = { oneSlot: each.oneSlot, receive: spoil, parallelism: 2 }
        const subtasks = [0, 1].map((subtask) => new WindowHarness<Shown>(create, { ...options, subtask }))
        runInEventTime(each, subtasks, create, mergeAt, aheadMs)
      }),
      { numRuns: 600 },
    )
  })

  test('in processing time', () => {
    fc.assert(
      fc.property(anyCase(), (each) => {
        const create = aligned(assignerOf(each, 'processing'), 0, lists(each.divisible))
        runInProcessingTime(each, new WindowHarness<Shown>(create, { oneSlot: each.oneSlot, receive: spoil }))
      }),
      { numRuns: 600 },
    )
  })
})

type Create = ConstructorParameters<typeof WindowHarness>[0]

/** Subtask 1 is ahead of subtask 0 by `aheadMs`, until they are merged at a step. */
function runInEventTime(each: Case, subtasks: WindowHarness<Shown>[], create: Create, mergeAt = -1, aheadMs = 0): void {
  const inOrder = each.tumbling || each.slideMs === each.sizeMs || !each.divisible
  const shown = shownText(inOrder)
  const model = new Model(each)
  const watermarks = subtasks.map(() => Number.NEGATIVE_INFINITY)
  // What each half of the key groups has seen, whoever owns it.
  const seen = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]
  const halfOf = (key: Key): number => subtaskOfGroup(keyGroupOf(key, 128), 2, 128)
  const ownerOf = (key: Key): number => (subtasks.length === 2 ? halfOf(key) : 0)
  const advance = (subtask: number, watermark: number): void => {
    if (watermark <= watermarks[subtask]!) return
    watermarks[subtask] = watermark
    const results = subtasks[subtask]!.watermark(watermark)
    expectOrdered(results)
    for (const half of [0, 1]) if (subtasks.length === 1 || half === subtask) seen[half] = Math.max(seen[half]!, watermark)
    const expected = model.all((of, key) => (ownerOf(key) === subtask ? of.onWatermark(watermark) : []))
    expect(results.map(shown).sort()).toEqual(expected)
  }
  let cursor = 0
  const late: number[] = []
  each.steps.forEach((step, index) => {
    if (index === mergeAt && subtasks.length === 2) {
      late.push(...subtasks.flatMap((subtask) => subtask.late() as number[]))
      const merged = WindowHarness.merged(subtasks, create, { oneSlot: each.oneSlot, receive: spoil })
      subtasks.splice(0, 2, merged)
      watermarks.splice(0, 2, Math.min(...watermarks))
    }
    if (step.type === 'restart' || each.restartAlways) for (const subtask of subtasks) subtask.restart()
    if (step.type === 'advance') {
      cursor += step.byMs
      subtasks.forEach((_, subtask) => void advance(subtask, cursor - each.delayMs + subtask * aheadMs))
    } else if (step.type === 'record') {
      const results = subtasks[ownerOf(step.key)]!.record(step.key, index, cursor + step.jitterMs)
      const fired = model.of(step.key, seen[halfOf(step.key)]!).record(index, cursor + step.jitterMs)
      expect(results.map(shown)).toEqual(fired.map((one) => text(step.key, one, one.values)))
    }
  })
  subtasks.forEach((subtask, index) => {
    advance(index, Number.POSITIVE_INFINITY)
    late.push(...(subtask.late() as number[]))
    expect(subtask.isEmpty).toBe(true)
  })
  const expectedLate = [...model.keys.values()].flatMap(({ model: of }) => of.late)
  expect(late.sort((a, b) => a - b)).toEqual(expectedLate.sort((a, b) => a - b))
}

function runInProcessingTime(each: Case, windows: WindowHarness<Shown>): void {
  const shown = shownText(true)
  const model = new Model({ ...each, latenessMs: 0 })
  each.steps.forEach((step, index) => {
    if (step.type === 'restart' || each.restartAlways) windows.restart()
    if (step.type === 'advance') {
      windows.nowMs += step.byMs
      // A task that is busy comes to its timers later.
      if (!step.fires) return
      const results = windows.fireDue()
      expectOrdered(results)
      expect(results.map(shown).sort()).toEqual(model.all((of) => of.onClock(windows.nowMs)))
      expect(windows.nextProcessingTime).toBeGreaterThan(windows.nowMs)
    } else if (step.type === 'record') {
      expect(windows.record(step.key, index, step.jitterMs)).toEqual([])
      model.of(step.key, Number.NEGATIVE_INFINITY).recordAt(index, windows.nowMs)
    }
  })
  const results = windows.end()
  expectOrdered(results)
  expect(results.map(shown).sort()).toEqual(model.all((of) => of.onClock(Number.POSITIVE_INFINITY)))
  expect(windows.late()).toEqual([])
  expect(windows.isEmpty).toBe(true)
}
