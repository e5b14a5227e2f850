import type { StoredForm } from '../core/keyed-state.ts'
import { GroupImage } from './group-image.ts'
import { copyKeyTo, keyBytesInPlace } from './key-bytes.ts'
import { copyValueTo, emptyValueBytes, valueBytesInPlace } from './row-value.ts'

/**
 * A piece of what changed in the keyed state of one operator since the checkpoint before: about 64 KiB, self-contained. Tasks hand chunks
 * to the main thread. Those of one operator and subtask apply in the order in which they were cut: later ones win.
 */
export interface DeltaChunk {
  readonly firstGroup: number
  readonly lastGroup: number
  readonly rows: number
  /** The chunk is the image of one group of this table and nothing else. */
  readonly imageOf?: string
  readonly bytes: Uint8Array<ArrayBuffer>
}

export const STATE_KINDS = ['table', 'pane', 'event-timer', 'processing-timer'] as const
export type StateKind = (typeof STATE_KINDS)[number]

/** One state of an operator. */
export interface StateIdentity {
  readonly kind: StateKind
  /** Name of the state, or of a row of timers. */
  readonly name: string
}

/** Whether rows of a state have a number beside their key: the window of a pane, the time of a timer. */
export function hasNamespace(kind: StateKind): boolean {
  return kind !== 'table'
}

/*
 * Part of the on-disk format (docs/format.md): frozen. A chunk is a row of sections, each
 *
 *   type (1 byte), kind of state (1), length of its name (2), name, first group (2), last group (2), namespace (8), rows (4), rows ...
 *
 * of type 1, rows of one state and group, in the order in which they were written:
 *   [namespace (8) where the kind has one], length of the key, key, length of the value plus one (0: the row is removed), value
 * or of type 2, without rows: everything of that state and namespace in these groups is removed; applies to rows of earlier sections and chunks;
 * or of type 3, of a table: an image (`group-image.ts`) of that group, which holds all rows of it: what was there before is removed.
 *
 * Lengths are one byte, or 255 and four bytes. Numbers are little endian.
 */
const ROWS = 1
const DROP = 2
const IMAGE = 3
const HEADER_BYTES = 20
const CHUNK_BYTES = 1 << 16
/** A larger image is a chunk of its own, so that nobody has to read it when there is a newer one. */
const ALONE_BYTES = 1 << 13
const LONG = 255
const LENGTH_BYTES_MAX = 5
/** Before the key of a row whose kind has one. */
export const NAMESPACE_BYTES = 8

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
    const bytes = new Uint8Array(this.#at)
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

/** What a chunk says, in order. The bytes given are views of the chunk. */
export interface DeltaVisitor {
  /** @param value `undefined`: the row is removed */
  row(state: StateIdentity, group: number, namespace: number, key: Uint8Array, value: Uint8Array | undefined): void
  drop(state: StateIdentity, firstGroup: number, lastGroup: number, namespace: number): void
  /** All rows of a group, and none beside them. Who has no use for it is told of a drop, and then of rows. */
  image?(state: StateIdentity, group: number, image: GroupImage): void
}

/** Reads a chunk. @throws Error when it is none */
export function readDelta(bytes: Uint8Array, visitor: DeltaVisitor): void {
  let section: StateIdentity | undefined
  let inGroup = 0
  scanDelta(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0, bytes.byteLength, {
    section: (state, group) => {
      section = state
      inGroup = group
    },
    row: (namespace, place) => {
      const { key, value } = rowAt(bytes, place)
      visitor.row(section!, inGroup, namespace, key, value)
    },
    drop: (state, firstGroup, lastGroup, namespace) => visitor.drop(state, firstGroup, lastGroup, namespace),
    image: (state, group, image) => {
      if (visitor.image === undefined) tellRows(state, group, image, visitor)
      else visitor.image(state, group, image)
    },
  })
}

function tellRows(state: StateIdentity, group: number, image: GroupImage, visitor: DeltaVisitor): void {
  visitor.drop(state, group, group, 0)
  for (const { key, value } of image.sortedRows()) visitor.row(state, group, 0, key, value)
}

/** What a chunk says, by places in its bytes: for who reads millions of rows and cannot make an object for each. */
export interface DeltaScan {
  /** Rows of this state and group follow. */
  section(state: StateIdentity, group: number): void
  /** @param place of the length of the key, behind which the key lies, and then in the same way the value */
  row(namespace: number, place: number): void
  drop(state: StateIdentity, firstGroup: number, lastGroup: number, namespace: number): void
  /** A view of the bytes. */
  image(state: StateIdentity, group: number, image: GroupImage): void
}

/** The row whose key begins at a place. */
export function rowAt(bytes: Uint8Array, place: number): { readonly key: Uint8Array; readonly value: Uint8Array | undefined } {
  const keyAt = bytesAt(bytes, place)
  const keyEnd = keyAt + lengthAt(bytes, place)
  const valueAt = bytesAt(bytes, keyEnd)
  const length = lengthAt(bytes, keyEnd)
  return {
    key: bytes.subarray(keyAt, keyEnd),
    value: length === 0 ? undefined : bytes.subarray(valueAt, valueAt + length - 1),
  }
}

/** The length that is said at a place. */
export function lengthAt(bytes: Uint8Array, place: number): number {
  const short = bytes[place]!
  if (short < LONG) return short
  return (bytes[place + 1]! | (bytes[place + 2]! << 8) | (bytes[place + 3]! << 16) | (bytes[place + 4]! << 24)) >>> 0
}

/** Where the bytes begin whose length is said at a place. */
export function bytesAt(bytes: Uint8Array, place: number): number {
  return place + (bytes[place]! < LONG ? 1 : LENGTH_BYTES_MAX)
}

/** Reads the chunk that lies between two places. @throws Error when it is none */
export function scanDelta(bytes: Buffer, from: number, end: number, scan: DeltaScan): void {
  let at = from
  while (at < end) at = scanSection(bytes, at, end, scan)
}

/** Returns where the next section begins. */
function scanSection(bytes: Buffer, at: number, end: number, scan: DeltaScan): number {
  const type = bytes[at]!
  const kind = STATE_KINDS[bytes[at + 1]!]
  if (!(type === ROWS || type === DROP || type === IMAGE) || kind === undefined)
    throw new Error('a section of a chunk has an unknown type')
  const groupsAt = at + 4 + bytes.readUInt16LE(at + 2)
  if (groupsAt + 16 > end) throw new Error('a section of a chunk is longer than the chunk')
  const state = { kind, name: bytes.toString('utf8', at + 4, groupsAt) }
  const firstGroup = bytes.readUInt16LE(groupsAt)
  let next = groupsAt + 16
  if (type === DROP) {
    scan.drop(state, firstGroup, bytes.readUInt16LE(groupsAt + 2), namespaceAt(bytes, groupsAt + 4))
    return next
  }
  const count = bytes.readUInt32LE(groupsAt + 12)
  if (type === IMAGE) {
    if (kind !== 'table') throw new Error('a section of a chunk is an image, and not of a table')
    const image = new GroupImage(bytes, next, end)
    if (image.rows !== count) throw new Error('an image in a chunk has another number of rows than its section')
    scan.image(state, firstGroup, image)
    return next + image.byteLength
  }
  scan.section(state, firstGroup)
  const named = hasNamespace(kind)
  for (let rows = count; rows > 0; rows--) next = scanRow(bytes, next, end, named, scan)
  return next
}

function scanRow(bytes: Buffer, at: number, end: number, named: boolean, scan: DeltaScan): number {
  const place = named ? at + NAMESPACE_BYTES : at
  const keyEnd = bytesAt(bytes, place) + lengthAt(bytes, place)
  const next = bytesAt(bytes, keyEnd) + Math.max(0, lengthAt(bytes, keyEnd) - 1)
  if (!(next <= end)) throw new Error('a row of a chunk is longer than the chunk')
  scan.row(named ? namespaceAt(bytes, at) : 0, place)
  return next
}

/** Adding 0 makes 0 of -0, which is the same window. */
export function namespaceAt(bytes: Buffer, at: number): number {
  return bytes.readDoubleLE(at) + 0
}
