import type { Operator, OperatorContext } from '../core/operator.ts'
import type { Source, SplitReader } from '../core/source.ts'
import { NO_TIMESTAMP, WATERMARK_NONE } from '../core/time.ts'

/** What a test puts into a source: a record, or a watermark that stands between two of them. */
export type Fed = { readonly value: unknown; readonly timestamp: number } | { readonly watermark: number }

/**
 * A source that gives what it is fed. What always holds:
 *
 * - It has as many splits as it has subtasks at the start, and keeps all that was ever fed to each. A position is a place in that row,
 *   so a restore reads the same again, watermarks raised by hand in their places.
 * - A subtask reads its splits in turn, because after a restore with fewer subtasks it may have several that never end by themselves.
 */
export class Feed implements Source<Fed, number, number> {
  readonly kind: string
  readonly settings: Readonly<Record<string, unknown>>
  readonly inTurn = true
  /** What it stands for. */
  readonly source: Source<unknown>
  readonly #splits: Fed[][] = []
  #next = 0
  #finished = false

  constructor(source: Source<unknown>) {
    this.kind = source.kind
    this.settings = source.settings ?? {}
    this.source = source
  }

  /** How many splits there are. */
  get splits(): number {
    return this.#splits.length
  }

  /** @param split which split gets the record; in turn when it is not said */
  send(value: unknown, timestamp: number = NO_TIMESTAMP, split?: number): void {
    this.#splits[split ?? this.#next++ % this.#splits.length]!.push({ value, timestamp })
  }

  /** No record with a time of `watermark` or earlier follows, in no split. */
  raise(watermark: number): void {
    for (const split of this.#splits) split.push({ watermark })
  }

  finish(): void {
    this.#finished = true
  }

  get finished(): boolean {
    return this.#finished
  }

  enumerate({ parallelism }: { readonly parallelism: number }): readonly number[] {
    while (this.#splits.length < parallelism) this.#splits.push([])
    return this.#splits.map((_, split) => split)
  }

  open(split: number, position: number | undefined): SplitReader<Fed, number> {
    const fed = this.#splits[split]!
    let read = position ?? 0
    return {
      poll: (max) => {
        if (read === fed.length && this.#finished) return null
        const batch = fed.slice(read, read + max)
        read += batch.length
        return batch
      },
      position: () => read,
    }
  }
}

/** Behind a feed: takes records and watermarks out of what is fed. A watermark counts once all splits that are being read have come to it. */
export class FeedOpener implements Operator {
  readonly makesWatermarks = true
  readonly #context: OperatorContext
  readonly #bySplit = new Map<number, number>()

  constructor(context: OperatorContext) {
    this.#context = context
  }

  onRecord(fed: unknown): void {
    const { cell, output } = this.#context
    const item = fed as Fed
    if ('watermark' in item) {
      this.#bySplit.set(cell.split, item.watermark)
      return this.#emit()
    }
    const before = cell.timestamp
    cell.timestamp = item.timestamp
    output.onRecord(item.value)
    cell.timestamp = before
  }

  /** A split that has ended may be the one that had not come to the watermark. */
  onBatchEnd(): void {
    if (this.#bySplit.size > 0) this.#emit()
  }

  #emit(): void {
    const reading = this.#context.splits?.reading ?? []
    const times = reading.map((split) => this.#bySplit.get(split) ?? WATERMARK_NONE)
    if (times.length > 0) this.#context.emitWatermark(Math.min(...times))
  }
}
