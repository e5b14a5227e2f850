import type { Source, SplitReader } from '../../src/core/source.ts'

/** The one split of a source that is read as a whole. */
export type WholeInput = Record<string, never>

/**
 * A source of the values of an iterable, in their order. For examples, tests and small tables.
 *
 * The iterable must end, and must give the same values whenever the job's module is loaded: a restart counts them again from the
 * first one. What is not an array is copied into one when it is first read.
 *
 * @example
 * job('squares').from(items([1, 2, 3])).map((n) => n * n).to(print())
 */
export function items<T>(iterable: Iterable<T>): Source<T, WholeInput, number> {
  let array: readonly T[] | undefined
  return {
    kind: 'items',
    enumerate: () => [{}],
    open(_split, position) {
      array ??= Array.isArray(iterable) ? (iterable as readonly T[]) : [...iterable]
      return new ItemsReader(array, position ?? 0)
    },
  }
}

class ItemsReader<T> implements SplitReader<T, number> {
  readonly #array: readonly T[]
  #next: number

  constructor(array: readonly T[], next: number) {
    this.#array = array
    this.#next = next
  }

  poll(max: number): readonly T[] | null {
    if (this.#next >= this.#array.length) return null
    const batch = this.#array.slice(this.#next, this.#next + max)
    this.#next += batch.length
    return batch
  }

  position(): number {
    return this.#next
  }
}
