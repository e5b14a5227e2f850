import { setImmediate as nextTurn } from 'node:timers/promises'
import type { SluiceError } from '../core/errors.ts'
import type { Doorbells } from '../protocol/doorbell.ts'
import type { Signals } from '../protocol/signals.ts'
import type { StateMemory } from './state-memory.ts'
import type { Task } from './task.ts'

/** How long tasks may run before the thread looks at its messages again. */
const TURN_MS = 4
const SLEEP_MAX_MS = 1_000

/** What a loop works with. */
export interface LoopParts {
  readonly doorbells: Doorbells
  readonly worker: number
  readonly now: () => number
  readonly signals: Signals
  readonly memory: StateMemory
  /** A step threw. Whoever is told closes the task, and removes what is not to run any more. */
  readonly onFailed: (task: Task, error: SluiceError) => void
}

/** A task that runs. */
export interface LoopTask {
  readonly task: Task
  /** Its place among all subtasks of the plan. */
  readonly place: number
}

/** What runs the tasks of a worker, whoever says when. */
export interface Loop {
  add(tasks: readonly LoopTask[]): void
  /** Nothing of these is called any more. */
  remove(tasks: readonly Task[]): void
  /** There may be something to do that nobody else has told of. */
  wake(): void
  stop(): void
  /** Settles after `stop`. */
  run(): Promise<void>
}

/**
 * Runs the tasks of one worker in turn. As long as any of them does something it goes round; when none does, it sleeps on the worker's
 * doorbell until a channel changes, a message comes or a timer is due. Tasks may come and go between two steps.
 */
export class TaskLoop implements Loop {
  readonly #parts: LoopParts
  /** Replaced and never changed, because a round may be going through it. */
  #tasks: readonly (LoopTask & { busyMs: number })[] = []
  #stopped = false

  constructor(parts: LoopParts) {
    this.#parts = parts
  }

  add(tasks: readonly LoopTask[]): void {
    this.#tasks = [...this.#tasks, ...tasks.map((each) => ({ ...each, busyMs: 0 }))]
    this.wake()
  }

  remove(tasks: readonly Task[]): void {
    this.#tasks = this.#tasks.filter(({ task }) => !tasks.includes(task))
  }

  /** Wakes the loop from within its own thread. */
  wake(): void {
    this.#parts.doorbells.ring(this.#parts.worker)
  }

  stop(): void {
    this.#stopped = true
    this.wake()
  }

  async run(): Promise<void> {
    let turnEnd = performance.now() + TURN_MS
    while (!this.#stopped) {
      const done = this.#round()
      // Also where no turn lasts as long as that: state grows by few records as well.
      if (done !== 'worked') this.#parts.memory.keep()
      if (done === 'nothing') {
        this.#publish()
        if (!(await this.#sleep())) continue
      } else if (done === 'wrote') {
        // Records may come by a message or a timer, which are looked at between turns: a snapshot that fills idle time does not hold them up.
        await nextTurn()
      } else if (performance.now() >= turnEnd) {
        for (const { task } of this.#tasks) this.#flush(task)
        this.#publish()
        this.#parts.memory.keep()
        await nextTurn()
      } else continue
      turnEnd = performance.now() + TURN_MS
    }
  }

  /** `wrote`: parts of snapshots, and nothing else. */
  #round(): 'nothing' | 'wrote' | 'worked' {
    const { signals, worker } = this.#parts
    let done: 'nothing' | 'wrote' | 'worked' = 'nothing'
    let before = performance.now()
    const tasks = this.#tasks
    for (let index = 0; index < tasks.length; index++) {
      const each = tasks[index]!
      signals.beginStep(worker, each.place)
      // One that was closed in this round has nothing to do.
      if (!this.#step(each.task)) continue
      done = done !== 'worked' && each.task.wroteOnly ? 'wrote' : 'worked'
      const after = performance.now()
      each.busyMs += after - before
      before = after
    }
    signals.endRound(worker)
    return done
  }

  #step(task: Task): boolean {
    try {
      return task.step()
    } catch (error) {
      this.#parts.onFailed(task, task.locate(error))
      return true
    }
  }

  /** A value that cannot be sent is met here as well as in a step, and it is its task that has failed. One that was closed has nobody to send to. */
  #flush(task: Task): void {
    try {
      if (task.state !== 'closed') task.flush()
    } catch (error) {
      this.#parts.onFailed(task, task.locate(error))
    }
  }

  #publish(): void {
    for (const { task, busyMs } of this.#tasks) task.publishCounters(busyMs)
  }

  /** False when there was work after all, and the thread has not looked at its messages. */
  async #sleep(): Promise<boolean> {
    const { doorbells, worker, now } = this.#parts
    // Announced before the last look: a writer that publishes after our look sees the announcement and rings.
    doorbells.announceSleep(worker)
    if (this.#stopped || this.#tasks.some(({ task }) => task.ready)) {
      doorbells.stayAwake(worker)
      return false
    }
    const timer = Math.min(...this.#tasks.map(({ task }) => task.nextWakeup())) - now()
    const beganMs = performance.now()
    await doorbells.sleep(worker, Math.max(1, Math.min(SLEEP_MAX_MS, timer)))
    const sleptMs = performance.now() - beganMs
    for (const { task } of this.#tasks) task.rest(sleptMs)
    return true
  }
}
