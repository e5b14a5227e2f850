import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { StoredForm } from '../../src/core/keyed-state.ts'
import { DEFAULT_FORM, emptyValueBytes, formOfBytes, valueBytesInPlace, valueFromBytes } from '../../src/state/row-value.ts'
import { contractValue, difference } from '../conformance/values.ts'

const form = fc.record({
  version: fc.oneof(fc.constant(1), fc.nat(), fc.double({ noNaN: true })),
  stamps: fc.constantFrom<StoredForm['stamps']>(undefined, 'event', 'processing'),
})

function bytesOf(value: unknown, of: StoredForm = DEFAULT_FORM): Uint8Array {
  return Uint8Array.from(valueBytesInPlace(value, of))
}

describe('values of rows as bytes', () => {
  test('come back exactly, with the form in which they were stored', () => {
    fc.assert(
      fc.property(contractValue(), form, (value, of) => {
        const bytes = bytesOf(value, of)
        const back = valueFromBytes(bytes)
        expect(difference(value, back.value)).toBeUndefined()
        expect(back.form).toEqual(of)
        expect(formOfBytes(bytes)).toEqual(of)
      }),
    )
  })

  test('of numbers come back exactly: -0, the borders of 32 bits, NaN', () => {
    const border = [0, -0, 1, -1, 2 ** 31 - 1, 2 ** 31, -(2 ** 31), -(2 ** 31) - 1, 0.1, Number.NaN, Number.NEGATIVE_INFINITY]
    for (const value of border) expect(Object.is(valueFromBytes(bytesOf(value)).value, value), String(value)).toBe(true)
    fc.assert(fc.property(fc.double(), (value) => void expect(valueFromBytes(bytesOf(value)).value).toBe(value)))
  })

  test('of a whole number take five bytes', () => {
    expect(bytesOf(7).byteLength).toBe(5)
    expect(bytesOf(7, { version: 2, stamps: undefined }).byteLength).toBe(14)
  })

  test('never begin with the byte that marks a long key', () => {
    fc.assert(fc.property(contractValue(), form, (value, of) => void expect(bytesOf(value, of)[0]).not.toBe(0xfe)))
  })

  test('of a timer say nothing', () => {
    expect(valueFromBytes(emptyValueBytes())).toEqual({ value: undefined, form: DEFAULT_FORM })
  })

  test('larger than the buffer in which they are made come back', () => {
    for (const length of [4_000, 4_095, 4_096, 5_000, 1 << 20]) {
      expect(valueFromBytes(bytesOf('x'.repeat(length), { version: 3, stamps: 'event' }))).toEqual({
        value: 'x'.repeat(length),
        form: { version: 3, stamps: 'event' },
      })
    }
  })

  test('can be read from the middle of a larger buffer', () => {
    const bytes = bytesOf(['a', 1.5])
    const larger = new Uint8Array(bytes.byteLength + 7)
    larger.set(bytes, 3)
    expect(valueFromBytes(larger.subarray(3, 3 + bytes.byteLength)).value).toEqual(['a', 1.5])
  })

  test('that are none, or are cut off, give an error', () => {
    for (const bytes of [[], [0], [5], [0x7f], [0xfe]])
      expect(() => valueFromBytes(new Uint8Array(bytes)), String(bytes)).toThrow(Error)
    for (const value of [7, 0.5]) {
      const bytes = bytesOf(value, { version: 2, stamps: 'event' })
      for (let length = 0; length < bytes.byteLength; length++) {
        expect(() => valueFromBytes(bytes.subarray(0, length)), `${length} bytes of ${value}`).toThrow(Error)
      }
    }
  })
})
