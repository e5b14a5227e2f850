/**
 * Decides which channels of a task are held while a checkpoint's barriers arrive. It touches neither channels nor records.
 *
 * What always holds:
 * 1. A channel that has delivered barrier n is held until all channels have: no record behind a barrier is seen before the snapshot.
 * 2. Checkpoint ids rise. A barrier at or below the newest one that was aligned or aborted starts nothing and holds nothing.
 * 3. A barrier of a newer checkpoint gives up the alignment of the older one: nobody waits for that one any more.
 */
export class BarrierAligner {
  readonly #delivered: boolean[]
  #deliveredCount = 0
  /** The checkpoint being aligned, 0 for none. */
  #aligning = 0
  /** The newest checkpoint that is over, aligned or aborted. */
  #settled: number

  /** @param settled the newest checkpoint that is over already: ids go on where the restored one ended */
  constructor(channels: number, settled = 0) {
    this.#delivered = new Array<boolean>(channels).fill(false)
    this.#settled = settled
  }

  /** Whether the channel must not be read. */
  isHeld(channel: number): boolean {
    return this.#delivered[channel]!
  }

  /** A barrier has come. True when it was the last one missing: the task takes its snapshot now. */
  onBarrier(channel: number, checkpoint: number): boolean {
    if (checkpoint <= this.#settled || checkpoint < this.#aligning) return false
    if (checkpoint > this.#aligning) {
      this.#release()
      this.#aligning = checkpoint
    }
    if (!this.#delivered[channel]) {
      this.#delivered[channel] = true
      this.#deliveredCount++
    }
    if (this.#deliveredCount < this.#delivered.length) return false
    this.#settle(checkpoint)
    return true
  }

  /** The checkpoint was given up; also one whose barriers have not come yet. */
  onAbort(checkpoint: number): void {
    if (checkpoint > this.#settled) this.#settle(checkpoint)
  }

  #settle(checkpoint: number): void {
    this.#settled = checkpoint
    if (this.#aligning <= checkpoint) {
      this.#aligning = 0
      this.#release()
    }
  }

  #release(): void {
    this.#delivered.fill(false)
    this.#deliveredCount = 0
  }
}
