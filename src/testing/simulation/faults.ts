import { SluiceError } from '../../core/errors.ts'
import type { SeededRandom } from './random.ts'

/** What may go wrong. */
export const FAULT_KINDS = [
  /** The process dies between any two steps. */
  'crash',
  /** The machine loses power: every process on it dies, and of what was written to files and not synced some is lost. */
  'power',
  /** A worker thread dies. */
  'thread',
  /** A source or a sink throws. */
  'throw',
  /** A commit or a preparation fails, before or after it took effect. */
  'target',
  /** Somebody else cuts off a staged file, or takes a name that a commit is about to give. */
  'tamper',
  /** A service that functions call fails, or does not answer. */
  'service',
  /** What the main thread tells a worker, or the other way round, comes twice or not at all. */
  'notice',
  /** A commit, a preparation or a poll takes its time. */
  'stall',
  /** A write of the store fails, before or after it was on the disk. */
  'disk',
  /** Between two starts a bit of a manifest or of a chunk has turned; it is turned back when a start has refused it. */
  'damage',
  /** There is no room on the disk for a while. */
  'full',
  /** Nothing moves for a while, as if the process had been halted. */
  'pause',
  /** The clock of the machine is set forwards or back. */
  'clock',
  /** Another process takes the state while this one, thought to be dead, still runs. */
  'takeover',
  /** After a crash the job is started with another parallelism. */
  'rescale',
] as const

export type FaultKind = (typeof FAULT_KINDS)[number]

/** The process is dead: thrown out of whatever it was doing. */
export class Died extends Error {
  override readonly name = 'Died'
}

/** How often a kind may happen in a simulation, and how likely it is each time that it could. */
interface Budget {
  left: number
  readonly chance: number
}

/**
 * What goes wrong in one simulation, and when: the seed decides how much of each kind. After so much has gone wrong, nothing does any more, and the
 * job has to come to its end.
 */
export class FaultPlan {
  readonly #random: SeededRandom
  readonly #budgets = new Map<FaultKind, Budget>()
  readonly #kinds: ReadonlySet<FaultKind>
  #points = 0
  readonly #crashAt: number | undefined

  /** @param crashAt dies at this point, the first being 1, and at no other: of lost power, if that is among the kinds */
  constructor(random: SeededRandom, kinds: ReadonlySet<FaultKind>, crashAt?: number) {
    this.#random = random
    this.#kinds = kinds
    this.#crashAt = crashAt
    // Most simulations know a few kinds only: faults of many kinds hide each other. Crashes, and another parallelism behind them, are what most is about.
    const share = random.pick([0.1, 0.3, 0.6])
    for (const kind of FAULT_KINDS) {
      const isKnown = random.chance(kind === 'crash' || kind === 'rescale' ? 0.6 : share)
      const left = kinds.has(kind) && isKnown ? random.between(1, 3) : 0
      this.#budgets.set(kind, { left, chance: 10 ** -(0.7 + 2.3 * random.fraction()) })
    }
  }

  /** Points at which the process could have died so far. */
  get points(): number {
    return this.#points
  }

  /** Whether it happens now. */
  happens(kind: FaultKind, factor = 1): boolean {
    const budget = this.#budgets.get(kind)!
    if (budget.left === 0 || !this.#random.chance(Math.min(0.9, budget.chance * factor))) return false
    budget.left--
    return true
  }

  /** Whether it may happen at all. */
  knows(kind: FaultKind): boolean {
    return this.#kinds.has(kind)
  }

  /** Whether the process dies at this point, and of what. */
  diesHere(factor: number): 'crash' | 'power' | undefined {
    this.#points++
    if (this.#crashAt === undefined)
      return this.happens('crash', factor) ? 'crash' : this.happens('power', factor) ? 'power' : undefined
    if (this.#points !== this.#crashAt) return undefined
    return this.knows('power') ? 'power' : 'crash'
  }

  /** Nothing goes wrong any more. */
  cease(): void {
    for (const budget of this.#budgets.values()) budget.left = 0
  }

  get random(): SeededRandom {
    return this.#random
  }
}

/** A fault that the engine is told of, as a function of the job might fail. */
export function injected(what: string): SluiceError {
  return new SluiceError('OPERATOR_FAILED', `injected: ${what}`)
}
