import { type Stats, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { SluiceError } from '../../src/core/errors.ts'
import { unreadable } from './files.ts'

/**
 * Which files to read: a path, a glob, or an array of them. Relative ones start at the working folder.
 *
 * @example
 * readText(['access.log', 'archive/*.log'])
 */
export type Paths = string | readonly string[]

/** `paths` as an array, checked when the job is written rather than when it runs. */
export function checkPaths(kind: string, paths: Paths): readonly string[] {
  const array = typeof paths === 'string' ? [paths] : paths
  const valid = Array.isArray(array) && array.length > 0 && array.every((path) => typeof path === 'string' && path !== '')
  if (!valid) throw new SluiceError('INVALID_OPTION', `${kind} needs a path, a glob, or an array of at least one of them`)
  return array
}

/**
 * The absolute paths of all files that `paths` stands for, each once. Files of one glob are sorted by name, so that every start
 * reads them in the same order. Globs pass over hidden files: that is where folder sinks keep what is not committed yet.
 */
export async function expandPaths(paths: Paths): Promise<readonly string[]> {
  const found = new Set<string>()
  for (const path of typeof paths === 'string' ? [paths] : paths) {
    for (const file of await expand(path)) found.add(file)
  }
  return [...found]
}

async function expand(path: string): Promise<readonly string[]> {
  const folder = process.cwd()
  const absolute = resolve(folder, path)
  const stats = statOf(absolute)
  if (stats?.isDirectory()) {
    throw new SluiceError('INPUT_UNREADABLE', `${absolute} is a folder, not a file`, {
      hint: `to read the files in it, write '${path}/*'`,
    })
  }
  if (stats) return [absolute]
  const { glob, isDynamicPattern } = await import('tinyglobby')
  if (!isDynamicPattern(path)) throw new SluiceError('NO_INPUT_FILES', `there is no file '${path}' in ${folder}`)
  const files = await glob(path, { cwd: folder, absolute: true, onlyFiles: true, dot: false, expandDirectories: false })
  if (files.length === 0) throw new SluiceError('NO_INPUT_FILES', `no file matches '${path}' in ${folder}`)
  return files.map((file) => resolve(file)).sort()
}

/** What is at `path`: a file whose name happens to contain glob characters is taken as it stands. */
function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })
  } catch (error) {
    // A file where the path wants a folder means that there is nothing at the path.
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') return undefined
    throw unreadable(path, error)
  }
}
