/*
 * Which pages of an LMDB file its tables refer to. The file may be shorter than its last page says: pages that a transaction took at the end
 * and gave back were never written. It is whole exactly when no table refers to a page behind its end, and that is what this walk tells,
 * without the library, which would be ended by a signal at the first such page.
 *
 * Branch pages are read, and leaf pages only in tables that keep values on pages of their own; so the walk reads little of a large file.
 * Layout, as LMDB 0.9.90 writes it on a 64-bit machine. A page: number and transaction (8 bytes each), padding, flags, end of the offsets
 * (2 bytes each), 2 bytes; at 24 the offsets of its nodes, counted from there. A node: 32 bits of size or page number, 16 of flags (the top
 * of a page number in a branch), 16 of the key's length, key, data. The record of a table (48 bytes): at 6 its height, at 24 the
 * number of its overflow pages, at 40 its root.
 */

/** Reads one page, or nothing when it lies behind the end of the file. */
export type ReadPage = (page: bigint) => Buffer | undefined

const PAGE_HEADER_BYTES = 24
const NODE_HEADER_BYTES = 8
const TABLE_RECORD_BYTES = 48
const BRANCH = 0x01
const LEAF = 0x02
const BIG_DATA = 0x01
const SUB_TABLE = 0x02
const NO_ROOT = 0xffff_ffff_ffff_ffffn

/**
 * The first page that the table refers to and that is missing or no page of a tree; undefined when there is none.
 * `pages` is the number of whole pages that the file has; `holdsTables` is true for the table of tables.
 */
export function firstMissingPage(
  record: Buffer,
  pages: bigint,
  pageBytes: number,
  read: ReadPage,
  holdsTables = false,
): bigint | undefined {
  const root = record.readBigUInt64LE(40)
  if (root === NO_ROOT) return undefined
  const readLeaves = holdsTables || record.readBigUInt64LE(24) > 0n
  return new TableWalk(pages, pageBytes, read, readLeaves).firstMissing(root, record.readUInt16LE(6))
}

class TableWalk {
  readonly #pages: bigint
  readonly #pageBytes: number
  readonly #read: ReadPage
  readonly #readLeaves: boolean

  constructor(pages: bigint, pageBytes: number, read: ReadPage, readLeaves: boolean) {
    this.#pages = pages
    this.#pageBytes = pageBytes
    this.#read = read
    this.#readLeaves = readLeaves
  }

  /** `height` is that of the tree below and with this page: 1 for a leaf. It bounds the walk, whatever the pages refer to. */
  firstMissing(page: bigint, height: number): bigint | undefined {
    if (page >= this.#pages) return page
    if (height === 1 && !this.#readLeaves) return undefined
    const bytes = this.#read(page)
    if (bytes === undefined || (bytes.readUInt16LE(18) & (height > 1 ? BRANCH : LEAF)) === 0) return page
    const nodes = bytes.readUInt16LE(20) >>> 1
    for (let node = 0; node < nodes; node++) {
      const offsetAt = PAGE_HEADER_BYTES + 2 * node
      if (offsetAt + 2 > this.#pageBytes) return page
      const at = PAGE_HEADER_BYTES + bytes.readUInt16LE(offsetAt)
      if (at + NODE_HEADER_BYTES > this.#pageBytes) return page
      const missing = height > 1 ? this.firstMissing(childOf(bytes, at), height - 1) : this.#behindLeaf(bytes, at, page)
      if (missing !== undefined) return missing
    }
    return undefined
  }

  /** The pages that a node of a leaf refers to: those of its long value, or those of the table that it describes. */
  #behindLeaf(bytes: Buffer, at: number, page: bigint): bigint | undefined {
    const flags = bytes.readUInt16LE(at + 4)
    const dataAt = at + NODE_HEADER_BYTES + bytes.readUInt16LE(at + 6)
    if ((flags & SUB_TABLE) !== 0) {
      if (dataAt + TABLE_RECORD_BYTES > this.#pageBytes) return page
      return firstMissingPage(bytes.subarray(dataAt, dataAt + TABLE_RECORD_BYTES), this.#pages, this.#pageBytes, this.#read)
    }
    if ((flags & BIG_DATA) === 0) return undefined
    if (dataAt + 8 > this.#pageBytes) return page
    const taken = Math.floor((PAGE_HEADER_BYTES - 1 + bytes.readUInt32LE(at)) / this.#pageBytes) + 1
    const last = bytes.readBigUInt64LE(dataAt) + BigInt(taken) - 1n
    return last < this.#pages ? undefined : last
  }
}

function childOf(bytes: Buffer, at: number): bigint {
  return BigInt(bytes.readUInt32LE(at)) | (BigInt(bytes.readUInt16LE(at + 4)) << 32n)
}
