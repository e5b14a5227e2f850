import { copyValue } from '../../src/core/copy-value.ts'
import { canonicalKey } from '../../src/core/key-groups.ts'
import type { KeyedEntry, PaneTable } from '../../src/core/keyed-state.ts'
import type { AlignedLayout } from './aligned-layout.ts'

/**
 * How aligned windows keep their accumulators: in cells of (start, key), where a cell is a window of its own or a pane that several windows
 * share. The operator writes cells and reads windows, and need not know which of the two it has.
 */
export interface AlignedContents {
  /** The first and the last window that a cell belongs to. */
  oldest(cell: number): number
  newest(cell: number): number
  /** The accumulators of a window, key by key, without those of the key groups that `skips` names. */
  entries(window: number, skips: (group: number) => boolean): Iterator<KeyedEntry<unknown>>
  /** The current key's accumulator in a window that holds something of it. */
  get(window: number): unknown
  /** Whether what is read is the accumulator of a cell itself, which whoever lets it out has to copy if the cell lives on. */
  readonly live: boolean
}

/** A cell for each window and key. */
export class WholeWindows implements AlignedContents {
  readonly live = true
  readonly #cells: PaneTable<unknown>

  constructor(cells: PaneTable<unknown>) {
    this.#cells = cells
  }

  oldest(cell: number): number {
    return cell
  }

  newest(cell: number): number {
    return cell
  }

  *entries(window: number, skips: (group: number) => boolean): Generator<KeyedEntry<unknown>, void> {
    for (const entry of this.#cells.entries(window)) if (!skips(entry.group)) yield entry
  }

  get(window: number): unknown {
    return this.#cells.get(window)
  }
}

/** An accumulator of the two before it. */
type Merge = (earlier: unknown, later: unknown) => unknown

/**
 * A cell for each pane and key; a window is merged from its panes, the earlier ones first. Both sides of a merge are copies: the user's function
 * may change the first, return either, and hang parts of the second into the first, and still the panes that live on stay what they are.
 */
export class SharedPanes implements AlignedContents {
  readonly live = false
  readonly #cells: PaneTable<unknown>
  readonly #layout: AlignedLayout
  readonly #merge: Merge

  constructor(cells: PaneTable<unknown>, layout: AlignedLayout, merge: Merge) {
    this.#cells = cells
    this.#layout = layout
    this.#merge = merge
  }

  oldest(cell: number): number {
    return this.#layout.oldest(cell)
  }

  newest(cell: number): number {
    return this.#layout.newest(cell)
  }

  /** Merged pane by pane and not key by key: the work is that of what the panes hold, also when most keys are in few of them. */
  entries(window: number, skips: (group: number) => boolean): Iterator<KeyedEntry<unknown>> {
    const merged = new Map<unknown, { readonly key: unknown; readonly group: number; value: unknown }>()
    for (const pane of this.#layout.panes(window)) {
      for (const { key, group, value } of this.#cells.entries(pane)) {
        if (skips(group)) continue
        const canonical = canonicalKey(key)
        const earlier = merged.get(canonical)
        if (earlier === undefined) merged.set(canonical, { key, group, value: copyValue(value) })
        else earlier.value = this.#merge(earlier.value, copyValue(value))
      }
    }
    return merged.values()
  }

  get(window: number): unknown {
    const panes = this.#layout.panes(window).filter((pane) => this.#cells.has(pane))
    return panes.map((pane) => copyValue(this.#cells.get(pane))).reduce(this.#mergeTwo)
  }

  readonly #mergeTwo = (earlier: unknown, later: unknown): unknown => this.#merge(earlier, later)
}
