import { setImmediate as nextTurn } from 'node:timers/promises'

const SLICE_MS = 5

/** Lets the world have its turn when this one has taken long enough. */
export class Slices {
  #since = performance.now()

  async pause(): Promise<void> {
    if (performance.now() - this.#since < SLICE_MS) return
    await nextTurn()
    this.#since = performance.now()
  }
}
