import type { WatermarkGroup } from '../core/operator.ts'
import { WATERMARK_END, WATERMARK_NONE } from '../core/time.ts'
import type { SubtaskCounters } from '../protocol/counters.ts'

/**
 * An alignment group in shared memory: each subtask writes its own cell and reads those of the others, without a message. What is read may
 * be a moment old, so a source may read on, or wait, for one moment more than it should.
 */
export class SharedWatermarkGroup implements WatermarkGroup {
  readonly #own: SubtaskCounters
  readonly #all: readonly SubtaskCounters[]

  /** @param all the rows of all members, also the subtask's own */
  constructor(own: SubtaskCounters, all: readonly SubtaskCounters[]) {
    this.#own = own
    this.#all = all
    // Memory begins as zeros, and zero is a time. All members are made before the first record is read anywhere.
    own.set('aligned', WATERMARK_NONE)
  }

  show(watermark: number): void {
    this.#own.set('aligned', watermark)
  }

  get smallest(): number {
    let smallest = WATERMARK_END
    for (const member of this.#all) {
      const watermark = member.get('aligned')
      // False for NaN: who is idle does not count.
      if (watermark < smallest) smallest = watermark
    }
    return smallest
  }
}
