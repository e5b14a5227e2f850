/**
 * Wakes a worker that has nothing to do. One shared integer for each worker: 0 while it works, 1 while it sleeps.
 *
 * The sleeper sets 1 *before* it looks at its channels a last time, and whoever changes a channel publishes the change *before* it reads
 * the integer. Atomics are sequentially consistent, so one of the two always sees the other: no wake-up is lost.
 */
export class Doorbells {
  readonly shared: SharedArrayBuffer
  readonly #cells: Int32Array

  /** Bells for `workers` workers, or the view of bells that another thread made. */
  constructor(workersOrShared: number | SharedArrayBuffer) {
    this.shared = typeof workersOrShared === 'number' ? new SharedArrayBuffer(4 * Math.max(1, workersOrShared)) : workersOrShared
    this.#cells = new Int32Array(this.shared)
  }

  /** Wakes the worker if it sleeps; costs one load if it does not. */
  ring(worker: number): void {
    if (Atomics.load(this.#cells, worker) === 0) return
    Atomics.store(this.#cells, worker, 0)
    Atomics.notify(this.#cells, worker)
  }

  isAsleep(worker: number): boolean {
    return Atomics.load(this.#cells, worker) !== 0
  }

  ringAll(): void {
    for (let worker = 0; worker < this.#cells.length; worker++) this.ring(worker)
  }

  /** Announces that the worker is about to sleep. It then looks at its channels once more. */
  announceSleep(worker: number): void {
    Atomics.store(this.#cells, worker, 1)
  }

  /** Takes the announcement back: there was work after all. */
  stayAwake(worker: number): void {
    Atomics.store(this.#cells, worker, 0)
  }

  /** Sleeps until rung or until `timeoutMs` has passed. The caller must hold something that keeps its event loop alive. */
  async sleep(worker: number, timeoutMs: number): Promise<void> {
    const wait = Atomics.waitAsync(this.#cells, worker, 1, timeoutMs)
    if (wait.async) await wait.value
    Atomics.store(this.#cells, worker, 0)
  }
}
