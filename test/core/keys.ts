import fc from 'fast-check'
import type { Key } from '../../src/core/keyed-state.ts'

/** Any key, small ones often, so that two of them are sometimes equal. */
export function anyKey(): fc.Arbitrary<Key> {
  const text = fc.oneof(
    fc.constantFrom('', '0', '1', 'a', '\0', '\0s', '\0sa', '\0d1;', '\0t1:s1:a', 'n1;', 's1:a', 'true', 'NaN', '\ud800'),
    fc.string({ maxLength: 4 }),
    fc.string({ maxLength: 3 }).map((rest) => `\0${rest}`),
  )
  const leaf = fc.oneof(
    text,
    fc.constantFrom<Key>(0, -0, 1, -1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, 0.1, 1e21),
    fc.double(),
    fc.integer(),
    fc.bigInt({ min: -3n, max: 3n }),
    fc.bigInt(),
    fc.boolean(),
    fc.integer({ min: -2, max: 2 }).map((ms) => new Date(ms)),
    fc.date({ noInvalidDate: true }),
  )
  return fc.letrec<{ key: Key }>((tie) => ({
    key: fc.oneof({ maxDepth: 3, withCrossShrink: true }, leaf, fc.array(tie('key'), { maxLength: 3 })),
  })).key
}

/** The rule for keys, word for word: by type and value, -0 is 0, NaN is NaN, dates by their time, tuples part by part. */
export function sameKey(a: Key, b: Key): boolean {
  if (a instanceof Date || b instanceof Date) return a instanceof Date && b instanceof Date && a.getTime() === b.getTime()
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false
    return a.every((part, index) => sameKey(part, b[index]))
  }
  return typeof a === typeof b && (a === b || (Number.isNaN(a) && Number.isNaN(b)))
}
