import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Doorbells } from '../protocol/doorbell.ts'
import type { Signals } from '../protocol/signals.ts'
import type { StateMemory } from './state-memory.ts'
import type { Task } from './task.ts'

/** How long tasks may run before the thread looks at its messages again. */
const TURN_MS = 4
const SLEEP_MAX_MS = 1_000

/** What a loop works with. */
export interface LoopParts {
  readonly tasks: readonly Task[]
  readonly doorbells: Doorbells
  readonly worker: number
  readonly now: () => number
  readonly signals: Signals
  /** Of each task, its place among all subtasks of the plan. */
  readonly places: readonly number[]
  readonly memory: StateMemory
}

/**
 * Runs the tasks of one worker in turn. As long as any of them does something it goes round; when none does, it sleeps on the worker's
 * doorbell until a channel changes, a message comes or a timer is due.
 */
export class TaskLoop {
  readonly #tasks: readonly Task[]
  readonly #doorbells: Doorbells
  readonly #worker: number
  readonly #now: () => number
  readonly #signals: Signals
  readonly #places: readonly number[]
  readonly #memory: StateMemory
  readonly #busyMs: number[]
  #stopped = false

  constructor({ tasks, doorbells, worker, now, signals, places, memory }: LoopParts) {
    this.#tasks = tasks
    this.#doorbells = doorbells
    this.#worker = worker
    this.#now = now
    this.#signals = signals
    this.#places = places
    this.#memory = memory
    this.#busyMs = tasks.map(() => 0)
  }

  /** Wakes the loop from within its own thread. */
  wake(): void {
    this.#doorbells.ring(this.#worker)
  }

  stop(): void {
    this.#stopped = true
    this.wake()
  }

  /** Runs until `stop`. @throws what a task threw, with the task's name. */
  async run(): Promise<void> {
    let turnEnd = performance.now() + TURN_MS
    while (!this.#stopped) {
      const worked = this.#round()
      if (!worked) {
        this.#publish()
        if (!(await this.#sleep())) continue
      } else if (performance.now() >= turnEnd) {
        for (const task of this.#tasks) task.flush()
        this.#publish()
        this.#memory.keep()
        await nextTurn()
      } else continue
      turnEnd = performance.now() + TURN_MS
    }
  }

  #round(): boolean {
    let worked = false
    let before = performance.now()
    for (let index = 0; index < this.#tasks.length; index++) {
      const task = this.#tasks[index]!
      this.#signals.beginStep(this.#worker, this.#places[index]!)
      try {
        if (!task.step()) continue
      } catch (error) {
        throw task.locate(error)
      }
      worked = true
      const after = performance.now()
      this.#busyMs[index] = this.#busyMs[index]! + after - before
      before = after
    }
    this.#signals.endRound(this.#worker)
    return worked
  }

  #publish(): void {
    this.#tasks.forEach((task, index) => {
      task.publishCounters(this.#busyMs[index]!)
    })
  }

  /** False when there was work after all, and the thread has not looked at its messages. */
  async #sleep(): Promise<boolean> {
    // Announced before the last look: a writer that publishes after our look sees the announcement and rings.
    this.#doorbells.announceSleep(this.#worker)
    if (this.#stopped || this.#tasks.some((task) => task.ready)) {
      this.#doorbells.stayAwake(this.#worker)
      return false
    }
    const timer = Math.min(...this.#tasks.map((task) => task.nextWakeup())) - this.#now()
    await this.#doorbells.sleep(this.#worker, Math.max(1, Math.min(SLEEP_MAX_MS, timer)))
    return true
  }
}
