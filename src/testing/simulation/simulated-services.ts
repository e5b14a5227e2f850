import type { FaultPlan } from './faults.ts'
import { injected } from './faults.ts'
import type { World } from './world.ts'

/** The world outside of a job, as a simulation has it. */
export interface Outside {
  /**
   * A service that the functions of a job call: it takes its time, and under faults it fails, or never answers. A call may take effect more than once, as
   * any call of `asyncMap` may.
   */
  readonly service: <Arguments extends readonly unknown[], R>(
    name: string,
    answer: (...call: Arguments) => R,
  ) => (...call: Arguments) => Promise<R>
}

/** Longest time that a call takes when nothing is wrong. */
const CALL_MS_MAX = 20

/** The services of one process. Who is dead gets no answers. */
export class SimulatedServices implements Outside {
  readonly #world: World
  readonly #faults: FaultPlan
  readonly #isAlive: () => boolean

  constructor(world: World, faults: FaultPlan, isAlive: () => boolean) {
    this.#world = world
    this.#faults = faults
    this.#isAlive = isAlive
  }

  readonly service: Outside['service'] =
    (name, answer) =>
    async (...call) => {
      await this.#world.sleep(this.#faults.random.between(0, CALL_MS_MAX))
      if (!this.#isAlive() || this.#isSilent(name)) return await new Promise(() => undefined)
      if (this.#fails(name)) throw injected(`the service '${name}' fails`)
      return answer(...call)
    }

  #isSilent(name: string): boolean {
    if (!this.#faults.happens('service', 0.3)) return false
    this.#world.note(() => `the service '${name}' does not answer`)
    return true
  }

  #fails(name: string): boolean {
    if (!this.#faults.happens('service')) return false
    this.#world.note(() => `the service '${name}' fails`)
    return true
  }
}
