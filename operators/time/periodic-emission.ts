/** Says when a watermark is due by the clock: at the ends of equal intervals, and only after it has risen. */
export class PeriodicEmission {
  readonly #everyMs: number
  #endMs: number
  #risen = false

  constructor(everyMs: number, nowMs: number) {
    this.#everyMs = everyMs
    this.#endMs = nowMs + everyMs
  }

  get nextMs(): number {
    return this.#risen ? this.#endMs : Number.POSITIVE_INFINITY
  }

  /** The watermark has risen: it is sent at the end of the current interval. */
  rise(nowMs: number): void {
    if (this.#risen) return
    this.#risen = true
    const intervals = Math.floor((nowMs - this.#endMs) / this.#everyMs) + 1
    // Intervals without news pass without a look at the clock.
    if (intervals > 0) this.#endMs += intervals * this.#everyMs
  }

  sent(): void {
    this.#risen = false
  }
}
