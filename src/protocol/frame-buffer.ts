import { endianness } from 'node:os'
import { assert } from '../core/assert.ts'

/*
 * Memory of frames, seen as numbers of every width. Views of eight bytes must begin at a multiple of eight, so frames are laid out in such steps and
 * begin at one. Numbers lie in the order of the machine: a frame is read in the process that wrote it. The order is fixed all the same, so that a
 * frame has the same bytes everywhere.
 */
assert(endianness() === 'LE', 'frames are written and read on machines that put the low byte first')

/** The views of a piece of memory. Positions in them are those of the memory, divided by their width. */
export interface FrameMemory {
  readonly bytes: Buffer
  readonly int32: Int32Array
  readonly uint32: Uint32Array
  readonly float64: Float64Array
  readonly int64: BigInt64Array
}

/** `bytes`, in whole steps of eight. */
export function inSteps(bytes: number): number {
  return Math.ceil(bytes / 8) * 8
}

function viewsOf(memory: ArrayBufferLike): FrameMemory {
  const [words, doubles] = [memory.byteLength >>> 2, memory.byteLength >>> 3]
  return {
    bytes: Buffer.from(memory as ArrayBuffer),
    int32: new Int32Array(memory, 0, words),
    uint32: new Uint32Array(memory, 0, words),
    float64: new Float64Array(memory, 0, doubles),
    int64: new BigInt64Array(memory, 0, doubles),
  }
}

/** Where a frame is written. It grows, and is used again for the next one. */
export class FrameWriter {
  memory: FrameMemory = viewsOf(new ArrayBuffer(1 << 12))

  /** Makes room up to `size`, and keeps what was written. The views are other ones afterwards. */
  reserve(size: number): FrameMemory {
    const before = this.memory
    if (before.bytes.byteLength >= size) return before
    this.memory = viewsOf(new ArrayBuffer(2 ** Math.ceil(Math.log2(size))))
    this.memory.bytes.set(before.bytes)
    return this.memory
  }
}

/** Where a frame is read. */
export class FrameReader {
  memory: FrameMemory = viewsOf(new ArrayBuffer(0))
  /** Where the frame begins and where it ends in the memory. */
  begin = 0
  end = 0

  /**
   * Looks at `bytes` where they are, because a channel gives all of its frames in the same memory and a copy of each would cost about as much as
   * reading its numbers. What does not begin at a multiple of eight has to be copied.
   */
  open(bytes: Uint8Array): void {
    if (bytes.byteOffset % 8 !== 0) return this.open(bytes.slice())
    if (this.memory.bytes.buffer !== bytes.buffer) this.memory = viewsOf(bytes.buffer)
    this.begin = bytes.byteOffset
    this.end = bytes.byteOffset + bytes.byteLength
  }

  /** Refuses a frame that says that it goes on behind its end. Also for lengths that were read from it, and that may be any. */
  need(at: number, bytes: number): void {
    if (!(at >= this.begin && bytes >= 0 && at + bytes <= this.end)) throw new Error('a frame ends before what it says it holds')
  }

  uint32(at: number): number {
    this.need(at, 4)
    return this.memory.uint32[at >>> 2]!
  }

  float64(at: number): number {
    this.need(at, 8)
    return this.memory.float64[at >>> 3]!
  }
}
