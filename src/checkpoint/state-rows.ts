import { setImmediate as nextTurn } from 'node:timers/promises'
import { behindGroup, behindNamespace, behindRow, rangeStart } from '../state/base-rows.ts'
import type { StateOverlay } from './state-overlay.ts'
import type { RegisteredState } from './stored-base.ts'

/*
 * The rows of a checkpoint in one order, wherever they come from: a layer of rows that lie in that order already, and an overlay of changes to it.
 */

/** A row of one state. */
export interface StateRow {
  /** By this rows are in order: the row key of the base, for a state with the number 0. */
  readonly position: Buffer
  readonly group: number
  /** Window of a pane, time of a timer, 0 of a table. */
  readonly namespace: number
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** Positions from the one on, up to and without the other. */
export interface RowRange {
  readonly start: Buffer
  readonly end: Buffer
}

/** Rows that lie somewhere in their order. */
export interface RowLayer {
  /** The states of which it may hold any. */
  states(): readonly RegisteredState[]
  /** The first rows of a range. Fewer than `limit` means that there are no more. */
  page(state: RegisteredState, range: RowRange, limit: number): Promise<readonly StateRow[]>
}

const LAST_GROUP = 0xfffe
const FIRST_PAGE_ROWS = 16
const PAGE_ROWS = 256

export function wholeRange(state: RegisteredState): RowRange {
  return { start: rangeStart(0, state, 0, Number.NEGATIVE_INFINITY), end: behindGroup(0, LAST_GROUP) }
}

export function groupRange(state: RegisteredState, group: number): RowRange {
  return { start: rangeStart(0, state, group, Number.NEGATIVE_INFINITY), end: behindGroup(0, group) }
}

export function namespaceRange(state: RegisteredState, group: number, namespace: number): RowRange {
  return { start: rangeStart(0, state, group, namespace), end: behindNamespace(0, state, group, namespace) }
}

export function rowRange(position: Buffer): RowRange {
  return { start: position, end: behindRow(position) }
}

/** Rows of a state as the changes leave them, in order. Lets the world have its turn between two pages. */
export async function* mergedRows(
  layer: RowLayer,
  overlay: StateOverlay,
  state: RegisteredState,
  range: RowRange,
): AsyncGenerator<StateRow> {
  const changes = overlay.changes(state, range)
  let next = 0
  for await (const row of layerRows(layer, state, range)) {
    for (; next < changes.length && changes[next]!.position.compare(row.position) < 0; next++) {
      const { row: changed } = changes[next]!
      if (changed !== undefined) yield changed
    }
    const isChanged = next < changes.length && changes[next]!.position.equals(row.position)
    if (!isChanged && !overlay.hides(state, row.group, row.namespace)) yield row
  }
  for (; next < changes.length; next++) {
    const { row: changed } = changes[next]!
    if (changed !== undefined) yield changed
  }
}

async function* layerRows(layer: RowLayer, state: RegisteredState, { start, end }: RowRange): AsyncGenerator<StateRow> {
  let from = start
  // Who looks for one row should not pay for many.
  for (let limit = FIRST_PAGE_ROWS; ; limit = PAGE_ROWS) {
    const page = await layer.page(state, { start: from, end }, limit)
    yield* page
    if (page.length < limit) return
    from = behindRow(page[page.length - 1]!.position)
    await nextTurn()
  }
}
