import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs'
import { SluiceError } from '../core/errors.ts'
import { firstMissingPage } from './store-pages.ts'

/*
 * A look at an LMDB file before LMDB maps it: a file that has lost its end, or was never one, ends the process with a signal when a missing
 * page is touched. Layout of a meta page, as LMDB 0.9.90 writes it on a 64-bit machine: page header (24 bytes), magic, version (4 bytes each),
 * address, map size (8 each), two database records (48 each, the first beginning with the page size), last page, transaction (8 each).
 */
const MAGIC = 0xbeefc0de
const MAGIC_AT = 24
const FREE_PAGES_AT = 48
const TABLES_AT = 96
const LAST_PAGE_AT = 144
const TRANSACTION_AT = 152
const META_BYTES = 160
interface Meta {
  readonly pageBytes: number
  readonly lastPage: bigint
  readonly transaction: bigint
  /** The records of the two tables at the root: that of free pages and that of tables. */
  readonly freePages: Buffer
  readonly tables: Buffer
}

/** @throws SluiceError `CHECKPOINT_UNREADABLE` when the file cannot be what LMDB wrote */
export function checkStoreFile(path: string): void {
  if (!existsSync(path)) return
  const file = openSync(path, 'r')
  try {
    const size = fstatSync(file).size
    if (size === 0) return
    const first = readMeta(file, 0)
    const second = first && readMeta(file, first.pageBytes)
    if (first === undefined || second === undefined) throw damaged(path, 'it does not begin as a file of LMDB')
    const newest = first.transaction > second.transaction ? first : second
    const pages = BigInt(Math.floor(size / newest.pageBytes))
    if (pages <= newest.lastPage) checkPages(path, file, newest, pages)
  } finally {
    closeSync(file)
  }
}

/** A file may lack pages at its end that nothing refers to. */
function checkPages(path: string, file: number, meta: Meta, pages: bigint): void {
  const { pageBytes, freePages, tables } = meta
  const read = (page: bigint): Buffer | undefined => {
    const bytes = Buffer.alloc(pageBytes)
    return readSync(file, bytes, 0, pageBytes, page * BigInt(pageBytes)) === pageBytes ? bytes : undefined
  }
  const missing = firstMissingPage(freePages, pages, pageBytes, read) ?? firstMissingPage(tables, pages, pageBytes, read, true)
  if (missing !== undefined)
    throw damaged(path, `page ${missing} is missing or wrong; it has ${pages} of ${meta.lastPage + 1n} pages`)
}

function readMeta(file: number, at: number): Meta | undefined {
  const bytes = Buffer.alloc(META_BYTES)
  if (readSync(file, bytes, 0, META_BYTES, at) < META_BYTES || bytes.readUInt32LE(MAGIC_AT) !== MAGIC) return undefined
  const pageBytes = bytes.readUInt32LE(FREE_PAGES_AT)
  if (pageBytes < 256 || pageBytes > 65_536 || (pageBytes & (pageBytes - 1)) !== 0) return undefined
  return {
    pageBytes,
    lastPage: bytes.readBigUInt64LE(LAST_PAGE_AT),
    transaction: bytes.readBigUInt64LE(TRANSACTION_AT),
    freePages: bytes.subarray(FREE_PAGES_AT, TABLES_AT),
    tables: bytes.subarray(TABLES_AT, LAST_PAGE_AT),
  }
}

function damaged(path: string, problem: string): SluiceError {
  return new SluiceError('CHECKPOINT_UNREADABLE', `the state file ${path} is damaged: ${problem}`, {
    hint: 'nothing was changed; restore the state folder from a copy, or remove it to begin anew',
  })
}
