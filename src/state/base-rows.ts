import { createHash } from 'node:crypto'
import type { StateIdentity } from './delta-chunk.ts'
import { hasNamespace } from './delta-chunk.ts'
import { readSortable, writeSortable } from './key-bytes.ts'
import type { BaseRow } from './state-base.ts'

/*
 * Rows of the base: how the keyed state of all operators lies in one ordered table. Part of the on-disk format (docs/format.md): frozen.
 *
 *   number of the state (2 bytes, big endian), key group (2, big endian), namespace (8, sortable; only of kinds that have one), key
 *
 * A group of a table lies there either as such rows or as one image (`group-image.ts`), whose key is the number of the state and the group alone.
 *
 * So a key group of a state is one range, and a window or the earliest timers of it are ranges in it. A key that is too long for LMDB is
 * replaced by 0xfe and its SHA-256, and stands before the value: 0xfe, its length (4 bytes, little endian), key, value.
 */
const KEY_BYTES_MAX = 1024
const HASHED = 0xfe
/** Above every key of a namespace. */
const BEHIND_KEYS = 0xff
const STATE_AND_GROUP_BYTES = 4
const NAMESPACE_BYTES = 8

const scratch = Buffer.alloc(1 << 12)

function prefix(number: number, state: StateIdentity, group: number, namespace: number): number {
  scratch.writeUInt16BE(number, 0)
  scratch.writeUInt16BE(group, 2)
  if (!hasNamespace(state.kind)) return STATE_AND_GROUP_BYTES
  writeSortable(scratch, STATE_AND_GROUP_BYTES, namespace)
  return STATE_AND_GROUP_BYTES + NAMESPACE_BYTES
}

/** Where a row lies, in a buffer that the next call overwrites. */
export function rowKeyInPlace(number: number, state: StateIdentity, group: number, namespace: number, key: Uint8Array): Buffer {
  const at = prefix(number, state, group, namespace)
  if (key.byteLength <= KEY_BYTES_MAX) {
    scratch.set(key, at)
    return scratch.subarray(0, at + key.byteLength)
  }
  scratch[at] = HASHED
  scratch.set(createHash('sha256').update(key).digest(), at + 1)
  return scratch.subarray(0, at + 33)
}

export function rowKey(number: number, state: StateIdentity, group: number, namespace: number, key: Uint8Array): Buffer {
  return Buffer.from(rowKeyInPlace(number, state, group, namespace, key))
}

/**
 * Where rows of one state and group lie, one after the other, in a buffer that the next call overwrites. For who writes millions of them: nothing
 * is made for a row.
 */
export class RowKeys {
  readonly #bytes = Buffer.alloc(STATE_AND_GROUP_BYTES + NAMESPACE_BYTES + KEY_BYTES_MAX)
  /** Of the bytes up to each length. */
  readonly #views: (Buffer | undefined)[] = []
  #keyAt = STATE_AND_GROUP_BYTES
  #namespace: number | undefined

  begin(number: number, state: StateIdentity, group: number): void {
    this.#bytes.writeUInt16BE(number, 0)
    this.#bytes.writeUInt16BE(group, 2)
    this.#keyAt = STATE_AND_GROUP_BYTES + (hasNamespace(state.kind) ? NAMESPACE_BYTES : 0)
    this.#namespace = undefined
  }

  /** @param from where the key begins in `source`, and @param end where it ends */
  of(namespace: number, source: Uint8Array, from: number, end: number): Buffer {
    if (this.#keyAt > STATE_AND_GROUP_BYTES && namespace !== this.#namespace) {
      writeSortable(this.#bytes, STATE_AND_GROUP_BYTES, namespace)
      this.#namespace = namespace
    }
    if (isLongKey(end - from)) return this.#view(this.#hash(source.subarray(from, end)))
    let at = this.#keyAt
    for (let index = from; index < end; index++) this.#bytes[at++] = source[index]!
    return this.#view(at)
  }

  #hash(key: Uint8Array): number {
    this.#bytes[this.#keyAt] = HASHED
    this.#bytes.set(createHash('sha256').update(key).digest(), this.#keyAt + 1)
    return this.#keyAt + 33
  }

  #view(end: number): Buffer {
    return (this.#views[end] ??= this.#bytes.subarray(0, end))
  }
}

/** Whether a key is too long to stand in the key of its row, and so stands before the value. */
export function isLongKey(length: number): boolean {
  return length > KEY_BYTES_MAX
}

/** Before all rows of a namespace and those after it, or of a group when its kind has none. */
export function rangeStart(number: number, state: StateIdentity, group: number, namespace: number): Buffer {
  return Buffer.from(scratch.subarray(0, prefix(number, state, group, namespace)))
}

/** Behind all rows of a namespace, or of a group when its kind has none. */
export function behindNamespace(number: number, state: StateIdentity, group: number, namespace: number): Buffer {
  const at = prefix(number, state, group, namespace)
  scratch[at] = BEHIND_KEYS
  return Buffer.from(scratch.subarray(0, at + 1))
}

/** Behind all rows of the groups up to this one. */
export function behindGroup(number: number, group: number): Buffer {
  const bytes = Buffer.alloc(STATE_AND_GROUP_BYTES)
  bytes.writeUInt32BE(number * 0x10000 + group + 1)
  return bytes
}

/** Where the image of a group lies. */
export function imageKey(number: number, group: number): Buffer {
  return behindGroup(number, group - 1)
}

export function isImageKey(key: Buffer, { kind }: StateIdentity): boolean {
  return kind === 'table' && key.byteLength === STATE_AND_GROUP_BYTES
}

/** Right behind a row. */
export function behindRow(row: Buffer): Buffer {
  return Buffer.concat([row, new Uint8Array(1)])
}

/** The value as it is stored. */
export function rowValue(key: Uint8Array, value: Uint8Array): Uint8Array {
  if (key.byteLength <= KEY_BYTES_MAX) return value
  const bytes = Buffer.alloc(5 + key.byteLength + value.byteLength)
  bytes[0] = HASHED
  bytes.writeUInt32LE(key.byteLength, 1)
  bytes.set(key, 5)
  bytes.set(value, 5 + key.byteLength)
  return bytes
}

/** The value without the key that may stand before it. */
export function valueOfRow(stored: Uint8Array): Uint8Array {
  return stored[0] === HASHED ? stored.subarray(5 + keyLength(stored)) : stored
}

/** A row as it was read. */
export function baseRow(state: StateIdentity, stored: { readonly key: Buffer; readonly value: Buffer }): BaseRow {
  const named = hasNamespace(state.kind)
  const at = STATE_AND_GROUP_BYTES + (named ? NAMESPACE_BYTES : 0)
  const namespace = named ? readSortable(stored.key, STATE_AND_GROUP_BYTES) : 0
  if (stored.value[0] !== HASHED) return { namespace, key: stored.key.subarray(at), value: stored.value }
  const end = 5 + keyLength(stored.value)
  return { namespace, key: stored.value.subarray(5, end), value: stored.value.subarray(end) }
}

export function groupOfRow(key: Buffer): number {
  return key.readUInt16BE(2)
}

function keyLength(stored: Uint8Array): number {
  return Buffer.from(stored.buffer, stored.byteOffset, 5).readUInt32LE(1)
}
