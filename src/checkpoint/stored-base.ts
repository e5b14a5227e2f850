import {
  baseRow,
  behindGroup,
  behindNamespace,
  behindRow,
  imageKey,
  rangeStart,
  rowKey,
  rowKeyInPlace,
  valueOfRow,
} from '../state/base-rows.ts'
import type { StateIdentity } from '../state/delta-chunk.ts'
import { GroupImage } from '../state/group-image.ts'
import type { BaseRow, OperatorBase } from '../state/state-base.ts'
import { damagedRow } from '../state/stored-row.ts'
import type { Tables } from './environment.ts'

/** A state of which the base may hold rows; its place in the list is its number in row keys. `undefined`: the number is no longer in use. */
export interface RegisteredState extends StateIdentity {
  readonly operator: string
}

/** The numbers of states, as the base has them. They are only ever added to. */
export type StateRegistry = readonly (RegisteredState | undefined)[]

/** Of sorted rows. */
function pageBehind(rows: readonly BaseRow[], after: BaseRow | undefined, limit: number): readonly BaseRow[] {
  const from = after === undefined ? 0 : rows.findIndex(({ key }) => Buffer.compare(key, after.key) > 0)
  return from < 0 ? [] : rows.slice(from, from + limit)
}

/** The base of one operator in the store, for reading on demand. */
export class StoredOperatorBase implements OperatorBase {
  readonly #tables: Pick<Tables, 'state' | 'root' | 'leaves'>
  readonly #operator: string
  readonly #registry: () => StateRegistry
  readonly #numbers = new Map<StateIdentity, number>()
  /** The rows of the image that was last looked for; without any when the group has none. */
  #imaged: { readonly number: number; readonly group: number; readonly rows: readonly BaseRow[] | undefined } | undefined

  constructor(tables: Pick<Tables, 'state' | 'root' | 'leaves'>, operator: string, registry: () => StateRegistry) {
    this.#tables = tables
    this.#operator = operator
    this.#registry = registry
  }

  states(): readonly StateIdentity[] {
    return this.#registry().flatMap((state) => (state?.operator === this.#operator ? [state] : []))
  }

  get(state: StateIdentity, group: number, namespace: number, key: Uint8Array): Uint8Array | undefined {
    const number = this.#numberOf(state)
    if (number < 0) return undefined
    return this.#read(state, () => {
      const stored = this.#tables.state.getBinary(rowKeyInPlace(number, state, group, namespace, key))
      if (stored !== undefined) return valueOfRow(stored)
      return this.#imageRows(number, state, group)?.find((row) => Buffer.compare(row.key, key) === 0)?.value
    })
  }

  image(state: StateIdentity, group: number): GroupImage | undefined {
    const number = this.#numberOf(state)
    if (number < 0 || state.kind !== 'table') return undefined
    return this.#read(state, () => this.#imageOf(number, group))
  }

  #imageOf(number: number, group: number): GroupImage | undefined {
    const stored = this.#tables.state.getBinary(imageKey(number, group))
    return stored === undefined ? undefined : GroupImage.proved(stored)
  }

  /** Those who go through an image page by page, and who asks for keys that are not there, look for the same one again and again. */
  #imageRows(number: number, { kind }: StateIdentity, group: number): readonly BaseRow[] | undefined {
    if (kind !== 'table') return undefined
    if (this.#imaged?.number !== number || this.#imaged.group !== group) {
      this.#imaged = { number, group, rows: this.#imageOf(number, group)?.sortedRows() }
    }
    return this.#imaged.rows
  }

  page(
    state: StateIdentity,
    group: number,
    fromNamespace: number,
    after: BaseRow | undefined,
    limit: number,
  ): readonly BaseRow[] {
    const number = this.#numberOf(state)
    if (number < 0) return []
    const start =
      after === undefined
        ? rangeStart(number, state, group, fromNamespace)
        : behindRow(rowKey(number, state, group, after.namespace, after.key))
    return this.#read(state, () => {
      const imaged = this.#imageRows(number, state, group)
      if (imaged !== undefined) return pageBehind(imaged, after, limit)
      const rows = this.#tables.state.getRange({ start, end: behindGroup(number, group), limit })
      return [...rows].map((row) => baseRow(state, row))
    })
  }

  nextNamespace(state: StateIdentity, group: number, above: number): number | undefined {
    const number = this.#numberOf(state)
    if (number < 0) return undefined
    const start = behindNamespace(number, state, group, above)
    return this.#read(state, () => {
      const [row] = this.#tables.state.getRange({ start, end: behindGroup(number, group), limit: 1 })
      return row === undefined ? undefined : baseRow(state, row).namespace
    })
  }

  refresh(): void {
    this.#imaged = undefined
    this.#tables.root.resetReadTxn()
    this.#tables.leaves?.refresh()
  }

  #read<R>(state: StateIdentity, action: () => R): R {
    try {
      return action()
    } catch (error) {
      throw damagedRow(state, error, this.#operator)
    }
  }

  /** -1 as long as the base has nothing of it. */
  #numberOf(state: StateIdentity): number {
    const known = this.#numbers.get(state)
    if (known !== undefined) return known
    const number = this.#registry().findIndex(
      (each) => each?.operator === this.#operator && each.kind === state.kind && each.name === state.name,
    )
    if (number >= 0) this.#numbers.set(state, number)
    return number
  }
}
