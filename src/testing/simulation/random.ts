/**
 * Numbers that follow from a seed and nothing else: sfc32 of Chris Doty-Humphrey's PractRand, seeded by splitmix32. Streams of different names
 * do not disturb each other: a draw more in one changes nothing in another.
 */
export class SeededRandom {
  #a: number
  #b: number
  #c: number
  #counter = 1

  constructor(seed: number, name = '') {
    let mixed = seed >>> 0
    for (let index = 0; index < name.length; index++) mixed = (Math.imul(mixed, 31) + name.charCodeAt(index)) >>> 0
    const split = (): number => {
      mixed = (mixed + 0x9e3779b9) | 0
      let bits = mixed ^ (mixed >>> 16)
      bits = Math.imul(bits, 0x21f0aaad)
      bits ^= bits >>> 15
      bits = Math.imul(bits, 0x735a2d97)
      return (bits ^ (bits >>> 15)) >>> 0
    }
    this.#a = split()
    this.#b = split()
    this.#c = split()
    for (let round = 0; round < 12; round++) this.next()
  }

  /** 32 bits. */
  next(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum
    return sum >>> 0
  }

  /** From 0 to 1, without 1. */
  fraction(): number {
    return this.next() / 2 ** 32
  }

  /** A whole number from 0 to `bound`, without `bound`. */
  below(bound: number): number {
    return Math.floor(this.fraction() * bound)
  }

  /** A whole number from `least` to `most`, with both. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1)
  }

  chance(probability: number): boolean {
    return this.fraction() < probability
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!
  }
}
