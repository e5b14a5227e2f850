import type { StateIdentity } from './delta-chunk.ts'
import { readDelta } from './delta-reader.ts'
import { GroupImage } from './group-image.ts'
import { writeSortable } from './key-bytes.ts'

/** A stored row. */
export interface BaseRow {
  /** Window of a pane, time of a timer, 0 of a table. */
  readonly namespace: number
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/**
 * The keyed state of one operator as it is stored, for a subtask that reads it on demand. The base holds what the subtask's own snapshots
 * have brought there, up to some checkpoint: a row that the subtask has neither changed since nor holds in memory is as the base says. Rows are
 * given as copies or views that stay valid while the caller looks at them.
 */
export interface OperatorBase {
  /** The states of which anything may be stored. */
  states(): readonly StateIdentity[]
  get(state: StateIdentity, group: number, namespace: number, key: Uint8Array): Uint8Array | undefined
  /**
   * The next `limit` rows of a group at most, in the order of (namespace, key): those behind `after`, or all from `fromNamespace` on. Fewer than
   * `limit` means that there are no more.
   */
  page(state: StateIdentity, group: number, fromNamespace: number, after: BaseRow | undefined, limit: number): readonly BaseRow[]
  /** All rows of a group of a table, when they are stored as one image. */
  image(state: StateIdentity, group: number): GroupImage | undefined
  /** The smallest namespace above this one that holds anything. */
  nextNamespace(state: StateIdentity, group: number, above: number): number | undefined
  /** More has come into the base: what was looked at before may be older. */
  refresh(): void
}

/** What is stored of an operator's keyed state; `undefined` where nothing is. */
export type BaseOf = (operator: string) => OperatorBase | undefined

/** All rows of a group from a namespace on, a page at a time, so that no cursor outlives the call that opened it. */
export function* baseRows(
  base: OperatorBase,
  state: StateIdentity,
  group: number,
  fromNamespace: number = Number.NEGATIVE_INFINITY,
): Generator<BaseRow> {
  let after: BaseRow | undefined
  for (;;) {
    const page: readonly BaseRow[] = base.page(state, group, fromNamespace, after, PAGE_ROWS)
    yield* page
    if (page.length < PAGE_ROWS) return
    after = page[page.length - 1]
  }
}

const PAGE_ROWS = 256

export function holdsAny(base: OperatorBase, state: StateIdentity, group: number): boolean {
  return base.page(state, group, Number.NEGATIVE_INFINITY, undefined, 1).length > 0
}

interface MemoryRow {
  readonly sortKey: string
  readonly row: BaseRow
}

/** A base in memory, for subtasks that are run by hand and for tests. */
export class MemoryBase {
  readonly #operators = new Map<string, MemoryOperatorBase>()

  operator(id: string): MemoryOperatorBase {
    let operator = this.#operators.get(id)
    if (operator === undefined) this.#operators.set(id, (operator = new MemoryOperatorBase()))
    return operator
  }

  operators(): readonly string[] {
    return [...this.#operators.keys()]
  }

  /** Later changes of the one do not touch the other. */
  copy(): MemoryBase {
    const copy = new MemoryBase()
    for (const [id, operator] of this.#operators) copy.#operators.set(id, operator.copy())
    return copy
  }
}

export class MemoryOperatorBase implements OperatorBase {
  /** By `kind name`, then by group. */
  readonly #states = new Map<string, { readonly state: StateIdentity; readonly groups: Map<number, MemoryGroup> }>()

  /** Takes what a chunk says. */
  apply(chunk: Uint8Array): void {
    readDelta(chunk, {
      row: (state, group, namespace, key, value) => {
        const rows = this.#group(state, group)
        if (value === undefined) rows.delete(namespace, key)
        else rows.set({ namespace, key: Uint8Array.from(key), value: Uint8Array.from(value) })
      },
      drop: (state, first, last, namespace) => {
        for (let group = first; group <= last; group++) this.#find(state, group)?.drop(namespace)
      },
      image: (state, group, image) => this.#group(state, group).take(new GroupImage(Uint8Array.from(image.bytes))),
    })
  }

  states(): readonly StateIdentity[] {
    return [...this.#states.values()].map(({ state }) => state)
  }

  get(state: StateIdentity, group: number, namespace: number, key: Uint8Array): Uint8Array | undefined {
    return this.#find(state, group)?.get(namespace, key)
  }

  image(state: StateIdentity, group: number): GroupImage | undefined {
    return this.#find(state, group)?.image
  }

  page(
    state: StateIdentity,
    group: number,
    fromNamespace: number,
    after: BaseRow | undefined,
    limit: number,
  ): readonly BaseRow[] {
    const from = after === undefined ? sortKeyOf(fromNamespace) : sortKeyOf(after.namespace, after.key)
    const rows = this.#find(state, group)?.sorted() ?? []
    const begins = rows.findIndex(({ sortKey }) => (after === undefined ? sortKey >= from : sortKey > from))
    return begins < 0 ? [] : rows.slice(begins, begins + limit).map(({ row }) => row)
  }

  nextNamespace(state: StateIdentity, group: number, above: number): number | undefined {
    return this.#find(state, group)
      ?.sorted()
      .find(({ row }) => row.namespace > above)?.row.namespace
  }

  refresh(): void {}

  /** Rows of all groups, without timers or timers alone. */
  count(timers: boolean): number {
    const all = [...this.#states.values()].filter(({ state }) => state.kind.endsWith('timer') === timers)
    return all.flatMap(({ groups }) => [...groups.values()]).reduce((sum, group) => sum + group.size, 0)
  }

  copy(): MemoryOperatorBase {
    const copy = new MemoryOperatorBase()
    for (const [id, { state, groups }] of this.#states) {
      copy.#states.set(id, { state, groups: new Map([...groups].map(([group, rows]) => [group, rows.copy()])) })
    }
    return copy
  }

  #find({ kind, name }: StateIdentity, group: number): MemoryGroup | undefined {
    return this.#states.get(`${kind} ${name}`)?.groups.get(group)
  }

  #group(state: StateIdentity, group: number): MemoryGroup {
    const id = `${state.kind} ${state.name}`
    let known = this.#states.get(id)
    if (known === undefined) this.#states.set(id, (known = { state, groups: new Map() }))
    let rows = known.groups.get(group)
    if (rows === undefined) known.groups.set(group, (rows = new MemoryGroup()))
    return rows
  }
}

class MemoryGroup {
  readonly #rows = new Map<string, BaseRow>()
  #sorted: readonly MemoryRow[] | undefined
  /** As long as the rows are those of it. */
  image: GroupImage | undefined

  take(image: GroupImage): void {
    this.#rows.clear()
    for (const row of image.sortedRows()) this.set(row)
    this.image = image
  }

  get size(): number {
    return this.#rows.size
  }

  get(namespace: number, key: Uint8Array): Uint8Array | undefined {
    return this.#rows.get(sortKeyOf(namespace, key))?.value
  }

  set(row: BaseRow): void {
    this.#rows.set(sortKeyOf(row.namespace, row.key), row)
    this.#changed()
  }

  #changed(): void {
    this.#sorted = undefined
    this.image = undefined
  }

  delete(namespace: number, key: Uint8Array): void {
    this.#rows.delete(sortKeyOf(namespace, key))
    this.#changed()
  }

  drop(namespace: number): void {
    for (const [sortKey, row] of this.#rows) if (row.namespace === namespace) this.#rows.delete(sortKey)
    this.#changed()
  }

  sorted(): readonly MemoryRow[] {
    this.#sorted ??= [...this.#rows].map(([sortKey, row]) => ({ sortKey, row })).sort((a, b) => (a.sortKey < b.sortKey ? -1 : 1))
    return this.#sorted
  }

  copy(): MemoryGroup {
    const copy = new MemoryGroup()
    for (const [sortKey, row] of this.#rows) copy.#rows.set(sortKey, row)
    copy.image = this.image
    return copy
  }
}

/** Text that sorts as the row does. */
function sortKeyOf(namespace: number, key: Uint8Array = new Uint8Array()): string {
  const bytes = Buffer.alloc(8 + key.byteLength)
  writeSortable(bytes, 0, namespace)
  bytes.set(key, 8)
  return bytes.toString('latin1')
}
