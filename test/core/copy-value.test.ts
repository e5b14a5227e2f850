import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { copyValue } from '../../src/core/copy-value.ts'

/** Every object inside a value, the value itself too. */
function objectsIn(value: unknown, found: Set<object> = new Set()): Set<object> {
  if (typeof value !== 'object' || value === null || found.has(value)) return found
  found.add(value)
  if (value instanceof Map) for (const pair of value) for (const item of pair) objectsIn(item, found)
  else if (value instanceof Set) for (const item of value) objectsIn(item, found)
  else if (!ArrayBuffer.isView(value)) for (const item of Object.values(value)) objectsIn(item, found)
  return found
}

describe('a copy', () => {
  test('equals the value and shares no object with it', () => {
    const values = fc.anything({ withDate: true, withMap: true, withSet: true, withTypedArray: true, withBigInt: true })
    fc.assert(
      fc.property(values, (value) => {
        const copy = copyValue(value)
        expect(copy).toEqual(value)
        const own = objectsIn(value)
        expect([...objectsIn(copy)].filter((object) => own.has(object))).toEqual([])
      }),
    )
  })

  test.each([
    ['a Buffer', Buffer.from('abc')],
    ['an ArrayBuffer', new Uint8Array([1, 2]).buffer],
    ['a typed array that is a part of a buffer', new Uint8Array([1, 2, 3]).subarray(1)],
    ['a field __proto__', JSON.parse('{"__proto__": {"a": 1}}') as object],
    ['no prototype', Object.assign(Object.create(null) as object, { a: [1] })],
  ])('keeps %s', (_, value) => {
    const copy = copyValue(value)
    expect(copy).not.toBe(value)
    expect(copy).toStrictEqual(value)
    expect(Object.getPrototypeOf(copy)).toBe(Object.getPrototypeOf(value))
    expect(Object.keys(copy)).toEqual(Object.keys(value))
  })

  test('of a primitive or a function is the thing itself', () => {
    const fn = (): number => 1
    for (const value of [undefined, null, 1, -0, 'a', 5n, true, fn]) expect(Object.is(copyValue(value), value)).toBe(true)
  })
})
