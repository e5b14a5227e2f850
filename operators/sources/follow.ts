import type { SplitReader } from '../../src/core/source.ts'
import type { FileFormat } from './file-source.ts'

/** Files that one subtask follows side by side: none of them ends, so they cannot be read one after the other. */
export interface FollowSplit {
  readonly files: readonly string[]
}

/** Deals the files out to at most `parallelism` subtasks. */
export function followSplits(files: readonly string[], parallelism: number): FollowSplit[] {
  const count = Math.min(parallelism, files.length)
  return Array.from({ length: count }, (_, first) => ({ files: files.filter((_, index) => index % count === first) }))
}

/**
 * Reads files that grow, each answer from one of them, in turn. The position is the offset in each file. A restart gives the same
 * records of each file again, in the file's order; how those of different files mix depends on how they grow.
 *
 * @example
 * readJsonLines<Order>('orders/*.jsonl', { follow: true })
 */
export class FollowReader<T> implements SplitReader<T, readonly number[]> {
  readonly #readers: readonly SplitReader<T, number>[]
  #turn = 0

  constructor(split: FollowSplit, position: readonly number[] | undefined, format: FileFormat<T>) {
    const readers: SplitReader<T, number>[] = []
    this.#readers = readers
    try {
      for (const [index, path] of split.files.entries()) {
        readers.push(format.open({ path, start: 0, end: Number.MAX_SAFE_INTEGER }, position?.[index], true))
      }
    } catch (error) {
      this.close()
      throw error
    }
  }

  async poll(max: number): Promise<readonly T[]> {
    for (let asked = 0; asked < this.#readers.length; asked++) {
      const reader = this.#readers[this.#turn]
      this.#turn = (this.#turn + 1) % this.#readers.length
      const batch = await reader?.poll(max)
      if (batch && batch.length > 0) return batch
    }
    return []
  }

  position(): readonly number[] {
    return this.#readers.map((reader) => reader.position())
  }

  close(): void {
    for (const reader of this.#readers) reader.close?.()
  }
}
