import fc from 'fast-check'
import { collect, items, job, operatorListState, type Stream } from 'sluice'
import { describe, expect, test } from 'vitest'
import { OperatorStates } from '../../operators/operator-state.ts'
import type { OperatorContext } from '../../src/core/operator.ts'
import { checkOperator, end, record, testDriver, watermark } from '../../src/testing/index.ts'

/** Hands records on two at a time. */
const inPairs = (input: Stream<number>): Stream<unknown> =>
  input.process({
    state: { pair: operatorListState<number>(), all: operatorListState<number>({ redistribute: 'union' }) },
    *onRecord(value, { state }) {
      state.pair.add(value)
      state.all.addAll([value])
      if (state.pair.get().length < 2) return
      yield [...state.pair.get(), state.all.get().length]
      state.pair.clear()
    },
  })

function statesOf(parallelism: number, subtask: number): OperatorStates {
  const context = { subtask, parallelism } as OperatorContext
  return new OperatorStates({ split: operatorListState(), union: operatorListState({ redistribute: 'union' }) }, context)
}

describe('the list state of a plain process', () => {
  test('is saved and restored between any two records', async () => {
    const all = [1, 2, 3, 4, 5].map((value) => record(value, value))
    await checkOperator(inPairs, [...all, watermark(5), end()], {
      expected: [
        [1, 2, 2],
        [3, 4, 4],
      ],
    })
  })

  test('hands out no live references', () => {
    const [given, set] = [{ n: 1 }, [{ n: 2 }]]
    const list = statesOf(1, 0).handles['split']!
    list.add(given)
    given.n = 9
    ;(list.get() as { n: number }[])[0]!.n = 8
    ;(list.get() as { n: number }[]).push({ n: 7 })
    expect(list.get()).toEqual([{ n: 1 }])
    list.set(set)
    set[0]!.n = 9
    list.addAll(list.get())
    expect(list.get()).toEqual([{ n: 2 }, { n: 2 }])
    list.clear()
    expect(list.get()).toEqual([])
  })

  test('is dealt out to any number of subtasks: split elements once, united ones to everyone', () => {
    const parallelism = fc.integer({ min: 1, max: 6 })
    fc.assert(
      fc.property(parallelism, parallelism, fc.array(fc.nat(5), { minLength: 6, maxLength: 6 }), (before, after, sizes) => {
        const old = Array.from({ length: before }, (_, subtask) => {
          const states = statesOf(before, subtask)
          const elements = Array.from({ length: sizes[subtask]! }, (_unused, index) => `${subtask}:${index}`)
          for (const list of Object.values(states.handles)) list.set(elements)
          return states
        })
        const stored = old.map((states) => structuredClone(states.snapshot()))
        const all = old.flatMap((states) => states.handles['split']!.get())
        const rescaled = before !== after
        const next = Array.from({ length: after }, (_, subtask) => {
          const states = statesOf(after, subtask)
          states.restore(rescaled ? stored : [stored[subtask]], rescaled)
          return states
        })
        expect(next.flatMap((states) => states.handles['split']!.get()).sort()).toEqual(all.toSorted())
        const lengths = next.map((states) => states.handles['split']!.get().length)
        if (rescaled) expect(Math.max(...lengths) - Math.min(...lengths)).toBeLessThanOrEqual(1)
        next.forEach((states, subtask) => {
          const own = rescaled ? all : old[subtask]!.handles['union']!.get()
          expect(states.handles['union']!.get()).toEqual(own)
        })
      }),
    )
  })

  test('loses nothing in a job whose parallelism changes', async () => {
    const out: number[] = []
    const sink = collect(out)
    const late = job('late')
    late
      .from(items<number>([]))
      .process({
        state: { waiting: operatorListState<number>() },
        onRecord(value, { state }) {
          if (value >= 0) return state.waiting.add(value)
          const all = state.waiting.get()
          state.waiting.clear()
          return all
        },
      })
      .to(sink)
    const driver = testDriver(late, { parallelism: 3 })
    for (let value = 0; value < 30; value++) driver.send(value, { subtask: value % 3 })
    for (const parallelism of [5, 2]) {
      await driver.checkpoint()
      driver.crashAndRestore({ parallelism })
    }
    expect(driver.output(sink)).toEqual([])
    driver.send(-1, { subtask: 0 })
    driver.send(-1, { subtask: 1 })
    expect([...driver.output(sink)].sort((a, b) => a - b)).toEqual(Array.from({ length: 30 }, (_, value) => value))
  })

  test('of a kind that is none is refused when it is declared', () => {
    expect(() => operatorListState({ redistribute: 'broadcast' as never })).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', message: expect.stringContaining('broadcast') }),
    )
  })
})
