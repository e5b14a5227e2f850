import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs'
import { SluiceError } from '../core/errors.ts'
import { environmentPath } from './environment.ts'
import { checkStoreFile } from './store-file.ts'
import { firstMissingPage } from './store-pages.ts'

/*
 * A look at all tables of a store's file, whatever its length: a page number that was damaged ends the process that follows it by a signal. It
 * costs a read of every branch page, so it is for those who check, and not for every start.
 */

/**
 * For who is about to write: a page that is none would end the process in the middle of it.
 * @throws SluiceError `CHECKPOINT_UNREADABLE` when the tables of a job's file refer to a page that is missing or wrong
 */
export function checkStorePages(stateFolder: string): void {
  const path = environmentPath(stateFolder)
  const { missing, hasChanged } = new StorePages(path).look()
  if (missing === undefined || hasChanged) return
  throw new SluiceError('CHECKPOINT_UNREADABLE', `the state file ${path} is damaged: page ${missing} is missing or wrong`, {
    hint: 'nothing was changed; restore the state folder from a copy, or remove it to begin anew',
  })
}

/** The pages of a file as its tables refer to each other, read without the library. */
export class StorePages {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  /** The first page that is missing or wrong. That is sure only as long as nobody has changed the file meanwhile. */
  look(): { readonly missing: bigint | undefined; readonly hasChanged: boolean } {
    if (!existsSync(this.#path)) return { missing: undefined, hasChanged: false }
    checkStoreFile(this.#path)
    const file = openSync(this.#path, 'r')
    try {
      const meta = newestMeta(file)
      const missing = meta === undefined ? undefined : firstMissing(file, meta)
      return { missing, hasChanged: newestMeta(file)?.transaction !== meta?.transaction }
    } finally {
      closeSync(file)
    }
  }
}

/*
 * The two meta pages of an LMDB file, of a kind that `checkStoreFile` has let pass. At 48 and 96 are the records of the tables of free pages and of
 * tables; the first begins with the size of a page. At 152 is the transaction.
 */
const META_BYTES = 160

interface StoreMeta {
  readonly pageBytes: number
  readonly transaction: bigint
  readonly records: readonly [freePages: Buffer, tables: Buffer]
}

function newestMeta(file: number): StoreMeta | undefined {
  const first = metaAt(file, 0)
  const second = first && metaAt(file, first.pageBytes)
  return first !== undefined && second !== undefined && second.transaction > first.transaction ? second : first
}

function metaAt(file: number, at: number): StoreMeta | undefined {
  const bytes = Buffer.alloc(META_BYTES)
  if (readSync(file, bytes, 0, META_BYTES, at) < META_BYTES) return undefined
  return {
    pageBytes: bytes.readUInt32LE(48),
    transaction: bytes.readBigUInt64LE(152),
    records: [bytes.subarray(48, 96), bytes.subarray(96, 144)],
  }
}

function firstMissing(file: number, { pageBytes, records: [freePages, tables] }: StoreMeta): bigint | undefined {
  const pages = BigInt(Math.floor(fstatSync(file).size / pageBytes))
  const read = (page: bigint): Buffer | undefined => {
    const bytes = Buffer.alloc(pageBytes)
    return readSync(file, bytes, 0, pageBytes, page * BigInt(pageBytes)) === pageBytes ? bytes : undefined
  }
  return firstMissingPage(freePages, pages, pageBytes, read) ?? firstMissingPage(tables, pages, pageBytes, read, true)
}
