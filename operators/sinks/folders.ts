import { constants } from 'node:fs'
import { access, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { makeFolders } from '../../src/core/make-folders.ts'

/**
 * Makes the names in a folder durable: files that were created, renamed or removed in it before the call stay so after a power cut.
 *
 * ```ts
 * await rename(staged, final)
 * await syncFolder(dirname(final))
 * ```
 */
export async function syncFolder(folder: string): Promise<void> {
  // Windows has no such call; its file systems journal names by themselves.
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Creates a folder with its parents, durably, and checks that files can be made in it. */
export async function createFolder(folder: string): Promise<void> {
  for (const created of makeFolders(folder)) await syncFolder(dirname(created))
  await access(folder, constants.W_OK | constants.X_OK)
}
