import { isLongKey, RowKeys, rowValue } from '../state/base-rows.ts'
import type { StateIdentity } from '../state/delta-chunk.ts'
import { bytesAt, lengthAt } from '../state/delta-chunk.ts'
import type { Tables } from './environment.ts'
import type { RowTarget } from './fold-batch.ts'

/**
 * A part of a buffer as a value for LMDB-js: it takes the bytes from `start` to `end` of the memory under a buffer that has these two, as its own
 * encoders give them. One such buffer serves all rows of a batch, where a view for each was a seventh of the cost of a row.
 */
type ValueWindow = Buffer & { start: number; end: number }

/** So many bytes of values, and what is left of the last one, go into one transaction. Rows of a usual size come to an end by the time before that. */
export const VALUE_BYTES_AT_ONCE = 512 << 10

/** Puts rows into the base as they lie in chunks. It makes nothing for a row, because there are millions of them. */
export class BaseRowWriter implements RowTarget {
  readonly #table: Tables['state']
  readonly #keys = new RowKeys()
  #bytes: Buffer = Buffer.alloc(0)
  #window: ValueWindow | undefined
  #bytesLeft = VALUE_BYTES_AT_ONCE

  constructor(table: Tables['state']) {
    this.#table = table
  }

  /** A transaction begins. */
  beginTransaction(): void {
    this.#bytesLeft = VALUE_BYTES_AT_ONCE
  }

  begin(bytes: Buffer, number: number, state: StateIdentity, group: number): void {
    this.#keys.begin(number, state, group)
    if (this.#bytes === bytes) return
    this.#bytes = bytes
    this.#window = Object.assign(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), { start: 0, end: 0 })
  }

  row(namespace: number, place: number): boolean {
    const bytes = this.#bytes
    const keyAt = bytesAt(bytes, place)
    const keyEnd = keyAt + lengthAt(bytes, place)
    const row = this.#keys.of(namespace, bytes, keyAt, keyEnd)
    const length = lengthAt(bytes, keyEnd)
    if (length === 0) this.#table.removeSync(row)
    else this.#table.putSync(row, this.#value(keyAt, keyEnd, bytesAt(bytes, keyEnd), length - 1))
    this.#bytesLeft -= length
    return this.#bytesLeft > 0
  }

  #value(keyAt: number, keyEnd: number, valueAt: number, length: number): Buffer {
    const bytes = this.#bytes
    if (isLongKey(keyEnd - keyAt)) {
      return Buffer.from(rowValue(bytes.subarray(keyAt, keyEnd), bytes.subarray(valueAt, valueAt + length)))
    }
    const window = this.#window!
    window.start = bytes.byteOffset + valueAt
    window.end = window.start + length
    return window
  }
}
