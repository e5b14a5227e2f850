import { setTimeout as pause } from 'node:timers/promises'
import { machineUsage } from './environment.ts'

/*
 * A benchmark has an end, whatever else the machine does. Rounds of its settings are made as long as another one fits in; what is left over is spent
 * on waiting for a quiet machine.
 */

/** Other programs may take so much of the machine without a run being called disturbed. */
export const OTHERS_SHARE_MAX = 0.05
const QUIET_MS = 500

/** How long a benchmark, or a part of one, may take. */
export class TimeBudget {
  readonly #endMs: number
  #rounds = 0
  #roundsMs = 0

  constructor(minutes: number) {
    this.#endMs = performance.now() + 60_000 * minutes
  }

  /** Makes rounds until the next one would not fit any more: one at least, and not more than `most`. */
  async repeat(most: number, round: (number: number) => Promise<void>): Promise<void> {
    while (this.#rounds < most && (this.#rounds === 0 || performance.now() + this.#roundsMs / this.#rounds < this.#endMs)) {
      const beganMs = performance.now()
      await round(this.#rounds + 1)
      this.#rounds++
      this.#roundsMs += performance.now() - beganMs
    }
  }

  /** Waits until no other program is at work, but not beyond a twentieth of what is left. */
  async untilQuiet(): Promise<void> {
    const patienceEndMs = performance.now() + (this.#endMs - performance.now()) / 20
    while (performance.now() < patienceEndMs && (await isBusy())) {}
  }
}

async function isBusy(): Promise<boolean> {
  const before = machineUsage()
  await pause(QUIET_MS)
  const { busySeconds, idleSeconds } = machineUsage(before)
  return busySeconds > OTHERS_SHARE_MAX * (busySeconds + idleSeconds)
}

/** Tells how much of the machine others took between two moments. */
export class Disturbance {
  readonly #before = machineUsage()

  /** 0 to 1; `ownCpuSeconds` is what the benchmark's processes took meanwhile. */
  share(ownCpuSeconds: number): number {
    const { busySeconds, idleSeconds } = machineUsage(this.#before)
    return Math.max(0, busySeconds - ownCpuSeconds) / (busySeconds + idleSeconds)
  }
}
