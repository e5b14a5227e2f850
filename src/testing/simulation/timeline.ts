import FlatQueue from 'flatqueue'

interface Timer {
  readonly callback: () => void
  isSet: boolean
}

/**
 * Virtual time, in milliseconds since the beginning of a simulation. It passes when somebody says so, and a timer fires when it is asked whether
 * one is due; timers of one instant fire in the order in which they were set.
 */
export class Timeline {
  #nowMs = 0
  #sequence = 0
  readonly #timers = new FlatQueue<Timer>()

  get nowMs(): number {
    return this.#nowMs
  }

  /** Time passes. */
  pass(ms: number): void {
    this.#nowMs += ms
  }

  /** Calls back once so much time has passed. Returns what takes that back. */
  set(callback: () => void, delayMs: number): () => void {
    const timer: Timer = { callback, isSet: true }
    // A million timers of one instant stay in their order; no simulation has that many.
    this.#timers.push(timer, this.#nowMs + Math.max(0, delayMs) + this.#sequence++ * 1e-9)
    return () => {
      timer.isSet = false
    }
  }

  /** When the next timer is due; `Infinity` for none. */
  get nextMs(): number {
    this.#forget()
    return this.#timers.peekValue() ?? Number.POSITIVE_INFINITY
  }

  /** Fires one timer that is due. False: there is none. */
  fire(): boolean {
    if (this.nextMs > this.#nowMs) return false
    const timer = this.#timers.pop()!
    timer.isSet = false
    timer.callback()
    return true
  }

  #forget(): void {
    while (this.#timers.peek()?.isSet === false) this.#timers.pop()
  }
}
