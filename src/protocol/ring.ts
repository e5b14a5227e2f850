import { assert } from '../core/assert.ts'

/*
 * A ring of frames in shared memory: one writer, one reader.
 *
 *   cells   HEAD  bytes the reader has taken     (written by the reader only)
 *           TAIL  bytes the writer has published (written by the writer only)
 *           BUDGET records that should be on their way at most (written by the reader only)
 *           TAKEN records the reader has taken (written by the reader only)
 *   data    frames, each: length (4 bytes, its top bit says that the frame goes on in the next one), then the bytes, padded to 4
 *
 * What always holds:
 * - 0 <= TAIL - HEAD <= capacity. Both are counters that wrap at 2^32; a position in `data` is the counter modulo the capacity, which is a
 *   power of two.
 * - A frame's bytes never wrap: where the rest of the buffer is too short, a length of SKIP sends the reader to its start.
 * - A message is published as a whole or in parts: one that does not fit in a quarter of the ring is cut, and the reader joins the parts.
 * - TAIL is stored after the bytes are written, HEAD after they have been copied out.
 */
const HEAD = 0
const TAIL = 1
const BUDGET = 2
const TAKEN = 3
const CELLS_BYTES = 64
const LENGTH_BYTES = 4
const SKIP = 0x7fffffff
const MORE = 0x80000000

export const RING_BYTES_DEFAULT: number = 1 << 18

/** Before the reader knows how fast it is. */
export const BUDGET_DEFAULT = 1024

/** The memory of a ring; `capacity` must be a power of two of at least 64 bytes. */
export function createRing(capacity: number = RING_BYTES_DEFAULT): SharedArrayBuffer {
  assert(capacity >= 64 && (capacity & (capacity - 1)) === 0, `a ring of ${capacity} bytes is not a power of two`)
  const shared = new SharedArrayBuffer(CELLS_BYTES + capacity)
  new Uint32Array(shared)[BUDGET] = BUDGET_DEFAULT
  return shared
}

class Ring {
  protected readonly cells: Uint32Array
  protected readonly data: Uint8Array
  protected readonly lengths: Uint32Array
  protected readonly capacity: number

  constructor(shared: SharedArrayBuffer) {
    this.capacity = shared.byteLength - CELLS_BYTES
    this.cells = new Uint32Array(shared, 0, 4)
    this.data = new Uint8Array(shared, CELLS_BYTES)
    this.lengths = new Uint32Array(shared, CELLS_BYTES)
  }
}

export class RingWriter extends Ring {
  /** Records that the reader wants on their way at most. */
  get budget(): number {
    return Atomics.load(this.cells, BUDGET)
  }

  /** Records that the reader has taken; wraps at 2^32. */
  get taken(): number {
    return Atomics.load(this.cells, TAKEN)
  }

  /** Largest part of a message in one frame. A quarter, so that a part plus a skipped rest always fits in an empty ring. */
  readonly #partMax = this.capacity / 4 - LENGTH_BYTES

  /**
   * Writes `message` from `from` on, as far as there is room. Returns how many of its bytes are written by now; a caller that gets less
   * than the length comes back with that number when the reader has made room.
   */
  write(message: Uint8Array, from: number): number {
    let at = from
    do {
      const length = Math.min(message.byteLength - at, this.#partMax)
      if (!this.#publish(message, at, length, at + length < message.byteLength)) return at
      at += length
    } while (at < message.byteLength)
    return at
  }

  #publish(message: Uint8Array, at: number, length: number, more: boolean): boolean {
    let tail = this.cells[TAIL]!
    const free = this.capacity - ((tail - Atomics.load(this.cells, HEAD)) >>> 0)
    const position = tail & (this.capacity - 1)
    const needed = LENGTH_BYTES + ((length + 3) & ~3)
    const rest = this.capacity - position
    const skipped = rest < needed ? rest : 0
    if (free < skipped + needed) return false
    if (skipped > 0) {
      this.lengths[position >>> 2] = SKIP
      tail = (tail + skipped) >>> 0
    }
    const start = tail & (this.capacity - 1)
    this.lengths[start >>> 2] = more ? (length | MORE) >>> 0 : length
    this.data.set(length === message.byteLength ? message : message.subarray(at, at + length), start + LENGTH_BYTES)
    Atomics.store(this.cells, TAIL, (tail + needed) >>> 0)
    return true
  }
}

export class RingReader extends Ring {
  #message = new Uint8Array(1 << 16)
  #length = 0

  set budget(records: number) {
    Atomics.store(this.cells, BUDGET, records)
  }

  /** Records have left the ring for good. */
  countTaken(records: number): void {
    Atomics.store(this.cells, TAKEN, (this.cells[TAKEN]! + records) >>> 0)
  }

  /** Whether a frame waits. */
  get readable(): boolean {
    return Atomics.load(this.cells, TAIL) !== this.cells[HEAD]!
  }

  /** The next whole message, in a buffer that the next call overwrites; `undefined` when none is complete yet. */
  read(): Uint8Array | undefined {
    const tail = Atomics.load(this.cells, TAIL)
    let head = this.cells[HEAD]!
    while (head !== tail) {
      const position = head & (this.capacity - 1)
      const word = this.lengths[position >>> 2]!
      if (word === SKIP) {
        head = (head + this.capacity - position) >>> 0
        continue
      }
      const length = word & ~MORE
      assert(length <= this.capacity, `a frame of ${length} bytes in a ring of ${this.capacity}`)
      this.#append(position + LENGTH_BYTES, length)
      head = (head + LENGTH_BYTES + ((length + 3) & ~3)) >>> 0
      Atomics.store(this.cells, HEAD, head)
      if ((word & MORE) === 0) {
        const message = this.#message.subarray(0, this.#length)
        this.#length = 0
        return message
      }
    }
    return undefined
  }

  #append(at: number, length: number): void {
    const needed = this.#length + length
    if (needed > this.#message.byteLength) {
      const larger = new Uint8Array(2 ** Math.ceil(Math.log2(needed)))
      larger.set(this.#message.subarray(0, this.#length))
      this.#message = larger
    }
    this.#message.set(this.data.subarray(at, at + length), this.#length)
    this.#length = needed
  }
}
