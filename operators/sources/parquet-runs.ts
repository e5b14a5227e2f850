/** Widest value that is unpacked with 32-bit arithmetic: one more byte must fit above what is left of the last one. */
const NARROW_BITS = 24

/**
 * Reads `count` numbers of `bits` bits each from Parquet's mixture of runs of one value and packed groups of eight, the form in which
 * it keeps positions in a dictionary and marks of nulls.
 *
 * @param limit what every number must be below.
 *
 * @example
 * readRuns(Uint8Array.of(6, 1), 0, 1, 3, 2) // Int32Array [1, 1, 1]
 */
export function readRuns(bytes: Uint8Array, start: number, bits: number, count: number, limit: number): Int32Array {
  const numbers = new Int32Array(count)
  let at = start
  for (let done = 0; done < count; ) {
    const head = readVarint(bytes, at)
    at = head.end
    if (head.value & 1) {
      const packed = (head.value >>> 1) * 8
      const wanted = Math.min(packed, count - done)
      const unpack = bits > NARROW_BITS ? unpackWide : unpackNarrow
      unpack(bytes, at, bits, numbers.subarray(done, done + wanted), limit)
      at += (packed / 8) * bits
      done += wanted
    } else {
      const length = head.value >>> 1
      const width = Math.ceil(bits / 8)
      const value = readLittleEndian(bytes, at, width)
      if (value >= limit) throw outOfRange(value, limit)
      numbers.fill(value, done, done + length)
      at += width
      done += length
    }
    if (at > bytes.length) throw new Error('a run of values is cut off')
  }
  return numbers
}

function unpackNarrow(bytes: Uint8Array, start: number, bits: number, target: Int32Array, limit: number): void {
  const mask = (1 << bits) - 1
  let at = start
  let held = 0
  let heldBits = 0
  for (let i = 0; i < target.length; i++) {
    while (heldBits < bits) {
      held |= bytes[at++]! << heldBits
      heldBits += 8
    }
    const value = held & mask
    if (value >= limit) throw outOfRange(value, limit)
    target[i] = value
    held >>>= bits
    heldBits -= bits
  }
}

function unpackWide(bytes: Uint8Array, start: number, bits: number, target: Int32Array, limit: number): void {
  for (let i = 0; i < target.length; i++) {
    const firstBit = i * bits
    const window = readLittleEndian(bytes, start + Math.floor(firstBit / 8), 5)
    const value = Math.floor(window / 2 ** (firstBit % 8)) % 2 ** bits
    if (value >= limit) throw outOfRange(value, limit)
    target[i] = value
  }
}

function readLittleEndian(bytes: Uint8Array, at: number, width: number): number {
  let value = 0
  for (let i = width - 1; i >= 0; i--) value = value * 256 + (bytes[at + i] ?? 0)
  return value
}

function readVarint(bytes: Uint8Array, start: number): { value: number; end: number } {
  let value = 0
  for (let at = start, shift = 0; at < bytes.length; at++, shift += 7) {
    const byte = bytes[at]!
    value |= (byte & 127) << shift
    if (byte < 128) return { value, end: at + 1 }
  }
  throw new Error('a run of values is cut off')
}

function outOfRange(value: number, limit: number): Error {
  return new Error(`a packed value is ${value}, and must be below ${limit}`)
}
