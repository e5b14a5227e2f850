/**
 * What each subtask counts, in memory that the main thread reads whenever it likes: no message, no cost. One row of doubles for each
 * subtask, written by its worker alone. `aligned` is what a subtask shows the others of its alignment group; they read it, too.
 */
export const COUNTERS = ['recordsIn', 'recordsOut', 'busyMs', 'blockedMs', 'watermark', 'late', 'bad', 'aligned'] as const

export type Counter = (typeof COUNTERS)[number]

const ROW = 8

export function createCounters(subtasks: number): SharedArrayBuffer {
  return new SharedArrayBuffer(8 * ROW * Math.max(1, subtasks))
}

/** The row of one subtask. */
export class SubtaskCounters {
  readonly #cells: Float64Array

  constructor(shared: SharedArrayBuffer, subtask: number) {
    this.#cells = new Float64Array(shared, 8 * ROW * subtask, ROW)
  }

  get(counter: Counter): number {
    return this.#cells[COUNTERS.indexOf(counter)]!
  }

  set(counter: Counter, value: number): void {
    this.#cells[COUNTERS.indexOf(counter)] = value
  }
}
