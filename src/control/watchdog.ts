import { SluiceError } from '../core/errors.ts'
import { subtaskOf, taskOfSubtask } from '../graph/execution-plan.ts'
import type { Doorbells } from '../protocol/doorbell.ts'
import type { Signals } from '../protocol/signals.ts'

const LOOKS_PER_TIMEOUT = 4
const LOOK_MS_MAX = 5_000
/** A worker that has nothing to do goes round once a second; so much longer it may stand still. */
const ROUND_MS = 2_000

/** What a watchdog watches. */
export interface WatchdogParts {
  readonly workers: number
  readonly signals: Signals
  readonly doorbells: Doorbells
  /** Names of all subtasks of the plan, in its order. */
  readonly subtasks: readonly string[]
  readonly timeoutMs: number
  /** Whether this worker waits for a message of the main thread, and nothing moves in it before. */
  readonly isWaiting: (worker: number) => boolean
  readonly bark: (error: SluiceError) => void
}

/** What a worker was seen doing, and for how long it has been the same. */
interface Seen {
  steps: number
  subtask: number
  stillMs: number
}

/** Between steps, asleep or in a callback. */
const NO_STEP = -1

/**
 * Finds workers that do not come out of a step or a callback: an endless loop in a function of the job, or a call that blocks the thread. Such
 * a worker can answer no message; but each record and each round of its tasks raises a number that the main thread sees.
 *
 * Time in which this thread did not look does not count: the process may have been halted, and its workers with it.
 */
export class Watchdog {
  readonly #parts: WatchdogParts
  readonly #seen: Seen[]
  readonly #everyMs: number
  readonly #timer: NodeJS.Timeout
  #lookedMs = performance.now()

  constructor(parts: WatchdogParts) {
    this.#parts = parts
    this.#seen = Array.from({ length: parts.workers }, () => ({ steps: -1, subtask: NO_STEP, stillMs: 0 }))
    this.#everyMs = Math.min(LOOK_MS_MAX, Math.ceil(parts.timeoutMs / LOOKS_PER_TIMEOUT))
    this.#timer = setInterval(() => this.#look(), this.#everyMs)
    this.#timer.unref()
  }

  #look(): void {
    const nowMs = performance.now()
    const passedMs = Math.min(nowMs - this.#lookedMs, 2 * this.#everyMs)
    this.#lookedMs = nowMs
    for (const [worker, seen] of this.#seen.entries()) {
      if (this.#moves(worker, seen)) seen.stillMs = 0
      else seen.stillMs += passedMs
      if (seen.stillMs < this.#parts.timeoutMs + (seen.subtask === NO_STEP ? ROUND_MS : 0)) continue
      this.stop()
      this.#parts.bark(this.#stuck(worker, seen.subtask))
      return
    }
  }

  #moves(worker: number, seen: Seen): boolean {
    const { signals, doorbells, isWaiting } = this.#parts
    const steps = signals.stepsOf(worker)
    const subtask = doorbells.isAsleep(worker) ? NO_STEP : signals.busyWith(worker)
    const moves = steps !== seen.steps || subtask !== seen.subtask || (subtask === NO_STEP && isWaiting(worker))
    seen.steps = steps
    seen.subtask = subtask
    return moves
  }

  #stuck(worker: number, subtask: number): SluiceError {
    const still = `has not come back for ${this.#parts.timeoutMs} ms`
    const hint = 'a function of the job loops for ever or blocks its thread; if it may take that long, set watchdog higher'
    const name = this.#parts.subtasks[subtask]
    if (name === undefined) {
      return new SluiceError('TASK_STUCK', `worker thread ${worker} ${still} from what it does beside its tasks' steps`, {
        hint: `${hint}. It is in a callback of a promise, a timer or an event, or in what makes an operator`,
      })
    }
    const place = { operator: taskOfSubtask(name), subtask: subtaskOf(name) }
    return new SluiceError('TASK_STUCK', `'${name}' ${still} from a step`, { ...place, hint })
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}
