import { ROWS_PER_LOOK } from './epochs.ts'

/** Entries of one group and namespace that are to be written. */
export interface FrozenPart<E> {
  readonly entries: E
  readonly group: number
  readonly namespace: number
  readonly numbers: readonly number[]
}

/** What knows the order of its entries. */
interface Sortable {
  sort(numbers: readonly number[]): readonly number[]
}

/** The entries of a frozen epoch on their way into its snapshot, in the order of key group, namespace and key. */
export class FrozenNumbers<E extends Sortable> {
  readonly #parts: readonly FrozenPart<E>[]
  #part = 0
  /** Of the part. */
  #sorted: readonly number[] = []
  #index = 0

  constructor(parts: readonly FrozenPart<E>[]) {
    this.#parts = parts.toSorted((a, b) => a.group - b.group || a.namespace - b.namespace)
  }

  /** Writes entries until `expired` says stop. True when all are written. */
  write(write: (entries: E, number: number, namespace: number) => void, expired: () => boolean): boolean {
    for (; this.#part < this.#parts.length; this.#part++, this.#index = 0) {
      const { entries, namespace, numbers } = this.#parts[this.#part]!
      if (this.#index === 0) this.#sorted = entries.sort(numbers)
      while (this.#index < numbers.length) {
        write(entries, this.#sorted[this.#index]!, namespace)
        if (++this.#index % ROWS_PER_LOOK === 0 && expired()) return false
      }
    }
    return true
  }
}
