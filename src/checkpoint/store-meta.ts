import { readSync } from 'node:fs'
import type { TableRecord } from './store-pages.ts'
import { tableRecord } from './store-pages.ts'

/*
 * The first two pages of an LMDB file say where everything begins; transactions write them in turn. Layout, as LMDB 0.9.90 writes it on a 64-bit
 * machine: page header (24 bytes), magic, version (4 bytes each), address, map size (8 each), the records of two tables (48 each, the first beginning
 * with the size of a page), last page, transaction (8 each).
 */

const META_BYTES = 160
const META = 0x08
const MAGIC = 0xbeefc0de
/** LMDB-js ends the process when it meets another one. */
const VERSION = 2
/** More than any disk holds: what is said to be there is mapped. */
const PAGES_MAX = 2 ** 34
const MAP_BYTES_MAX = 2n ** 46n
/** Keys of the table of free pages are numbers; other flags of it would have LMDB take its pages for something else. */
const FREE_PAGES_FLAGS = 0x08
/** How the environment was opened is noted in the same place: as one file, and by a tool that leaves LMDB-js as it comes, with overlapping syncs. */
const OPENED_AS = 0x4000 | 0x1000

/** Where everything begins, as a transaction has left it. */
export interface StoreMeta {
  readonly pageBytes: number
  readonly lastPage: number
  readonly transaction: number
  readonly freePages: TableRecord
  readonly tables: TableRecord
}

/** The newer of the two; `undefined` when the file does not begin as one of LMDB. */
export function newestMeta(file: number): StoreMeta | undefined {
  const first = metaAt(file, 0, 0)
  const second = first && metaAt(file, 1, first.pageBytes)
  if (first === undefined || second === undefined || first.pageBytes !== second.pageBytes) return undefined
  return second.transaction > first.transaction ? second : first
}

function metaAt(file: number, place: number, at: number): StoreMeta | undefined {
  const bytes = Buffer.alloc(META_BYTES)
  if (readSync(file, bytes, 0, META_BYTES, at) < META_BYTES) return undefined
  if (bytes.readUInt32LE(24) !== MAGIC || bytes.readUInt16LE(28) !== VERSION || bytes.readUInt16LE(18) !== META) return undefined
  if (bytes.readBigUInt64LE(40) >= MAP_BYTES_MAX) return undefined
  const meta: StoreMeta = {
    pageBytes: bytes.readUInt32LE(48),
    lastPage: Number(bytes.readBigUInt64LE(144)),
    transaction: Number(bytes.readBigUInt64LE(152)),
    freePages: tableRecord(bytes, 48),
    tables: tableRecord(bytes, 96),
  }
  return isMeta(meta, place) ? meta : undefined
}

function isMeta({ pageBytes, lastPage, transaction, freePages, tables }: StoreMeta, place: number): boolean {
  const isPageSize = pageBytes >= 256 && pageBytes <= 65_536 && (pageBytes & (pageBytes - 1)) === 0
  // LMDB looks for a transaction where its number says; a new file has the same in both places.
  const isInPlace = transaction === 0 || (Number.isSafeInteger(transaction) && transaction % 2 === place)
  const isOfItsKind = (freePages.flags & ~OPENED_AS) === FREE_PAGES_FLAGS && tables.flags === 0
  return isPageSize && isInPlace && isOfItsKind && lastPage >= 1 && lastPage < PAGES_MAX
}
