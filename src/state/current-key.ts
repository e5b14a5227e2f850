import { SluiceError } from '../core/errors.ts'
import { canonicalKey, hashKey, hashNumber, murmur } from '../core/key-groups.ts'

/**
 * In which form a table holds a key: text of so many code units, all of them below 256, packed into words; a whole number of 32 bits; any
 * other number; anything else, by reference.
 */
export const TEXT_MAX = 16
export const INT = 17
export const DOUBLE = 18
export const REFERENCE = 19

/** Kinds of forms, for sums of them. */
export const KEY_FORMS = { text: 1, int: 2, double: 4, reference: 8 } as const

export function kindOfForm(form: number): number {
  if (form <= TEXT_MAX) return KEY_FORMS.text
  if (form === REFERENCE) return KEY_FORMS.reference
  return form === INT ? KEY_FORMS.int : KEY_FORMS.double
}

/** Words of a packed key: its bytes lie in memory in reading order, with zeroes behind them. */
export const KEY_WORDS = 4

const NAN_WORD = 0x7ff80000

/**
 * Chosen anew in each process, so that nobody can choose keys that all fall on one place of a table: a sum of words, each times a random odd number,
 * (multilinear hashing: Carter and Wegman, 1979), spread once more.
 * Where a key lies in memory is seen by nobody: tables are walked in the order of insertion or of keys.
 */
const [SEED_0, SEED_1, SEED_2, SEED_3, SEED_TEXT] = [odd(), odd(), odd(), odd(), odd()] as const

function odd(): number {
  return Math.floor(Math.random() * 2 ** 32) | 1
}

/**
 * The key that is being handled, as the tables see it: looked through once for each record, for its key group, its place in every table and, when it
 * is small, the words that are compared instead of it.
 */
export class CurrentKey {
  key: unknown = undefined
  canonical: unknown = undefined
  /** -1: no key is being handled. */
  group = -1
  /** Changes with every change of the key. */
  sequence = 0
  /** Spread over all 32 bits. Not that of the key group, by which all keys of a group look alike. */
  hash = 0
  /** See `TEXT_MAX`. */
  form = 0
  readonly #own = new Int32Array(KEY_WORDS)
  /** The words of a small key are in `words`, from `at` on. */
  words: Int32Array = this.#own
  at = 0
  readonly #maxParallelism: number

  /** @param maxParallelism of the job; the number of key groups */
  constructor(maxParallelism = 1) {
    this.#maxParallelism = maxParallelism
  }

  /** @throws SluiceError `INVALID_KEY` */
  assign(key: unknown): void {
    this.assignIn(key, this.#own, 0)
  }

  /** The same, with its words where the caller keeps them. @throws SluiceError `INVALID_KEY` */
  assignIn(key: unknown, words: Int32Array, at: number): void {
    this.words = words
    this.at = at
    const hash = this.#look(key)
    this.group = murmur(hash) % this.#maxParallelism
    this.key = key
    this.sequence++
  }

  /** A key that was looked at before. `undefined` in group -1: none. */
  resume(key: unknown, group: number): void {
    this.words = this.#own
    this.at = 0
    if (group >= 0) this.#look(key)
    else this.canonical = undefined
    this.group = group
    this.key = key
    this.sequence++
  }

  /** Sets form, words, hash and the canonical form. Returns the hash that the key group follows from. */
  #look(key: unknown): number {
    if (typeof key === 'string') return this.#text(key)
    if (typeof key === 'number') return this.#number(key)
    const hash = hashKey(key)
    this.canonical = canonicalKey(key)
    this.form = REFERENCE
    this.hash = textHash(String(this.canonical))
    return hash
  }

  #text(text: string): number {
    const { length } = text
    if (length > TEXT_MAX) return this.#longText(text)
    const { words, at } = this
    let hash = 0
    let seen = 0
    let word = 0
    for (let index = 0; index < length; index++) {
      const code = text.charCodeAt(index)
      hash = (Math.imul(hash, 31) + code) | 0
      seen |= code
      word |= code << ((index & 3) << 3)
      if ((index & 3) === 3) {
        words[at + (index >> 2)] = word
        word = 0
      }
    }
    if (seen > 0xff) return this.#longText(text)
    let filled = at + (length >> 2)
    if ((length & 3) !== 0) words[filled++] = word
    while (filled < at + KEY_WORDS) words[filled++] = 0
    this.canonical = (words[at]! & 0xff) === 0 ? canonicalKey(text) : text
    this.form = length
    this.#hashWords()
    return hash
  }

  #longText(text: string): number {
    let hash = 0
    let own = SEED_TEXT
    for (let index = 0; index < text.length; index++) {
      const code = text.charCodeAt(index)
      hash = (Math.imul(hash, 31) + code) | 0
      own = textStep(own, code)
    }
    this.canonical = canonicalKey(text)
    this.form = REFERENCE
    this.hash = spread(own)
    return hash
  }

  #number(key: number): number {
    const int = key | 0
    const { words, at } = this
    this.form = int === key ? INT : DOUBLE
    if (int !== key && !Number.isNaN(key)) {
      double[0] = key
      words[at] = halves[0]!
      words[at + 1] = halves[1]!
    } else {
      // -0 is the same key as 0, and there are many kinds of NaN, which are one key.
      words[at] = int
      words[at + 1] = int === key ? 0 : NAN_WORD
    }
    words[at + 2] = 0
    words[at + 3] = 0
    this.canonical = key
    this.#hashWords()
    return hashNumber(key)
  }

  #hashWords(): void {
    this.hash = hashOfWords(this.words, this.at, this.form)
  }
}

/** The hash of a small key. */
export function hashOfWords(words: Int32Array, at: number, form: number): number {
  const first = (Math.imul(words[at]!, SEED_0) + Math.imul(words[at + 1]!, SEED_1)) | 0
  const second = (Math.imul(words[at + 2]!, SEED_2) + Math.imul(words[at + 3]! + form, SEED_3)) | 0
  return spread((first + second) | 0)
}

const double = new Float64Array(1)
const halves = new Int32Array(double.buffer)

/**
 * The sum alone would lay keys in a row, ids or times, side by side or in few heaps, as the numbers have it that were chosen; and whoever probes
 * from place to place pays for heaps (Patrascu and Thorup, "On the k-independence required by linear probing and minwise independence", 2016).
 */
function spread(hash: number): number {
  const half = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  return Math.imul(half ^ (half >>> 13), 0xc2b2ae35)
}

function textHash(text: string): number {
  let hash = SEED_TEXT
  for (let index = 0; index < text.length; index++) hash = textStep(hash, text.charCodeAt(index))
  return spread(hash)
}

function textStep(hash: number, code: number): number {
  const next = Math.imul(hash ^ code, SEED_0)
  return next ^ (next >>> 15)
}

export function noKey(name: string): SluiceError {
  return new SluiceError(
    'STATE_WITHOUT_KEY',
    `the state '${name}' was used while no record or timer of a key was being handled`,
    {
      hint: 'state belongs to a key: use it in onRecord and onTimer, not in open or close',
    },
  )
}
