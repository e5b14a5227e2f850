import { assert } from '../core/assert.ts'
import type { StateIdentity } from '../state/delta-chunk.ts'
import { hasNamespace, NAMESPACE_BYTES } from '../state/delta-chunk.ts'
import { namespaceAt, scanDelta } from '../state/delta-reader.ts'
import { ROWS_PER_LOOK } from '../state/epochs.ts'
import type { GroupImage } from '../state/group-image.ts'
import { RowRuns } from './row-runs.ts'

/** What a batch says of one group of a state. */
export interface GroupChange {
  readonly bytes: Buffer
  readonly number: number
  readonly state: StateIdentity
  readonly group: number
  /** All rows of the group are in it; those of `places` come after it. */
  readonly image: GroupImage | undefined
  /** Of rows, in the order of the base; the first `count` of them. */
  readonly places: Uint32Array
  readonly count: number
}

/** Where the rows of a batch go. */
export interface RowTarget {
  /** Takes a group at once, when it lies in the base as an image or is to lie there as one. False: its rows follow. */
  group(change: GroupChange): boolean
  /** Whether it takes more now. */
  readonly takesMore: boolean
  /** Rows of this state and group follow. */
  begin(bytes: Buffer, number: number, state: StateIdentity, group: number): void
  /** @param place of the row in the bytes, as in a chunk */
  row(namespace: number, place: number): void
}

/** A namespace of which the base forgets everything in these groups. */
export interface FoldedDrop {
  readonly number: number
  readonly operator: string
  readonly state: StateIdentity
  readonly firstGroup: number
  readonly lastGroup: number
  readonly namespace: number
}

/** Rows of one state and group. */
interface Bucket {
  readonly number: number
  readonly state: StateIdentity
  readonly group: number
  runs: RowRuns
  /** What came before it is gone. */
  image: GroupImage | undefined
}

/** Keys of buckets: a number of a state and a group have 16 bits each. */
const GROUPS = 1 << 16

/**
 * Changes of several checkpoints, merged before they go into the base: a row that has changed in each of them is written once, and rows come in the
 * order in which they lie there, so that a page of the base is copied for many rows and not for each. What always holds:
 *
 * 1. Drops first and rows after them is the same as everything in the order in which it was added: what a drop takes away of rows that were added
 *    before it is taken out of the batch too.
 * 2. Chunks lie in one buffer that does not move. A row is a place in it, and nothing is made for a row.
 * 3. The same holds of an image: rows before it are taken out, those behind it stay.
 * 4. Once rows are handed over, nothing is added.
 */
export class FoldBatch {
  readonly #bytes: Buffer
  readonly #numberOf: (operator: string, state: StateIdentity) => number
  readonly #buckets = new Map<number, Bucket>()
  #end = 0
  #ordered: readonly Bucket[] | undefined
  /** How far the rows are handed over. */
  #bucket = 0
  #row = 0
  /** Rows that were added. */
  rows = 0
  longestImageBytes = 0
  readonly drops: FoldedDrop[] = []

  /** @param bytes that all chunks have together */
  constructor(bytes: number, numberOf: (operator: string, state: StateIdentity) => number) {
    this.#bytes = Buffer.allocUnsafeSlow(bytes)
    this.#numberOf = numberOf
  }

  /** @param isDropped states that the job no longer has */
  add(operator: string, chunk: Uint8Array, isDropped: (state: StateIdentity) => boolean): void {
    assert(this.#ordered === undefined, 'a batch takes no more when it is being written')
    const from = this.#end
    this.#bytes.set(chunk, from)
    this.#end = from + chunk.byteLength
    let runs: RowRuns | undefined
    scanDelta(this.#bytes, from, this.#end, {
      section: (state, group) => {
        runs = isDropped(state) ? undefined : this.#bucketOf(this.#numberOf(operator, state), state, group).runs
      },
      row: (_, place) => {
        if (runs === undefined) return
        runs.add(place)
        this.rows++
      },
      drop: (state, firstGroup, lastGroup, namespace) => {
        if (isDropped(state)) return
        const number = this.#numberOf(operator, state)
        for (let group = firstGroup; group <= lastGroup; group++) {
          const bucket = this.#buckets.get(number * GROUPS + group)
          if (bucket === undefined) continue
          bucket.image = undefined
          if (hasNamespace(state.kind)) bucket.runs.drop(namespace)
          else bucket.runs = this.#runs(state)
        }
        this.drops.push({ number, operator, state, firstGroup, lastGroup, namespace })
      },
      image: (state, group, image) => {
        if (isDropped(state)) return
        const bucket = this.#bucketOf(this.#numberOf(operator, state), state, group)
        bucket.image = image
        bucket.runs = this.#runs(state)
        this.rows += image.rows
        this.longestImageBytes = Math.max(this.longestImageBytes, image.byteLength)
      },
    })
  }

  #runs(state: StateIdentity): RowRuns {
    return new RowRuns(this.#bytes, hasNamespace(state.kind))
  }

  #bucketOf(number: number, state: StateIdentity, group: number): Bucket {
    const id = number * GROUPS + group
    let bucket = this.#buckets.get(id)
    if (bucket === undefined) {
      bucket = { number, state, group, runs: this.#runs(state), image: undefined }
      this.#buckets.set(id, bucket)
    }
    return bucket
  }

  /** Hands over rows in the order of the base, each once, until it takes no more or `expired` says stop, asked every few rows. True when all are handed over. */
  writeTo(target: RowTarget, expired: () => boolean): boolean {
    this.#ordered ??= [...this.#buckets.keys()].sort((a, b) => a - b).map((id) => this.#buckets.get(id)!)
    while (this.#bucket < this.#ordered.length) {
      const bucket = this.#ordered[this.#bucket]!
      while (!bucket.runs.mergeStep()) if (expired()) return false
      if (!this.#writeBucket(bucket, target, expired)) return false
      this.#bucket++
      this.#row = 0
      if (!target.takesMore || expired()) break
    }
    return this.#bucket === this.#ordered.length
  }

  #writeBucket({ number, state, group, runs, image }: Bucket, target: RowTarget, expired: () => boolean): boolean {
    const { places, count } = runs
    const isBegun = this.#row > 0
    if (!isBegun && target.group({ bytes: this.#bytes, number, state, group, image, places, count })) return true
    const named = hasNamespace(state.kind)
    target.begin(this.#bytes, number, state, group)
    while (this.#row < count) {
      const place = places[this.#row++]!
      target.row(named ? namespaceAt(this.#bytes, place - NAMESPACE_BYTES) : 0, place)
      if (this.#row < count && (!target.takesMore || (this.#row % ROWS_PER_LOOK === 0 && expired()))) return false
    }
    return true
  }
}
