import type { Stream } from 'sluice'
import { describe, expect, test } from 'vitest'
import type { HarnessRun } from '../../../src/testing/index.ts'
import { checkOperator, end, record, runOperator } from '../../../src/testing/index.ts'

interface Basket {
  n: number
  items: string[]
}

function values({ outcomes }: HarnessRun): readonly unknown[] {
  return outcomes.flatMap((outcome) => ('value' in outcome ? [outcome.value] : []))
}

describe('running aggregates', () => {
  const items = [record('x'), record('y'), record('z'), end()]

  test('emit results that later records do not change, though add changes its accumulator', async () => {
    const build = (input: Stream<string>): Stream<unknown> =>
      input
        .keyBy(() => 'all')
        .aggregate({
          create: (): Basket => ({ n: 0, items: [] }),
          add(basket, item) {
            basket.n++
            basket.items.push(item)
            return basket
          },
        })
    const expected = [
      { n: 1, items: ['x'] },
      { n: 2, items: ['x', 'y'] },
      { n: 3, items: ['x', 'y', 'z'] },
    ]
    await checkOperator(build, items, { expected })
    expect(values(await runOperator(build, items))).toEqual(expected)
  })

  test('emit what result picks out of the accumulator as a copy too', async () => {
    const build = (input: Stream<string>): Stream<unknown> =>
      input
        .keyBy(() => 'all')
        .aggregate({
          create: () => new Map<string, number[]>(),
          add: (map, item) => map.set('all', [...(map.get('all') ?? []), item.length]),
          result: (map) => map,
        })
    await checkOperator(build, items, { expected: [[1], [1, 1], [1, 1, 1]].map((all) => new Map([['all', all]])) })
  })

  test('do not mix keys when create always returns one object', async () => {
    const shared = { n: 0 }
    const build = (input: Stream<string>): Stream<unknown> =>
      input
        .keyBy((word) => word)
        .aggregate({
          create: () => shared,
          add(sum) {
            sum.n++
            return sum
          },
        })
    await checkOperator(build, [record('a'), record('b'), record('a'), end()], { expected: [{ n: 1 }, { n: 1 }, { n: 2 }] })
    expect(shared).toEqual({ n: 0 })
  })
})

describe('running reductions', () => {
  const build = (fn: (a: Basket, b: Basket) => Basket) => (input: Stream<Basket>) => input.keyBy(() => 'all').reduce(fn)
  const items = ['x', 'y', 'z'].map((item) => record({ n: 1, items: [item] }))
  const expected = [
    { n: 1, items: ['x'] },
    { n: 2, items: ['x', 'y'] },
    { n: 3, items: ['x', 'y', 'z'] },
  ]

  test('emit values that later records do not change, though the function changes its first argument', async () => {
    const grow = (a: Basket, b: Basket): Basket => {
      a.n += b.n
      a.items.push(...b.items)
      return a
    }
    await checkOperator(build(grow), [...items, end()], { expected })
  })

  test('keep nothing of a record that the function returns', async () => {
    const latest = (a: Basket, b: Basket): Basket => {
      a.items.push('touched')
      return b
    }
    // The harness freezes records: one that were kept as it came could not be touched.
    await checkOperator(build(latest), [...items, end()], { expected: ['x', 'y', 'z'].map((item) => ({ n: 1, items: [item] })) })
  })

  test('share nothing between what comes in, what is kept and what goes out', async () => {
    const join = (a: Basket, b: Basket): Basket => ({ n: a.n + b.n, items: a.items.concat(b.items) })
    await checkOperator(build(join), [...items, end()], { expected })
  })
})
