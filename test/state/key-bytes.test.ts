import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { canonicalKey } from '../../src/core/key-groups.ts'
import type { Key } from '../../src/core/keyed-state.ts'
import { keyBytes, keyBytesInPlace, keyFromBytes, readSortable, writeSortable } from '../../src/state/key-bytes.ts'
import { anyKey, sameKey } from '../core/keys.ts'

const HOSTILE: readonly string[] = [
  '',
  '\0',
  '\0\0',
  '\0s',
  '\ud800',
  'a\udc00',
  '\udbff\ud800',
  '\ufeff',
  '\ufeffa',
  '\ufffd',
  '\uffff',
  '😀',
  'é',
  'e\u0301',
  '\xff\xfe',
  'x'.repeat(31),
  'x'.repeat(32),
  'x'.repeat(33),
  `${'x'.repeat(31)}é`,
  'é'.repeat(5_000),
  '\ud800'.repeat(5_000),
  'x'.repeat(100_000),
]

describe('keys as bytes', () => {
  test('come back as they were, and equal keys have equal bytes while different ones differ', () => {
    fc.assert(
      fc.property(anyKey(), anyKey(), (a, b) => {
        const [ofA, ofB] = [keyBytes(a), keyBytes(b)]
        expect(sameKey(keyFromBytes(ofA) as Key, a)).toBe(true)
        expect(Buffer.compare(ofA, ofB) === 0).toBe(
          Object.is(canonicalKey(a), canonicalKey(b)) || canonicalKey(a) === canonicalKey(b),
        )
        // Bytes that the base keeps for itself.
        expect(ofA[0]).toBeLessThan(0xfe)
      }),
      { numRuns: 3000 },
    )
  })

  test('of hostile strings come back, alone and in tuples, and no two are one', () => {
    const seen = new Set<string>()
    for (const text of HOSTILE) {
      for (const key of [text, [text], [text, 'a'], [1, text], [[text]]] as readonly Key[]) {
        const bytes = keyBytes(key)
        expect(keyFromBytes(bytes)).toEqual(key)
        seen.add(Buffer.from(bytes).toString('hex'))
      }
    }
    expect(seen.size).toBe(5 * HOSTILE.length)
  })

  test('know -0 as 0 and every NaN as one', () => {
    expect(keyBytes(-0)).toEqual(keyBytes(0))
    const bits = new BigUint64Array([0xfff8000000000001n])
    const other = new Float64Array(bits.buffer)[0]!
    expect(keyBytes(other)).toEqual(keyBytes(Number.NaN))
    expect(Object.is(keyFromBytes(keyBytes(-0)), 0)).toBe(true)
  })

  test('of whole numbers sort as the numbers do', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer(), (a, b) => {
        expect(Math.sign(Buffer.compare(keyBytes(a), keyBytes(b)))).toBe(Math.sign(a - b))
      }),
    )
  })

  test('of other numbers and of dates sort as the numbers do, NaN last', () => {
    const number = fc.double({ noNaN: true, noDefaultInfinity: false }).map((value) => value + 0)
    fc.assert(
      fc.property(number, number, (a, b) => {
        const [ofA, ofB] = [Buffer.alloc(8), Buffer.alloc(8)]
        writeSortable(ofA, 0, a)
        writeSortable(ofB, 0, b)
        expect(Math.sign(Buffer.compare(ofA, ofB))).toBe(a < b ? -1 : a > b ? 1 : 0)
        expect(readSortable(ofA, 0)).toBe(a)
        writeSortable(ofB, 0, Number.NaN)
        expect(Buffer.compare(ofA, ofB)).toBe(-1)
        expect(readSortable(ofB, 0)).toBeNaN()
      }),
      { numRuns: 2000 },
    )
  })

  test('of strings sort as the strings do by their code points', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 6 })
    fc.assert(
      fc.property(text, text, (a, b) => {
        const [ofA, ofB] = [[...a], [...b]].map((points) => points.map((point) => point.codePointAt(0)!))
        const differs = ofA!.findIndex((point, index) => point !== ofB![index])
        const byPoints = differs < 0 ? ofA!.length - ofB!.length : ofA![differs]! - (ofB![differs] ?? -1)
        expect(Math.sign(Buffer.compare(keyBytes(a), keyBytes(b)))).toBe(Math.sign(byPoints))
      }),
    )
  })

  test('are a view that the next call overwrites, or a copy that it does not', () => {
    const copy = keyBytes('a')
    const view = keyBytesInPlace('a')
    keyBytesInPlace('b')
    expect(keyFromBytes(copy)).toBe('a')
    expect(keyFromBytes(view)).toBe('b')
  })

  test('can be read from the middle of a larger buffer', () => {
    const bytes = keyBytes(['a', 1.5, 7n, new Date(9)])
    const larger = new Uint8Array(bytes.byteLength + 7).fill(0x41)
    larger.set(bytes, 3)
    expect(keyFromBytes(larger.subarray(3, 3 + bytes.byteLength))).toEqual(['a', 1.5, 7n, new Date(9)])
  })

  test.each([[null], [undefined], [{}], [Symbol('s')], [() => 1], [['a', null]]])('there are none of %o', (key) => {
    expect(() => keyBytes(key)).toThrow(expect.objectContaining({ code: 'INVALID_KEY' }))
  })

  test('that are none give an error', () => {
    for (const bytes of [[], [0], [10], [0xfe], [3, 1], [9, 0, 0, 0, 9, 1], [9, 0xff, 0xff, 0xff, 0xff], [6, 0xd8]]) {
      expect(() => keyFromBytes(new Uint8Array(bytes)), String(bytes)).toThrow(Error)
    }
  })

  test('of anything end, with a key or an error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        try {
          keyFromBytes(bytes)
        } catch (error) {
          expect(error).toBeInstanceOf(Error)
        }
      }),
      { numRuns: 2000 },
    )
  })
})
