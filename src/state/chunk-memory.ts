/*
 * Memory of chunks that are on the disk comes back to the thread that cut them, and the next ones are cut into it. New memory for each would be zeroed,
 * touched page by page, and counted by the garbage collector of whoever gets it, which would look through its heap again and again.
 *
 * What always holds: a piece is here, or in a chunk that nobody has written yet, and never in both; one that is lost on its way, with a message to a
 * thread that is gone, is lost for good and missed by nobody.
 */

const STEP_BYTES = 1 << 14
const SPARE_BYTES_MAX = 1 << 25

/** Of this thread, by size. */
const spare = new Map<number, ArrayBuffer[]>()
let spareBytes = 0

/** Bytes for a chunk, with anything in them. */
export function chunkBytes(length: number): Uint8Array<ArrayBuffer> {
  const size = length < STEP_BYTES ? 2 ** Math.ceil(Math.log2(length)) : Math.ceil(length / STEP_BYTES) * STEP_BYTES
  const piece = spare.get(size)?.pop()
  if (piece === undefined) return new Uint8Array(new ArrayBuffer(size), 0, length)
  spareBytes -= size
  return new Uint8Array(piece, 0, length)
}

/** Takes pieces that nobody uses any more. */
export function reuse(pieces: readonly ArrayBuffer[]): void {
  for (const piece of pieces) {
    const size = piece.byteLength
    if (spareBytes + size > SPARE_BYTES_MAX) return
    const equal = spare.get(size)
    if (equal === undefined) spare.set(size, [piece])
    else equal.push(piece)
    spareBytes += size
  }
}
