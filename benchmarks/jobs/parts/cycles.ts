import { existsSync } from 'node:fs'
import type { Source, SplitReader } from 'sluice'

/*
 * A source for runs that are ended from outside and verified all the same. Every subtask goes round: one record for each key, and again. It ends
 * between two rounds, so that every key has had as many records as any other, and what must come out follows from their number alone.
 *
 * - The first round of each subtask goes over all keys, later ones over the first `hot` of them: a share of the state changes, and all of it exists.
 * - A round visits its keys in an order that no cache foresees.
 * - The records are a function of the position. Only where the input ends depends on when it is asked to.
 */

export interface CycleOptions<T> {
  /** The keys are 0, 1, ..., keys - 1. */
  readonly keys: number
  /** Keys of later rounds; all of them by default. */
  readonly hot?: number
  /** The input ends with the round in which this file appears. */
  readonly endFile: string
  /** After the first round there is nothing more to read, until the input ends. */
  readonly idle?: boolean
  readonly at: (key: number) => T
}

/** Prime, and no divisor of any number of keys that is used here. */
const STRIDE = 7919

export function cycles<T>(options: CycleOptions<T>): Source<T, number, number> {
  const { keys, hot = keys } = options
  for (const size of [keys, hot]) {
    if (!Number.isSafeInteger(size) || size < 1 || size % STRIDE === 0)
      throw new Error(`${size} is no number of keys to go round`)
  }
  return {
    kind: 'cycles',
    settings: { keys, hot },
    inTurn: true,
    enumerate: ({ parallelism }) => Array.from({ length: parallelism }, (_, subtask) => subtask),
    open: (split, position) => new CycleReader(options, split, position ?? 0),
  }
}

class CycleReader<T> implements SplitReader<T, number> {
  readonly #at: (key: number) => T
  readonly #keys: number
  readonly #hot: number
  readonly #endFile: string
  readonly #idle: boolean
  readonly #offset: number
  /** Records so far. */
  #position: number
  #round: number
  /** Records of this round that are still to come. */
  #left: number
  #key: number

  constructor({ keys, hot = keys, endFile, idle = false, at }: CycleOptions<T>, split: number, position: number) {
    this.#at = at
    this.#keys = keys
    this.#hot = hot
    this.#endFile = endFile
    this.#idle = idle
    // Subtasks begin at different keys, or they would meet at the same one all the time.
    this.#offset = split * 104_729
    this.#position = position
    this.#round = position < keys ? 0 : 1 + Math.floor((position - keys) / hot)
    const into = this.#round === 0 ? position : (position - keys) % hot
    this.#left = this.#size - into
    this.#key = (into * STRIDE + this.#offset) % this.#size
  }

  get #size(): number {
    return this.#round === 0 ? this.#keys : this.#hot
  }

  poll(max: number): readonly T[] | null {
    if (this.#left === 0) this.#beginRound()
    if (this.#left === this.#size && this.#round > 0) {
      // The first round always takes place: a key without a record would be no key.
      if (existsSync(this.#endFile)) return null
      if (this.#idle) return []
    }
    const size = this.#size
    const count = Math.min(max, this.#left)
    const records: T[] = []
    let key = this.#key
    for (let i = 0; i < count; i++) {
      records.push(this.#at(key))
      key = (key + STRIDE) % size
    }
    this.#key = key
    this.#left -= count
    this.#position += count
    return records
  }

  #beginRound(): void {
    this.#round++
    this.#left = this.#size
    this.#key = this.#offset % this.#size
  }

  position(): number {
    return this.#position
  }
}

/** How many records each key has had, given their number in all: those of the first round only, and those of the others. */
export function roundsOf(
  records: number,
  parallelism: number,
  keys: number,
  hot = keys,
): { readonly cold: number; readonly hot: number } {
  return { cold: parallelism, hot: parallelism + (records - parallelism * keys) / hot }
}
