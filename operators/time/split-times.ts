import type { OperatorContext } from '../../src/core/operator.ts'
import { WATERMARK_END, WATERMARK_NONE } from '../../src/core/time.ts'

/** Stands for the whole input where there are no splits: behind an exchange. */
export const WHOLE_INPUT = -1

const ALL: readonly number[] = [WHOLE_INPUT]

/** What is known of one split. */
export interface SplitTime {
  readonly split: number
  /** The latest time of its records. */
  latest: number
  idle: boolean
  /** A record has come since the last look at the clock. */
  fresh: boolean
  /** Silence that has been counted so far. */
  silentMs: number
  /** Where the clock of the split stood when it was last looked at. */
  clockMs: number
}

/** Plain data, for checkpoints: the latest time of each split that is being read. */
export type StoredSplitTimes = readonly (readonly [split: number, latest: number])[]

/**
 * The latest time of each split that is being read. What always holds:
 *
 * 1. The time of the subtask is the smallest of its splits that are not idle, so one that has had no record yet keeps it from moving.
 * 2. A split that is done leaves, and one whose turn has not come is not there yet.
 * 3. When all are idle it is the largest: nobody is left to wait for.
 */
export class SplitTimes {
  readonly #context: OperatorContext
  readonly #known = new Map<number, SplitTime>()
  /** Takes what splits send that are not being read any more: results that were still on their way when theirs ended. */
  readonly #stray = splitTime(Number.NaN)
  /** The split of the last record: most records come from the one of the record before. */
  #last = this.#stray
  #reading: readonly number[] | undefined
  #active: readonly SplitTime[] = []
  /** The split that is being read, when it is one alone. */
  only: SplitTime | undefined

  constructor(context: OperatorContext) {
    this.#context = context
  }

  /** The splits that are being read, in their order. */
  get active(): readonly SplitTime[] {
    this.#refresh()
    return this.#active
  }

  #refresh(): void {
    const reading = this.#context.splits === undefined ? ALL : this.#context.splits.reading
    if (reading === this.#reading) return
    this.#reading = reading
    this.#last = this.#stray
    this.#active = reading.map((split) => this.#known.get(split) ?? splitTime(split))
    this.#known.clear()
    for (const time of this.#active) this.#known.set(time.split, time)
    this.only = this.#active.length === 1 ? this.#active[0] : undefined
  }

  /** The split that a record was read from. */
  of(split: number): SplitTime {
    return split === this.#last.split ? this.#last : this.#find(split)
  }

  #find(split: number): SplitTime {
    this.#refresh()
    this.#last = this.#known.get(split) ?? this.#stray
    return this.#last
  }

  /** True when there are splits and all of them are idle. */
  get idle(): boolean {
    const { active } = this
    for (const time of active) if (!time.idle) return false
    return active.length > 0
  }

  /** The time of the subtask; `WATERMARK_NONE` when there is none, also when nothing is left to read. */
  get latest(): number {
    let [smallest, largest] = [WATERMARK_END, WATERMARK_NONE]
    for (const { idle, latest } of this.active) {
      if (!idle && latest < smallest) smallest = latest
      if (latest > largest) largest = latest
    }
    return smallest === WATERMARK_END ? largest : smallest
  }

  store(): StoredSplitTimes {
    return this.active.map(({ split, latest }) => [split, latest])
  }

  /** Takes over what all former subtasks knew. Where the splits cannot be told apart any more, the smallest time is early enough for all. */
  restore(stored: StoredSplitTimes): void {
    this.#reading = undefined
    this.#known.clear()
    const times = this.#context.splits === undefined ? smallestOf(stored) : stored
    for (const [split, latest] of times) this.#known.set(split, { ...splitTime(split), latest })
  }
}

function smallestOf(stored: StoredSplitTimes): StoredSplitTimes {
  return stored.length === 0 ? [] : [[WHOLE_INPUT, Math.min(...stored.map(([, latest]) => latest))]]
}

function splitTime(split: number): SplitTime {
  return { split, latest: WATERMARK_NONE, idle: false, fresh: false, silentMs: 0, clockMs: 0 }
}
