import { behindNamespace, rangeStart } from '../state/base-rows.ts'
import type { StateIdentity } from '../state/delta-chunk.ts'
import type { BaseRowWriter } from './base-row-writer.ts'
import { IMAGE_BYTES_AT_ONCE, VALUE_BYTES_AT_ONCE } from './base-row-writer.ts'
import type { FoldBatch, FoldedDrop } from './fold-batch.ts'
import type { DroppedState } from './manifest.ts'
import type { StoreWrites } from './store-writes.ts'
import type { RegisteredState, StateRegistry } from './stored-base.ts'

/** A row that is changed has its page written anew, and each that is far from the others one of its own. */
const PAGE_BYTES = 4096
/** So long at once a base is looked at before its first row is removed. */
const LOOK_MS = 8

/**
 * Writes the base: rows of states, and the numbers under which these lie there. What always holds:
 *
 * 1. A state has its number before its first row comes, and no number is given twice as long as rows of its former state may be there.
 * 2. Rows are written in transactions of bounded size, each behind the fence.
 */
export class BaseWriter {
  readonly #writes: StoreWrites
  #registry: StateRegistry | undefined

  constructor(writes: StoreWrites) {
    this.#writes = writes
    // What was numbered in a transaction that failed has no number.
    writes.onFailed = () => this.forgetNumbers()
  }

  // Numbers of states

  registry(): StateRegistry {
    return (this.#registry ??= this.#stored())
  }

  #stored(): StateRegistry {
    return this.#writes.get<StateRegistry>('states') ?? []
  }

  /** What is in the store is looked at anew. */
  forgetNumbers(): void {
    this.#registry = undefined
  }

  /** The number of a state, which it is given when its first row comes. */
  numberOf(operator: string, { kind, name }: StateIdentity): number {
    const known = this.registry()
    const number = known.findIndex((each) => each?.operator === operator && each.kind === kind && each.name === name)
    if (number >= 0) return number
    const registry = [...known, { operator, kind, name }]
    this.#writes.transact('cannot register a state', () => {
      this.#writes.checkFence()
      this.#writes.put('states', registry)
    })
    this.#registry = registry
    return known.length
  }

  /** Inside a transaction: states that were dropped before `checkpoint` lose their numbers. True when there was one. */
  unregister(dropped: readonly DroppedState[], checkpoint: number): boolean {
    const isDropped = (state: RegisteredState | undefined): boolean =>
      state !== undefined && dropped.some((each) => each.through < checkpoint && isSame(each, state))
    const stored = this.#stored()
    const numbers = stored.flatMap((state, number) => (isDropped(state) ? [number] : []))
    if (numbers.length === 0) return false
    this.#abandon(stored, [...(this.#writes.get<readonly number[]>('purge') ?? []), ...numbers])
    return true
  }

  /** Inside a transaction: no state has a number any more. Should the process end before everything is removed, what is left belongs to nothing. */
  unregisterAll(): void {
    const stored = this.#stored()
    this.#abandon(stored, [...stored.keys()])
  }

  #abandon(stored: StateRegistry, numbers: readonly number[]): void {
    this.#writes.put(
      'states',
      stored.map((state, number) => (numbers.includes(number) ? undefined : state)),
    )
    this.#writes.put('purge', numbers)
    this.#registry = undefined
  }

  get #rowsAtOnce(): number {
    return this.#writes.surroundings.sizes.rowsAtOnce
  }

  /** Removes rows of states that are gone, so many at once. True when there is more to do. */
  purgeStep(): boolean {
    const [number, ...others] = this.#writes.get<readonly number[]>('purge') ?? []
    if (number === undefined) return false
    const { state, leaves } = this.#writes.tables
    if (leaves?.checkSome(LOOK_MS) === false) return true
    this.#writes.transact('cannot remove state', () => {
      const range = { start: stateStart(number), end: stateStart(number + 1), limit: this.#rowsAtOnce }
      const keys = [...state.getKeys(range)]
      for (const key of keys) state.removeSync(key)
      if (keys.length < this.#rowsAtOnce) this.#writes.put('purge', others)
    })
    return true
  }

  // Rows

  /** Writes rows of a batch until the time is over. True when all are written. */
  writeRows(content: FoldBatch, rows: BaseRowWriter, ms: number): boolean {
    const write = (): boolean => {
      this.#writes.checkFence()
      rows.beginTransaction(bytesAtOnce(content))
      const untilMs = this.#writes.surroundings.nowMs() + ms
      return content.writeTo(rows, () => this.#writes.surroundings.nowMs() >= untilMs)
    }
    return this.#writes.transact('cannot bring a snapshot into the base', write, this.#wantedBytes(content, rows))
  }

  #wantedBytes(content: FoldBatch, writer: BaseRowWriter): number {
    const { treeLeafPageCount } = this.#writes.tables.state.getStats() as { readonly treeLeafPageCount: number }
    const imageBytes = Math.max(content.longestImageBytes, writer.longestImageBytes)
    return bytesAtOnce(content) + imageBytes + PAGE_BYTES * Math.min(content.rows, treeLeafPageCount, this.#rowsAtOnce)
  }

  /** In transactions of bounded size: a window may be large, and images of a table are one row each. */
  dropRows({ number, state, firstGroup, lastGroup, namespace }: FoldedDrop): void {
    const keys: Buffer[] = []
    for (let group = firstGroup; group <= lastGroup; ) {
      // Of a table it begins with the image, if there is one.
      const range = { start: rangeStart(number, state, group, namespace), end: behindNamespace(number, state, group, namespace) }
      const limit = this.#rowsAtOnce - keys.length
      const found = [...this.#writes.tables.state.getKeys({ ...range, limit })]
      keys.push(...found)
      if (found.length < limit) group++
      if (keys.length === this.#rowsAtOnce) this.#removeRows(keys.splice(0))
    }
    if (keys.length > 0) this.#removeRows(keys)
  }

  #removeRows(keys: readonly Buffer[]): void {
    this.#writes.transact('cannot bring a snapshot into the base', () => {
      this.#writes.checkFence()
      for (const key of keys) this.#writes.tables.state.removeSync(key)
    })
  }
}

function bytesAtOnce({ longestImageBytes }: FoldBatch): number {
  return longestImageBytes > 0 ? IMAGE_BYTES_AT_ONCE : VALUE_BYTES_AT_ONCE
}

function isSame(a: RegisteredState, b: RegisteredState): boolean {
  return a.operator === b.operator && a.kind === b.kind && a.name === b.name
}

function stateStart(number: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(number)
  return bytes
}
