/** How long the records in front of a task may take: a barrier behind them waits that long in each exchange. */
const MOMENT_MS = 100
const RECORDS_MAX = 1 << 16

/**
 * How fast records get through a task, smoothed over batches: the time it works and the time it is held up by those behind it. From it follows how much may be on its way to it: many records for a fast task, for
 * full batches, and few for a slow one, for quick checkpoints (the idea of Apache Flink's buffer debloating, FLIP-183).
 */
export class Pace {
  readonly #now: () => number
  #msPerRecord = 0
  #beganMs = 0
  #announced = 0
  #blockedSinceMs: number | undefined
  #blockedMs = 0
  /** How long the task has been held up by full outputs, in all. */
  blockedMs = 0

  /** @param now measures time; tests have one that stands still, for batches that do not depend on how fast they run */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** An output is full. */
  block(): void {
    this.#blockedSinceMs ??= this.#now()
  }

  /** There is room again. */
  unblock(): void {
    if (this.#blockedSinceMs === undefined) return
    const ms = this.#now() - this.#blockedSinceMs
    this.#blockedSinceMs = undefined
    this.#blockedMs += ms
    this.blockedMs += ms
  }

  begin(): void {
    this.#beganMs = this.#now()
  }

  end(records: number): void {
    if (records === 0) return
    const ms = (this.#now() - this.#beganMs + this.#blockedMs) / records
    this.#blockedMs = 0
    this.#msPerRecord = this.#msPerRecord === 0 ? ms : this.#msPerRecord * 0.8 + ms * 0.2
  }

  /** Whether the answer has moved by more than a quarter since it was last asked for; asks are not free. */
  get changed(): boolean {
    const records = this.#records()
    return records < this.#announced * 0.75 || records > this.#announced * 1.25
  }

  /** Records for each of `channels` that together take a moment. */
  recordsInAMoment(channels: number): number {
    this.#announced = this.#records()
    return Math.max(1, Math.floor(this.#announced / channels))
  }

  #records(): number {
    return Math.min(RECORDS_MAX, MOMENT_MS / Math.max(this.#msPerRecord, MOMENT_MS / RECORDS_MAX))
  }
}
