import { behindGroup, behindRow, imageKey, isLongKey, RowKeys, rowKey, rowValue } from '../state/base-rows.ts'
import type { StateIdentity } from '../state/delta-chunk.ts'
import { bytesAt, lengthAt, rowAt } from '../state/delta-reader.ts'
import { GroupImage } from '../state/group-image.ts'
import { ImageRows } from '../state/image-rows.ts'
import { damagedRow } from '../state/stored-row.ts'
import type { Tables } from './environment.ts'
import type { GroupChange, RowTarget } from './fold-batch.ts'
import { asBuffer } from './store-writes.ts'

/**
 * A part of a buffer as a value for LMDB-js: it takes the bytes from `start` to `end` of the memory under a buffer that has these two, as its own
 * encoders give them. One such buffer serves all rows of a batch, where a view for each was a seventh of the cost of a row.
 */
type ValueWindow = Buffer & { start: number; end: number }

/** So many bytes of values, and what is left of the last one, go into one transaction. Rows of a usual size come to an end by the time before that. */
export const VALUE_BYTES_AT_ONCE = 512 << 10
/** Where there are images among them. */
export const IMAGE_BYTES_AT_ONCE = 2 << 20

/**
 * Puts rows into the base as they lie in chunks. What always holds:
 *
 * 1. A group of a table lies in the base as an image or as rows: never as both, also not between two transactions.
 * 2. Nothing is made for a row that lies there as a row, because there are millions of them.
 */
export class BaseRowWriter implements RowTarget {
  readonly #table: Tables['state']
  readonly #keys = new RowKeys()
  #bytes: Buffer = Buffer.alloc(0)
  #window: ValueWindow | undefined
  #bytesLeft = 0
  /** Of those that were found in the base and may have been written anew. */
  longestImageBytes = 0

  constructor(table: Tables['state']) {
    this.#table = table
  }

  /** A transaction begins. */
  beginTransaction(valueBytes: number): void {
    this.#bytesLeft = valueBytes
  }

  begin(bytes: Buffer, number: number, state: StateIdentity, group: number): void {
    this.#keys.begin(number, state, group)
    if (this.#bytes === bytes) return
    this.#bytes = bytes
    this.#window = Object.assign(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), { start: 0, end: 0 })
  }

  get takesMore(): boolean {
    return this.#bytesLeft > 0
  }

  group({ bytes, number, state, group, image, places, count }: GroupChange): boolean {
    if (state.kind !== 'table') return false
    const known = image ?? this.#imageOf(number, state, group)
    if (known === undefined) return false
    if (image !== undefined) this.#removeRows(number, group)
    const rows = count === 0 && known.rows > 0 ? undefined : new ImageRows(state, known)
    for (let index = 0; index < count; index++) {
      const { key, value } = rowAt(bytes, places[index]!)
      if (rows!.put(key, value)) continue
      this.#writeAsRows(known, number, state, group)
      return false
    }
    const whole = rows === undefined ? known.bytes : rows.inPlace()
    if (whole === undefined) this.#table.removeSync(imageKey(number, group))
    else this.#table.putSync(imageKey(number, group), asBuffer(whole))
    this.#bytesLeft -= whole?.byteLength ?? 0
    return true
  }

  #imageOf(number: number, state: StateIdentity, group: number): GroupImage | undefined {
    const stored = this.#table.getBinary(imageKey(number, group))
    if (stored === undefined) return undefined
    if (stored.byteLength > this.longestImageBytes) this.longestImageBytes = stored.byteLength
    try {
      return GroupImage.proved(stored)
    } catch (error) {
      throw damagedRow(state, error)
    }
  }

  #removeRows(number: number, group: number): void {
    const range = { start: behindRow(imageKey(number, group)), end: behindGroup(number, group) }
    for (const key of [...this.#table.getKeys(range)]) this.#table.removeSync(key)
  }

  #writeAsRows(image: GroupImage, number: number, state: StateIdentity, group: number): void {
    this.#table.removeSync(imageKey(number, group))
    this.#bytesLeft -= image.byteLength
    for (let row = 0; row < image.rows; row++) {
      const { key, value } = image.baseRow(row)
      this.#table.putSync(rowKey(number, state, group, 0, key), asBuffer(value))
    }
  }

  row(namespace: number, place: number): void {
    const bytes = this.#bytes
    const keyAt = bytesAt(bytes, place)
    const keyEnd = keyAt + lengthAt(bytes, place)
    const row = this.#keys.of(namespace, bytes, keyAt, keyEnd)
    const length = lengthAt(bytes, keyEnd)
    if (length === 0) this.#table.removeSync(row)
    else this.#table.putSync(row, this.#value(keyAt, keyEnd, bytesAt(bytes, keyEnd), length - 1))
    this.#bytesLeft -= length
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
