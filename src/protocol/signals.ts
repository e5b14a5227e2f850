/*
 * Cells that the main thread writes and all workers read, without a message: a worker in the middle of a batch sees them at its next record. They are
 * 32 bits each. What each worker writes at every record is far enough from everything else that no two processors want one piece of memory at a time.
 *
 *   URGENT    the newest checkpoint whose snapshot every task should take now, whatever it has before it; 0 for none
 *   THROTTLE  1: sources read no more until it is 0 again; barriers pass
 *
 *   and for each worker, from (1 + worker) * STRIDE on:
 *
 *   STEPS     rises with each record and each round of the worker's tasks, and also while it has nothing to do: one that stands still is stuck
 *   TASK      one more than the place of the subtask whose step the worker is in, 0 between steps
 */
const URGENT = 0
const THROTTLE = 1
const STEPS = 0
const TASK = 1
/** Two cache lines: processors fetch the neighbour of a line, too. */
const STRIDE = 128 / 4

export class Signals {
  readonly shared: SharedArrayBuffer
  readonly #cells: Int32Array
  readonly #ownSteps: number

  /**
   * Cells for `workers` workers, or the view of cells that another thread made.
   * @param worker the one that works in this thread, if one does
   */
  constructor(workersOrShared: number | SharedArrayBuffer, worker = 0) {
    this.shared =
      typeof workersOrShared === 'number' ? new SharedArrayBuffer(4 * placeOf(Math.max(1, workersOrShared))) : workersOrShared
    this.#cells = new Int32Array(this.shared)
    this.#ownSteps = placeOf(worker) + STEPS
  }

  /** Read at every record, so it is a plain load: a value that is seen one record later does no harm. */
  get urgent(): number {
    return this.#cells[URGENT]!
  }

  set urgent(checkpoint: number) {
    Atomics.store(this.#cells, URGENT, checkpoint)
  }

  get throttled(): boolean {
    return this.#cells[THROTTLE] !== 0
  }

  set throttled(throttled: boolean) {
    Atomics.store(this.#cells, THROTTLE, throttled ? 1 : 0)
  }

  /** A record is done. Plain, because it is said at every record, and the watchdog may hear of it later. */
  beat(): void {
    this.#cells[this.#ownSteps] = (this.#cells[this.#ownSteps]! + 1) | 0
  }

  /** @param subtask its place among all subtasks of the plan */
  beginStep(worker: number, subtask: number): void {
    this.#cells[placeOf(worker) + TASK] = subtask + 1
  }

  /** A round of steps is over. */
  endRound(worker: number): void {
    const place = placeOf(worker)
    this.#cells[place + TASK] = 0
    this.#cells[place + STEPS] = (this.#cells[place + STEPS]! + 1) | 0
  }

  stepsOf(worker: number): number {
    return Atomics.load(this.#cells, placeOf(worker) + STEPS)
  }

  /** The place of the subtask that a worker is busy with; -1 for none. */
  busyWith(worker: number): number {
    return Atomics.load(this.#cells, placeOf(worker) + TASK) - 1
  }
}

/** Where the cells of a worker begin. */
function placeOf(worker: number): number {
  return (1 + worker) * STRIDE
}
