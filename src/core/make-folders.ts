import { mkdirSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

/**
 * Makes a folder and those above it that are missing; returns the ones that were made, outermost first. Node's own recursive way never comes back
 * where a folder cannot be made though the one above it is there, as below `/proc`.
 * @throws the error of the file system
 */
export function makeFolders(path: string, mode = 0o777): readonly string[] {
  const missing: string[] = []
  for (let folder = resolve(path); !exists(folder); folder = dirname(folder)) missing.push(folder)
  const made: string[] = []
  for (const folder of missing.reverse()) if (make(folder, mode)) made.push(folder)
  return made
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
