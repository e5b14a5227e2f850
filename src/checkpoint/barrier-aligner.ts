import { assert } from '../core/assert.ts'

/**
 * `exactly-once`: a channel that has delivered its barrier is held. `at-least-once`: no channel ever is, so the snapshot may hold records from behind
 * some of the barriers, and after a failure they count twice.
 */
export type AlignmentMode = 'exactly-once' | 'at-least-once'

/** Checkpoints whose barriers are counted at a time; without a bound, one that never completes would stay for ever. */
const MAX_PENDING = 50

/** The barriers of one checkpoint that have come. */
interface Alignment {
  readonly delivered: boolean[]
  deliveredCount: number
}

/**
 * Decides which channels of a task are held while a checkpoint's barriers arrive. It touches neither channels nor records.
 *
 * What always holds:
 * 1. Exactly-once: a channel that has delivered barrier n is held until all channels have, so no record behind a barrier is seen before the
 *    snapshot. At-least-once: no channel is held.
 * 2. Ids of snapshots rise. A barrier of a checkpoint that is over starts nothing and holds nothing.
 * 3. Over are all checkpoints up to the newest one of which a snapshot was taken, and those that were aborted, each by itself: when several
 *    are in flight, one that fails says nothing of an older one.
 * 4. Exactly-once: the barrier of a newer checkpoint gives up the alignment of the older one. Channels deliver barriers in order, so a
 *    newer one can only come first where the older one was given up upstream.
 */
export class BarrierAligner {
  readonly #mode: AlignmentMode
  readonly #held: boolean[]
  /** By id. Exactly-once has at most one. */
  readonly #pending = new Map<number, Alignment>()
  /** This one and all older ones are over. */
  #settled: number
  /** Newer than `#settled`. */
  readonly #aborted = new Set<number>()

  /** @param settled the newest checkpoint that is over already: ids go on where the restored one ended */
  constructor(channels: number, settled = 0, mode: AlignmentMode = 'exactly-once') {
    this.#held = new Array<boolean>(channels).fill(false)
    this.#settled = settled
    this.#mode = mode
  }

  /** Whether the channel must not be read. */
  isHeld(channel: number): boolean {
    return this.#held[channel]!
  }

  /** Whether a snapshot of this checkpoint was taken, or will never be. */
  isOver(checkpoint: number): boolean {
    return checkpoint <= this.#settled || this.#aborted.has(checkpoint)
  }

  /** A barrier has come. True when it was the last one missing: the task takes its snapshot now. */
  onBarrier(channel: number, checkpoint: number): boolean {
    if (this.isOver(checkpoint)) return false
    if (this.#mode === 'exactly-once') this.#settle(checkpoint - 1)
    const alignment = this.#alignmentOf(checkpoint)
    if (!alignment.delivered[channel]) {
      alignment.delivered[channel] = true
      alignment.deliveredCount++
      if (this.#mode === 'exactly-once') this.#held[channel] = true
    }
    if (alignment.deliveredCount < alignment.delivered.length) return false
    this.#settle(checkpoint)
    return true
  }

  /**
   * The task takes its snapshot now, although not all barriers have come. Says of each channel whether its barrier had; those of the others are
   * ignored when they come. Only for a checkpoint that is not over: the message that asks for it may be late.
   */
  onUnaligned(checkpoint: number): readonly boolean[] {
    assert(!this.isOver(checkpoint), `checkpoint ${checkpoint} is over and cannot be unaligned`)
    const delivered = this.#pending.get(checkpoint)?.delivered ?? this.#held.map(() => false)
    this.#settle(checkpoint)
    return delivered
  }

  /** The checkpoint was given up; also one whose barriers have not come yet. */
  onAbort(checkpoint: number): void {
    if (this.isOver(checkpoint)) return
    this.#aborted.add(checkpoint)
    this.#drop(checkpoint)
    this.#joinAborted()
  }

  #alignmentOf(checkpoint: number): Alignment {
    const known = this.#pending.get(checkpoint)
    if (known !== undefined) return known
    const alignment = { delivered: this.#held.map(() => false), deliveredCount: 0 }
    this.#pending.set(checkpoint, alignment)
    // What falls out is over: counted from the beginning again, it could never become complete.
    if (this.#pending.size > MAX_PENDING) this.#settle(Math.min(...this.#pending.keys()))
    return alignment
  }

  /** This checkpoint and all older ones are over. */
  #settle(checkpoint: number): void {
    if (checkpoint <= this.#settled) return
    this.#settled = checkpoint
    for (const pending of this.#pending.keys()) if (pending <= checkpoint) this.#drop(pending)
    for (const aborted of this.#aborted) if (aborted <= checkpoint) this.#aborted.delete(aborted)
    this.#joinAborted()
  }

  /** Ids are given without gaps, so that the set of aborted ones stays small. */
  #joinAborted(): void {
    while (this.#aborted.delete(this.#settled + 1)) this.#settled++
  }

  #drop(checkpoint: number): void {
    if (this.#pending.delete(checkpoint)) this.#held.fill(false)
  }
}
