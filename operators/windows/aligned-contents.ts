import { copyValue } from '../../src/core/copy-value.ts'
import { canonicalKey } from '../../src/core/key-groups.ts'
import type { PaneCursor, PaneTable } from '../../src/core/keyed-state.ts'
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
  entries(window: number, skips: (group: number) => boolean): PaneCursor<unknown>
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

  entries(window: number, skips: (group: number) => boolean): PaneCursor<unknown> {
    return new WithoutSkipped(this.#cells.entries(window), skips)
  }

  get(window: number): unknown {
    return this.#cells.get(window)
  }
}

/** The entries of a cursor whose key groups are not skipped. */
class WithoutSkipped implements PaneCursor<unknown> {
  readonly #entries: PaneCursor<unknown>
  readonly #skips: (group: number) => boolean

  constructor(entries: PaneCursor<unknown>, skips: (group: number) => boolean) {
    this.#entries = entries
    this.#skips = skips
  }

  next(): boolean {
    while (this.#entries.next()) if (!this.#skips(this.#entries.group)) return true
    return false
  }

  get key(): unknown {
    return this.#entries.key
  }

  get group(): number {
    return this.#entries.group
  }

  get value(): unknown {
    return this.#entries.value
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
  entries(window: number, skips: (group: number) => boolean): PaneCursor<unknown> {
    const merged = new Map<unknown, MergedEntry>()
    for (const pane of this.#layout.panes(window)) {
      const entries = this.#cells.entries(pane)
      while (entries.next()) if (!skips(entries.group)) this.#mergeInto(merged, entries)
    }
    return new MergedEntries(merged.values())
  }

  #mergeInto(merged: Map<unknown, MergedEntry>, { key, group, value }: PaneCursor<unknown>): void {
    const canonical = canonicalKey(key)
    const earlier = merged.get(canonical)
    if (earlier === undefined) merged.set(canonical, { key, group, value: copyValue(value) })
    else earlier.value = this.#merge(earlier.value, copyValue(value))
  }

  get(window: number): unknown {
    const panes = this.#layout.panes(window).filter((pane) => this.#cells.has(pane))
    return panes.map((pane) => copyValue(this.#cells.get(pane))).reduce(this.#mergeTwo)
  }

  readonly #mergeTwo = (earlier: unknown, later: unknown): unknown => this.#merge(earlier, later)
}

/** What several panes hold of one key. */
interface MergedEntry {
  readonly key: unknown
  readonly group: number
  value: unknown
}

class MergedEntries implements PaneCursor<unknown> {
  readonly #entries: Iterator<MergedEntry>
  #entry: MergedEntry | undefined

  constructor(entries: Iterator<MergedEntry>) {
    this.#entries = entries
  }

  next(): boolean {
    const next = this.#entries.next()
    this.#entry = next.done === true ? undefined : next.value
    return this.#entry !== undefined
  }

  get key(): unknown {
    return this.#entry!.key
  }

  get group(): number {
    return this.#entry!.group
  }

  get value(): unknown {
    return this.#entry!.value
  }
}
