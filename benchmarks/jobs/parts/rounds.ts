import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import type { Source, SplitReader } from 'sluice'

/*
 * A source that is told how many keys are to change next. A file holds one number a line, and `end`; for each number that many keys have one record, and
 * then nothing comes until there is another line. So whoever writes the file and asks for checkpoints knows what has changed between two of them.
 *
 * The keys go on from round to round: a tenth of them is another tenth each time. They lie scattered over the key groups.
 */

export interface RoundsOptions<T> {
  readonly file: string
  readonly keys: number
  readonly at: (key: number) => T
}

/** Round, records of it that are done, and the place among the own keys where it began. */
type Position = readonly [round: number, done: number, cursor: number]

interface RoundSplit {
  readonly subtask: number
  readonly subtasks: number
}

const STRIDE = 7919

export function rounds<T>(options: RoundsOptions<T>): Source<T, RoundSplit, Position> {
  return {
    kind: 'rounds',
    settings: { keys: options.keys },
    inTurn: true,
    enumerate: ({ parallelism }) => Array.from({ length: parallelism }, (_, subtask) => ({ subtask, subtasks: parallelism })),
    open: (split, position) => new RoundReader(options, split, position ?? [0, 0, 0]),
  }
}

/** The lines of the file that are whole. */
function linesOf(file: string): readonly string[] {
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(0, -1) : []
}

/** Which keys a subtask changes in a round of `size`, from its place among its own keys on. */
function keyAt(place: number, { subtask, subtasks }: RoundSplit, keys: number): number {
  const own = keys / subtasks
  return ((place * STRIDE) % own) * subtasks + subtask
}

class RoundReader<T> implements SplitReader<T, Position> {
  readonly #options: RoundsOptions<T>
  readonly #split: RoundSplit
  #round: number
  #done: number
  #cursor: number
  #size = 0

  constructor(options: RoundsOptions<T>, split: RoundSplit, [round, done, cursor]: Position) {
    this.#options = options
    this.#split = split
    this.#round = round
    this.#done = done
    this.#cursor = cursor
  }

  poll(max: number): readonly T[] | null | Promise<readonly T[]> {
    if (this.#done >= this.#size) {
      const line = linesOf(this.#options.file)[this.#round]
      if (line === 'end') return null
      if (line === undefined) return pause(2, [])
      this.#size = Number(line) / this.#split.subtasks
    }
    const own = this.#options.keys / this.#split.subtasks
    const records: T[] = []
    for (let left = Math.min(max, this.#size - this.#done); left > 0; left--) {
      records.push(this.#options.at(keyAt((this.#cursor + this.#done++) % own, this.#split, this.#options.keys)))
    }
    if (this.#done === this.#size) this.#endRound(own)
    return records
  }

  #endRound(own: number): void {
    this.#cursor = (this.#cursor + this.#size) % own
    this.#round++
    this.#done = this.#size = 0
  }

  position(): Position {
    return [this.#round, this.#done, this.#cursor]
  }
}

/** The sum of the running counts of all keys, by a model that goes through the file. */
export function sumOfRounds(file: string, keys: number, subtasks: number): number {
  const counts = new Uint32Array(keys)
  const own = keys / subtasks
  let [sum, cursor] = [0, 0]
  for (const line of linesOf(file)) {
    if (line === 'end') break
    const size = Number(line) / subtasks
    for (let subtask = 0; subtask < subtasks; subtask++) {
      for (let place = 0; place < size; place++) sum += ++counts[keyAt((cursor + place) % own, { subtask, subtasks }, keys)]!
    }
    cursor = (cursor + size) % own
  }
  return sum
}
