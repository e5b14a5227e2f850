import {
  baseRow,
  behindGroup,
  behindNamespace,
  behindRow,
  rangeStart,
  rowKey,
  rowKeyInPlace,
  valueOfRow,
} from '../state/base-rows.ts'
import type { StateIdentity } from '../state/delta-chunk.ts'
import type { BaseRow, OperatorBase } from '../state/state-base.ts'
import { damagedRow } from '../state/stored-row.ts'
import type { Tables } from './environment.ts'

/** A state of which the base may hold rows; its place in the list is its number in row keys. `undefined`: the number is no longer in use. */
export interface RegisteredState extends StateIdentity {
  readonly operator: string
}

/** The numbers of states, as the base has them. They are only ever added to. */
export type StateRegistry = readonly (RegisteredState | undefined)[]

/** The base of one operator in the store, for reading on demand. */
export class StoredOperatorBase implements OperatorBase {
  readonly #tables: Pick<Tables, 'state' | 'root' | 'leaves'>
  readonly #operator: string
  readonly #registry: () => StateRegistry
  readonly #numbers = new Map<StateIdentity, number>()

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
      return stored === undefined ? undefined : valueOfRow(stored)
    })
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
