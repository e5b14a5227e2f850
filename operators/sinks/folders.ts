import { constants } from 'node:fs'
import { access, mkdir, open } from 'node:fs/promises'
import { dirname } from 'node:path'

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
  const topmost = await mkdir(folder, { recursive: true })
  if (topmost !== undefined) {
    for (let created = folder; created.length >= topmost.length; created = dirname(created)) await syncFolder(dirname(created))
  }
  await access(folder, constants.W_OK | constants.X_OK)
}
