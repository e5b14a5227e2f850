import { type PageHeader, readPageHeader } from './parquet-header.ts'
import { readRuns } from './parquet-runs.ts'
import type { ColumnCodec } from './parquet-values.ts'

/** Gives the values of one column of a row group, in the order of the rows. */
export interface ColumnCursor {
  /** Passes over `count` values. */
  skip(count: number): void
  /** Writes the next `count` values to the beginning of `target`. */
  fill(target: unknown[], count: number): void
}

/** Undoes the compression of a page. */
export type Decompress = (bytes: Uint8Array, uncompressedBytes: number) => Uint8Array

/** The values of a page; `values[indexes[i]]` where there are indexes, else `values[i]`. */
interface Page {
  readonly length: number
  readonly values: ArrayLike<unknown>
  readonly indexes: Int32Array | undefined
}

/** Encodings of the format's list that are read here; columns with others are left to the library. */
const PLAIN = 0
const PLAIN_DICTIONARY = 2
const RLE_DICTIONARY = 8

const NO_PAGE: Page = { length: 0, values: [], indexes: undefined }

/**
 * Reads a column that is no list and no struct. One page is decoded at a time, when the first of its rows is wanted, and a page in
 * dictionary encoding stays a row of positions in the dictionary: its values are decoded once, not once per row.
 *
 * @example
 * const column = new FlatColumn({ bytes, codec, decompress, isNullable: true })
 * column.fill(target, 1000)
 */
export class FlatColumn implements ColumnCursor {
  readonly #bytes: Uint8Array
  readonly #codec: ColumnCodec
  readonly #decompress: Decompress
  readonly #isNullable: boolean
  /** With `null` behind the last value, so that a null can be a position like any other. */
  #dictionary: readonly unknown[] = [null]
  #page = NO_PAGE
  #offset = 0
  #at = 0

  constructor(chunk: { bytes: Uint8Array; codec: ColumnCodec; decompress: Decompress; isNullable: boolean }) {
    this.#bytes = chunk.bytes
    this.#codec = chunk.codec
    this.#decompress = chunk.decompress
    this.#isNullable = chunk.isNullable
  }

  skip(count: number): void {
    for (let left = count; left > 0; ) {
      const inPage = this.#page.length - this.#offset
      if (left <= inPage) {
        this.#offset += left
        return
      }
      left -= inPage
      left -= this.#nextPage(left)
    }
  }

  fill(target: unknown[], count: number): void {
    for (let done = 0; done < count; ) {
      if (this.#offset === this.#page.length) this.#nextPage(0)
      const part = Math.min(count - done, this.#page.length - this.#offset)
      copyValues(this.#page, this.#offset, target, done, part)
      this.#offset += part
      done += part
    }
    if (this.#codec.isDate) makeDates(target, count)
  }

  /** Goes to the next page that is not passed over as a whole; returns the number of values that were. */
  #nextPage(skip: number): number {
    let skipped = 0
    for (;;) {
      const header = readPageHeader(this.#bytes, this.#at)
      const body = this.#bytes.subarray(header.end, header.end + header.compressedBytes)
      if (body.length < header.compressedBytes) throw new Error('a page is cut off')
      this.#at = header.end + header.compressedBytes
      if (header.kind === 'dictionary') this.#readDictionary(header, body)
      if (!header.kind.startsWith('data')) continue
      if (skipped + header.values > skip) {
        this.#page = this.#readPage(header, body)
        this.#offset = 0
        return skipped
      }
      skipped += header.values
    }
  }

  #readDictionary(header: PageHeader, body: Uint8Array): void {
    const values = this.#codec.decode(this.#inflate(header, body), 0, header.values)
    this.#dictionary = [...Array.from(values), null]
  }

  #readPage(header: PageHeader, body: Uint8Array): Page {
    const page = this.#inflate(header, body)
    const isVersion2 = header.kind === 'data-v2'
    if (!this.#isNullable) return this.#readValues(header, page, isVersion2 ? header.levelBytes : 0, undefined)
    const levelsAt = isVersion2 ? 0 : 4
    const valuesAt = isVersion2 ? header.levelBytes : 4 + page.readUInt32LE(0)
    const present = readRuns(page.subarray(0, valuesAt), levelsAt, 1, header.values, 2)
    return this.#readValues(header, page, valuesAt, present.includes(0) ? present : undefined)
  }

  /** @param present 1 for each value that is there and 0 for each null, when there are nulls. */
  #readValues(header: PageHeader, page: Buffer, at: number, present: Int32Array | undefined): Page {
    const length = header.values
    const count = present === undefined ? length : present.reduce((sum, one) => sum + one, 0)
    if (header.encoding === RLE_DICTIONARY || header.encoding === PLAIN_DICTIONARY) {
      const values = this.#dictionary
      const indexes = count === 0 ? new Int32Array(0) : readRuns(page, at + 1, page.readUInt8(at), count, values.length - 1)
      return { length, values, indexes: present ? spreadIndexes(indexes, present, values.length - 1) : indexes }
    }
    if (header.encoding !== PLAIN) throw new Error(`a page has the encoding ${header.encoding}, which its column does not list`)
    const values = this.#codec.decode(page, at, count)
    return { length, values: present ? spreadValues(values, present) : values, indexes: undefined }
  }

  #inflate(header: PageHeader, body: Uint8Array): Buffer {
    const { levelBytes, uncompressedBytes, isCompressed } = header
    if (!isCompressed) return asBuffer(body)
    const values = asBuffer(this.#decompress(body.subarray(levelBytes), uncompressedBytes - levelBytes))
    if (values.length !== uncompressedBytes - levelBytes) throw new Error('a page does not have the size that it says')
    return levelBytes === 0 ? values : Buffer.concat([body.subarray(0, levelBytes), values])
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function copyValues({ values, indexes }: Page, offset: number, target: unknown[], at: number, count: number): void {
  if (indexes === undefined) {
    for (let i = 0; i < count; i++) target[at + i] = values[offset + i]
  } else {
    for (let i = 0; i < count; i++) target[at + i] = values[indexes[offset + i]!]
  }
}

/** A `Date` can be changed by whoever has it, so no two records share one. */
function makeDates(target: unknown[], count: number): void {
  for (let i = 0; i < count; i++) if (target[i] !== null) target[i] = new Date(target[i] as number)
}

function spreadIndexes(indexes: Int32Array, present: Int32Array, nullIndex: number): Int32Array {
  let next = 0
  return present.map((one) => (one === 1 ? indexes[next++]! : nullIndex))
}

function spreadValues(values: ArrayLike<unknown>, present: Int32Array): unknown[] {
  let next = 0
  return Array.from(present, (one) => (one === 1 ? values[next++] : null))
}

/**
 * Values that have been decoded elsewhere.
 *
 * @example
 * new DecodedColumn([[1, 2], [3]]).fill(target, 2)
 */
export class DecodedColumn implements ColumnCursor {
  readonly #values: ArrayLike<unknown>
  #next = 0

  constructor(values: ArrayLike<unknown>) {
    this.#values = values
  }

  skip(count: number): void {
    this.#next += count
  }

  fill(target: unknown[], count: number): void {
    for (let i = 0; i < count; i++) {
      const value = this.#values[this.#next + i]
      target[i] = value instanceof Date ? new Date(value) : value
    }
    this.#next += count
  }
}
