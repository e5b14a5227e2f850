import type { Sink } from 'sluice'

/*
 * A sink that keeps what it is given as a number and a sum, and when it came. These are its committables, so the totals contain what was
 * committed and nothing else. Times are those of the machine's clock in tenths of a second: other processes can say what happened then.
 */

/** What the sink of one subtask saw between two checkpoints. */
interface Seen {
  readonly subtask: number
  readonly checkpoint: number
  readonly records: number
  readonly sum: number
  /** A tenth of a second since 1970 and its records, and so on. */
  readonly series: readonly number[]
}

/** What was committed, of all subtasks together. */
export interface Totals {
  readonly records: number
  readonly sum: number
  /** Tenths of a second since 1970. */
  readonly seriesFrom: number
  /** Records in each tenth of a second from then on. */
  readonly series: readonly number[]
}

export interface Tally<T> {
  readonly sink: Sink<T, Seen>
  /** On the main thread, when the job is over. */
  totals(): Totals
}

export const TENTH_MS = 100

/** The clock is looked at once in so many records. */
const LOOK_EVERY = 64

/** @param amountOf what is added up, of each record */
export function tally<T>(amountOf: (record: T) => number): Tally<T> {
  const committed = new Map<string, Seen>()
  const sink: Sink<T, Seen> = {
    kind: 'tally',
    createWriter: ({ subtask }) => new TallyWriter(subtask, amountOf),
    createCommitter: () => ({
      open() {},
      commit(committables) {
        for (const seen of committables) committed.set(`${seen.checkpoint}/${seen.subtask}`, seen)
      },
    }),
  }
  return { sink, totals: () => totalsOf([...committed.values()]) }
}

class TallyWriter<T> {
  readonly #subtask: number
  readonly #amountOf: (record: T) => number
  #records = 0
  #sum = 0
  #series: number[] = []
  /** Records of the tenth of a second that is the last of the series. */
  #recent = 0
  #tenth = 0

  constructor(subtask: number, amountOf: (record: T) => number) {
    this.#subtask = subtask
    this.#amountOf = amountOf
  }

  write(record: T): void {
    if (this.#records % LOOK_EVERY === 0) this.#look()
    this.#records++
    this.#recent++
    this.#sum += this.#amountOf(record)
  }

  #look(): void {
    const tenth = Math.floor(Date.now() / TENTH_MS)
    if (tenth === this.#tenth) return
    this.#closeTenth()
    this.#tenth = tenth
  }

  #closeTenth(): void {
    if (this.#recent > 0) this.#series.push(this.#tenth, this.#recent)
    this.#recent = 0
  }

  prepareCommit(checkpoint: number): readonly Seen[] {
    this.#closeTenth()
    if (this.#records === 0) return []
    const seen = { subtask: this.#subtask, checkpoint, records: this.#records, sum: this.#sum, series: this.#series }
    this.#records = this.#sum = this.#tenth = 0
    this.#series = []
    return [seen]
  }

  close(): void {}
}

function totalsOf(parts: readonly Seen[]): Totals {
  const tenths = parts.flatMap(({ series }) => series.filter((_, index) => index % 2 === 0))
  const from = tenths.reduce((least, tenth) => Math.min(least, tenth), Number.POSITIVE_INFINITY)
  const to = tenths.reduce((most, tenth) => Math.max(most, tenth), 0)
  const series = new Array<number>(tenths.length === 0 ? 0 : to - from + 1).fill(0)
  for (const { series: own } of parts) {
    for (let index = 0; index < own.length; index += 2) series[own[index]! - from]! += own[index + 1]!
  }
  return {
    records: parts.reduce((total, part) => total + part.records, 0),
    sum: parts.reduce((total, part) => total + part.sum, 0),
    seriesFrom: tenths.length === 0 ? 0 : from,
    series,
  }
}
