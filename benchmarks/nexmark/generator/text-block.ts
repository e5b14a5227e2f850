import type { JavaRandom } from './java-random.ts'
import { INCREMENT, MULTIPLIER, MULTIPLIER_HIGH, MULTIPLIER_LOW } from './java-random.ts'

/*
 * The random strings of a few events, written one behind the other as bytes and made one JavaScript string at the end, of which each text is a
 * slice: making a string costs more than filling it, and a slice costs next to nothing. A slice that is kept keeps the whole block,
 * so blocks are small.
 */

const SPACE = 0x20
const LETTER_A = 0x61
const MIN_LENGTH = 3

/** Characters of `filler` come six to a draw, by remainders of 26. Three at a time are looked up: all remainders of 26^3, of either sign. */
const TRIPLES = 26 ** 3
const TRIPLE_BYTES = Int32Array.from({ length: 2 * TRIPLES - 1 }, (_, index) => {
  const value = index - (TRIPLES - 1)
  return [0, 1, 2].reduce((bytes, place) => bytes | ((LETTER_A + (Math.trunc(value / 26 ** place) % 26)) << (8 * place)), 0)
})
const SIX = 6
/** A draw is written whole, and a triple as four bytes: up to so many more than are asked for. */
const OVERHANG = SIX + 1

export class TextBlock {
  readonly #random: JavaRandom
  readonly #bytes: Buffer
  readonly #view: DataView
  #text = ''
  /** Where the next text begins. */
  end = 0

  /** @param characters of all texts between `clear` and `finish` at most */
  constructor(random: JavaRandom, characters: number) {
    this.#random = random
    this.#bytes = Buffer.allocUnsafeSlow(characters + OVERHANG)
    this.#view = new DataView(this.#bytes.buffer)
  }

  /** Forgets all texts. */
  clear(): void {
    this.end = 0
  }

  /** Ends the writing: from now on, until `clear`, texts can be cut out. */
  finish(): void {
    this.#text = this.#bytes.toString('latin1', 0, this.end)
  }

  cut(start: number, end: number): string {
    return this.#text.substring(start, end)
  }

  /** Three or more letters, fewer than `maxLength`, a space in place of about one in thirteen; outer spaces are cut off. Returns its start. */
  words(maxLength: number): number {
    const random = this.#random
    const bytes = this.#bytes
    const last = this.end + MIN_LENGTH + random.nextInt(maxLength - MIN_LENGTH)
    let [start, at] = [this.end, this.end]
    while (at < last) bytes[at++] = random.nextInt(13) === 0 ? SPACE : LETTER_A + random.nextInt(26)
    while (at > start && bytes[at - 1] === SPACE) at--
    while (start < at && bytes[start] === SPACE) start++
    this.end = at
    return start
  }

  /**
   * About as many characters as bring `size` to `averageSize`, a fifth more or fewer; none if it is larger already. Returns their start.
   */
  filler(size: number, averageSize: number): number {
    const start = this.end
    if (size > averageSize) return start
    const wanted = averageSize - size
    const delta = Math.round(wanted * 0.2)
    this.#fill(wanted - delta + (delta === 0 ? 0 : this.#random.nextInt(2 * delta)))
    return start
  }

  /** Beam takes remainders of signed draws, so characters below `a` come as often as letters. */
  #fill(length: number): void {
    const view = this.#view
    const random = this.#random
    const end = this.end + length
    let { high, low } = random
    for (let at = this.end; at < end; at += SIX) {
      const product = Math.imul(low, MULTIPLIER_LOW) + INCREMENT
      high = (Math.imul(high, MULTIPLIER) + Math.imul(low, MULTIPLIER_HIGH) + (product >>> 16)) | 0
      low = product & 0xffff
      const quotient = (high / TRIPLES) | 0
      view.setInt32(at, TRIPLE_BYTES[high - quotient * TRIPLES + (TRIPLES - 1)]!, true)
      view.setInt32(at + 3, TRIPLE_BYTES[(quotient % TRIPLES) + (TRIPLES - 1)]!, true)
    }
    random.high = high
    random.low = low
    this.end = end
  }
}
