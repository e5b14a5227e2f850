import { setTimeout as pause } from 'node:timers/promises'
import type { Source, SplitReader } from 'sluice'
import { monotonicMs } from './clock.ts'

/*
 * A source with a schedule. Record i is due at a time that was fixed beforehand, and comes then or later; whoever is slow finds all the more waiting.
 * Latency counts from the schedule, so a stall is seen by every record that it holds up and not only by the one that was under way
 * ("coordinated omission").
 */

export interface PacedOptions<T> {
  /** Records in all. */
  readonly count: number
  /** Records per second, over all subtasks together; 0: all of them are due at once. */
  readonly rate: number
  /** When record 0 is due, by `monotonicMs`; 0: when the subtask begins. */
  readonly startMs: number
  /** A record, and when it was due. */
  readonly at: (i: number, dueMs: number) => T
}

export interface PacedSplit {
  readonly first: number
  readonly step: number
}

export function paced<T>(options: PacedOptions<T>): Source<T, PacedSplit, number> {
  const { count, rate } = options
  return {
    kind: 'paced',
    settings: { count, rate },
    inTurn: true,
    enumerate: ({ parallelism }) => Array.from({ length: parallelism }, (_, first) => ({ first, step: parallelism })),
    open: (split, position) => new PacedReader(options, split, position ?? split.first),
  }
}

class PacedReader<T> implements SplitReader<T, number> {
  readonly #options: PacedOptions<T>
  readonly #step: number
  readonly #perMs: number
  #startMs: number
  #next: number

  constructor(options: PacedOptions<T>, split: PacedSplit, next: number) {
    this.#options = options
    this.#step = split.step
    this.#perMs = options.rate === 0 ? Number.POSITIVE_INFINITY : options.rate / 1000
    this.#startMs = options.startMs
    this.#next = next
  }

  poll(max: number): readonly T[] | null | Promise<readonly T[]> {
    const { count, at } = this.#options
    if (this.#next >= count) return null
    if (this.#startMs === 0) this.#startMs = monotonicMs() - this.#next / this.#perMs
    const due = this.#due
    // A promise, so that the engine asks again as soon as a timer can: after an empty answer it would wait for 5 ms.
    if (due <= this.#next) return pause(1, [])
    const end = Math.min(due, this.#next + max * this.#step)
    const records: T[] = []
    let i = this.#next
    for (; i < end; i += this.#step) records.push(at(i, this.#startMs + i / this.#perMs))
    this.#next = i
    return records
  }

  /** The first record that is not due. */
  get #due(): number {
    const { count } = this.#options
    return this.#perMs === Number.POSITIVE_INFINITY
      ? count
      : Math.min(count, Math.ceil((monotonicMs() - this.#startMs) * this.#perMs))
  }

  position(): number {
    return this.#next
  }
}
