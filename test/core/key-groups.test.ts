import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { canonicalKey, groupsOfSubtask, hashKey, keyGroupOf, murmur, subtaskOfGroup } from '../../src/core/key-groups.ts'
import type { Key } from '../../src/core/keyed-state.ts'
import { anyKey, sameKey } from './keys.ts'

describe('the key group of a key, as on a Flink cluster', () => {
  test.each([
    ['', 593_689_054, 94],
    ['a', 1_455_541_201, 81],
    ['A', 743_412_968, 104],
    ['user-1', 1_662_039_673, 121],
    ['user-2', 2_010_244_374, 22],
    ['sensor_1', 1_770_583_113, 73],
    ['key', 801_471_432, 72],
    [1, 68_075_478, 86],
    [2, 1_085_422_463, 127],
    [42, 1_134_849_565, 29],
    [-1, 1_982_413_648, 80],
    [-2_147_483_648, 1_718_298_732, 108],
  ] as const)('of %j is that of the vectors', (key, spread, group) => {
    expect(murmur(hashKey(key))).toBe(spread)
    expect(keyGroupOf(key, 128)).toBe(group)
  })

  test('of the largest integer is that of the vectors', () => {
    expect(keyGroupOf(2_147_483_647, 128)).toBe(62)
  })

  test.each([
    ['a', 97],
    ['user-1', -836_031_825],
    [true, 1231],
    [false, 1237],
    [0.5, 1_071_644_672],
    [-0.5, -1_075_838_976],
    [2 ** 31, 1_105_199_104],
    [Number.NaN, 2_146_959_360],
    [Number.POSITIVE_INFINITY, 2_146_435_072],
    [Number.NEGATIVE_INFINITY, -1_048_576],
    [0n, 0],
    [1n, 1],
    [-1n, -1],
    [2n ** 32n, 31],
    [-(2n ** 32n), -31],
    [2n ** 32n + 7n, 38],
    [new Date(0), 0],
    [new Date(2 ** 32), 1],
    [new Date(-1), 0],
    [[], 0],
    [['a'], 97],
    [['a', 1], 97 * 31 + 1],
    [[['a', 1], true], (97 * 31 + 1) * 31 + 1231],
  ] as const)('rests on the hash of Java for %o', (key, hash) => {
    expect(hashKey(key)).toBe(hash)
  })

  test('is frozen: any integer spreads to where it always has', () => {
    // A sum over many hashes, so that a change to any step of the finaliser shows.
    let sum = 0
    for (let code = -5_000; code < 5_000; code++) sum = (sum * 31 + murmur(code * 429_497)) % 1_000_000_007
    expect(sum).toBe(260_501_201)
  })

  test('is within bounds for any key', () => {
    fc.assert(
      fc.property(anyKey(), fc.integer({ min: 1, max: 32_768 }), (key, maxParallelism) => {
        const group = keyGroupOf(key, maxParallelism)
        expect(Number.isInteger(group) && group >= 0 && group < maxParallelism).toBe(true)
      }),
    )
  })

  test('has a place for every 32-bit number, also the smallest', () => {
    fc.assert(
      fc.property(fc.integer(), (code) => {
        const spread = murmur(code)
        expect(spread >= 0 && spread <= 2 ** 31 - 1 && Number.isInteger(spread)).toBe(true)
      }),
    )
  })
})

describe('the key groups of a subtask', () => {
  test.each([
    [3, ['0-42', '43-85', '86-127']],
    [5, ['0-25', '26-51', '52-76', '77-102', '103-127']],
    [7, ['0-18', '19-36', '37-54', '55-73', '74-91', '92-109', '110-127']],
  ])('of %d are those of the vectors', (parallelism, ranges) => {
    const own = ranges.map((_, subtask) => groupsOfSubtask(subtask, parallelism, 128))
    expect(own.map(({ first, last }) => `${first}-${last}`)).toEqual(ranges)
  })

  test('cover every group once, and agree with the owner of each group, for every parallelism', () => {
    for (const maxParallelism of [1, 2, 100, 128, 1000]) {
      for (let parallelism = 1; parallelism <= Math.min(128, maxParallelism); parallelism++) {
        let next = 0
        for (let subtask = 0; subtask < parallelism; subtask++) {
          const { first, last } = groupsOfSubtask(subtask, parallelism, maxParallelism)
          expect(first).toBe(next)
          expect(last).toBeGreaterThanOrEqual(first)
          for (let group = first; group <= last; group++) {
            if (subtaskOfGroup(group, parallelism, maxParallelism) !== subtask)
              expect([maxParallelism, parallelism, group]).toBe(subtask)
          }
          next = last + 1
        }
        expect(next).toBe(maxParallelism)
      }
    }
  })
})

describe('what identifies a key', () => {
  const identified = (key: Key) => new Map([[canonicalKey(key), 1]])

  test('is the same for equal keys and differs for all others', () => {
    fc.assert(
      fc.property(anyKey(), anyKey(), (a, b) => {
        expect(identified(a).has(canonicalKey(b))).toBe(sameKey(a, b))
        if (sameKey(a, b)) expect(hashKey(a)).toBe(hashKey(b))
      }),
      { numRuns: 20_000 },
    )
  })

  test('is the same for a key and its copy', () => {
    fc.assert(
      fc.property(anyKey(), (key) => {
        const copy = structuredClone(key) as Key
        expect(identified(key).has(canonicalKey(copy))).toBe(true)
        expect(hashKey(copy)).toBe(hashKey(key))
      }),
    )
  })

  test.each<readonly [Key, Key]>([
    [0, -0],
    [Number.NaN, -Number.NaN],
    [[0], [-0]],
    [[Number.NaN], [Number.NaN]],
    [new Date(5), new Date(5)],
    [
      [new Date(5), ['a']],
      [new Date(5), ['a']],
    ],
    [new Date(-0), new Date(0)],
  ])('is the same for %j and %j', (a, b) => {
    expect(identified(a).has(canonicalKey(b))).toBe(true)
    expect(keyGroupOf(a, 128)).toBe(keyGroupOf(b, 128))
  })

  test('differs for all of these', () => {
    const keys: readonly Key[] = [
      1,
      '1',
      1n,
      true,
      [1],
      ['1'],
      [1n],
      [true],
      [[1]],
      new Date(1),
      [new Date(1)],
      'true',
      'b1',
      '',
      [],
      [''],
      [[]],
      [[], []],
      ['', ''],
      '\0',
      '\0\0',
      '\0s',
      '\0s\0',
      '\0s\0s',
      '\0d1;',
      '\0t0:',
      '\0t1:n1;',
      '\0t1:s1:1',
      ['a', 'b'],
      ['ab'],
      ['a,b'],
      [['a'], 'b'],
      ['a', ['b']],
      ['as1:b'],
      ['a', 'b', ''],
      ['n1;'],
      ['1;'],
      [1, 1],
      [11],
      [1.5],
      ['1.5'],
      'NaN',
      Number.NaN,
      ['NaN'],
      [Number.NaN],
    ]
    const seen = new Map<unknown, Key>()
    for (const key of keys) {
      expect(seen.get(canonicalKey(key))).toBeUndefined()
      seen.set(canonicalKey(key), key)
    }
  })
})

describe('what is no key', () => {
  test.each([
    ['null', null],
    ['undefined', undefined],
    ['an object', { a: 1 }],
    ['an object without a prototype', Object.create(null)],
    ['an object that cannot be written as JSON', { a: 1n }],
    ['a Map', new Map()],
    ['a boxed string', Object('x')],
    ['a symbol', Symbol('s')],
    ['a function', () => 1],
    ['an invalid date', new Date(Number.NaN)],
    ['a tuple with null', ['a', null]],
    ['a tuple with a hole', new Array(2)],
    ['a tuple with an object deep inside', [['a', [{}]]]],
    ['a typed array', new Uint8Array([1])],
  ])('%s is refused', (_, key) => {
    expect(() => keyGroupOf(key, 128)).toThrow(expect.objectContaining({ code: 'INVALID_KEY', name: 'SluiceError' }))
  })

  test('the refusal says what the key was and what to return instead', () => {
    expect(() => keyGroupOf({ user: 7 }, 128)).toThrow('{"user":7}')
    expect(() => keyGroupOf(undefined, 128)).toThrow(expect.objectContaining({ hint: expect.stringContaining('filter') }))
  })
})
