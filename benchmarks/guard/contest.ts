import { isDeepStrictEqual } from 'node:util'
import { spreadOf } from '../support/statistics.ts'

/*
 * A hot path of the engine against a yardstick: another way to do the same work in the same process. They take turns of some milliseconds, and what
 * counts is their ratio within a round, of the processor time of the process, so that the speed of the machine and its other programs drop out.
 */

/** A way to do the work, turn by turn; a turn is the same amount of work each time. */
export interface Way {
  /** Makes what the next turn takes, outside of the time that counts. */
  ready?(): void
  turn(): void | Promise<void>
  /** What the last turn came to, outside of the time that counts; the other way must come to the same. */
  result(): unknown
}

export interface Contest {
  readonly engine: Way
  readonly yardstick: Way
}

/** A contest by its name; what it needs is made when its turn has come, and forgotten before the next. */
export interface NamedContest {
  readonly name: string
  readonly yardstick: string
  make(): Contest
}

/** Turns before those that count: the compiler needs them, and tables grow. */
const WARM_UP = 8

/** How many times as fast as the yardstick the engine is, median of the rounds. @throws Error when the two come to different results */
export async function ratioOf({ name, make }: NamedContest, rounds: number): Promise<number> {
  const { engine, yardstick } = make()
  const ratios: number[] = []
  for (let round = -WARM_UP; round < rounds; round++) {
    // Every second round begins at the other end: what one way leaves to the garbage collector is not always for the same one to pay.
    const swapped = round % 2 !== 0
    const first = await microsecondsOf(swapped ? yardstick : engine)
    const second = await microsecondsOf(swapped ? engine : yardstick)
    if (!isDeepStrictEqual(engine.result(), yardstick.result()))
      throw new Error(`${name}: engine and yardstick differ in their results`)
    if (round >= 0) ratios.push(swapped ? first / second : second / first)
  }
  return spreadOf(ratios).median
}

async function microsecondsOf(way: Way): Promise<number> {
  way.ready?.()
  const before = process.cpuUsage()
  await way.turn()
  const { user, system } = process.cpuUsage(before)
  return Math.max(1, user + system)
}
