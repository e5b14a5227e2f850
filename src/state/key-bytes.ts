import { SluiceError } from '../core/errors.ts'
import type { Key } from '../core/keyed-state.ts'

/*
 * Keys as bytes. Part of the on-disk format (docs/format.md): frozen. What always holds:
 *
 * - Equal keys have equal bytes and different keys have different ones, in the sense of `canonicalKey`: `1` and `'1'` differ, `-0` is `0`.
 * - The first byte is the type, and no key begins with 0xfe or 0xff, which the base uses for its own purposes.
 * - The bytes can be read back.
 *
 *   01, 02        false, true
 *   03 + 4        a whole number of 32 bits, big endian, with the sign bit turned, so that bytes sort as numbers do
 *   04 + 8        any other number, as a double that sorts as bytes
 *   05 + n        text in UTF-8
 *   06 + 2n       text with lone surrogates: its code units, big endian
 *   07 + 8        a date: its milliseconds, as 04
 *   08 + n        a bigint: its sign (1 byte: 0 negative, 1 not), then its decimal digits
 *   09 + n        a tuple: for each part its length (4 bytes, big endian) and its bytes
 */
const FALSE = 1
const TRUE = 2
const INT = 3
const DOUBLE = 4
const TEXT = 5
const CODE_UNITS = 6
const DATE = 7
const BIGINT = 8
const TUPLE = 9

/** Bytes that a key of this text needs at most. */
const LONGEST_CHARACTER = 3

let scratch = Buffer.alloc(1 << 12)

/** The bytes of a key, to be copied before the next call. */
export function keyBytesInPlace(key: unknown): Uint8Array {
  const length = keyInPlace(key)
  return scratch.subarray(0, length)
}

/** Copies what was written in place to another buffer. Returns the place behind it. */
export function copyKeyTo(target: Buffer, at: number, length: number): number {
  // Short ones are quicker by hand than by a call out of the engine.
  if (length > 32) target.set(scratch.subarray(0, length), at)
  else for (let index = 0; index < length; index++) target[at + index] = scratch[index]!
  return at + length
}

/** As `keyInPlace`, for a text of which there is one byte for each code unit, all below 256. */
export function latinKeyInPlace(bytes: Buffer, at: number, length: number): number {
  for (let index = 0; index < length; index++) {
    const code = bytes[at + index]!
    if (code >= 0x80) return keyInPlace(bytes.toString('latin1', at, at + length))
    scratch[1 + index] = code
  }
  scratch[0] = TEXT
  return 1 + length
}

/** The bytes of a key. */
export function keyBytes(key: unknown): Uint8Array<ArrayBuffer> {
  return new Uint8Array(keyBytesInPlace(key))
}

/** Writes the bytes of a key where `copyKeyTo` finds them. Returns their number. */
export function keyInPlace(key: unknown): number {
  switch (typeof key) {
    case 'string':
      return writeText(key)
    case 'number':
      return writeNumber(key)
    case 'boolean':
      scratch[0] = key ? TRUE : FALSE
      return 1
    case 'bigint': {
      const digits = String(key < 0n ? -key : key)
      reserve(2 + digits.length)
      scratch[0] = BIGINT
      scratch[1] = key < 0n ? 0 : 1
      return 2 + scratch.write(digits, 2, 'latin1')
    }
    default:
      if (key instanceof Date) {
        scratch[0] = DATE
        writeSortable(scratch, 1, key.getTime())
        return 9
      }
      if (Array.isArray(key)) return writeTuple(key as readonly Key[])
      throw new SluiceError('INVALID_KEY', `a key is ${key === null ? 'null' : typeof key}`)
  }
}

function writeText(text: string): number {
  const { length } = text
  reserve(1 + LONGEST_CHARACTER * length)
  // Short plain text is quicker by hand than by a call out of the engine.
  if (length <= 32) {
    let index = 0
    for (; index < length; index++) {
      const code = text.charCodeAt(index)
      if (code >= 0x80) break
      scratch[1 + index] = code
    }
    if (index === length) {
      scratch[0] = TEXT
      return 1 + length
    }
  }
  if (text.isWellFormed()) {
    scratch[0] = TEXT
    return 1 + scratch.write(text, 1, 'utf8')
  }
  scratch[0] = CODE_UNITS
  for (let index = 0; index < length; index++) scratch.writeUInt16BE(text.charCodeAt(index), 1 + 2 * index)
  return 1 + 2 * length
}

function writeNumber(value: number): number {
  const int = value | 0
  if (int === value) {
    scratch[0] = INT
    scratch.writeUInt32BE((int ^ 0x80000000) >>> 0, 1)
    return 5
  }
  scratch[0] = DOUBLE
  writeSortable(scratch, 1, value)
  return 9
}

function writeTuple(parts: readonly Key[]): number {
  const each = parts.map((part) => keyBytes(part))
  const length = each.reduce((sum, bytes) => sum + 4 + bytes.byteLength, 1)
  reserve(length)
  scratch[0] = TUPLE
  let at = 1
  for (const bytes of each) {
    scratch.writeUInt32BE(bytes.byteLength, at)
    scratch.set(bytes, at + 4)
    at += 4 + bytes.byteLength
  }
  return length
}

function reserve(length: number): void {
  if (scratch.byteLength < length) scratch = Buffer.alloc(2 ** Math.ceil(Math.log2(length)))
}

/** The key that these bytes stand for. @throws Error when they stand for none */
export function keyFromBytes(bytes: Uint8Array): unknown {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  switch (view[0]) {
    case FALSE:
      return false
    case TRUE:
      return true
    case INT:
      return (view.readUInt32BE(1) ^ 0x80000000) | 0
    case DOUBLE:
      return readSortable(view, 1)
    case TEXT:
      return view.toString('utf8', 1)
    case CODE_UNITS: {
      let text = ''
      for (let at = 1; at < view.length; at += 2) text += String.fromCharCode(view.readUInt16BE(at))
      return text
    }
    case DATE:
      return new Date(readSortable(view, 1))
    case BIGINT: {
      const magnitude = BigInt(view.toString('latin1', 2))
      return view[1] === 0 ? -magnitude : magnitude
    }
    case TUPLE:
      return readTuple(view)
    default:
      throw new Error(`no key begins with the byte ${view[0]}`)
  }
}

function readTuple(view: Buffer): readonly unknown[] {
  const parts: unknown[] = []
  for (let at = 1; at < view.length; ) {
    const end = at + 4 + view.readUInt32BE(at)
    if (end > view.length) throw new Error('a part of a tuple is longer than the tuple')
    parts.push(keyFromBytes(view.subarray(at + 4, end)))
    at = end
  }
  return parts
}

/** A double in eight bytes that sort as the numbers do; `NaN` comes last, and `-0` is `0`. */
export function writeSortable(target: Buffer, at: number, value: number): void {
  // Adding 0 makes 0 of -0; and there are many kinds of NaN, which are one key.
  if (Number.isNaN(value)) target.writeBigUInt64BE(0x7ff8000000000000n, at)
  else target.writeDoubleBE(value + 0, at)
  if ((target[at]! & 0x80) === 0) target[at]! ^= 0x80
  else for (let index = at; index < at + 8; index++) target[index]! ^= 0xff
}

export function readSortable(source: Uint8Array, at: number): number {
  for (let index = 0; index < 8; index++) doubleBytes[index] = source[at + index]!
  if ((doubleBytes[0]! & 0x80) !== 0) doubleBytes[0]! ^= 0x80
  else for (let index = 0; index < 8; index++) doubleBytes[index]! ^= 0xff
  return doubleBytes.readDoubleBE(0)
}

const doubleBytes = Buffer.alloc(8)
