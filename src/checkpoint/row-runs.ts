import { NAMESPACE_BYTES } from '../state/delta-chunk.ts'
import { bytesAt, lengthAt, namespaceAt } from '../state/delta-reader.ts'

/**
 * Rows of one state and group by their places in a buffer, in the order in which they were added, and then in the order of the base. Tasks write
 * their rows in that order too, so what comes together are runs that ascend, one of each checkpoint, and sorting them is merging. What always holds:
 *
 * 1. In a run rows ascend, and no two are the same; of the same row in two runs the later run has the last word.
 * 2. Nothing is made for a row: a place is a number, and rows are compared where they lie.
 */
export class RowRuns {
  readonly #bytes: Buffer
  readonly #named: boolean
  #places = new Uint32Array(FIRST_LENGTH)
  #count = 0
  /** Where each run begins. */
  #starts: number[] = []
  /** Of each namespace: how many rows were there when it was dropped. */
  #dropped: Map<number, number> | undefined
  #merge: Merge | undefined

  /** @param named whether rows have a namespace, which lies before their place */
  constructor(bytes: Buffer, named: boolean) {
    this.#bytes = bytes
    this.#named = named
  }

  get count(): number {
    return this.#count
  }

  /** In the order of the base, and each row once, as soon as `mergeStep` has said so. */
  get places(): Uint32Array {
    return this.#places
  }

  add(place: number): void {
    const count = this.#count
    if (count === 0 || this.#compare(this.#places[count - 1]!, place) >= 0) this.#starts.push(count)
    if (count === this.#places.length) {
      const larger = new Uint32Array(2 * count)
      larger.set(this.#places)
      this.#places = larger
    }
    this.#places[count] = place
    this.#count = count + 1
  }

  /** What was added of a namespace so far is gone. */
  drop(namespace: number): void {
    this.#dropped ??= new Map()
    this.#dropped.set(namespace, this.#count)
  }

  /** Merges two runs, after the last row was added. True when one is left. */
  mergeStep(): boolean {
    if (this.#dropped !== undefined) this.#leaveOut(this.#dropped)
    const starts = this.#starts
    if (starts.length <= 1) return true
    const merge = (this.#merge ??= { places: new Uint32Array(this.#count), count: 0, starts: [], next: 0 })
    merge.starts.push(merge.count)
    const [from, middle, end] = [0, 1, 2].map((run) => starts[merge.next + run] ?? this.#count)
    merge.count = this.#mergeTwo(merge, from!, middle!, end!)
    merge.next += 2
    if (merge.next < starts.length) return false
    this.#places = merge.places
    this.#count = merge.count
    this.#starts = merge.starts
    this.#merge = undefined
    return this.#starts.length <= 1
  }

  /** Two neighbours, of which the second begins at `middle`. Returns how many rows are merged now. */
  #mergeTwo({ places: target, count }: Merge, from: number, middle: number, end: number): number {
    const places = this.#places
    let [first, second, at] = [from, middle, count]
    while (first < middle && second < end) {
      const order = this.#compare(places[first]!, places[second]!)
      if (order < 0) target[at++] = places[first++]!
      else {
        target[at++] = places[second++]!
        if (order === 0) first++
      }
    }
    while (first < middle) target[at++] = places[first++]!
    while (second < end) target[at++] = places[second++]!
    return at
  }

  #leaveOut(dropped: ReadonlyMap<number, number>): void {
    const [places, count] = [this.#places, this.#count]
    this.#dropped = undefined
    this.#count = 0
    this.#starts = []
    // Rows only move towards the beginning, so each is read before its place is written.
    for (let index = 0; index < count; index++) {
      const place = places[index]!
      const before = dropped.get(namespaceAt(this.#bytes, place - NAMESPACE_BYTES))
      if (before === undefined || index >= before) this.add(place)
    }
  }

  /** By hand: most keys differ within a few bytes, and a call out of the engine costs more than those. */
  #compare(a: number, b: number): number {
    const bytes = this.#bytes
    if (this.#named) {
      const order = compareNamespaces(namespaceAt(bytes, a - NAMESPACE_BYTES), namespaceAt(bytes, b - NAMESPACE_BYTES))
      if (order !== 0) return order
    }
    const [aLength, bLength] = [lengthAt(bytes, a), lengthAt(bytes, b)]
    const [aAt, bAt] = [bytesAt(bytes, a), bytesAt(bytes, b)]
    const length = Math.min(aLength, bLength)
    for (let index = 0; index < length; index++) {
      const difference = bytes[aAt + index]! - bytes[bAt + index]!
      if (difference !== 0) return difference
    }
    return aLength - bLength
  }
}

const FIRST_LENGTH = 64

/** A pass over all runs: two of them become one. */
interface Merge {
  readonly places: Uint32Array<ArrayBuffer>
  count: number
  readonly starts: number[]
  /** The first run that is not merged. */
  next: number
}

/** As sortable doubles lie: what is no number comes last. */
function compareNamespaces(a: number, b: number): number {
  if (a === b) return 0
  if (a < b) return -1
  if (a > b) return 1
  return Number(Number.isNaN(a)) - Number(Number.isNaN(b))
}
