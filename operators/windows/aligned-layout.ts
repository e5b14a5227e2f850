import type { SlidingWindow, TumblingWindow } from './assigners.ts'
import { windowStart } from './assigners.ts'

/**
 * Where the windows of one size lie that begin at every slide, and the panes that they share: the paired windows of Krishnamurthy, Wu and
 * Franklin, "On-the-fly sharing for streamed aggregation" (2006). Every slide is cut in two where older windows end in it, `size % slide` after
 * its begin, so that a window is a whole number of panes and there are at most two panes a slide, whatever the two lengths are.
 *
 * ```ts
 * const layout = new AlignedLayout(slidingWindow(7, 3)) // [6, 13), [3, 10), [0, 7), ...; panes [6, 7), [7, 9), [9, 10), ...
 * layout.newest(7) // 6
 * layout.oldest(7) // 3
 * layout.panes(3) // [3, 4, 6, 7, 9]
 * ```
 *
 * Windows and panes are named by their start. Tumbling windows are those whose slide is their size: each is one pane.
 */
export class AlignedLayout {
  readonly sizeMs: number
  readonly slideMs: number
  /** Whether a timestamp falls into more windows than one. */
  readonly overlapping: boolean
  readonly #offsetMs: number
  /** The length of the first of the two panes of a slide; 0 when the slide is one pane. */
  readonly #cutMs: number

  constructor(assigner: TumblingWindow | SlidingWindow) {
    this.sizeMs = assigner.sizeMs
    this.slideMs = assigner.kind === 'sliding' ? assigner.slideMs : assigner.sizeMs
    this.overlapping = this.slideMs < this.sizeMs
    this.#offsetMs = assigner.offsetMs
    this.#cutMs = this.sizeMs % this.slideMs
  }

  /** The last window that `time` falls into, or that contains the pane which begins then. */
  newest(time: number): number {
    return windowStart(time, this.slideMs, this.#offsetMs)
  }

  /** The first one. Those between lie a slide apart. */
  oldest(time: number): number {
    return windowStart(time - this.sizeMs, this.slideMs, this.#offsetMs) + this.slideMs
  }

  /** The pane of a timestamp. */
  pane(time: number): number {
    const slide = this.newest(time)
    return this.#cutMs > 0 && time >= slide + this.#cutMs ? slide + this.#cutMs : slide
  }

  /** The panes of a window in the order of time. */
  panes(window: number): readonly number[] {
    const panes: number[] = []
    const end = window + this.sizeMs
    for (let slide = window; slide < end; slide += this.slideMs) {
      panes.push(slide)
      if (this.#cutMs > 0 && slide + this.#cutMs < end) panes.push(slide + this.#cutMs)
    }
    return panes
  }
}
