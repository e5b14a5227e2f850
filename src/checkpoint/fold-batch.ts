import { rowKey } from '../state/base-rows.ts'
import type { StateIdentity } from '../state/delta-chunk.ts'
import { readDelta } from '../state/delta-chunk.ts'

/** A row on its way into the base. */
export interface FoldedRow {
  readonly rowKey: Buffer
  readonly key: Uint8Array
  /** `undefined`: the row goes. */
  readonly value: Uint8Array | undefined
}

/** A namespace of which the base forgets everything in these groups. */
export interface FoldedDrop {
  readonly operator: string
  readonly state: StateIdentity
  readonly firstGroup: number
  readonly lastGroup: number
  readonly namespace: number
}

/** Rows of one state, group and namespace. */
interface Bucket {
  readonly number: number
  readonly group: number
  readonly namespace: number
  /** By the text of the row's key: of each row the last word counts. */
  readonly rows: Map<string, FoldedRow>
}

/**
 * Changes of several checkpoints, merged before they go into the base: a row that has changed in each of them is written once, and rows come in the
 * order in which they lie there, so that a page of the base is copied for many rows and not for each. What always holds:
 *
 * - Drops first and rows after them is the same as everything in the order in which it was added: what a drop takes away of rows that were added
 *   before it is taken out of the batch too.
 */
export class FoldBatch {
  readonly #numberOf: (operator: string, state: StateIdentity) => number
  readonly #buckets = new Map<string, Bucket>()
  readonly drops: FoldedDrop[] = []

  constructor(numberOf: (operator: string, state: StateIdentity) => number) {
    this.#numberOf = numberOf
  }

  /** @param isDropped states that the job no longer has */
  add(operator: string, chunk: Uint8Array, isDropped: (state: StateIdentity) => boolean): void {
    readDelta(chunk, {
      row: (state, group, namespace, key, value) => {
        if (isDropped(state)) return
        const number = this.#numberOf(operator, state)
        const place = rowKey(number, state, group, namespace, key)
        this.#bucket(number, group, namespace).rows.set(place.toString('latin1'), { rowKey: place, key, value })
      },
      drop: (state, firstGroup, lastGroup, namespace) => {
        if (isDropped(state)) return
        const number = this.#numberOf(operator, state)
        for (let group = firstGroup; group <= lastGroup; group++) this.#buckets.delete(bucketId(number, group, namespace))
        this.drops.push({ operator, state, firstGroup, lastGroup, namespace })
      },
    })
  }

  #bucket(number: number, group: number, namespace: number): Bucket {
    const id = bucketId(number, group, namespace)
    let bucket = this.#buckets.get(id)
    if (bucket === undefined) this.#buckets.set(id, (bucket = { number, group, namespace, rows: new Map() }))
    return bucket
  }

  /** All rows in the order of the base. */
  *rows(): Generator<FoldedRow> {
    const buckets = [...this.#buckets.values()]
    buckets.sort((a, b) => a.number - b.number || a.group - b.group || a.namespace - b.namespace)
    for (const { rows } of buckets) {
      for (const [, row] of [...rows].sort(([a], [b]) => (a < b ? -1 : 1))) yield row
    }
  }
}

function bucketId(number: number, group: number, namespace: number): string {
  return `${number} ${group} ${namespace}`
}
