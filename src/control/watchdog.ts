import { SluiceError } from '../core/errors.ts'
import type { Doorbells } from '../protocol/doorbell.ts'
import type { Signals } from '../protocol/signals.ts'

const LOOKS_PER_TIMEOUT = 4
const LOOK_MS_MAX = 5_000

/** What a watchdog watches. */
export interface WatchdogParts {
  readonly workers: number
  readonly signals: Signals
  readonly doorbells: Doorbells
  /** Names of all subtasks of the plan, in its order. */
  readonly subtasks: readonly string[]
  readonly timeoutMs: number
  readonly bark: (error: SluiceError) => void
}

/**
 * Finds workers that do not come out of a step: an endless loop in a function of the job, or a call that blocks the thread. Such a worker can
 * answer no message; but each round of its tasks raises a number that the main thread sees.
 */
export class Watchdog {
  readonly #parts: WatchdogParts
  readonly #seen: { steps: number; sinceMs: number }[]
  readonly #timer: NodeJS.Timeout

  constructor(parts: WatchdogParts) {
    this.#parts = parts
    this.#seen = Array.from({ length: parts.workers }, () => ({ steps: -1, sinceMs: 0 }))
    this.#timer = setInterval(() => this.#look(), Math.min(LOOK_MS_MAX, Math.ceil(parts.timeoutMs / LOOKS_PER_TIMEOUT)))
    this.#timer.unref()
  }

  #look(): void {
    const { signals, doorbells, timeoutMs, bark } = this.#parts
    const nowMs = performance.now()
    for (const [worker, seen] of this.#seen.entries()) {
      const steps = signals.stepsOf(worker)
      const subtask = signals.busyWith(worker)
      if (steps !== seen.steps || subtask < 0 || doorbells.isAsleep(worker)) {
        seen.steps = steps
        seen.sinceMs = nowMs
      } else if (nowMs - seen.sinceMs >= timeoutMs) {
        this.stop()
        bark(this.#stuck(subtask))
        return
      }
    }
  }

  #stuck(subtask: number): SluiceError {
    const name = this.#parts.subtasks[subtask]!
    const slash = name.lastIndexOf('/')
    return new SluiceError('TASK_STUCK', `'${name}' has not come back from a step for ${this.#parts.timeoutMs} ms`, {
      operator: name.slice(0, slash),
      subtask: Number(name.slice(slash + 1)),
      hint: 'a function of the job loops for ever or blocks its thread; if it may take that long, set watchdog higher',
    })
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}
