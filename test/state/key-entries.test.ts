import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { canonicalKey, compareKeys, keyGroupOf } from '../../src/core/key-groups.ts'
import { CurrentKey } from '../../src/state/current-key.ts'
import { copyKeyTo, keyBytes } from '../../src/state/key-bytes.ts'
import { KeyEntries } from '../../src/state/key-entries.ts'
import { anyKey } from '../core/keys.ts'
import { backendOf, MAX_PARALLELISM, wholeBackend } from './backends.ts'

describe('entries', () => {
  test('are what a Map of canonical keys would be, whatever is added and removed, and however often they grow', () => {
    const step = fc.record({ key: anyKey(), remove: fc.boolean(), value: fc.oneof(fc.integer(), fc.double(), fc.string()) })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const entries = new KeyEntries<unknown>()
        const model = new Map<unknown, unknown>()
        const current = new CurrentKey(MAX_PARALLELISM)
        for (const { key, remove, value } of steps) {
          current.assign(key)
          const number = entries.find(current)
          expect(number >= 0).toBe(model.has(canonicalKey(key)))
          if (remove && number >= 0) {
            entries.remove(number)
            model.delete(canonicalKey(key))
          } else {
            entries.setValue(number >= 0 ? number : entries.add(current, 1), value)
            model.set(canonicalKey(key), value)
          }
        }
        expect(entries.size).toBe(model.size)
        for (let number = 0; number < entries.end; number++) {
          if (entries.flags(number) === 0) continue
          expect(entries.value(number)).toBe(model.get(entries.canonical(number)))
          const bytes = Buffer.alloc(entries.keyInPlace(number))
          copyKeyTo(bytes, 0, bytes.byteLength)
          expect(new Uint8Array(bytes)).toEqual(keyBytes(entries.key(number)))
        }
      }),
    )
  })

  test('sort as their keys do', () => {
    const families: readonly fc.Arbitrary<unknown>[] = [
      fc.string({ unit: 'binary' }),
      fc.string({ maxLength: 16 }),
      fc.string({ unit: fc.constantFrom('\0', 'a', 'ÿ') }),
      fc.integer(),
      anyKey(),
    ]
    fc.assert(
      fc.property(fc.oneof(...families.map((key) => fc.array(key, { maxLength: 60 }))), (keys) => {
        const entries = new KeyEntries<number>()
        const current = new CurrentKey(MAX_PARALLELISM)
        const numbers: number[] = []
        for (const key of keys) {
          current.assign(key)
          if (entries.find(current) < 0) numbers.push(entries.add(current, 1))
        }
        const sorted = entries.sort(numbers).map((number) => entries.canonical(number))
        expect(sorted).toEqual(sorted.toSorted(compareKeys))
      }),
    )
  })

  test('are found after a few places, also where keys stand in a row', () => {
    const families: readonly ((place: number) => unknown)[] = [
      (place) => place,
      (place) => 1000 * place,
      (place) => 1_700_000_000_000 + 1000 * place,
      (place) => `id-${String(place).padStart(6, '0')}`,
      (place) => `an account with a long name ${place}`,
    ]
    for (const family of families) {
      const hashes = new Uint8Array(1 << 16)
      const current = new CurrentKey(MAX_PARALLELISM)
      let probes = 0
      for (let place = 0; place < 30_000; place++) {
        current.assign(family(place))
        let at = current.hash >>> 16
        for (probes++; hashes[at] !== 0; at = (at + 1) & 0xffff) probes++
        hashes[at] = 1
      }
      // Knuth: 1.4 on the average where keys fall like dice, and a table is filled from empty to nearly half.
      expect(probes / 30_000).toBeLessThan(1.6)
    }
  })

  test('keep numbers as numbers until another value comes: then all of them', () => {
    const entries = new KeyEntries<unknown>()
    const current = new CurrentKey(MAX_PARALLELISM)
    const values = [1, -0, Number.NaN, 2 ** 53, 0.1, 'text', 7, undefined]
    const numbers = values.map((value, key) => {
      current.assign(key)
      const number = entries.add(current, 1)
      entries.setValue(number, value)
      return number
    })
    expect(numbers.map((number) => entries.value(number))).toEqual(values)
  })
})

describe('keys that are looked through ahead of their records', () => {
  test('find the same state, of every kind and also where one of them has no key', () => {
    const backend = wholeBackend()
    const table = backend.table<number>('count')
    // So many that it is worth while.
    for (let key = 0; key < 20_000; key++) {
      backend.setKey(key % 2 === 0 ? key : `key-${key}`)
      table.set(key)
    }
    fc.assert(
      fc.property(
        fc.array(fc.oneof(anyKey(), fc.integer({ min: 0, max: 20_000 }), fc.constant(null)), { minLength: 32, maxLength: 600 }),
        (keys) => {
          const values = keys.map((key) => ({ key }))
          const keyOf = ({ key }: { key: unknown }): unknown => key
          const end = backend.prepareKeys(values, 0, keyOf)
          const firstOdd = keys.indexOf(null)
          expect(end).toBe(Math.min(512, firstOdd < 0 ? keys.length : firstOdd))
          for (let place = 0; place < end; place++) {
            backend.setKey(keys[place])
            const [value, has, key] = [table.get(), table.has(), backend.key]
            expect(backend.prepareKeys(values, place, keyOf)).toBe(end)
            backend.useKey(place)
            expect([table.get(), table.has(), backend.key]).toEqual([value, has, key])
            table.set((value ?? 0) + 1)
            backend.setKey(keys[place])
            expect(table.get()).toBe((value ?? 0) + 1)
          }
        },
      ),
      { numRuns: 30 },
    )
  })

  test('are refused in their turn when they belong to another subtask', () => {
    const backend = backendOf({ first: 0, last: 63 })
    const own = Array.from({ length: 40_000 }, (_, key) => key).filter((key) => keyGroupOf(key, MAX_PARALLELISM) < 64)
    const foreign = Array.from({ length: 100 }, (_, key) => key).find((key) => keyGroupOf(key, MAX_PARALLELISM) >= 64)!
    for (const key of own) {
      backend.setKey(key)
      backend.table<number>('count').set(1)
    }
    expect(backend.prepareKeys([...own.slice(0, 40), foreign], 0, (key) => key)).toBe(41)
    backend.useKey(39)
    expect(backend.key).toBe(own[39])
    expect(() => backend.useKey(40)).toThrow(expect.objectContaining({ code: 'UNSTABLE_KEY' }))
  })

  test('are those of the values that are in the array now, which a source may fill again', () => {
    const backend = wholeBackend()
    for (let key = 0; key < 10_000; key++) {
      backend.setKey(key)
      backend.table<number>('count').set(key)
    }
    const keyOf = (key: unknown): unknown => key
    const values: number[] = Array.from({ length: 40 }, (_, place) => place)
    expect(backend.prepareKeys(values, 0, keyOf)).toBe(40)
    values.splice(0, 40, ...Array.from({ length: 20 }, (_, place) => 100 + place))
    expect(backend.prepareKeys(values, 0, keyOf)).toBe(0)
    expect(backend.prepareKeys(values, 10, keyOf)).toBe(10)
  })

  test('are those that the function returned then, also when it fills one object anew for each record', () => {
    const backend = wholeBackend()
    const shared: number[] = [0, 0]
    const keyOf = (n: number): readonly number[] => {
      shared[0] = n
      return shared
    }
    const table = backend.table<number>('count')
    for (let n = 0; n < 10_000; n++) {
      backend.setKey(keyOf(n))
      table.set(n)
    }
    const values = Array.from({ length: 40 }, (_, place) => 7 * place)
    expect(backend.prepareKeys(values, 0, keyOf)).toBe(40)
    for (const [place, n] of values.entries()) {
      backend.useKey(place)
      expect([backend.key, table.get()]).toEqual([[n, 0], n])
    }
    const keys: unknown[] = []
    backend.forEachKey('count', (key) => keys.push((key as number[])[0]))
    expect(new Set(keys).size).toBe(10_000)
  })

  test('of few records, or few in state, are not worth it', () => {
    const backend = wholeBackend()
    expect(
      backend.prepareKeys(
        Array.from({ length: 100 }, (_, key) => key),
        0,
        (key) => key,
      ),
    ).toBe(0)
  })
})
