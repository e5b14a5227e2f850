import type { SchemaElement } from 'hyparquet'
import { SluiceError } from '../../src/core/errors.ts'

/** Reads `count` plain values that begin at `at`. */
export type PlainDecoder = (page: Buffer, at: number, count: number) => ArrayLike<unknown>

/** How the values of one column are kept in the file, and become values of a record. */
export interface ColumnCodec {
  readonly decode: PlainDecoder
  /** What was decoded are milliseconds since 1970, and each record is to have a `Date` of its own. */
  readonly isDate: boolean
}

const DAY_MS = 86_400_000
const SIGNED_INTEGERS: readonly unknown[] = [undefined, 'INT_8', 'INT_16', 'INT_32', 'INT_64']
const TEXTS: readonly unknown[] = [undefined, 'UTF8', 'STRING', 'ENUM']

/**
 * The codec of a column of one of the common types; `undefined` for all others, which are left to the library.
 *
 * @param place names the column in errors.
 *
 * @example
 * columnCodec({ type: 'DOUBLE', name: 'price' }, 'prices.parquet, column price', false)
 */
export function columnCodec(element: SchemaElement, place: string, bigints: boolean): ColumnCodec | undefined {
  const { type, converted_type: converted, logical_type: logical } = element
  const isInteger =
    SIGNED_INTEGERS.includes(converted) && (logical === undefined || (logical.type === 'INTEGER' && logical.isSigned))
  if (type === 'INT64' && isInteger)
    return plain(bigints ? decodeBigints : (page, at, count) => decodeIntegers(page, at, count, place))
  if (type === 'INT64') return timestampCodec(element)
  if (type === 'INT32' && isInteger) return plain(decodeInt32)
  if (type === 'INT32' && converted === 'DATE') return { decode: decodeDays, isDate: true }
  if (type === 'BYTE_ARRAY') return TEXTS.includes(converted) && TEXTS.includes(logical?.type) ? plain(decodeTexts) : undefined
  if (converted !== undefined || logical !== undefined) return undefined
  if (type === 'DOUBLE') return plain(decodeDoubles)
  if (type === 'FLOAT') return plain(decodeFloats)
  return undefined
}

function plain(decode: PlainDecoder): ColumnCodec {
  return { decode, isDate: false }
}

function timestampCodec({ converted_type: converted, logical_type: logical }: SchemaElement): ColumnCodec | undefined {
  const unit = logical?.type === 'TIMESTAMP' ? logical.unit : undefined
  if (converted === 'TIMESTAMP_MILLIS' || (!converted && unit === 'MILLIS')) return { decode: decodeTimes(1n), isDate: true }
  if (converted === 'TIMESTAMP_MICROS' || (!converted && unit === 'MICROS')) return { decode: decodeTimes(1_000n), isDate: true }
  if (!converted && unit === 'NANOS') return { decode: decodeTimes(1_000_000n), isDate: true }
  return undefined
}

/** A number that may be beyond what is exact, from its two halves; several times faster than by way of a bigint. */
function readInt64(page: Buffer, at: number): number {
  return page.readInt32LE(at + 4) * 4294967296 + page.readUInt32LE(at)
}

/** The numbers are in an array of JavaScript values, not of doubles: there V8 keeps small ones unboxed, and so rows that hold them. */
function decodeIntegers(page: Buffer, at: number, count: number, place: string): number[] {
  const numbers: number[] = []
  for (let i = 0; i < count; i++) {
    const number = readInt64(page, at + i * 8)
    if (!Number.isSafeInteger(number)) throw unsafe(page.readBigInt64LE(at + i * 8), place)
    const small = number | 0
    numbers.push(number === small ? small : number)
  }
  return numbers
}

/** The refusal of a 64-bit integer that a number would only come near. */
export function unsafe(value: bigint, place: string): SluiceError {
  return new SluiceError('MALFORMED_RECORD', `${place}: ${value} is too large for a number`, {
    hint: 'read all 64-bit integers as bigints with { bigints: true }, or leave the column out with { columns: [...] }',
  })
}

function decodeTimes(perMillisecond: bigint): PlainDecoder {
  const divisor = Number(perMillisecond)
  return (page, at, count) => {
    const times = new Float64Array(count)
    for (let i = 0; i < count; i++) {
      const time = readInt64(page, at + i * 8)
      // A remainder is exact where a quotient is rounded. Both ways cut towards zero, as the library does.
      const isExact = Number.isSafeInteger(time)
      times[i] = isExact ? (time - (time % divisor)) / divisor : Number(page.readBigInt64LE(at + i * 8) / perMillisecond)
    }
    return times
  }
}

function decodeBigints(page: Buffer, at: number, count: number): bigint[] {
  return Array.from({ length: count }, (_, i) => page.readBigInt64LE(at + i * 8))
}

function decodeInt32(page: Buffer, at: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => page.readInt32LE(at + i * 4))
}

function decodeDays(page: Buffer, at: number, count: number): Float64Array {
  return Float64Array.from({ length: count }, (_, i) => page.readInt32LE(at + i * 4) * DAY_MS)
}

function decodeDoubles(page: Buffer, at: number, count: number): Float64Array {
  return Float64Array.from({ length: count }, (_, i) => page.readDoubleLE(at + i * 8))
}

function decodeFloats(page: Buffer, at: number, count: number): Float64Array {
  return Float64Array.from({ length: count }, (_, i) => page.readFloatLE(at + i * 4))
}

function decodeTexts(page: Buffer, at: number, count: number): string[] {
  const texts: string[] = []
  for (let i = 0, next = at; i < count; i++) {
    const start = next + 4
    next = start + page.readUInt32LE(next)
    if (next > page.length) throw new Error('a text is cut off')
    texts.push(page.toString('utf8', start, next))
  }
  return texts
}
