import { SluiceError } from '../../src/core/errors.ts'
import type { KeyedContext, KeyedTable, StoredForm, TableForm } from '../../src/core/keyed-state.ts'
import type { OperatorContext } from '../../src/core/operator.ts'
import type { StateTime } from '../keyed/state/state-time.ts'
import type { MapState, StateDeclaration } from '../keyed/state.ts'

/** Broadcast state by name, as declared: `{ rules: mapState<string, Rule>() }`. */
export type BroadcastDeclarations = Readonly<Record<string, StateDeclaration<AnyMap>>>

/** What the side that is not broadcast sees of a broadcast map. */
export interface ReadonlyMapState<K, V> {
  get(key: K): V | undefined
  has(key: K): boolean
  keys(): Iterable<K>
  values(): Iterable<V>
  entries(): Iterable<readonly [K, V]>
  readonly size: number
}

/** The maps that declarations stand for, for reading. */
export type ReadonlyBroadcast<B extends BroadcastDeclarations> = {
  readonly [Name in keyof B]: B[Name] extends StateDeclaration<MapState<infer K, infer V>> ? ReadonlyMapState<K, V> : never
}

/** The maps that declarations stand for, for the broadcast side, which may write. */
export type WritableBroadcast<B extends BroadcastDeclarations> = {
  readonly [Name in keyof B]: B[Name] extends StateDeclaration<infer Handle> ? Handle : never
}

/**
 * Refuses what is no broadcast state. To be asked when the job is built.
 * @throws SluiceError `INVALID_OPTION`
 */
export function checkBroadcast(declarations: BroadcastDeclarations): void {
  for (const [name, { kind, options }] of Object.entries(declarations)) {
    if (kind !== 'map') {
      throw new SluiceError(
        'INVALID_OPTION',
        `the broadcast state '${name}' is declared with ${kind}State: it is a map or nothing`,
        {
          hint: `write broadcast: { ${name}: mapState<...>() }`,
        },
      )
    }
    if (options.ttlMs !== undefined) {
      throw new SluiceError('INVALID_OPTION', `the broadcast state '${name}' has a ttl: time is not the same in all subtasks`, {
        hint: 'leave the ttl out and delete entries in onRight',
      })
    }
  }
}

/**
 * The broadcast state of one subtask. What always holds:
 *
 * - It belongs to no key. Every subtask has a copy, and because each gets the same records on its broadcast side, the copies come to be the
 *   same wherever the handler does not depend on chance, the clock, its subtask or the order of records from several senders.
 * - Only the handler of the broadcast side changes it.
 * - What goes in and what comes out is copied: it changes by `set`, `delete` and `clear` and by nothing else.
 */
export class BroadcastStates {
  readonly #subtask: number
  readonly #tables: ReadonlyMap<string, OperatorTable>
  /** For the handler of the broadcast side. */
  readonly writable: Readonly<Record<string, AnyMap>>
  /** For all others. */
  readonly readable: Readonly<Record<string, ReadonlyMapState<unknown, unknown>>>

  constructor(declarations: BroadcastDeclarations, context: OperatorContext) {
    this.#subtask = context.subtask
    const place = { operator: context.operatorId, subtask: context.subtask }
    const opened = Object.entries(declarations).map(([name, declaration]) => {
      const table = new OperatorTable()
      return { name, table, map: declaration.open(table.asKeyed(), name, timeless(place)) as AnyMap }
    })
    this.#tables = new Map(opened.map(({ name, table }) => [name, table]))
    this.writable = Object.fromEntries(opened.map(({ name, map }) => [name, map]))
    this.readable = Object.fromEntries(opened.map(({ name, map }) => [name, new ReadOnlyMap(name, map)]))
  }

  snapshot(): unknown {
    return [...this.#tables].map(([name, table]) => [name, table.store()])
  }

  /** After a change of parallelism each subtask takes a whole copy, that of one of the former subtasks in turn: none holds a share only. */
  restore(states: readonly unknown[], rescaled: boolean): void {
    const stored = states[rescaled ? this.#subtask % states.length : 0] as readonly (readonly [string, StoredTable])[]
    for (const [name, value] of stored) this.#tables.get(name)?.restore(value)
  }
}

type AnyMap = MapState<unknown, unknown>

/** A value and the version of its form; no value: the map is empty. */
type StoredTable = readonly [version: number, ...value: unknown[]]

/** A table of keyed state for what has no key: it holds one value, that of the operator. So broadcast maps are made as keyed ones are. */
class OperatorTable implements KeyedTable<unknown> {
  #value: readonly unknown[] = []
  #form: TableForm<unknown> | undefined

  /** As much of keyed state as a map without a ttl asks for. */
  asKeyed(): KeyedContext {
    const table = (_name: string, form?: TableForm<unknown>): KeyedTable<unknown> => {
      this.#form = form
      return this
    }
    return { table } as Partial<KeyedContext> as KeyedContext
  }

  get(): unknown {
    return this.#value[0]
  }

  /** Snapshots hold it in full, so it need not be known whether it changes. */
  edit(): unknown {
    return this.#value[0]
  }

  has(): boolean {
    return this.#value.length > 0
  }

  set(value: unknown): void {
    this.#value = [value]
  }

  delete(): void {
    this.#value = []
  }

  store(): StoredTable {
    return [this.#form!.version, ...this.#value.map((value) => this.#form!.store(value))]
  }

  restore([version, ...value]: StoredTable): void {
    const from: StoredForm = { version, stamps: undefined }
    this.#value = value.map((stored) => this.#form!.restore(stored, from))
  }
}

/** What time it is where nothing expires. */
function timeless(place: StateTime['place']): StateTime {
  return { place, expiryOf: () => undefined } as Partial<StateTime> as StateTime
}

/** It has the methods that write, so that who gets around the types is told why not, and not that there is no such function. */
class ReadOnlyMap implements MapState<unknown, unknown> {
  readonly #name: string
  readonly #map: AnyMap

  constructor(name: string, map: AnyMap) {
    this.#name = name
    this.#map = map
  }

  get(key: unknown): unknown {
    return this.#map.get(key)
  }

  has(key: unknown): boolean {
    return this.#map.has(key)
  }

  keys(): Iterable<unknown> {
    return this.#map.keys()
  }

  values(): Iterable<unknown> {
    return this.#map.values()
  }

  entries(): Iterable<readonly [unknown, unknown]> {
    return this.#map.entries()
  }

  get size(): number {
    return this.#map.size
  }

  set(): never {
    throw this.#refusal('set')
  }

  delete(): never {
    throw this.#refusal('delete')
  }

  clear(): never {
    throw this.#refusal('clear')
  }

  #refusal(verb: string): SluiceError {
    return new SluiceError(
      'STATE_READ_ONLY',
      `${verb} on the broadcast state '${this.#name}' outside onRight: it can only be read there`,
      {
        hint: 'change it in onRight, which sees the same records in every subtask; what belongs to a key goes into `state`',
      },
    )
  }
}
