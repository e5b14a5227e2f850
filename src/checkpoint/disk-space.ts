import { statfsSync } from 'node:fs'

/** Less than this on a disk is no room: LMDB writes a few pages for the smallest change, and tells a full disk from a broken one by nothing. */
const ROOM_BYTES = 1 << 20

/** Whether the disk of a folder has room for a little more, and for what was wanted of it. */
export function isRoomLeft(folder: string, wantedBytes = 0): boolean {
  try {
    const { bavail, bsize } = statfsSync(folder)
    return bavail * bsize >= ROOM_BYTES + wantedBytes
  } catch {
    // Who cannot say how much room there is has not said that there is none.
    return true
  }
}
