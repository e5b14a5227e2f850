import { close, closeSync, constants, fsync, mkdirSync, openSync, statSync, unlinkSync, writeSync } from 'node:fs'
import { access, open, readdir, realpath, rename, rm, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { FolderClaims } from './folder-claims.ts'

/**
 * What the folder sinks ask of a file system, and all that they ask. Where nothing else is said, a call fails with the error of the system, with its
 * `code`, and has taken effect or not.
 *
 * What counts when the machine loses power: bytes are on the disk once their file was synced, names once their folder was. A process that is killed
 * loses nothing of what it had written.
 */
export interface Files {
  /** Bytes that are worth a call of `write`. */
  readonly blockLength: number
  /** Which folders the sinks of this process hold. */
  readonly claims: FolderClaims
  /** A path from the root; what is relative is so to the working directory. */
  resolve(path: string): string

  // What a writer does between two records: at once.

  /** Makes a file that must not be there yet, and opens it. */
  create(path: string): number
  /**
   * Writes a block from this byte on, behind what was written before. Returns how many bytes were taken, which may be fewer than there are. The
   * block is the caller's again afterwards.
   */
  write(descriptor: number, block: Uint8Array, from: number): number
  closeNow(descriptor: number): void
  unlinkNow(path: string): void

  // What takes its time.

  /** Afterwards all that was written is on the disk. When it fails, what was not may be lost, whatever a later one says. */
  sync(descriptor: number): Promise<void>
  close(descriptor: number): Promise<void>
  /** `undefined`: there is no such file. */
  size(path: string): Promise<number | undefined>
  /** Puts a file in the place of another name of the same folder, at one stroke. */
  rename(from: string, to: string): Promise<void>
  /** Removes a file, if it is there. */
  remove(path: string): Promise<void>
  list(folder: string): Promise<readonly string[]>
  /** Afterwards names that were made, changed or removed in the folder are so on the disk. */
  syncFolder(folder: string): Promise<void>
  isFolderThere(folder: string): Promise<boolean>
  /** The folder above it is there. That somebody else has made it meanwhile is no error. */
  makeFolder(folder: string): Promise<void>
  /** @throws when files cannot be made in the folder */
  checkWritable(folder: string): Promise<void>
  realPath(folder: string): Promise<string>
}

const syncFile = promisify(fsync)
const closeFile = promisify(close)

/** The file system of the machine. */
export const nodeFiles: Files = {
  blockLength: 256 * 1024,
  claims: new FolderClaims(),
  resolve: (path) => resolve(path),
  create: (path) => openSync(path, 'wx'),
  write: (descriptor, block, from) => writeSync(descriptor, block, from),
  closeNow: (descriptor) => closeSync(descriptor),
  unlinkNow: (path) => unlinkSync(path),
  sync: (descriptor) => syncFile(descriptor),
  close: (descriptor) => closeFile(descriptor),
  rename,
  remove: (path) => rm(path, { force: true }),
  list: (folder) => readdir(folder),
  isFolderThere: async (folder) => isThere(folder),
  checkWritable: (folder) => access(folder, constants.W_OK | constants.X_OK),
  realPath: (folder) => realpath(folder),
  async size(path) {
    try {
      return (await stat(path)).size
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  },
  async syncFolder(folder) {
    // Windows has no such call; its file systems journal names by themselves.
    if (process.platform === 'win32') return
    const handle = await open(folder, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  },
  async makeFolder(folder) {
    try {
      mkdirSync(folder)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || !isThere(folder)) throw error
    }
  },
}

/** Also false where something above is no folder: whoever makes it is told. */
function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined
}
