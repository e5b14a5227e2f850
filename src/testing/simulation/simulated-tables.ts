import type { SeededRandom } from './random.ts'

type Key = string | number | readonly [number, number] | Uint8Array

interface Entry<K extends Key> {
  readonly key: K
  readonly value: Buffer
}

interface Range<K> {
  readonly start?: K
  readonly end?: K
  readonly limit?: number
}

/** What happened to a table in a transaction, to be undone when it fails. */
interface Change {
  undo(): void
}

/** A table in the order of its keys. */
export class SimulatedTable<K extends Key> {
  readonly #changes: Change[]
  #entries: Entry<K>[] = []
  #bytes = 0

  constructor(changes: Change[]) {
    this.#changes = changes
  }

  get(key: K): Buffer | undefined {
    const place = this.#place(key)
    return this.#holds(place, key) ? Buffer.from(this.#entries[place]!.value) : undefined
  }

  getBinary(key: K): Buffer | undefined {
    return this.get(key)
  }

  putSync(key: K, value: Uint8Array): boolean {
    const place = this.#place(key)
    const entry = { key: copyOf(key), value: bytesOf(value) }
    const known = this.#holds(place, key) ? this.#entries[place]! : undefined
    this.#entries.splice(place, known === undefined ? 0 : 1, entry)
    this.#bytes += value.byteLength - (known?.value.byteLength ?? 0)
    this.#changes.push({ undo: () => this.#restore(entry.key, known) })
    return true
  }

  removeSync(key: K): boolean {
    const place = this.#place(key)
    if (!this.#holds(place, key)) return false
    const [known] = this.#entries.splice(place, 1)
    this.#bytes -= known!.value.byteLength
    this.#changes.push({ undo: () => this.#restore(known!.key, known) })
    return true
  }

  getKeys(range: Range<K> = {}): readonly K[] {
    return this.#slice(range).map(({ key }) => copyOf(key))
  }

  getRange(range: Range<K> = {}): readonly { readonly key: K; readonly value: Buffer }[] {
    return this.#slice(range).map(({ key, value }) => ({ key: copyOf(key), value: Buffer.from(value) }))
  }

  getKeysCount(): number {
    return this.#entries.length
  }

  getStats(): unknown {
    const pages = Math.ceil(this.#bytes / 4096)
    return {
      pageSize: 4096,
      treeBranchPageCount: 0,
      treeLeafPageCount: pages,
      overflowPages: 0,
      entryCount: this.#entries.length,
    }
  }

  /** The disk has turned a bit of a row. Returns what turns it back, if the row is still there; `undefined` when there is no row. */
  damage(random: SeededRandom): (() => void) | undefined {
    if (this.#entries.length === 0) return undefined
    const { key, value } = random.pick(this.#entries)
    const damaged = Buffer.from(value)
    damaged[random.below(value.byteLength)]! ^= 1 << random.below(8)
    this.#replace(key, value, damaged)
    return () => this.#replace(key, damaged, value)
  }

  #replace(key: K, from: Buffer, to: Buffer): void {
    const place = this.#place(key)
    if (this.#holds(place, key) && this.#entries[place]!.value.equals(from)) this.#entries[place] = { key, value: to }
  }

  #slice({ start, end, limit = Number.POSITIVE_INFINITY }: Range<K>): readonly Entry<K>[] {
    const from = start === undefined ? 0 : this.#place(start)
    const to = end === undefined ? this.#entries.length : this.#place(end)
    return this.#entries.slice(from, Math.min(to, from + limit))
  }

  #restore(key: K, entry: Entry<K> | undefined): void {
    const place = this.#place(key)
    const present = this.#holds(place, key)
    this.#bytes += (entry?.value.byteLength ?? 0) - (present ? this.#entries[place]!.value.byteLength : 0)
    this.#entries.splice(place, present ? 1 : 0, ...(entry === undefined ? [] : [entry]))
  }

  #holds(place: number, key: K): boolean {
    const entry = this.#entries[place]
    return entry !== undefined && compareKeys(entry.key, key) === 0
  }

  /** Of the first entry that is not less. */
  #place(key: K): number {
    let [low, high] = [0, this.#entries.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compareKeys(this.#entries[middle]!.key, key) < 0) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** What may go wrong with a transaction, and where a process may die. Whatever it throws comes out of the transaction. */
export interface DiskFaults {
  /** Nothing of the transaction is on the disk. */
  beforeTransaction(): void
  /** All of it is. */
  afterTransaction(): void
}

/**
 * The store of a simulated job: what LMDB promises, and no more. A transaction is on the disk when it returns; when it throws, nothing of it is there,
 * unless it failed after the disk had it. It outlives the processes that open it.
 */
export class SimulatedDisk {
  readonly #changes: Change[] = []
  readonly meta = new SimulatedTable<string>(this.#changes)
  readonly checkpoints = new SimulatedTable<number>(this.#changes)
  readonly deltas = new SimulatedTable<[number, number]>(this.#changes)
  readonly state = new SimulatedTable<Uint8Array>(this.#changes)
  readonly history = new SimulatedTable<[number, number]>(this.#changes)
  #depth = 0

  transaction<R>(faults: DiskFaults, action: () => R): R {
    if (this.#depth > 0) return action()
    faults.beforeTransaction()
    this.#depth++
    let result: R
    try {
      result = action()
    } catch (error) {
      for (const change of this.#changes.splice(0).reverse()) change.undo()
      this.#changes.length = 0
      throw error
    } finally {
      this.#depth--
    }
    this.#changes.length = 0
    faults.afterTransaction()
    return result
  }
}

/** As LMDB-js: a buffer with a start and an end stands for the bytes between them of the memory under it. */
function bytesOf(value: Uint8Array & { readonly start?: number; readonly end?: number }): Buffer {
  const { start, end } = value
  return start === undefined || end === undefined
    ? Buffer.from(value)
    : Buffer.from(Buffer.from(value.buffer, start, end - start))
}

function copyOf<K extends Key>(key: K): K {
  return key instanceof Uint8Array ? (Buffer.from(key) as unknown as K) : key
}

function compareKeys(a: Key, b: Key): number {
  if (typeof a === 'number') return a - (b as number)
  if (typeof a === 'string') return a < (b as string) ? -1 : a === b ? 0 : 1
  if (a instanceof Uint8Array) return Buffer.compare(a, b as Uint8Array)
  const other = b as readonly [number, number]
  return a[0] - other[0] || a[1] - other[1]
}
