import type { StoredForm } from '../core/keyed-state.ts'
import { chunkBytes } from './chunk-memory.ts'
import type { DeltaChunk, StateIdentity } from './delta-chunk.ts'
import { DROP, hasNamespace, IMAGE, LENGTH_BYTES_MAX, LONG, ROWS, STATE_KINDS } from './delta-chunk.ts'
import { GroupImage } from './group-image.ts'
import { copyKeyTo, keyBytesInPlace } from './key-bytes.ts'
import { copyValueTo, emptyValueBytes, valueBytesInPlace } from './row-value.ts'

const HEADER_BYTES = 20
const CHUNK_BYTES = 1 << 16
/** A larger image is a chunk of its own, so that nobody has to read it when there is a newer one. */
const ALONE_BYTES = 1 << 11

/** Packs rows into chunks. */
export class DeltaWriter {
  #chunks: DeltaChunk[] = []
  #bytes = Buffer.allocUnsafeSlow(CHUNK_BYTES * 2)
  #at = 0
  #sectionAt = -1
  #sectionRows = 0
  #state: StateIdentity | undefined
  #group = -1
  #rows = 0
  #firstGroup = Number.POSITIVE_INFINITY
  #lastGroup = -1
  #rowsCut = 0
  #bytesCut = 0

  put(state: StateIdentity, group: number, namespace: number, key: unknown, value: unknown, form: StoredForm): void {
    this.putBytes(state, group, namespace, keyBytesInPlace(key), valueBytesInPlace(value, form))
  }

  /** A row without a value: a timer. */
  putKey(state: StateIdentity, group: number, namespace: number, key: unknown): void {
    this.putBytes(state, group, namespace, keyBytesInPlace(key), emptyValueBytes())
  }

  remove(state: StateIdentity, group: number, namespace: number, key: unknown): void {
    this.putBytes(state, group, namespace, keyBytesInPlace(key), undefined)
  }

  putBytes(state: StateIdentity, group: number, namespace: number, key: Uint8Array, value: Uint8Array | undefined): void {
    if (this.#state !== state || this.#group !== group || this.#sectionAt < 0) this.#begin(state, group)
    this.#reserve(8 + 2 * LENGTH_BYTES_MAX + key.byteLength + (value?.byteLength ?? 0))
    if (hasNamespace(state.kind)) this.#at = this.#bytes.writeDoubleLE(namespace, this.#at)
    this.#writeBytes(key, 0)
    if (value === undefined) this.#bytes[this.#at++] = 0
    else this.#writeBytes(value, 1)
    this.#endRow()
  }

  #endRow(): void {
    this.#sectionRows++
    this.#rows++
    if (this.#at >= CHUNK_BYTES) this.cut()
  }

  /** A row whose key and value were written in place, in bytes; a value of -1: the row is removed. */
  putInPlace(state: StateIdentity, group: number, namespace: number, keyBytes: number, valueBytes: number): void {
    if (this.#state !== state || this.#group !== group || this.#sectionAt < 0) this.#begin(state, group)
    this.#reserve(8 + 2 * LENGTH_BYTES_MAX + keyBytes + Math.max(0, valueBytes))
    if (hasNamespace(state.kind)) this.#at = this.#bytes.writeDoubleLE(namespace, this.#at)
    this.#writeLength(keyBytes)
    this.#at = copyKeyTo(this.#bytes, this.#at, keyBytes)
    this.#writeLength(valueBytes + 1)
    if (valueBytes > 0) this.#at = copyValueTo(this.#bytes, this.#at, valueBytes)
    this.#endRow()
  }

  /** All rows of a group, and none beside them. */
  image(state: StateIdentity, group: number, image: Uint8Array): void {
    const { rows } = new GroupImage(image)
    const isAlone = image.byteLength >= ALONE_BYTES
    if (isAlone) this.cut()
    this.#begin(state, group, IMAGE)
    this.#reserve(image.byteLength)
    this.#bytes.set(image, this.#at)
    this.#at += image.byteLength
    this.#sectionRows = rows
    this.#rows += rows
    this.#endSection()
    if (isAlone) this.#cut({ imageOf: state.name })
    else if (this.#at >= CHUNK_BYTES) this.cut()
  }

  /** Everything of a namespace in these groups is gone. */
  drop(state: StateIdentity, firstGroup: number, lastGroup: number, namespace: number): void {
    this.#endSection()
    this.#writeHeader(DROP, state, firstGroup, lastGroup, namespace)
    this.#rows++
  }

  /** Ends the current chunk. */
  cut(): void {
    this.#cut({})
  }

  #cut(all: Pick<DeltaChunk, 'imageOf'>): void {
    this.#endSection()
    if (this.#at === 0) return
    const bytes = chunkBytes(this.#at)
    bytes.set(this.#bytes.subarray(0, this.#at))
    this.#rowsCut += this.#rows
    this.#bytesCut += this.#at
    this.#chunks.push({ firstGroup: this.#firstGroup, lastGroup: this.#lastGroup, rows: this.#rows, ...all, bytes })
    this.#at = 0
    this.#rows = 0
    this.#firstGroup = Number.POSITIVE_INFINITY
    this.#lastGroup = -1
  }

  /** Bytes of a row on average, in the chunks that were cut since this was last asked; `undefined` when none was. */
  averageBytes(): number | undefined {
    const average = this.#rowsCut === 0 ? undefined : this.#bytesCut / this.#rowsCut
    this.#rowsCut = 0
    this.#bytesCut = 0
    return average
  }

  /** The chunks that are ready, each given once. */
  take(): readonly DeltaChunk[] {
    const chunks = this.#chunks
    if (chunks.length > 0) this.#chunks = []
    return chunks
  }

  #begin(state: StateIdentity, group: number, type = ROWS): void {
    this.#endSection()
    this.#state = state
    this.#group = group
    this.#sectionAt = this.#at
    this.#sectionRows = 0
    this.#writeHeader(type, state, group, group, 0)
  }

  #writeHeader(type: number, { kind, name }: StateIdentity, firstGroup: number, lastGroup: number, namespace: number): void {
    this.#reserve(HEADER_BYTES + 3 * name.length)
    const at = this.#at
    const nameLength = this.#bytes.write(name, at + 4, 'utf8')
    this.#bytes[at] = type
    this.#bytes[at + 1] = STATE_KINDS.indexOf(kind)
    this.#bytes.writeUInt16LE(nameLength, at + 2)
    let end = this.#bytes.writeUInt16LE(firstGroup, at + 4 + nameLength)
    end = this.#bytes.writeUInt16LE(lastGroup, end)
    end = this.#bytes.writeDoubleLE(namespace, end)
    this.#at = this.#bytes.writeUInt32LE(0, end)
    if (firstGroup < this.#firstGroup) this.#firstGroup = firstGroup
    if (lastGroup > this.#lastGroup) this.#lastGroup = lastGroup
  }

  #endSection(): void {
    if (this.#sectionAt < 0) return
    const countAt = this.#sectionAt + 16 + this.#bytes.readUInt16LE(this.#sectionAt + 2)
    this.#bytes.writeUInt32LE(this.#sectionRows, countAt)
    this.#sectionAt = -1
  }

  /** @param added to the length, where 0 means something else */
  #writeBytes(source: Uint8Array, added: number): void {
    this.#writeLength(source.byteLength + added)
    this.#bytes.set(source, this.#at)
    this.#at += source.byteLength
  }

  #writeLength(length: number): void {
    if (length < LONG) this.#bytes[this.#at++] = length
    else {
      this.#bytes[this.#at] = LONG
      this.#at = this.#bytes.writeUInt32LE(length, this.#at + 1)
    }
  }

  #reserve(length: number): void {
    const needed = this.#at + length
    if (needed <= this.#bytes.byteLength) return
    const larger = Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(needed)))
    larger.set(this.#bytes.subarray(0, this.#at))
    this.#bytes = larger
  }
}
