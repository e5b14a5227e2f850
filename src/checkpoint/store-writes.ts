import { existsSync } from 'node:fs'
import { diskFull } from '../core/disk-full.ts'
import { SluiceError } from '../core/errors.ts'
import { encodeValue } from '../core/value-codec.ts'
import type { Tables } from './environment.ts'
import { guarded } from './environment.ts'
import { reserveBehind } from './file-reserve.ts'
import { metaValue } from './meta-values.ts'
import type { Surroundings } from './surroundings.ts'

/** How the state of a job was found. */
export interface Claim {
  /** Names the run: a fresh start takes a new one. */
  readonly run: string
  /** Number of this start; rises for ever. */
  readonly attempt: number
  /** The newest id that any earlier attempt may have used; -1 when there was none. */
  readonly lastCheckpoint: number
}

/** For pages that are written beside what was asked for, and for what is not used of a page at the end of each chunk. */
const MARGIN_BYTES = 32 << 10
const MARGIN_SHARE = 1 / 16

interface TableStats {
  readonly pageSize: number
  readonly treeBranchPageCount: number
  readonly treeLeafPageCount: number
  readonly overflowPages: number
}

/** What all that write the store have in common: transactions, the fence, and the table `meta`. */
export class StoreWrites {
  readonly tables: Tables
  readonly surroundings: Surroundings
  readonly #directory: string
  /** What this process may write under, once it has claimed the state. */
  claim: Claim | undefined
  /** A transaction has failed: nothing that was done in it is there. */
  onFailed: () => void = () => undefined

  constructor(tables: Tables, directory: string, surroundings: Surroundings) {
    this.tables = tables
    this.surroundings = surroundings
    this.#directory = directory
  }

  /**
   * Runs a transaction; when this returns, it is on the disk. One inside another is a part of it.
   * @param wantedBytes what it takes on the disk beside a few pages, by about: without that much it is not tried, and when it fails and there is
   * less, that is why
   * @throws SluiceError `DISK_FULL`, `STORE_FAILED`
   */
  transact<R>(what: string, action: () => R, wantedBytes = 0): R {
    try {
      if (!this.#hasRoom(what, wantedBytes)) throw diskFull(what, this.#directory, undefined)
      return guarded(what, () => this.tables.root.transactionSync(action))
    } catch (error) {
      this.onFailed()
      if (
        error instanceof SluiceError &&
        error.code === 'STORE_FAILED' &&
        !this.surroundings.isRoomLeft(this.#directory, wantedBytes)
      ) {
        throw diskFull(what, this.#directory, error)
      }
      throw error
    }
  }

  /**
   * LMDB must not be the first to find that the disk is full: LMDB-js 3.5 tells of that in a text for which it has 100 bytes, the text may be longer
   * and overwrites what lies behind it, and then the process aborts. So where room is scarce it is taken beforehand. Of the free pages of the file
   * one half counts: which of them lie together, as large values need it, is not known.
   */
  #hasRoom(what: string, askedBytes: number): boolean {
    const wantedBytes = MARGIN_BYTES + Math.ceil(askedBytes * (1 + MARGIN_SHARE))
    if (this.surroundings.isRoomLeft(this.#directory, wantedBytes)) return true
    const { path } = this.tables
    if (!existsSync(path)) return true
    return guarded(what, () => {
      const { fileBytes, usedBytes } = this.#sizes()
      return reserveBehind(path, fileBytes, wantedBytes - (fileBytes - usedBytes) / 2)
    })
  }

  /** Up to the last page of the file, and of those the ones that hold something. */
  #sizes(): { readonly fileBytes: number; readonly usedBytes: number } {
    const { root, meta, checkpoints, deltas, state, history } = this.tables
    const { pageSize, lastPageNumber = 0 } = root.getStats() as TableStats & { readonly lastPageNumber?: number }
    const used = [meta, checkpoints, deltas, state, history].map((table) => {
      const { treeBranchPageCount, treeLeafPageCount, overflowPages } = table.getStats() as TableStats
      return treeBranchPageCount + treeLeafPageCount + overflowPages
    })
    return { fileBytes: (lastPageNumber + 1) * pageSize, usedBytes: used.reduce((sum, pages) => sum + pages) * pageSize }
  }

  /** To be asked inside a transaction. @throws SluiceError `FENCED` when a newer start has taken the state */
  checkFence(): void {
    const [attempt, run] = [this.get<number>('attempt'), this.get<string>('run')]
    if (attempt === this.claim?.attempt && run === this.claim?.run) return
    throw new SluiceError(
      'FENCED',
      `attempt ${this.claim?.attempt} is over: attempt ${attempt} of another process has taken the state`,
      {
        hint: 'this process writes no more; its staged output was never visible and is removed by the newer one',
      },
    )
  }

  get<V>(name: string): V | undefined {
    const bytes = guarded(`cannot read the state in ${this.#directory}`, () => this.tables.meta.get(name))
    return bytes === undefined ? undefined : (metaValue(name, bytes) as V)
  }

  put(name: string, value: unknown): void {
    this.tables.meta.putSync(name, asBuffer(encodeValue(value)))
  }

  remove(name: string): void {
    this.tables.meta.removeSync(name)
  }
}

export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
