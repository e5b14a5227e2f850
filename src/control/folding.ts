import type { CheckpointStore } from '../checkpoint/checkpoint-store.ts'
import type { Foldable } from '../checkpoint/folder.ts'
import type { Timers } from '../core/time.ts'

/**
 * A fold begins when so much waits: of rows by share of the base, in bytes, or so many of them; of images in bytes; or chunks, which each manifest lists.
 * The later it begins, the more changes of one row or group it finds and the closer together its rows lie, so the less it costs. But what waits lies in
 * the file beside the base, and a restart takes it into memory before the first record: so many rows take it about a third of a second, and a row of an
 * image takes a tenth of another. Images come again as a whole with each checkpoint: several of them have to wait, or nothing is saved.
 */
const SHARE_OF_BASE = 0.4
const BYTES_MIN = 256 << 10
const BYTES_MAX = 16 << 20
const IMAGE_BYTES_MAX = 32 << 20
const ROWS_MAX = 400_000
const IMAGE_ROWS_MAX = 10 * ROWS_MAX
const CHUNKS_MAX = 512
/**
 * By so much more, folding is too slow for the pace of the checkpoints. It takes longer steps then, the longer the more there is: each message of a
 * checkpoint waits for the end of one, so checkpoints come no faster than folding can follow, and the file stays bounded.
 */
const FAR_BEHIND = 1.25
const LARGE_STEP_MS = 50
const LARGE_STEP_MS_MAX = 250
/**
 * As long as nobody waits for it, folding takes a fifth of the main thread: it is the third thread on what may be two processors, and records would wait
 * for each stretch in which it never rests.
 */
const UNHURRIED_STEP_MS = 2
const REST_TIMES = 4

/**
 * Takes the changes of complete checkpoints into the base, in the background: a few milliseconds at a time, and in between the main thread rests, or does
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
  readonly #timers: Timers
  #running: Promise<void> | undefined
  #holds = 0
  #stopped = false
  #wanted = false

  /** @param fail is told what went wrong; nothing is folded after that */
  constructor(store: CheckpointStore, onFolded: (checkpoint: number) => void, fail: (error: unknown) => void, timers: Timers) {
    this.#store = store
    this.#onFolded = onFolded
    this.#fail = fail
    this.#timers = timers
  }

  /** A checkpoint is complete, or an older one was let go: folds when enough has come together, or `now`. */
  consider(now = false): void {
    if (this.#stopped || this.#running !== undefined) {
      this.#wanted ||= now
      return
    }
    if (this.#holds > 0 || !(now || this.#isWorthwhile())) return
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

  #isWorthwhile(): boolean {
    const due = this.#store.foldable()
    if (due === undefined) return false
    const rows = due.rows / ROWS_MAX + due.imageRows / IMAGE_ROWS_MAX
    return this.#bytes(due) >= 1 || rows >= 1 || due.chunks >= CHUNKS_MAX
  }

  /** What waits against what may, in bytes. */
  #bytes({ bytes, imageBytes }: Foldable): number {
    const enough = Math.min(BYTES_MAX, Math.max(BYTES_MIN, SHARE_OF_BASE * this.#store.sizes().baseBytes))
    return (bytes - imageBytes) / enough + imageBytes / IMAGE_BYTES_MAX
  }

  /** How long a step may be when folding is too slow for the checkpoints; `undefined` when it is not. */
  #hurriedStepMs(): number | undefined {
    const due = this.#store.foldable()
    const behind = due === undefined ? 0 : this.#bytes(due)
    return behind > FAR_BEHIND ? Math.min(LARGE_STEP_MS_MAX, LARGE_STEP_MS * behind) : undefined
  }

  /** @param all whether everything is to be folded, or only as long as it is worth it */
  async #run(all: boolean): Promise<void> {
    while (!this.#stopped && this.#holds === 0) {
      const before = this.#store.foldedThrough
      const hurriedMs = this.#hurriedStepMs()
      // Somebody waits: as the store likes it.
      const isAwaited = all || this.#wanted
      const beganMs = this.#timers.nowMs()
      if (!this.#store.foldStep(hurriedMs ?? (isAwaited ? undefined : UNHURRIED_STEP_MS))) break
      const tookMs = this.#timers.nowMs() - beganMs
      const { foldedThrough } = this.#store
      if (foldedThrough !== before) {
        this.#onFolded(foldedThrough)
        if (!all && !this.#isWorthwhile()) break
      }
      if (isAwaited || hurriedMs !== undefined) await this.#timers.turn()
      else await this.#rest(REST_TIMES * tookMs)
    }
    while (!this.#stopped && this.#store.purgeStep()) await this.#timers.turn()
  }

  async #rest(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#timers.set(resolve, ms)
    })
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
