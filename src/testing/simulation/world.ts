import type { Timers } from '../../core/time.ts'
import { Died } from './faults.ts'
import { SeededRandom } from './random.ts'
import { Timeline } from './timeline.ts'

/** Something that can be done next, if there is anything to do. */
export interface Lane {
  readonly name: string
  /** False: there was nothing to do. */
  act(): boolean
}

/** A step takes up to so long. */
const STEP_MS_MAX = 0.3
/** Turns that are given to promises after each step, and before it is said that nothing happens by itself any more. */
const MICROTASKS_A_STEP = 2
const MICROTASKS_TO_REST = 60
const MICROTASKS_TO_THE_END = 5_000

/**
 * What takes turns, and time. The seed says who is next, how long each step takes and what goes wrong; nothing else has a say, so that the same
 * seed comes to the same history, byte for byte. What always holds:
 *
 * 1. One step is taken at a time. What promises do in between follows from it in the order of JavaScript, which is always the same.
 * 2. Time passes with steps, and on to the next timer when nobody has anything to do.
 */
export class World {
  readonly seed: number
  readonly timeline = new Timeline()
  /** Who is next. */
  readonly #order: SeededRandom
  readonly #history: string[] | undefined
  #fingerprint = 0x811c9dc5
  #steps = 0
  #slow: Lane | undefined

  /** @param keepsHistory a line for each thing that happens, or only a fingerprint of who was next */
  constructor(seed: number, keepsHistory: boolean) {
    this.seed = seed
    this.#order = new SeededRandom(seed, 'order')
    this.#history = keepsHistory ? [] : undefined
  }

  get steps(): number {
    return this.#steps
  }

  get history(): readonly string[] {
    return this.#history ?? []
  }

  /** The same for the same order of steps. */
  get fingerprint(): string {
    return (this.#fingerprint >>> 0).toString(16).padStart(8, '0')
  }

  /** Says what happens. The words are made only when somebody reads them. */
  note(words: () => string): void {
    this.#history?.push(`${this.timeline.nowMs.toFixed(3).padStart(10)} ${words()}`)
  }

  /** Takes one step of one lane, or lets time pass. False: nothing will ever happen by itself. */
  async step(lanes: readonly Lane[], nextWakeupMs: () => number): Promise<boolean> {
    this.#steps++
    if (this.#act(lanes) || (await this.#rest(lanes))) {
      this.timeline.pass(this.#order.fraction() * STEP_MS_MAX)
      for (let turn = 0; turn < MICROTASKS_A_STEP; turn++) await undefined
      return true
    }
    const nextMs = (): number => Math.min(this.timeline.nextMs, nextWakeupMs())
    const next = nextMs()
    // What promises still had to do may also have ended in a timer.
    if (next === Number.POSITIVE_INFINITY) return (await this.#rest(lanes, MICROTASKS_TO_THE_END)) || nextMs() < next
    this.timeline.pass(Math.max(0.01, next - this.timeline.nowMs))
    return true
  }

  /** What promises still have to do may give somebody something to do. */
  async #rest(lanes: readonly Lane[], turns = MICROTASKS_TO_REST): Promise<boolean> {
    for (let turn = 0; turn < turns; turn++) await undefined
    return this.#act(lanes)
  }

  #act(lanes: readonly Lane[]): boolean {
    try {
      return this.#actNext(lanes)
    } catch (error) {
      // Whoever died has done something.
      if (error instanceof Died) return true
      throw error
    }
  }

  #actNext(lanes: readonly Lane[]): boolean {
    if (this.timeline.fire()) return true
    // One of them is slow for a while: most orders that break things are uneven ones.
    if (lanes.length === 0) return false
    if (this.#order.chance(0.02)) this.#slow = this.#order.chance(0.5) ? this.#order.pick(lanes) : undefined
    const first = this.#order.below(lanes.length)
    for (let index = 0; index < lanes.length; index++) {
      const place = (first + index) % lanes.length
      const lane = lanes[place]!
      if (lane === this.#slow && this.#order.chance(0.9)) continue
      if (!lane.act()) continue
      this.#fingerprint = Math.imul(this.#fingerprint ^ place, 0x01000193)
      return true
    }
    return this.#slow?.act() === true
  }

  /** Timers of one process: when it is dead they do not fire any more. */
  timersOf(isAlive: () => boolean): Timers {
    return {
      nowMs: () => this.timeline.nowMs,
      set: (callback, delayMs) => this.timeline.set(() => (isAlive() ? callback() : undefined), delayMs),
      turn: () => new Promise((resolve) => this.timeline.set(resolve, 0)),
    }
  }

  /** Settles after so much time. */
  async sleep(ms: number): Promise<void> {
    await new Promise<void>((resolve) => this.timeline.set(resolve, ms))
  }
}
