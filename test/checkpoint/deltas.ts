import { keyGroupOf } from '../../src/core/key-groups.ts'
import { CurrentKey } from '../../src/state/current-key.ts'
import type { DeltaChunk, StateIdentity } from '../../src/state/delta-chunk.ts'
import { DeltaWriter } from '../../src/state/delta-writer.ts'
import { LIVE } from '../../src/state/epochs.ts'
import { imageInPlace } from '../../src/state/group-image.ts'
import { keyFromBytes } from '../../src/state/key-bytes.ts'
import { KeyEntries } from '../../src/state/key-entries.ts'
import { DEFAULT_FORM, valueFromBytes } from '../../src/state/row-value.ts'
import type { OperatorBase } from '../../src/state/state-base.ts'
import { baseRows } from '../../src/state/state-base.ts'

const MAX_PARALLELISM = 4
const TABLE: StateIdentity = { kind: 'table', name: 't' }
const PANES: StateIdentity = { kind: 'pane', name: 'w' }
const TIMERS: StateIdentity = { kind: 'event-timer', name: '' }

/** A change of the state of an operator: of a table, a window or a timer. Without a value the row is removed. */
export interface Change {
  readonly key?: string | number
  readonly value?: unknown
  readonly table?: string
  readonly window?: number
  readonly timer?: number
  /** A window that is forgotten. */
  readonly drop?: number
  /** All rows of the table, or of one group of it: those of their groups that were there before are gone. */
  readonly image?: readonly { readonly key: string | number; readonly value: number }[]
  /** Everything of the table is gone. */
  readonly clear?: boolean
}

/** A chunk that says these changes. */
export function deltaOf(changes: readonly Change[]): DeltaChunk {
  const [chunk, more] = chunksSaying(changes)
  if (more !== undefined) throw new Error('these changes need more than one chunk')
  return chunk ?? { firstGroup: 0, lastGroup: 0, rows: 0, bytes: new Uint8Array() }
}

/** Chunks that say these changes. */
export function chunksSaying(changes: readonly Change[]): readonly DeltaChunk[] {
  const writer = new DeltaWriter()
  for (const change of changes) {
    const { key, value, drop } = change
    if (drop !== undefined) {
      writer.drop(PANES, 0, MAX_PARALLELISM - 1, drop)
      continue
    }
    if (change.clear === true) {
      writer.drop(TABLE, 0, MAX_PARALLELISM - 1, 0)
      continue
    }
    if (change.image !== undefined) {
      for (const [group, image] of imagesOf(change.image)) writer.image(TABLE, group, image)
      continue
    }
    const group = keyGroupOf(key, MAX_PARALLELISM)
    const { state, namespace } = placeOf(change)
    if (state === TIMERS && value === true) writer.putKey(state, group, namespace, key)
    else if (value === undefined || value === false) writer.remove(state, group, namespace, key)
    else writer.put(state, group, namespace, key, value, DEFAULT_FORM)
  }
  writer.cut()
  return writer.take()
}

/** By group, of those of which there are rows. */
function imagesOf(rows: NonNullable<Change['image']>): ReadonlyMap<number, Uint8Array> {
  const groups = new Map<number, KeyEntries<number>>()
  const current = new CurrentKey(MAX_PARALLELISM)
  for (const { key, value } of rows) {
    current.assign(key)
    const entries = groups.get(current.group) ?? new KeyEntries<number>()
    groups.set(current.group, entries)
    const known = entries.find(current)
    entries.setValue(known < 0 ? entries.add(current, LIVE) : known, value)
  }
  return new Map([...groups].map(([group, entries]) => [group, Uint8Array.from(imageInPlace(entries))]))
}

function placeOf({ table = 't', window, timer }: Change): { readonly state: StateIdentity; readonly namespace: number } {
  if (window !== undefined) return { state: PANES, namespace: window }
  if (timer !== undefined) return { state: TIMERS, namespace: timer }
  return { state: { kind: 'table', name: table }, namespace: 0 }
}

/** All rows of a base, each as the change that made it, in text. */
export function rowsOf(base: OperatorBase): readonly string[] {
  const rows: string[] = []
  for (const state of base.states()) {
    for (let group = 0; group < MAX_PARALLELISM; group++) {
      for (const row of baseRows(base, state, group)) {
        const key = keyFromBytes(row.key)
        const value = state.kind === 'event-timer' ? true : valueFromBytes(row.value).value
        const place =
          state.kind === 'table'
            ? state.name === 't'
              ? {}
              : { table: state.name }
            : { [state.kind === 'pane' ? 'window' : 'timer']: row.namespace }
        rows.push(JSON.stringify({ key, value, ...place }))
      }
    }
  }
  return rows.sort()
}

/** What the process of `store-child.ts` folds: so many rows that writing them takes longer than the process lives. */
export const FOLDED_BY_CHILD: readonly DeltaChunk[] = Array.from({ length: 40 }, (_, part) =>
  deltaOf(
    Array.from({ length: 1_000 }, (_, index) => {
      const key = (part * 397 + index) % 20_000
      return (part + index) % 7 === 0 ? { key } : { key, value: part }
    }),
  ),
)
