import { existsSync, readFileSync } from 'node:fs'
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
  /** So many records come first, as fast as they are taken: they bring state into being. */
  readonly burst?: number
  /** The file that says when the first record behind these is due, by `monotonicMs`. Without one that is when the subtask begins. */
  readonly scheduleFile?: string
  /** A record, and when it was due. */
  readonly at: (i: number, dueMs: number) => T
  /** A reader has been opened; it is told how long the next record has been due whenever records are read, and at the end. */
  readonly opened?: (split: PacedSplit) => (behindMs: number) => void
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
  readonly #burst: number
  readonly #perMs: number
  /** When record `burst` is due; 0: not known yet. */
  #startMs = 0
  #next: number
  #closed = false
  readonly #watch: ((behindMs: number) => void) | undefined

  constructor(options: PacedOptions<T>, split: PacedSplit, next: number) {
    this.#options = options
    this.#step = split.step
    this.#burst = options.burst ?? 0
    this.#perMs = options.rate === 0 ? Number.POSITIVE_INFINITY : options.rate / 1000
    this.#next = next
    this.#watch = options.opened?.(split)
  }

  poll(max: number): readonly T[] | null | Promise<readonly T[]> {
    if (this.#next >= this.#options.count) {
      this.#watch?.(0)
      return null
    }
    const due = this.#due()
    return due > this.#next ? this.#take(max, due) : this.#wait(max)
  }

  /** Settles with records and not with none: after an empty answer the engine would wait for 5 ms before it asks again. */
  async #wait(max: number): Promise<readonly T[]> {
    while (!this.#closed) {
      await pause(1)
      const due = this.#due()
      if (due > this.#next) return this.#take(max, due)
    }
    return []
  }

  #take(max: number, due: number): readonly T[] {
    const end = Math.min(due, this.#next + max * this.#step)
    const { at } = this.#options
    const records: T[] = []
    let i = this.#next
    for (; i < end; i += this.#step) records.push(at(i, this.#startMs + (i - this.#burst) / this.#perMs))
    this.#next = i
    this.#watch?.(this.#behindMs)
    return records
  }

  close(): void {
    this.#closed = true
  }

  /** The first record that is not due. */
  #due(): number {
    const { count } = this.#options
    if (this.#next < this.#burst) return this.#burst
    if (this.#startMs === 0 && !this.#readSchedule()) return 0
    if (this.#perMs === Number.POSITIVE_INFINITY) return count
    return Math.min(count, this.#burst + Math.ceil((monotonicMs() - this.#startMs) * this.#perMs))
  }

  #readSchedule(): boolean {
    const { scheduleFile } = this.#options
    if (scheduleFile === undefined) this.#startMs = monotonicMs() - (this.#next - this.#burst) / this.#perMs
    else if (existsSync(scheduleFile)) this.#startMs = Number(readFileSync(scheduleFile, 'utf8'))
    return this.#startMs > 0
  }

  get #behindMs(): number {
    return this.#next < this.#burst ? 0 : Math.max(0, monotonicMs() - this.#startMs - (this.#next - this.#burst) / this.#perMs)
  }

  position(): number {
    return this.#next
  }
}
