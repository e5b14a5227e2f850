/** Counts of string keys: one look into a map for each record, and the count itself beside it, where writing it costs nothing. */
export class StringCounts {
  readonly #places = new Map<string, number>()
  readonly #counts: Int32Array

  constructor(keysMax: number) {
    this.#counts = new Int32Array(keysMax)
  }

  /** @returns how many records the key has had, with this one */
  add(key: string): number {
    let place = this.#places.get(key)
    if (place === undefined) {
      place = this.#places.size
      this.#places.set(key, place)
    }
    return ++this.#counts[place]!
  }
}

/** Counts of integer keys: open addressing, key and count side by side. A count of 0 marks a free place. */
export class IntegerCounts {
  readonly #cells: Int32Array
  readonly #mask: number

  constructor(keysMax: number) {
    const places = 2 ** Math.ceil(Math.log2(2 * keysMax))
    this.#cells = new Int32Array(2 * places)
    this.#mask = places - 1
  }

  /** @returns how many records the key has had, with this one */
  add(key: number): number {
    const cells = this.#cells
    let place = Math.imul(key, 0x9e3779b1) >>> 7
    for (;;) {
      const cell = 2 * (place & this.#mask)
      if (cells[cell + 1] === 0) cells[cell] = key
      if (cells[cell] === key) return ++cells[cell + 1]!
      place++
    }
  }
}
