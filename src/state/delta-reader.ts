import type { StateIdentity, StateKind } from './delta-chunk.ts'
import { DROP, hasNamespace, IMAGE, LENGTH_BYTES_MAX, LONG, NAMESPACE_BYTES, ROWS, STATE_KINDS } from './delta-chunk.ts'
import { GroupImage } from './group-image.ts'

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
    const image = imageAt(bytes, next, end, kind, count)
    scan.image(state, firstGroup, image)
    return next + image.byteLength
  }
  scan.section(state, firstGroup)
  const named = hasNamespace(kind)
  for (let rows = count; rows > 0; rows--) next = scanRow(bytes, next, end, named, scan)
  return next
}

function imageAt(bytes: Buffer, at: number, end: number, kind: StateKind, rows: number): GroupImage {
  if (kind !== 'table') throw new Error('a section of a chunk is an image, and not of a table')
  const image = new GroupImage(bytes, at, end)
  if (image.rows !== rows) throw new Error('an image in a chunk has another number of rows than its section')
  return image
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
