import { setImmediate as nextTurn } from 'node:timers/promises'
import type { CheckpointStore } from '../checkpoint/checkpoint-store.ts'

/** A fold begins when so much waits, by share of the base and in bytes, or when it lies in so many chunks. */
const SHARE_OF_BASE = 0.25
const BYTES_MIN = 256 << 10
const BYTES_MAX = 16 << 20
const CHUNKS_MAX = 64
const FAR_BEHIND = 3
const LARGE_STEP_MS = 40

/**
 * Takes the changes of complete checkpoints into the base, in the background: a chunk at a time, and between two of them the main thread does
 * what else it has to do. What always holds:
 *
 * 1. One fold runs at a time, and none while the store is held as it is for a savepoint.
 * 2. `onFolded` is told after the base holds everything up to a checkpoint, never before.
 * 3. After `stop` has settled nothing is written any more.
 */
export class Folding {
  readonly #store: CheckpointStore
  readonly #onFolded: (checkpoint: number) => void
  readonly #fail: (error: unknown) => void
  #running: Promise<void> | undefined
  #holds = 0
  #stopped = false
  #wanted = false
  #stepMs: number | undefined

  /** @param fail is told what went wrong; nothing is folded after that */
  constructor(store: CheckpointStore, onFolded: (checkpoint: number) => void, fail: (error: unknown) => void) {
    this.#store = store
    this.#onFolded = onFolded
    this.#fail = fail
  }

  /** A checkpoint is complete, or an older one was let go: folds when enough has come together, or `now`. */
  consider(now = false): void {
    if (this.#stopped || this.#running !== undefined) {
      this.#wanted ||= now
      return
    }
    if (this.#holds > 0 || !(now || this.#isWorthwhile)) return
    this.#running = this.#run(now)
      .catch((error: unknown) => {
        this.#stopped = true
        this.#fail(error)
      })
      .finally(() => {
        this.#running = undefined
        const again = this.#wanted
        this.#wanted = false
        this.consider(again)
      })
  }

  get #isWorthwhile(): boolean {
    const due = this.#store.foldable()
    if (due === undefined) return false
    const enough = Math.min(BYTES_MAX, Math.max(BYTES_MIN, SHARE_OF_BASE * this.#store.sizes().baseBytes))
    // Who is behind takes larger steps: each waits for the disk once, however much it holds.
    this.#stepMs = due.bytes > FAR_BEHIND * enough ? LARGE_STEP_MS : undefined
    return due.bytes >= enough || due.chunks >= CHUNKS_MAX
  }

  /** @param all whether everything is to be folded, or only as long as it is worth it */
  async #run(all: boolean): Promise<void> {
    while (!this.#stopped && this.#holds === 0) {
      const before = this.#store.foldedThrough
      if (!this.#store.foldStep(this.#stepMs)) break
      const { foldedThrough } = this.#store
      if (foldedThrough !== before) {
        this.#onFolded(foldedThrough)
        if (!all && !this.#isWorthwhile) break
      }
      await nextTurn()
    }
    while (!this.#stopped && this.#store.purgeStep()) await nextTurn()
  }

  /** Nothing is folded until as many calls of `letGo` have come. */
  hold(): void {
    this.#holds++
  }

  letGo(): void {
    this.#holds--
    this.consider()
  }

  /** Folds everything that may be folded. */
  async drain(): Promise<void> {
    await this.#running
    this.consider(true)
    await this.#running
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
  }
}
