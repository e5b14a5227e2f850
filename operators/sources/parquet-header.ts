/** What stands before a page of a column, as far as it matters for reading the values. */
export interface PageHeader {
  readonly kind: 'dictionary' | 'data' | 'data-v2' | 'other'
  readonly compressedBytes: number
  readonly uncompressedBytes: number
  /** Values in the page, nulls among them. */
  readonly values: number
  /** Number of the encoding in the format's list. */
  readonly encoding: number
  /** Bytes before the values of a `data-v2` page, which are never compressed. */
  readonly levelBytes: number
  readonly isCompressed: boolean
  /** Where the page itself begins. */
  readonly end: number
}

const KINDS = ['data', 'other', 'dictionary', 'data-v2'] as const

/** Types of Thrift's compact protocol. */
const TRUE = 1
const FALSE = 2
const BYTE = 3
const DOUBLE = 7
const BINARY = 8
const LIST = 9
const SET = 10
const STRUCT = 12

type Struct = Map<number, ThriftValue>
type ThriftValue = number | boolean | Struct | undefined

/**
 * Reads the page header at `at`. It is a Thrift struct, of which everything but numbers, booleans and nested structs is passed over.
 *
 * @example
 * const header = readPageHeader(bytes, 0)
 * const page = bytes.subarray(header.end, header.end + header.compressedBytes)
 */
export function readPageHeader(bytes: Uint8Array, at: number): PageHeader {
  const reader = new ThriftReader(bytes, at)
  const header = reader.struct()
  const kind = KINDS[numberIn(header, 1)] ?? 'other'
  const details = header.get({ data: 5, other: 6, dictionary: 7, 'data-v2': 8 }[kind])
  const fields: Struct = details instanceof Map ? details : new Map()
  const isVersion2 = kind === 'data-v2'
  return {
    kind,
    compressedBytes: numberIn(header, 3),
    uncompressedBytes: numberIn(header, 2),
    values: numberIn(fields, 1),
    encoding: numberIn(fields, isVersion2 ? 4 : 2),
    levelBytes: isVersion2 ? numberIn(fields, 5) + numberIn(fields, 6) : 0,
    isCompressed: fields.get(7) !== false || !isVersion2,
    end: reader.at,
  }
}

function numberIn(struct: Struct, field: number): number {
  const value = struct.get(field)
  return typeof value === 'number' ? value : 0
}

class ThriftReader {
  readonly #bytes: Uint8Array
  at: number

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes
    this.at = at
  }

  struct(): Struct {
    const fields: Struct = new Map()
    let field = 0
    for (let head = this.#byte(); head !== 0; head = this.#byte()) {
      const step = head >> 4
      field = step === 0 ? this.#zigzag() : field + step
      fields.set(field, this.#value(head & 15))
    }
    return fields
  }

  #value(type: number): ThriftValue {
    if (type === TRUE || type === FALSE) return type === TRUE
    if (type === BYTE) return this.#byte()
    if (type < DOUBLE) return this.#zigzag()
    if (type === STRUCT) return this.struct()
    if (type === DOUBLE) return this.#skip(8)
    if (type === BINARY) return this.#skip(this.#varint())
    if (type === LIST || type === SET) return this.#skipList()
    throw new Error(`a page header has a field of the unknown type ${type}`)
  }

  #skipList(): undefined {
    const head = this.#byte()
    const length = head >> 4 === 15 ? this.#varint() : head >> 4
    // The items of a list, unlike fields, have a byte each when they are booleans.
    const type = (head & 15) <= FALSE ? BYTE : head & 15
    for (let i = 0; i < length; i++) this.#value(type)
  }

  #skip(length: number): undefined {
    this.at += length
  }

  #byte(): number {
    const byte = this.#bytes[this.at++]
    if (byte === undefined) throw new Error('a page header is cut off')
    return byte
  }

  #varint(): number {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#byte()
      value += (byte & 127) * factor
      if (byte < 128) return value
    }
  }

  #zigzag(): number {
    const value = this.#varint()
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }
}
