import { closeSync, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { isNoSpace } from '../core/disk-full.ts'

const PIECE_BYTES = 1 << 18

/**
 * Takes room on the disk behind the last page that a file of LMDB uses, so that what it writes next finds it. Nothing refers to what lies there.
 * @param usedBytes up to the end of that page
 * @returns false when the disk has no room; the file is then as it was
 */
export function reserveBehind(path: string, usedBytes: number, wantedBytes: number): boolean {
  const file = openSync(path, 'r+')
  try {
    const before = fstatSync(file).size
    const end = usedBytes + wantedBytes
    try {
      for (let at = before; at < end; at += PIECE_BYTES) writeAll(file, Math.min(PIECE_BYTES, end - at), at)
      return true
    } catch (error) {
      if (!isNoSpace(error)) throw error
      ftruncateSync(file, before)
      return false
    }
  } finally {
    closeSync(file)
  }
}

/** A write that meets the end of the disk may be a short one, and only the next one fails. */
function writeAll(file: number, length: number, at: number): void {
  const zeros = Buffer.alloc(length)
  for (let written = 0; written < length; ) written += writeSync(file, zeros, written, length - written, at + written)
}
