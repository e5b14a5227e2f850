import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { SluiceError } from '../../src/core/errors.ts'
import { decodeValue, encodeValue } from '../../src/core/value-codec.ts'
import { ColumnarCodec } from '../../src/protocol/columnar-codec.ts'
import type { RecordBatch } from '../../src/protocol/element.ts'
import { MessagePackCodec } from '../../src/protocol/message-pack-codec.ts'
import { baseRow, rowValue, valueOfRow } from '../../src/state/base-rows.ts'
import { readDelta } from '../../src/state/delta-reader.ts'
import { DeltaWriter } from '../../src/state/delta-writer.ts'
import { keyBytes, keyFromBytes } from '../../src/state/key-bytes.ts'
import { DEFAULT_FORM, valueBytesInPlace, valueFromBytes } from '../../src/state/row-value.ts'
import { hostileBytes } from './bytes.ts'
import { fuzzing, timeoutOf } from './runs.ts'

/*
 * Bytes that nobody wrote are read as something or refused with an error. They take no time and no memory beyond their length, change nothing
 * that others see, and what is read after them is read rightly.
 */

const LONGEST_MS = 2_000
const values = fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true, withTypedArray: true })
const keys = fc.oneof(
  fc.string(),
  fc.double(),
  fc.bigInt(),
  fc.date(),
  fc.boolean(),
  fc.array(fc.oneof(fc.string(), fc.integer()), { maxLength: 4 }),
)

afterEach(() => {
  for (const prototype of [Object.prototype, Array.prototype, Map.prototype]) expect(Object.keys(prototype)).toEqual([])
})

/** Reads in no time, and gives what was read or nothing. */
function read<T>(action: () => T): T | undefined {
  const beganAt = performance.now()
  try {
    return action()
  } catch (error) {
    expect(error).toBeInstanceOf(Error)
    return undefined
  } finally {
    expect(performance.now() - beganAt).toBeLessThan(LONGEST_MS)
  }
}

const encodedValues = values.map((value) => {
  try {
    return encodeValue(value)
  } catch (error) {
    expect(error).toBeInstanceOf(SluiceError)
    return new Uint8Array([0xc0])
  }
})

const TIMEOUT_MS = timeoutOf(60_000)

describe('bytes of', () => {
  test('values', { timeout: TIMEOUT_MS }, () => {
    const check = (bytes: Uint8Array): void => {
      const value = read(() => decodeValue(bytes))
      // What was read is a value, which can be written, and has no end that nobody comes to.
      read(() => encodeValue(value))
      expect(decodeValue(encodeValue({ a: [1, { b: 'c' }] }))).toEqual({ a: [1, { b: 'c' }] })
    }
    fc.assert(fc.property(hostileBytes(encodedValues), check), fuzzing(2_000))
  })

  test('values that hold themselves or one another many times over are refused', () => {
    const id = (number: number, ...body: number[]): number[] => [0xd6, 0x69, 0, 0, 0, number, ...body]
    const again = (number: number): number[] => [0xd6, 0x70, 0, 0, 0, number]
    expect(() => decodeValue(new Uint8Array(id(1, 0x91, ...again(1))))).toThrow('are not those of a value')
    const levels = Array.from({ length: 40 }, (_, level) => id(level + 2, 0x92, ...again(level + 1), ...again(level + 1)))
    expect(() => decodeValue(new Uint8Array([0xdc, 0, 41, ...id(1, 0x90), ...levels.flat()]))).toThrow('are not those of a value')
    expect(() => decodeValue(new Uint8Array([0xc7, 8, 0x78, 0x92, 0xa4, 0x28, 0x61, 0x2b, 0x29, 0xa1, 0x67]))).toThrow()
  })

  test('keys', { timeout: TIMEOUT_MS }, () => {
    const check = (bytes: Uint8Array): void => {
      const key = read(() => keyFromBytes(bytes))
      if (key !== undefined) expect(keyFromBytes(keyBytes(key))).toEqual(key)
    }
    fc.assert(fc.property(hostileBytes(keys.map(keyBytes)), check), fuzzing(2_000))
  })

  test('rows of the base', { timeout: TIMEOUT_MS }, () => {
    const stored = fc.tuple(keys.map(keyBytes), encodedValues).map(([key, value]) => rowValue(key, new Uint8Array([3, ...value])))
    const numbers = fc.oneof(fc.double(), fc.integer()).map((value) => Uint8Array.from(valueBytesInPlace(value, DEFAULT_FORM)))
    const check = (value: Uint8Array, key: Uint8Array): void => {
      const row = read(() => baseRow({ kind: 'pane', name: 'n' }, { key: Buffer.from(key), value: Buffer.from(value) }))
      if (row !== undefined) read(() => [keyFromBytes(row.key), valueFromBytes(row.value)])
      read(() => valueFromBytes(valueOfRow(value)))
    }
    const rows = hostileBytes(fc.oneof(stored, numbers))
    fc.assert(fc.property(rows, hostileBytes(keys.map(keyBytes)), check), fuzzing())
  })

  test('chunks of changed state', { timeout: TIMEOUT_MS }, () => {
    const check = (bytes: Uint8Array): void => {
      let rows = 0
      const visitor = { row: () => void rows++, drop: () => undefined }
      read(() => readDelta(bytes, visitor))
      expect(rows).toBeLessThanOrEqual(bytes.length)
    }
    fc.assert(fc.property(hostileBytes(chunks), check), fuzzing())
  })

  test.each([
    ['msgpackr', () => new MessagePackCodec()],
    ['columnar, generated code', () => new ColumnarCodec('generated')],
    ['columnar, interpreted', () => new ColumnarCodec('interpreted')],
  ])('frames between threads: %s', { timeout: TIMEOUT_MS }, (_, create) => {
    const codec = create()
    const sound = fc.oneof(batches, batchesOfOneShape).map((batch) => Uint8Array.from(codec.encode(batch)))
    const check = (bytes: Uint8Array): void => {
      const element = read(() => codec.decode(bytes))
      if (element?.kind === 'records') expect(element.timestamps.length).toBe(element.values.length)
      // What was read before does not show in what is read after it.
      expect(codec.decode(Uint8Array.from(codec.encode(USUAL_BATCH)))).toEqual(USUAL_BATCH)
    }
    fc.assert(fc.property(hostileBytes(sound), check), fuzzing(2_000))
  })
})

function batchOf(values: unknown[]): RecordBatch {
  return { kind: 'records', values, timestamps: values.map((_, index) => (index % 3 === 0 ? Number.NaN : index)) }
}

const batches = fc.array(fc.jsonValue(), { maxLength: 5 }).map(batchOf)
const batchesOfOneShape = fc
  .array(
    fc.record({
      id: fc.integer(),
      name: fc.string(),
      city: fc.constantFrom('Aix', 'Bonn', null),
      price: fc.double(),
      open: fc.boolean(),
      at: fc.record({ x: fc.bigInt({ min: -5n, max: 5n }), day: fc.date() }),
      rest: fc.jsonValue(),
    }),
    { minLength: 1, maxLength: 40 },
  )
  .map(batchOf)
const USUAL_BATCH = batchOf([
  { id: 1, name: 'a name', at: [1, 'x'] },
  { id: 2, name: 'another', at: [2, 'y'] },
])

const chunks = fc
  .array(fc.tuple(fc.constantFrom('a', 'b', '__proto__'), fc.nat(7), fc.double(), keys, fc.option(fc.string())), { maxLength: 8 })
  .map((rows) => {
    const writer = new DeltaWriter()
    for (const [name, group, namespace, key, value] of rows) {
      const state = { kind: 'pane', name } as const
      if (value === null) writer.remove(state, group, namespace, key)
      else writer.put(state, group, namespace, key, value, DEFAULT_FORM)
    }
    writer.drop({ kind: 'table', name: 'dropped' }, 0, 7, 0)
    writer.cut()
    return writer.take()[0]!.bytes
  })
