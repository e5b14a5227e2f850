/*
 * How many records had which latency: exact to a hundredth of a millisecond up to a second, and to a millisecond beyond, up to a quarter of an hour.
 * A count for each, so nothing is estimated, and counts of several threads and runs add up.
 */

const FINE_PER_MS = 100
const FINE_BELOW_MS = 1000
const FINE_CELLS = FINE_PER_MS * FINE_BELOW_MS
const CELLS = FINE_CELLS + 900_000

/** A cell and how often, and so on: what travels. As a typed array between threads, where a thousand numbers would be looked at one by one. */
export type SparseCounts = ArrayLike<number>

export class LatencyCounts {
  readonly #cells = new Uint32Array(CELLS)
  #least = CELLS
  #most = -1
  total = 0

  /** Negative ones do not occur but by the width of a cell: a record that comes when it is due. */
  record(ms: number, times = 1): void {
    const cell = ms < FINE_BELOW_MS ? Math.max(0, Math.floor(ms * FINE_PER_MS)) : FINE_CELLS + Math.floor(ms) - FINE_BELOW_MS
    this.#add(Math.min(cell, CELLS - 1), times)
  }

  add(counts: SparseCounts): void {
    for (let index = 0; index < counts.length; index += 2) this.#add(counts[index]!, counts[index + 1]!)
  }

  #add(cell: number, times: number): void {
    this.#cells[cell]! += times
    this.total += times
    if (cell < this.#least) this.#least = cell
    if (cell > this.#most) this.#most = cell
  }

  /** All counts; they begin anew. */
  take(): readonly number[] {
    const counts: number[] = []
    for (let cell = this.#least; cell <= this.#most; cell++) {
      if (this.#cells[cell] !== 0) counts.push(cell, this.#cells[cell]!)
    }
    this.#cells.fill(0, this.#least, this.#most + 1)
    this.#least = CELLS
    this.#most = -1
    this.total = 0
    return counts
  }

  /** The latency that a share of the records, 0 to 1, did not exceed: the upper edge of its cell. */
  quantile(share: number): number {
    let left = Math.ceil(share * this.total)
    for (let cell = this.#least; cell <= this.#most; cell++) {
      left -= this.#cells[cell]!
      if (left <= 0) return upperEdge(cell)
    }
    return Number.NaN
  }

  get max(): number {
    return this.#most < 0 ? Number.NaN : upperEdge(this.#most)
  }
}

function upperEdge(cell: number): number {
  return cell < FINE_CELLS ? (cell + 1) / FINE_PER_MS : cell - FINE_CELLS + FINE_BELOW_MS + 1
}
