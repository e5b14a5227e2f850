import { copyValue } from '../../src/core/copy-value.ts'
import { SluiceError } from '../../src/core/errors.ts'
import { canonicalKey } from '../../src/core/key-groups.ts'
import type { OperatorContext } from '../../src/core/operator.ts'
import type { MapState, StateDeclaration } from '../keyed/state.ts'

/** Broadcast state by name, as declared: `{ rules: mapState<string, Rule>() }`. */
export type BroadcastDeclarations = Readonly<Record<string, StateDeclaration<MapState<never, unknown>>>>

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
  for (const [name, { kind }] of Object.entries(declarations)) {
    if (kind === 'map') continue
    throw new SluiceError('INVALID_OPTION', `the broadcast state '${name}' is declared with ${kind}State: it is a map or nothing`, {
      hint: `write broadcast: { ${name}: mapState<...>() }`,
    })
  }
}

/**
 * The broadcast state of one subtask. What always holds:
 *
 * - It belongs to no key. Every subtask has a copy, and because each gets the same records on its broadcast side, the copies come to be the
 *   same wherever the handler does not depend on chance, the clock, its subtask or the order of records from several senders.
 * - Only the handler of the broadcast side changes it.
 * - What goes in and what comes out is copied: it changes by `set` and by nothing else.
 */
export class BroadcastStates {
  readonly #maps: ReadonlyMap<string, BroadcastMap>
  /** For the handler of the broadcast side. */
  readonly writable: Readonly<Record<string, MapState<unknown, unknown>>>
  /** For all others. */
  readonly readable: Readonly<Record<string, ReadonlyMapState<unknown, unknown>>>

  constructor(declarations: BroadcastDeclarations) {
    const maps = Object.keys(declarations).map((name) => [name, new BroadcastMap()] as const)
    this.#maps = new Map(maps)
    this.writable = Object.fromEntries(maps)
    this.readable = Object.fromEntries(maps.map(([name, map]) => [name, new ReadOnlyMap(name, map)]))
  }

  /** By name, the entries of each map. */
  snapshot(): unknown {
    return new Map([...this.#maps].map(([name, map]) => [name, map.stored()]))
  }

  /** After a change of parallelism each subtask takes a whole copy, that of one of the former subtasks in turn: no one holds a share only. */
  restore(states: readonly unknown[], rescaled: boolean, { subtask }: Pick<OperatorContext, 'subtask'>): void {
    const stored = states[rescaled ? subtask % states.length : 0] as ReadonlyMap<string, readonly Entry[]> | undefined
    for (const [name, map] of this.#maps) map.restore(stored?.get(name) ?? [])
  }
}

type Entry = readonly [key: unknown, value: unknown]

class BroadcastMap implements MapState<unknown, unknown> {
  readonly #entries = new Map<unknown, Entry>()

  get(key: unknown): unknown {
    return copyValue(this.#entries.get(canonicalKey(key))?.[1])
  }

  set(key: unknown, value: unknown): void {
    this.#entries.set(canonicalKey(key), [copyValue(key), copyValue(value)])
  }

  has(key: unknown): boolean {
    return this.#entries.has(canonicalKey(key))
  }

  delete(key: unknown): void {
    this.#entries.delete(canonicalKey(key))
  }

  keys(): readonly unknown[] {
    return [...this.#entries.values()].map(([key]) => copyValue(key))
  }

  values(): readonly unknown[] {
    return [...this.#entries.values()].map(([, value]) => copyValue(value))
  }

  entries(): readonly Entry[] {
    return [...this.#entries.values()].map(copyValue)
  }

  get size(): number {
    return this.#entries.size
  }

  clear(): void {
    this.#entries.clear()
  }

  /** The entries themselves, which nobody changes: a `set` puts a new one in their place. */
  stored(): readonly Entry[] {
    return [...this.#entries.values()]
  }

  restore(entries: readonly Entry[]): void {
    for (const entry of entries) this.#entries.set(canonicalKey(entry[0]), entry)
  }
}

/** It has the methods that write, so that who gets around the types is told why not, and not that there is no such function. */
class ReadOnlyMap implements MapState<unknown, unknown> {
  readonly #name: string
  readonly #map: BroadcastMap

  constructor(name: string, map: BroadcastMap) {
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

  entries(): Iterable<Entry> {
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
    return new SluiceError('STATE_READ_ONLY', `${verb} on the broadcast state '${this.#name}' outside onRight: it can only be read there`, {
      hint: 'change it in onRight, which sees the same records in every subtask; what belongs to a key goes into `state`',
    })
  }
}
