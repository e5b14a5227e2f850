import { statfsSync } from 'node:fs'
import { SluiceError } from '../core/errors.ts'

/** Less than this on a disk is no room: LMDB writes a few pages for the smallest change, and tells a full disk from a broken one by nothing. */
const ROOM_BYTES = 1 << 20

/** Whether the disk of a folder has room for a little more. */
export function isRoomLeft(folder: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(folder)
    return bavail * bsize >= ROOM_BYTES
  } catch {
    // Who cannot say how much room there is has not said that there is none.
    return true
  }
}

/** Whether an error of the file system says that there is no room. */
export function isNoSpace(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | undefined)?.code
  return code === 'ENOSPC' || code === 'EDQUOT'
}

export function diskFull(what: string, folder: string, cause: unknown): SluiceError {
  return new SluiceError('DISK_FULL', `${what}: the disk of ${folder} is full`, {
    cause,
    hint: 'make room; the job goes on from its last checkpoint, nothing that was complete is lost',
  })
}
