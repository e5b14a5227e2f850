import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs'
import { SluiceError } from '../core/errors.ts'

/*
 * A look at an LMDB file before LMDB maps it: a file that has lost its end, or was never one, ends the process with a signal when a missing
 * page is touched. Layout of a meta page, as LMDB 0.9.90 writes it on a 64-bit machine: page header (24 bytes), magic, version (4 bytes each),
 * address, map size (8 each), two database records (48 each, the first beginning with the page size), last page, transaction (8 each).
 */
const MAGIC = 0xbeefc0de
const MAGIC_AT = 24
const PAGE_SIZE_AT = 48
const LAST_PAGE_AT = 144
const TRANSACTION_AT = 152
const META_BYTES = 160
/** Pages that a transaction took at the end and gave back were never written: a file that lacks some of those is whole. */
const FREE_PAGES_MAX = 64n

interface Meta {
  readonly pageSize: number
  readonly lastPage: bigint
  readonly transaction: bigint
}

/** @throws SluiceError `CHECKPOINT_UNREADABLE` when the file cannot be what LMDB wrote */
export function checkStoreFile(path: string): void {
  if (!existsSync(path)) return
  const file = openSync(path, 'r')
  try {
    const size = fstatSync(file).size
    if (size === 0) return
    const first = readMeta(file, 0)
    const second = first && readMeta(file, first.pageSize)
    if (first === undefined || second === undefined) throw damaged(path, 'it does not begin as a file of LMDB')
    const newest = first.transaction > second.transaction ? first : second
    const needed = (newest.lastPage + 1n) * BigInt(newest.pageSize)
    if (BigInt(size) < needed - FREE_PAGES_MAX * BigInt(newest.pageSize)) throw damaged(path, `it has ${size} bytes and should have ${needed}`)
  } finally {
    closeSync(file)
  }
}

function readMeta(file: number, at: number): Meta | undefined {
  const bytes = Buffer.alloc(META_BYTES)
  if (readSync(file, bytes, 0, META_BYTES, at) < META_BYTES || bytes.readUInt32LE(MAGIC_AT) !== MAGIC) return undefined
  const pageSize = bytes.readUInt32LE(PAGE_SIZE_AT)
  if (pageSize < 256 || pageSize > 65_536 || (pageSize & (pageSize - 1)) !== 0) return undefined
  return { pageSize, lastPage: bytes.readBigUInt64LE(LAST_PAGE_AT), transaction: bytes.readBigUInt64LE(TRANSACTION_AT) }
}

function damaged(path: string, problem: string): SluiceError {
  return new SluiceError('CHECKPOINT_UNREADABLE', `the state file ${path} is damaged: ${problem}`, {
    hint: 'nothing was changed; restore the state folder from a copy, or remove it to begin anew',
  })
}
