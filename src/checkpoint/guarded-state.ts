import type { StateLeaves } from './state-leaves.ts'

/** The rows that are read, as LMDB-js has it. */
export interface StateRange {
  readonly start?: Buffer
  readonly end?: Buffer
  readonly limit?: number
  readonly transaction?: { done(): void }
}

/** The table `state`, as far as it is used. */
export interface StateTable {
  getBinary(key: Buffer): Buffer | undefined
  getRange(range?: StateRange): Iterable<{ readonly key: Buffer; readonly value: Buffer }>
  getKeys(range?: StateRange): Iterable<Buffer>
  putSync(key: Buffer, value: Buffer): void
  removeSync(key: Buffer): void
  getStats(): object
}

/** The table `state` of a file that may be damaged: LMDB is asked for nothing on a page that it must not see. See `state-leaves.ts`. */
export class GuardedState implements StateTable {
  readonly #table: StateTable
  readonly #leaves: StateLeaves

  constructor(table: StateTable, leaves: StateLeaves) {
    this.#table = table
    this.#leaves = leaves
  }

  getBinary(key: Buffer): Buffer | undefined {
    if (!this.#leaves.isSound) this.#leaves.admit(key)
    return this.#table.getBinary(key)
  }

  getRange(range?: StateRange): Iterable<{ readonly key: Buffer; readonly value: Buffer }> {
    this.#admitRange(range)
    return this.#table.getRange(range)
  }

  getKeys(range?: StateRange): Iterable<Buffer> {
    this.#admitRange(range)
    return this.#table.getKeys(range)
  }

  putSync(key: Buffer, value: Buffer): void {
    if (!this.#leaves.isSound) this.#leaves.checkSome(Number.POSITIVE_INFINITY)
    this.#table.putSync(key, value)
  }

  removeSync(key: Buffer): void {
    if (!this.#leaves.isSound) this.#leaves.checkSome(Number.POSITIVE_INFINITY)
    this.#table.removeSync(key)
  }

  getStats(): object {
    return this.#table.getStats()
  }

  #admitRange({ start = Buffer.alloc(0), end, limit = Number.POSITIVE_INFINITY }: StateRange = {}): void {
    if (!this.#leaves.isSound) this.#leaves.admitRange(start, end, limit)
  }
}
