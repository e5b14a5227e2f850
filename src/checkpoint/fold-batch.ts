import type { StateIdentity } from '../state/delta-chunk.ts'
import { readDelta } from '../state/delta-chunk.ts'

/** A row on its way into the base. */
export interface FoldedRow {
  readonly number: number
  readonly state: StateIdentity
  readonly group: number
  readonly namespace: number
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

/** Rows of one state, group and namespace, in the order in which they were added. */
interface Bucket {
  readonly number: number
  readonly state: StateIdentity
  readonly group: number
  readonly namespace: number
  readonly keys: Uint8Array[]
  readonly values: (Uint8Array | undefined)[]
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
  /** Rows come in runs of one bucket. */
  #last: Bucket | undefined
  readonly drops: FoldedDrop[] = []

  constructor(numberOf: (operator: string, state: StateIdentity) => number) {
    this.#numberOf = numberOf
  }

  /** @param isDropped states that the job no longer has */
  add(operator: string, chunk: Uint8Array, isDropped: (state: StateIdentity) => boolean): void {
    let section: StateIdentity | undefined
    let [number, dropped] = [0, false]
    readDelta(chunk, {
      row: (state, group, namespace, key, value) => {
        if (state !== section) {
          section = state
          dropped = isDropped(state)
          if (!dropped) number = this.#numberOf(operator, state)
        }
        if (dropped) return
        const bucket = this.#bucket(number, state, group, namespace)
        bucket.keys.push(key)
        bucket.values.push(value)
      },
      drop: (state, firstGroup, lastGroup, namespace) => {
        if (isDropped(state)) return
        const own = this.#numberOf(operator, state)
        for (let group = firstGroup; group <= lastGroup; group++) this.#buckets.delete(bucketId(own, group, namespace))
        this.#last = undefined
        this.drops.push({ operator, state, firstGroup, lastGroup, namespace })
      },
    })
  }

  #bucket(number: number, state: StateIdentity, group: number, namespace: number): Bucket {
    const last = this.#last
    if (last?.group === group && last.namespace === namespace && last.number === number) return last
    const id = bucketId(number, group, namespace)
    let bucket = this.#buckets.get(id)
    if (bucket === undefined) this.#buckets.set(id, (bucket = { number, state, group, namespace, keys: [], values: [] }))
    this.#last = bucket
    return bucket
  }

  /** All rows in the order of the base, each once. */
  *rows(): Generator<FoldedRow> {
    const buckets = [...this.#buckets.values()]
    buckets.sort((a, b) => a.number - b.number || a.group - b.group || a.namespace - b.namespace)
    for (const bucket of buckets) yield* rowsOf(bucket)
  }
}

/** Of each key the last word counts. */
function* rowsOf({ number, state, group, namespace, keys, values }: Bucket): Generator<FoldedRow> {
  const places = keys.map((_, place) => place)
  if (!isAscending(keys)) places.sort((a, b) => compareBytes(keys[a]!, keys[b]!) || a - b)
  for (let index = 0; index < places.length; index++) {
    const place = places[index]!
    const next = places[index + 1]
    if (next !== undefined && compareBytes(keys[place]!, keys[next]!) === 0) continue
    yield { number, state, group, namespace, key: keys[place]!, value: values[place] }
  }
}

function isAscending(keys: readonly Uint8Array[]): boolean {
  for (let place = 1; place < keys.length; place++) if (compareBytes(keys[place - 1]!, keys[place]!) >= 0) return false
  return true
}

/** By hand: most keys differ within a few bytes, and a call out of the engine costs more than those. */
function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length)
  for (let index = 0; index < length; index++) {
    const difference = a[index]! - b[index]!
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

function bucketId(number: number, group: number, namespace: number): string {
  return `${number} ${group} ${namespace}`
}
