import { copyValue } from '../core/copy-value.ts'
import { CurrentKey, KEY_WORDS } from './current-key.ts'

/** A state in which keys can be looked up ahead of their records. */
export interface Prefetched {
  /** Touches the memory in which the entries of these keys most likely lie, and does nothing else. */
  prefetch(keys: KeyBatch): void
}

/**
 * The keys of the next records of a batch, looked through ahead of them. A state that is larger than the processor's caches makes each record wait
 * for memory; looked up in a row, with nothing else between, many keys wait for it at once (group prefetching: Chen, Ailamaki, Gibbons and Mowry,
 * "Improving Hash Join Performance through Prefetching", 2004).
 */
export class KeyBatch {
  readonly #looker: CurrentKey
  /** New ones for each batch: into old ones the garbage collector would have to follow each new key. */
  #keys: unknown[] = []
  /** Of keys that have another canonical form than themselves. */
  #canonicals: unknown[] | undefined
  readonly #words = new Int32Array(KEY_WORDS * KEYS_MAX)
  readonly #forms = new Uint8Array(KEYS_MAX)
  readonly hashes: Int32Array = new Int32Array(KEYS_MAX)
  readonly groups: Uint16Array = new Uint16Array(KEYS_MAX)
  /** Whoever looks something up for each key may keep it here meanwhile. */
  readonly scratch: Int32Array = new Int32Array(KEYS_MAX)
  size = 0
  #values: readonly unknown[] = []
  #keyOf: ((value: unknown) => unknown) | undefined
  #from = 0
  /** Of no meaning; what is read only to be near must be used for something. */
  protected touched = 0

  constructor(maxParallelism: number) {
    this.#looker = new CurrentKey(maxParallelism)
  }

  /** Takes the keys of the values from `from` on, as many as there is room for and up to the first that has none. */
  take(values: readonly unknown[], from: number, keyOf: (value: unknown) => unknown): void {
    const end = Math.min(values.length - from, KEYS_MAX)
    this.#values = values
    this.#keyOf = keyOf
    this.#from = from
    this.size = 0
    this.#keys = new Array(end)
    this.#canonicals = undefined
    try {
      while (this.size < end) this.#add(keyOf(values[from + this.size]))
    } catch {
      // Its turn comes, and with it the same error, once the records before it have been handled.
    }
    for (let at = 0; at < this.size; at++) if (this.#forms[at] === UNSEEN) this.#see(at, this.#keys[at])
  }

  forget(): void {
    this.size = 0
  }

  /** Whether the key of the value at this place was taken. */
  holds(values: readonly unknown[], from: number, keyOf: (value: unknown) => unknown): boolean {
    return values === this.#values && keyOf === this.#keyOf && from >= this.#from && from < this.end
  }

  /** The place behind the last value whose key was taken. */
  get end(): number {
    return this.#from + this.size
  }

  /**
   * Text never changes, so it is only touched at first, and seen through when all of it is near. Another key may be one object that the function fills
   * anew for each record.
   */
  #add(key: unknown): void {
    const at = this.size
    if (typeof key === 'string' && key !== '') {
      this.touched ^= key.charCodeAt(key.length - 1)
      this.#keys[at] = key
      this.#forms[at] = UNSEEN
    } else {
      this.#see(at, key)
      this.#keys[at] = copyValue(key)
    }
    this.size++
  }

  #see(at: number, key: unknown): void {
    const looker = this.#looker
    looker.assignIn(key, this.#words, KEY_WORDS * at)
    if (looker.canonical !== key) (this.#canonicals ??= [])[at] = looker.canonical
    this.#forms[at] = looker.form
    this.hashes[at] = looker.hash
    this.groups[at] = looker.group
  }

  /** Makes the key of the value at this place the current one. */
  hand(place: number, current: CurrentKey): void {
    const at = place - this.#from
    current.words = this.#words
    current.at = KEY_WORDS * at
    current.key = this.#keys[at]
    current.canonical = this.#canonicals === undefined || !(at in this.#canonicals) ? current.key : this.#canonicals[at]
    current.form = this.#forms[at]!
    current.hash = this.hashes[at]!
    current.group = this.groups[at]!
    current.sequence++
  }
}

const KEYS_MAX = 512

/** The form of a key that was touched, and not seen through yet. */
const UNSEEN = 0xff
