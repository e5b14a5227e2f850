import type { KeyKind, Reading } from './workload.ts'

/*
 * The way of readings from one thread to another, for exactly this record: a ring of batches in shared memory, a column for each field.
 * One writer, one reader. A batch belongs to the writer until `written` passes it, then to the reader until `read` does. String keys
 * travel as latin1 bytes and are strings again on the other side.
 */

const BATCHES = 16
export const BATCH_RECORDS = 1024
const KEY_BYTES_MAX = 16
const [WRITTEN, READ, FINISHED] = [0, 1, 2]

/** What two threads share. */
export interface RingMemory {
  readonly kind: KeyKind
  readonly cells: Int32Array<SharedArrayBuffer>
  readonly counts: Int32Array<SharedArrayBuffer>
  readonly values: Int32Array<SharedArrayBuffer>
  readonly times: Float64Array<SharedArrayBuffer>
  /** Integer keys; for strings where each one ends among the bytes of its batch. */
  readonly keys: Int32Array<SharedArrayBuffer>
  readonly bytes: Uint8Array<SharedArrayBuffer>
}

export function ringMemory(kind: KeyKind): RingMemory {
  const records = BATCHES * BATCH_RECORDS
  const shared = (bytes: number): SharedArrayBuffer => new SharedArrayBuffer(bytes)
  return {
    kind,
    cells: new Int32Array(shared(12)),
    counts: new Int32Array(shared(4 * BATCHES)),
    values: new Int32Array(shared(4 * records)),
    times: new Float64Array(shared(8 * records)),
    keys: new Int32Array(shared(4 * records)),
    bytes: new Uint8Array(shared(kind === 'string' ? KEY_BYTES_MAX * records : 0)),
  }
}

export class ReadingWriter {
  readonly #memory: RingMemory
  #batch = 0
  #records = 0
  #bytes = 0

  constructor(memory: RingMemory) {
    this.#memory = memory
  }

  /** Whether the batch that is being filled is free: nothing may be added before. */
  get hasRoom(): boolean {
    return this.#batch - Atomics.load(this.#memory.cells, READ) < BATCHES
  }

  get isFull(): boolean {
    return this.#records === BATCH_RECORDS
  }

  add({ key, value, time }: Reading): void {
    const { keys, bytes, values, times } = this.#memory
    const slot = this.#batch % BATCHES
    const place = slot * BATCH_RECORDS + this.#records++
    values[place] = value
    times[place] = time
    if (typeof key === 'number') {
      keys[place] = key
      return
    }
    const start = slot * BATCH_RECORDS * KEY_BYTES_MAX + this.#bytes
    for (let index = 0; index < key.length; index++) bytes[start + index] = key.charCodeAt(index)
    this.#bytes += key.length
    keys[place] = this.#bytes
  }

  /** Hands the batch over, however full it is. */
  publish(): void {
    if (this.#records === 0) return
    this.#memory.counts[this.#batch % BATCHES] = this.#records
    this.#batch++
    this.#records = this.#bytes = 0
    Atomics.store(this.#memory.cells, WRITTEN, this.#batch)
  }

  finish(): void {
    this.publish()
    Atomics.store(this.#memory.cells, FINISHED, 1)
  }
}

export class ReadingReader {
  readonly #memory: RingMemory
  readonly #text: Buffer
  #batch = 0

  constructor(memory: RingMemory) {
    this.#memory = memory
    this.#text = Buffer.from(memory.bytes.buffer)
  }

  /** Nothing will come any more. */
  get isFinished(): boolean {
    const { cells } = this.#memory
    return Atomics.load(cells, FINISHED) === 1 && Atomics.load(cells, WRITTEN) === this.#batch
  }

  /** Takes one batch, if there is one. */
  take(each: (reading: Reading) => void): boolean {
    const { cells, kind } = this.#memory
    if (this.#batch === Atomics.load(cells, WRITTEN)) return false
    if (kind === 'string') this.#takeStrings(each)
    else this.#takeIntegers(each)
    this.#batch++
    Atomics.store(cells, READ, this.#batch)
    return true
  }

  // The bytes of all keys of a batch become one string, of which the keys are cut: a call for each key would cost several times that.
  #takeStrings(each: (reading: Reading<string>) => void): void {
    const { counts, keys, values, times } = this.#memory
    const slot = this.#batch % BATCHES
    const first = slot * BATCH_RECORDS
    const end = first + counts[slot]!
    const bytesFrom = first * KEY_BYTES_MAX
    const text = this.#text.toString('latin1', bytesFrom, bytesFrom + keys[end - 1]!)
    let from = 0
    for (let place = first; place < end; place++) {
      const to = keys[place]!
      each({ key: text.substring(from, to), value: values[place]!, time: times[place]! })
      from = to
    }
  }

  #takeIntegers(each: (reading: Reading<number>) => void): void {
    const { counts, keys, values, times } = this.#memory
    const first = (this.#batch % BATCHES) * BATCH_RECORDS
    const end = first + counts[this.#batch % BATCHES]!
    for (let place = first; place < end; place++) {
      each({ key: keys[place]!, value: values[place]!, time: times[place]! })
    }
  }
}
