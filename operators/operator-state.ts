import { copyValue } from '../src/core/copy-value.ts'
import { SluiceError } from '../src/core/errors.ts'
import type { OperatorContext } from '../src/core/operator.ts'
import { dealt } from '../src/core/operator.ts'

/** A list that belongs to a subtask, not to a key. */
export interface OperatorListState<T> {
  /** The elements; later changes of the state do not touch what was returned. */
  get(): readonly T[]
  add(value: T): void
  addAll(values: Iterable<T>): void
  set(values: Iterable<T>): void
  clear(): void
}

export interface OperatorListOptions {
  /**
   * What becomes of the elements of all subtasks when their number changes: `'split'` deals them out in turn, `'union'` gives all of them to
   * everyone. When the number is as before, each subtask goes on with what it had. Default: `'split'`.
   */
  readonly redistribute?: 'split' | 'union'
}

/** What `state: { name: operatorListState<T>() }` declares. */
export interface OperatorListDeclaration<T> {
  readonly kind: 'operator-list'
  readonly redistribute: 'split' | 'union'
  /** Only in the type. */
  readonly element?: T
}

/** State of a plain `process` by name, as declared. */
export type OperatorStateDeclarations = Readonly<Record<string, OperatorListDeclaration<unknown>>>

/** The handles that declarations stand for. */
export type OperatorStateHandles<S extends OperatorStateDeclarations> = {
  readonly [Name in keyof S]: S[Name] extends OperatorListDeclaration<infer T> ? OperatorListState<T> : never
}

/**
 * A list for each subtask of a plain `process`, stored with every checkpoint: what waits to be handed on, what was learnt.
 *
 * ```ts
 * from([1, 2, 3, 4, 5]).process({
 *   state: { pair: operatorListState() },
 *   *onRecord(value, ctx) {
 *     ctx.state.pair.add(value)
 *     if (ctx.state.pair.get().length < 2) return
 *     yield ctx.state.pair.get().join('+')
 *     ctx.state.pair.clear()
 *   },
 * })
 * // -> '1+2', '3+4'
 * ```
 *
 * What goes in and what comes out is copied.
 * @throws SluiceError `INVALID_OPTION`
 */
export function operatorListState<T>({ redistribute = 'split' }: OperatorListOptions = {}): OperatorListDeclaration<T> {
  if (redistribute === 'split' || redistribute === 'union') return { kind: 'operator-list', redistribute }
  throw new SluiceError('INVALID_OPTION', `redistribute is ${JSON.stringify(redistribute)}`, { hint: "write 'split' or 'union'" })
}

/** What the graph says about declared states: by this a restore compares them. */
export function operatorStateSettings(declarations: OperatorStateDeclarations) {
  return Object.entries(declarations).map(([name, { kind, redistribute }]) => ({ name, kind, redistribute }))
}

/** The lists of one subtask. */
export class OperatorStates {
  readonly handles: Readonly<Record<string, OperatorListState<unknown>>>
  readonly #declarations: OperatorStateDeclarations
  readonly #context: OperatorContext
  readonly #lists = new Map<string, unknown[]>()

  constructor(declarations: OperatorStateDeclarations, context: OperatorContext) {
    this.#declarations = declarations
    this.#context = context
    const names = Object.keys(declarations)
    for (const name of names) this.#lists.set(name, [])
    this.handles = Object.fromEntries(names.map((name) => [name, this.#handle(name)]))
  }

  #handle(name: string): OperatorListState<unknown> {
    const lists = this.#lists
    const append = (values: readonly unknown[]): void => {
      const list = lists.get(name)!
      for (const value of values) list.push(value)
    }
    return {
      get: () => lists.get(name)!.map(copyValue),
      add: (value) => void lists.get(name)!.push(copyValue(value)),
      addAll: (values) => append(Array.from(values, copyValue)),
      set: (values) => void lists.set(name, Array.from(values, copyValue)),
      clear: () => void lists.set(name, []),
    }
  }

  /** The lists by name; nothing when nothing was declared. */
  snapshot(): unknown {
    return this.#lists.size === 0 ? undefined : this.#lists
  }

  restore(states: readonly unknown[], rescaled: boolean): void {
    const stored = states as readonly ReadonlyMap<string, readonly unknown[]>[]
    for (const [name, { redistribute }] of Object.entries(this.#declarations)) {
      const all = stored.flatMap((lists) => lists.get(name) ?? [])
      this.#lists.set(name, redistribute === 'union' ? all : dealt(all, this.#context, rescaled))
    }
  }
}
