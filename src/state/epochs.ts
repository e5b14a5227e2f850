import type { CurrentKey } from './current-key.ts'
import type { DeltaWriter } from './delta-writer.ts'

/*
 * Which checkpoint an entry belongs to. Time is cut into epochs by the barriers that a subtask has met; an epoch is an even number, and rises by
 * two with each barrier. The mark of an entry (`epoch`) says:
 *
 *   even, `current`      it has changed since the last barrier, and is in the dirty list
 *   even, `frozen`       it has changed in the epoch before, whose snapshot is being written, and has not been written yet
 *   odd, e + 1           it has not changed since epoch e, and the snapshot of that epoch holds it
 *   LOADED               it was read from the base and has not changed since
 *
 * So one comparison per change finds out whether anything has to be done, and a mark that is odd and not above `folded` + 1 means that the
 * base holds the entry as it is: it may be forgotten and read again.
 */

/** The mark of what is as the base says. */
export const LOADED = -1
const NOTHING_FOLDED = -2
const NOT_FREEZING = -2
const FIRST = 2
/** The mark of what a restored checkpoint brought beside the base: it belongs to the epoch before the first. */
export const RESTORED = 1

export class Epochs {
  /** The epoch of changes that are made now. */
  current: number = FIRST
  /** The epoch whose snapshot is being written; `NOT_FREEZING` when none is. */
  frozen: number = NOT_FREEZING
  /** The newest epoch that the base holds in full. */
  folded: number = NOTHING_FOLDED
  /** Which checkpoint ended which epoch, oldest first, as long as the base does not hold it. */
  #ended: { readonly checkpoint: number; readonly epoch: number }[] = []

  /** @param restored the checkpoint that the subtask began with */
  constructor(restored: number) {
    this.#ended.push({ checkpoint: restored, epoch: FIRST - 2 })
  }

  get freezing(): boolean {
    return this.frozen !== NOT_FREEZING
  }

  /** The barrier of a checkpoint: what has changed so far is its share. */
  freeze(checkpoint: number): void {
    this.frozen = this.current
    this.#ended.push({ checkpoint, epoch: this.current })
    this.current += 2
  }

  /** Everything of the frozen epoch is written. */
  thaw(): void {
    this.frozen = NOT_FREEZING
  }

  /** The base holds everything up to this checkpoint. True when that is news. */
  onFolded(checkpoint: number): boolean {
    let folded = this.folded
    while (this.#ended.length > 0 && this.#ended[0]!.checkpoint <= checkpoint) folded = this.#ended.shift()!.epoch
    const news = folded > this.folded
    this.folded = folded
    return news
  }

  /** Whether the base holds an entry with this mark as it is in memory. */
  isInBase(mark: number): boolean {
    return (mark & 1) !== 0 && mark <= this.folded + 1
  }
}

/** Flags of an entry: it holds a value; the base or a snapshot may hold a row for it; it was used since the last look; its value is still as it was stored. */
export const LIVE = 1
export const PERSISTED = 2
export const USED = 4
export const ENCODED = 8

/** A state that takes part in snapshots. Its rows come in the order of their key groups. */
export interface SnapshottedState {
  /** The barrier: the dirty lists of the epoch that ends are set aside. What has to be said before all rows of the snapshot is said now. */
  freeze(writer: DeltaWriter): void
  /** Writes rows of the frozen epoch until `expired` says stop, asked every few rows. True when all are written. */
  encode(writer: DeltaWriter, expired: () => boolean): boolean
  /** The base holds more than before. */
  onFolded(): void
  /** Forgets entries that the base holds, up to about that many. Returns how many. */
  evict(entries: number): number
  /** Entries in memory. */
  readonly size: number
  /** What they take there, about. @param valueBytes of a value that is no mere number */
  memoryBytes(valueBytes: number): number
  /** Bytes that one of them would take in a snapshot, by a look at a few; `undefined` when there is none with a value. */
  sampleBytes?(): number | undefined
  /** A row of a checkpoint that the base does not hold yet; `undefined`: it is removed. */
  applyRow(group: number, namespace: number, key: Uint8Array, value: Uint8Array | undefined): void
  /** The same for a whole namespace of these groups. */
  applyDrop(firstGroup: number, lastGroup: number, namespace: number): void
}

/** What the states of one operator and subtask share. */
export interface StateSurroundings {
  readonly current: CurrentKey
  readonly epochs: Epochs
  readonly firstGroup: number
  readonly lastGroup: number
  /** Takes rows of the frozen epoch that must be written before they change. */
  readonly early: DeltaWriter
}

/** How many rows are written between two looks at the clock. */
export const ROWS_PER_LOOK = 32
/** How many timers are read from the base at once, over all groups, and at least of each group. */
export const TIMERS_AT_ONCE = 4096
export const TIMERS_PER_GROUP = 16
/** Of a group of which one in so many entries has changed, and as many as that, no list is kept: they are looked for. */
export const DIRTY_SHARE = 8
export const SCANNED_FROM = 64
/** A group of so many entries is worth an image when so much of it has changed; a larger one would stop the records for too long. */
export const IMAGE_ROWS_MIN = 4
export const IMAGE_ROWS_MAX = 1 << 16
