import { accessSync, closeSync, constants, fstatSync, openSync, readSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { messageOf, SluiceError } from '../core/errors.ts'
import type { StoreMeta } from './store-meta.ts'
import { newestMeta } from './store-meta.ts'
import type { Pages } from './store-pages.ts'
import { PageProblem } from './store-pages.ts'
import type { WalkOptions } from './store-walk.ts'
import { walkTables } from './store-walk.ts'

/*
 * A look at an LMDB file before LMDB maps it. A damaged one, or one that was never meant for LMDB, would end the process by a signal. It costs a read of
 * every hundredth page or so, at a few microseconds each.
 */

/** Opening a pipe would wait for somebody at its other end. */
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK
/** A job that writes meanwhile moves everything; it has looked at the file itself. */
const LOOKS = 5

/** @throws SluiceError `CHECKPOINT_UNREADABLE` when LMDB must not be given the file, `STORE_FAILED` when it cannot be read */
export function checkStoreFile(path: string, options?: WalkOptions): void {
  const problem = problemOfFile(path, options)
  if (problem !== undefined) throw damagedStore(path, problem)
}

/** Why LMDB must not be given the file; `undefined` when it may, or when there is none. */
export function problemOfFile(path: string, options?: WalkOptions): string | undefined {
  const file = StoreFile.open(path)
  if (file === undefined) return undefined
  try {
    return file.size === 0 ? undefined : file.problem(options)
  } finally {
    file.close()
  }
}

/**
 * LMDB-js does not get over an environment that cannot be opened: the process ends by a signal. So what is at hand for it is looked at before.
 * @throws SluiceError `STORE_FAILED`, `CHECKPOINT_UNREADABLE`
 */
export function checkAccess(path: string, readOnly: boolean): void {
  const lock = `${path}-lock`
  const data = statSync(path, { throwIfNoEntry: false })
  const { R_OK, W_OK } = constants
  try {
    if (data !== undefined) accessSync(path, readOnly ? R_OK : R_OK | W_OK)
    const stat = statSync(lock, { throwIfNoEntry: false })
    if (stat !== undefined && !stat.isFile()) throw damagedStore(lock, 'it is not a regular file')
    if (stat !== undefined) accessSync(lock, R_OK | W_OK)
    if (stat === undefined || data === undefined) accessSync(dirname(path), W_OK)
  } catch (error) {
    // On a disk that can only be read there are no writers, and LMDB needs no lock.
    if (!readOnly || (error as NodeJS.ErrnoException).code !== 'EROFS') throw unusable(path, error)
  }
}

function unusable(path: string, error: unknown): SluiceError {
  if (error instanceof SluiceError) return error
  return new SluiceError('STORE_FAILED', `cannot open ${path}: ${messageOf(error)}`, {
    cause: error,
    hint: 'the state folder, its file and the lock beside it belong to the user who runs the job, and are theirs to read and write',
  })
}

/** Bytes of the file; 0 when there is none. @throws SluiceError `CHECKPOINT_UNREADABLE` when it is no file */
export function sizeOfStore(path: string): number {
  const file = StoreFile.open(path)
  const size = file?.size ?? 0
  file?.close()
  return size
}

/** An error that names the file, and says what can be done. */
export function damagedStore(path: string, problem: string, cause?: unknown): SluiceError {
  return new SluiceError('CHECKPOINT_UNREADABLE', `the state file ${path} is damaged: ${problem}`, {
    ...(cause === undefined ? {} : { cause }),
    hint: 'nothing was changed; restore the state folder from a copy, or remove it to begin anew',
  })
}

/** The file of a store, read without the library. */
export class StoreFile {
  readonly #file: number

  private constructor(file: number) {
    this.#file = file
  }

  /** `undefined` when there is no such file. @throws SluiceError `CHECKPOINT_UNREADABLE` when it is no file */
  static open(path: string): StoreFile | undefined {
    let file: number
    try {
      file = openSync(path, FLAGS)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw unusable(path, error)
    }
    if (fstatSync(file).isFile()) return new StoreFile(file)
    closeSync(file)
    throw damagedStore(path, 'it is not a regular file')
  }

  get size(): number {
    return fstatSync(this.#file).size
  }

  /** Where everything begins now; `undefined` when the file does not begin as one of LMDB. */
  meta(): StoreMeta | undefined {
    return newestMeta(this.#file)
  }

  /** Its pages as a transaction has left them, as long as nobody needs their place. */
  pages({ pageBytes, lastPage, transaction }: StoreMeta): Pages {
    const count = Math.min(Math.floor(this.size / pageBytes), lastPage + 1)
    return {
      pageBytes,
      count,
      lastPage,
      transaction,
      read: (page, { bytes }) => readSync(this.#file, bytes, 0, pageBytes, page * pageBytes) === pageBytes,
    }
  }

  problem(options?: WalkOptions): string | undefined {
    let problem: string | undefined
    for (let look = 0; look < LOOKS; look++) {
      const meta = this.meta()
      if (meta === undefined) return 'it does not begin as a file of LMDB'
      problem = this.#problemFrom(meta, options)
      if (problem === undefined) return undefined
      if (this.meta()?.transaction === meta.transaction) return problem
    }
    return undefined
  }

  #problemFrom(meta: StoreMeta, options: WalkOptions | undefined): string | undefined {
    try {
      walkTables(meta, this.pages(meta), options)
      return undefined
    } catch (error) {
      if (error instanceof PageProblem) return error.message
      throw error
    }
  }

  close(): void {
    closeSync(this.#file)
  }
}
