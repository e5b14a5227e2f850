/*
 * The generator of `java.util.Random`: a 48-bit linear congruential one, s' = s * 0x5DEECE66D + 11 modulo 2^48, of which the upper bits are the
 * draw. Java's documentation fixes the algorithm, so equal seeds give equal draws everywhere.
 *
 * The state is held as its upper 32 and its lower 16 bits. The upper half is then itself the 32-bit draw, and a step takes three
 * multiplications of 32-bit integers: with s = high * 2^16 + low, all that low * multiplier leaves above bit 16 is a carry, and what goes beyond
 * bit 48 is cut off by 32-bit arithmetic.
 */

/** The multiplier modulo 2^32, its upper and its lower part. */
export const MULTIPLIER = 0xdeece66d | 0
export const MULTIPLIER_HIGH = 0x5deec
export const MULTIPLIER_LOW = 0xe66d
export const INCREMENT = 0xb

const TWO_POW_27 = 2 ** 27
const TWO_POW_MINUS_53 = 2 ** -53
const INT_MAX = 0x7fffffff

export class JavaRandom {
  /** Bits 16 to 47 of the state, as a signed integer. Who draws in a tight loop keeps both halves in locals meanwhile. */
  high = 0
  /** Bits 0 to 15. */
  low = 0

  /** @param seed a whole number from 0 to 2^48 - 1 */
  seed(seed: number): void {
    this.high = Math.floor(seed / 0x10000) ^ MULTIPLIER_HIGH
    this.low = (seed & 0xffff) ^ MULTIPLIER_LOW
  }

  /** All 32 bits, signed. */
  nextInt32(): number {
    const { high, low } = this
    const product = Math.imul(low, MULTIPLIER_LOW) + INCREMENT
    this.low = product & 0xffff
    return (this.high = (Math.imul(high, MULTIPLIER) + Math.imul(low, MULTIPLIER_HIGH) + (product >>> 16)) | 0)
  }

  /** From 0 to `bound` - 1. A draw from the incomplete last stretch of multiples of `bound` is thrown away, as Java does. */
  nextInt(bound: number): number {
    let draw = this.nextInt32() >>> 1
    if ((bound & (bound - 1)) === 0) return draw >>> Math.clz32(bound)
    let remainder = draw % bound
    while (draw - remainder > INT_MAX - bound + 1) {
      draw = this.nextInt32() >>> 1
      remainder = draw % bound
    }
    return remainder
  }

  /** From 0 to 1, without 1. */
  nextDouble(): number {
    const upper = this.nextInt32() >>> 6
    return (upper * TWO_POW_27 + (this.nextInt32() >>> 5)) * TWO_POW_MINUS_53
  }
}
