import { closeSync, fsyncSync, mkdirSync, openSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

/**
 * Makes a folder and those above it that are missing; returns the ones that were made, outermost first. Node's own recursive way never comes back
 * where a folder cannot be made though the one above it is there, as below `/proc`.
 * @throws the error of the file system
 */
export function makeFolders(path: string, mode = 0o777): readonly string[] {
  return missingIn(path).filter((folder) => make(folder, mode))
}

/**
 * The same, so that they are still there after a power cut. A folder is made only when those above it are on the disk, so whoever finds some of them does
 * not have to know who made them: only the innermost one can be of a process that was killed before its name was synced.
 * @param sync for tests
 * @throws the error of the file system
 */
export function makeFoldersDurably(path: string, mode = 0o777, sync: (folder: string) => void = syncFolder): void {
  const missing = missingIn(path)
  sync(dirname(missing[0] === undefined ? resolve(path) : dirname(missing[0])))
  for (const folder of missing) {
    make(folder, mode)
    sync(dirname(folder))
  }
}

/** Makes the names in a folder durable. Where it cannot be opened or synced, none of them is of this process, or the system has no such call. */
export function syncFolder(folder: string): void {
  // Windows has no such call; its file systems journal names by themselves.
  if (process.platform === 'win32') return
  try {
    const descriptor = openSync(folder, 'r')
    try {
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
  } catch (error) {
    if (!CANNOT_SYNC.has((error as NodeJS.ErrnoException).code)) throw error
  }
}

const CANNOT_SYNC: ReadonlySet<unknown> = new Set(['EACCES', 'EPERM', 'EINVAL', 'ENOTSUP', 'EROFS'])

/** The folders that are not there, outermost first. */
function missingIn(path: string): readonly string[] {
  const missing: string[] = []
  for (let folder = resolve(path); !exists(folder); folder = dirname(folder)) missing.push(folder)
  return missing.reverse()
}

function exists(folder: string): boolean {
  return statSync(folder, { throwIfNoEntry: false }) !== undefined
}

/** False when somebody else has made it meanwhile. */
function make(folder: string, mode: number): boolean {
  try {
    mkdirSync(folder, { mode })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST' && exists(folder)) return false
    throw error
  }
}
