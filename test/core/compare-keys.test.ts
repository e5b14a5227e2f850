import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { canonicalKey, compareKeys } from '../../src/core/key-groups.ts'
import type { Key } from '../../src/core/keyed-state.ts'
import { anyKey, sameKey } from './keys.ts'

function compare(a: Key, b: Key): number {
  return Math.sign(compareKeys(canonicalKey(a), canonicalKey(b)))
}

describe('the order of keys', () => {
  test('is that of types, then of values', () => {
    const ordered: readonly Key[] = [
      false,
      true,
      Number.NEGATIVE_INFINITY,
      -1,
      0,
      0.5,
      2,
      10,
      Number.POSITIVE_INFINITY,
      Number.NaN,
      -1n,
      2n,
      10n,
      // Dates and tuples are text that begins with a zero character.
      new Date(5),
      [1],
      '',
      '10',
      '2',
      'a',
      'b',
      '\ud83d\ude00',
      '\uff5e',
    ].filter((key) => key !== '')
    for (const [i, a] of ordered.entries()) {
      for (const [j, b] of ordered.entries()) expect([a, b, compare(a, b)]).toEqual([a, b, Math.sign(i - j)])
    }
    expect(compare('', [1])).toBe(-1)
    expect(compare(0, -0)).toBe(0)
    expect(compare(new Date(7), new Date(7))).toBe(0)
  })

  test('is total: equal exactly for equal keys, antisymmetric and transitive', () => {
    fc.assert(
      fc.property(anyKey(), anyKey(), anyKey(), (a, b, c) => {
        expect(compare(a, b) === 0).toBe(sameKey(a, b))
        expect(compare(a, b) + compare(b, a)).toBe(0)
        const [low, middle, high] = [a, b, c].sort(compare) as [Key, Key, Key]
        expect(compare(low, middle)).toBeLessThanOrEqual(0)
        expect(compare(middle, high)).toBeLessThanOrEqual(0)
        expect(compare(low, high)).toBeLessThanOrEqual(0)
      }),
    )
  })
})
