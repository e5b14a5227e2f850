import { rowKey } from '../state/base-rows.ts'
import type { StateIdentity } from '../state/delta-chunk.ts'
import { readDelta } from '../state/delta-reader.ts'
import type { RowRange, StateRow } from './state-rows.ts'
import type { RegisteredState } from './stored-base.ts'

/** What became of a row: another value, or `undefined` when it is removed. */
export interface RowChange {
  readonly position: Buffer
  readonly row: StateRow | undefined
}

/** What was said of one namespace of a state. */
interface ChangedNamespace {
  /** By group, and then by position. */
  readonly groups: Map<number, Map<string, RowChange>>
  /** Groups in which everything that lies below is gone. */
  readonly dropped: { readonly first: number; readonly last: number }[]
}

interface ChangedState {
  readonly state: RegisteredState
  readonly namespaces: Map<number, ChangedNamespace>
  sorted: readonly RowChange[] | undefined
}

/** Changes to rows that lie elsewhere, in memory: the last word on each row that any of them names. */
export class StateOverlay {
  readonly #states = new Map<string, ChangedState>()

  /** Takes what a chunk says, in the order of the chunks. */
  apply(operator: string, chunk: Uint8Array, isDropped: (state: StateIdentity) => boolean = () => false): void {
    readDelta(chunk, {
      row: (state, group, namespace, key, value) => {
        if (isDropped(state)) return
        const position = rowKey(0, state, group, namespace, key)
        const row = value === undefined ? undefined : { position, group, namespace, key, value }
        rowsOf(this.#namespace(operator, state, namespace), group).set(position.toString('latin1'), { position, row })
      },
      drop: (state, first, last, namespace) => {
        if (!isDropped(state)) drop(this.#namespace(operator, state, namespace), first, last)
      },
    })
  }

  states(): readonly RegisteredState[] {
    return [...this.#states.values()].map(({ state }) => state)
  }

  /** Whether rows of the layer below are gone with their namespace. */
  hides(state: RegisteredState, group: number, namespace: number): boolean {
    const changed = this.#states.get(idOf(state.operator, state))?.namespaces.get(namespace)
    return changed?.dropped.some(({ first, last }) => group >= first && group <= last) === true
  }

  /** In the order of the rows. */
  changes(state: RegisteredState, { start, end }: RowRange): readonly RowChange[] {
    const changed = this.#states.get(idOf(state.operator, state))
    if (changed === undefined) return []
    changed.sorted ??= [...changed.namespaces.values()]
      .flatMap(({ groups }) => [...groups.values()])
      .flatMap((rows) => [...rows.values()])
      .sort((a, b) => a.position.compare(b.position))
    return changed.sorted.slice(placeOf(start, changed.sorted), placeOf(end, changed.sorted))
  }

  #namespace(operator: string, { kind, name }: StateIdentity, namespace: number): ChangedNamespace {
    const id = idOf(operator, { kind, name })
    let changed = this.#states.get(id)
    if (changed === undefined) {
      changed = { state: { operator, kind, name }, namespaces: new Map(), sorted: undefined }
      this.#states.set(id, changed)
    }
    changed.sorted = undefined
    let found = changed.namespaces.get(namespace)
    if (found === undefined) changed.namespaces.set(namespace, (found = { groups: new Map(), dropped: [] }))
    return found
  }
}

function rowsOf({ groups }: ChangedNamespace, group: number): Map<string, RowChange> {
  let rows = groups.get(group)
  if (rows === undefined) groups.set(group, (rows = new Map()))
  return rows
}

function drop({ groups, dropped }: ChangedNamespace, first: number, last: number): void {
  for (const group of groups.keys()) if (group >= first && group <= last) groups.delete(group)
  if (!dropped.some((range) => range.first <= first && range.last >= last)) dropped.push({ first, last })
}

/** Of the first one that is not before a position, in their order. */
export function placeOf(position: Buffer, sorted: readonly { readonly position: Buffer }[]): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (sorted[middle]!.position.compare(position) < 0) low = middle + 1
    else high = middle
  }
  return low
}

export function idOf(operator: string, { kind, name }: StateIdentity): string {
  return `${kind} ${operator.length} ${operator} ${name}`
}
