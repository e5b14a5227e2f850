import fc from 'fast-check'
import type { StateOptions } from 'sluice'
import { aggregatingState, listState, mapState, reducingState, valueState } from 'sluice'
import { describe, expect, test } from 'vitest'
import type { StateDeclaration } from '../../../operators/keyed/state/declaration.ts'
import { canonicalKey } from '../../../src/core/key-groups.ts'
import type { Key } from '../../../src/core/keyed-state.ts'
import { anyKey } from '../../core/keys.ts'
import { StateBench } from './state-bench.ts'

/** A handle whose key is the current one. */
function opened<Handle>(declaration: StateDeclaration<Handle>): Handle {
  const bench = new StateBench(declaration)
  bench.key('a')
  return bench.handle
}

describe('state hands out no live references', () => {
  test('value: neither what get returned nor what set was given', () => {
    const state = opened(valueState<{ n: number; list: number[] }>())
    const given = { n: 1, list: [1] }
    state.set(given)
    given.n = 9
    given.list.push(9)
    const got = state.get()!
    expect(got).toEqual({ n: 1, list: [1] })
    got.list.push(8)
    got.n = 8
    expect(state.get()).toEqual({ n: 1, list: [1] })
  })

  test('value: changing what get returned and setting it works', () => {
    const state = opened(valueState<{ n: number }>())
    for (let n = 1; n <= 3; n++) {
      const own = state.get() ?? { n: 0 }
      own.n++
      state.set(own)
      expect(state.get()).toEqual({ n })
    }
  })

  test('list: neither elements nor the list, however they came in', () => {
    const state = opened(listState<{ n: number }>())
    const [a, b, c] = [{ n: 1 }, { n: 2 }, { n: 3 }]
    state.add(a)
    state.addAll([b])
    a.n = b.n = 9
    const got = state.get() as { n: number }[]
    expect(got).toEqual([{ n: 1 }, { n: 2 }])
    got[0]!.n = 8
    got.push({ n: 7 })
    expect(state.get()).toEqual([{ n: 1 }, { n: 2 }])
    const list = [c]
    state.set(list)
    list.push(a)
    c.n = 9
    expect(state.get()).toEqual([{ n: 3 }])
  })

  test('list: may be added to itself', () => {
    const state = opened(listState<number>())
    state.addAll([1, 2])
    state.addAll(state.get())
    state.addAll(
      (function* () {
        yield state.get().length
        state.clear()
        yield state.get().length
      })(),
    )
    expect(state.get()).toEqual([4, 0])
  })

  test('map: neither keys nor values', () => {
    const state = opened(mapState<Date, { n: number }>())
    const [key, value] = [new Date(5), { n: 1 }]
    state.set(key, value)
    key.setTime(9)
    value.n = 9
    expect([...state.entries()]).toEqual([[new Date(5), { n: 1 }]])
    for (const got of [state.get(new Date(5))!, ...state.values(), ...[...state.entries()].map(([, each]) => each)]) got.n = 8
    for (const got of state.keys()) got.setTime(8)
    expect([...state.entries()]).toEqual([[new Date(5), { n: 1 }]])
  })

  test('reducing: neither what was added, nor what get returned, nor what the function returns', () => {
    const kept = { sum: 0, parts: [0] }
    const state = opened(
      reducingState<{ sum: number; parts: number[] }>((a, b) => {
        if (b.sum === 0) return kept
        a.sum += b.sum
        a.parts.push(...b.parts)
        return a
      }),
    )
    const first = { sum: 1, parts: [1] }
    state.add(first)
    first.parts.push(9)
    state.add({ sum: 2, parts: [2] })
    expect(first).toEqual({ sum: 1, parts: [1, 9] })
    state.get()!.parts.push(9)
    expect(state.get()).toEqual({ sum: 3, parts: [1, 2] })
    state.add(kept)
    state.add({ sum: 5, parts: [5] })
    expect([state.get(), kept]).toEqual([
      { sum: 5, parts: [0, 5] },
      { sum: 0, parts: [0] },
    ])
  })

  test('aggregating: neither what was added, nor what get returned, nor what create returns', () => {
    const shared = { items: [] as { n: number }[] }
    const bench = new StateBench(
      aggregatingState({
        create: () => shared,
        add(accumulator, item: { n: number }) {
          accumulator.items.push(item)
          return accumulator
        },
        result: (accumulator) => accumulator.items,
      }),
    )
    const state = bench.handle
    bench.key('a')
    const item = { n: 1 }
    state.add(item)
    item.n = 9
    state.get()!.push({ n: 8 })
    state.get()![0]!.n = 7
    bench.key('b')
    state.add({ n: 2 })
    expect([state.get(), shared]).toEqual([[{ n: 2 }], { items: [] }])
    bench.key('a')
    expect(state.get()).toEqual([{ n: 1 }])
  })
})

describe('fold state', () => {
  test('tells a sum of undefined from none', () => {
    const seen: unknown[] = []
    const state = opened(
      reducingState<number | undefined>((a, b) => {
        seen.push([a, b])
        return undefined
      }),
    )
    state.add(undefined)
    state.add(1)
    state.add(2)
    expect(seen).toEqual([
      [undefined, 1],
      [undefined, 2],
    ])
    state.clear()
    state.add(3)
    expect([seen.length, state.get()]).toEqual([2, 3])
  })

  test('that changes its accumulator in place is not copied each time, or a growing one would take longer and longer', () => {
    const given: unknown[] = []
    const state = opened(
      aggregatingState({
        create: () => ({ all: [] as number[] }),
        add(accumulator, n: number) {
          given.push(accumulator)
          accumulator.all.push(n)
          return accumulator
        },
        result: ({ all }) => all.length,
      }),
    )
    for (let n = 0; n < 10; n++) state.add(n)
    // The very first one may be held by whoever created it.
    expect(new Set(given.slice(1)).size).toBe(1)
    expect(state.get()).toBe(10)
  })
})

describe('map state', () => {
  test('knows its keys by value: -0 is 0, dates and tuples are what they say', () => {
    const state = opened(mapState<Key, string>())
    state.set(-0, 'zero')
    state.set(new Date(1), 'date')
    state.set([1, 'a', [new Date(2)]], 'tuple')
    state.set('\0d1;', 'text')
    expect([state.get(0), state.get(new Date(1)), state.get([1, 'a', [new Date(2)]]), state.get('\0d1;')]).toEqual([
      'zero',
      'date',
      'tuple',
      'text',
    ])
    expect([state.has('0'), state.has(1n), state.has([1, 'a']), state.size]).toEqual([false, false, false, 4])
    state.set(new Date(1), 'again')
    expect([...state.keys()]).toEqual([0, new Date(1), [1, 'a', [new Date(2)]], '\0d1;'])
    state.delete([1, 'a', [new Date(2)]])
    expect([...state.values()]).toEqual(['zero', 'again', 'text'])
  })

  test('refuses what is no key, and says so', () => {
    const state = opened(mapState<unknown, number>())
    for (const key of [{ a: 1 }, null, undefined, Symbol('s'), () => 1, [{}]]) {
      expect(() => state.set(key, 1)).toThrow(
        expect.objectContaining({ code: 'INVALID_KEY', message: expect.stringContaining("a key of the map 'state' is") }),
      )
    }
    expect(state.size).toBe(0)
  })

  test('does what a map of canonical keys does, through snapshots and restores', () => {
    const operation = fc.record({
      type: fc.constantFrom('set', 'set', 'delete', 'clear', 'restart'),
      key: anyKey(),
      value: fc.nat(9),
    })
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 40 }), (operations) => {
        let bench = new StateBench(mapState<Key, number>())
        const model = new Map<unknown, readonly [Key, number]>()
        for (const { type, key, value } of operations) {
          bench.key('a')
          if (type === 'restart') bench = bench.restored()
          else if (type === 'set') {
            bench.handle.set(key, value)
            const canonical = canonicalKey(key)
            model.set(canonical, [model.get(canonical)?.[0] ?? key, value])
          } else if (type === 'delete') {
            bench.handle.delete(key)
            model.delete(canonicalKey(key))
          } else {
            bench.handle.clear()
            model.clear()
          }
          bench.key('a')
          expect(bench.handle.size).toBe(model.size)
          expect(bench.handle.get(key)).toBe(model.get(canonicalKey(key))?.[1])
          expect([...bench.handle.entries()].map(([each, n]) => [canonicalKey(each), n])).toEqual(
            [...model].map(([canonical, [, n]]) => [canonical, n]),
          )
        }
        for (const [, [key]] of model) bench.handle.delete(key)
        expect(bench.stored()).toBe(0)
      }),
    )
  })
})

describe('every state', () => {
  test('is empty for a key that it holds nothing for, and holds nothing then', () => {
    const list = new StateBench(listState<number>())
    list.key('a')
    list.handle.addAll([])
    list.handle.set([])
    expect([list.handle.get(), list.stored()]).toEqual([[], 0])
    list.handle.add(1)
    list.handle.set([])
    expect(list.stored()).toBe(0)
    const map = new StateBench(mapState<string, number>())
    map.key('a')
    map.handle.set('x', 1)
    map.handle.delete('x')
    map.handle.delete('x')
    expect(map.stored()).toBe(0)
  })

  test.each([valueState(), listState(), mapState(), reducingState((a) => a)])('is refused without a key: %#', (declaration) => {
    const { handle } = new StateBench(declaration as StateDeclaration<{ get(key: string): unknown }>)
    expect(() => handle.get('x')).toThrow(
      expect.objectContaining({ code: 'STATE_WITHOUT_KEY', message: expect.stringContaining("'state'") }),
    )
  })

  const wrong: readonly (readonly [StateOptions<never>, string, string])[] = [
    [{ ttl: 'soon' as never }, 'INVALID_DURATION', 'soon'],
    [{ ttl: -1 }, 'INVALID_DURATION', '-1'],
    [{ ttl: 0 }, 'INVALID_DURATION', 'ttl is zero'],
    [{ ttl: '0s' }, 'INVALID_DURATION', 'ttl is zero'],
    [{ ttl: '1s', ttlTime: 'wall' as never }, 'INVALID_OPTION', 'wall'],
    [{ ttlTime: 'event' }, 'INVALID_OPTION', 'no ttl'],
    [{ version: 0 }, 'INVALID_OPTION', '0'],
    [{ version: 1.5 }, 'INVALID_OPTION', '1.5'],
    [{ version: Number.NaN }, 'INVALID_OPTION', 'NaN'],
  ]
  test.each(wrong)('with the options %o is refused when it is declared', (options, code, message) => {
    const declarations = [
      () => valueState(options),
      () => listState(options),
      () => mapState(options),
      () => reducingState((a) => a, options),
      () => aggregatingState({ create: () => 0, add: (n) => n }, options),
    ]
    for (const declare of declarations) {
      expect(declare).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) }))
    }
  })
})
