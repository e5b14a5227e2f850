import { dirname } from 'node:path'
import type { Files } from './files.ts'

/**
 * Creates a folder with its parents, durably, and checks that files can be made in it.
 *
 * A folder is made only when those above it are on the disk. So whoever finds some of them does not have to know who made them: only the innermost
 * one can be of a process that was killed before its name was synced.
 */
export async function createFolder(files: Files, folder: string): Promise<void> {
  const missing: string[] = []
  let innermost = folder
  for (; !(await files.isFolderThere(innermost)); innermost = dirname(innermost)) missing.push(innermost)
  await syncAbove(files, innermost)
  for (const each of missing.reverse()) {
    await files.makeFolder(each)
    await files.syncFolder(dirname(each))
  }
  await files.checkWritable(folder)
}

/** Whoever may not look into the folder above, or cannot sync it, has not made this one there. */
const NOT_OURS: ReadonlySet<unknown> = new Set(['EACCES', 'EPERM', 'EINVAL', 'ENOTSUP', 'EROFS'])

async function syncAbove(files: Files, folder: string): Promise<void> {
  try {
    await files.syncFolder(dirname(folder))
  } catch (error) {
    if (!NOT_OURS.has((error as NodeJS.ErrnoException).code)) throw error
  }
}
