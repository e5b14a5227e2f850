import { assert } from '../core/assert.ts'
import { copyValue } from '../core/copy-value.ts'
import { canonicalKey, compareKeys } from '../core/key-groups.ts'
import { CurrentKey, DOUBLE, hashOfWords, INT, KEY_WORDS, kindOfForm, REFERENCE, TEXT_MAX } from './current-key.ts'
import { ENTRY_WORDS, EPOCH, FLAGS, FORM_SHIFT, formIn, GROUP_SHIFT, KEY, META, VALUE } from './entry-words.ts'
import { keyInPlace, latinKeyInPlace } from './key-bytes.ts'

/*
 * Keys and what is kept for each, outside of the heap as far as that is possible: an entry is a number. What always holds:
 *
 * 1. One piece of memory holds `capacity` entries and, behind them, an index of twice as many places. It is replaced as a whole by one of twice the
 *    size; the numbers of entries stay.
 * 2. The index is an open-addressed table, probed from place to place; an entry that is removed leaves no gap that a look-up would have to step over.
 *    The upper bits of a hash choose the place at which the search begins; the word of a place has the others above and the entry + 1 below, in as many
 *    bits as the first ones are.
 * 3. An entry is eight words in a row (`entry-words.ts`): epoch, flags with the form of the key and its group, the value when
 *    it is a number, and the key when it is small. A look-up of such a key touches one place of the index and one entry, and no object.
 * 4. Values are numbers in those words until the first other one comes; from then on all are references in `#boxed`, and stay so.
 * 5. A key that is not small is compared by its canonical form, in `#canonicals`; the key itself is in `#keys`.
 * 6. The number of an entry is used again after `remove`, and not before.
 */
const WORDS = ENTRY_WORDS
const FIRST_CAPACITY = 8
/** Words of the index for each entry: two places. */
const INDEX_WORDS = 2

/** The entries of one key group, or of one window. */
export class KeyEntries<V> {
  /** Entries in the index. */
  size = 0
  /** Which forms of keys there are, or were: a sum of `KEY_FORMS`. */
  keyForms = 0
  /** Code units of the longest small text that is a key, or was. */
  longestText = 0
  #capacity = FIRST_CAPACITY
  /** The upper bits of a hash that choose its place are left by this shift. */
  #shift = 32 - Math.log2(2 * FIRST_CAPACITY)
  #words = new Int32Array((WORDS + INDEX_WORDS) * FIRST_CAPACITY)
  #doubles = new Float64Array(this.#words.buffer)
  #bytes = Buffer.from(this.#words.buffer)
  #boxed: (V | undefined)[] | undefined
  #keys: unknown[] | undefined
  #canonicals: unknown[] | undefined
  /** Of keys by reference; those of the others follow from their words. */
  #hashes: number[] | undefined
  /** All numbers below have been given out. */
  #end = 0
  readonly #free: number[] = []

  /** The entry of a key; -1 when there is none. */
  find(key: CurrentKey): number {
    const words = this.#words
    const index = WORDS * this.#capacity
    const mask = 2 * this.#capacity - 1
    const { hash } = key
    const tag = this.#tagOf(hash)
    for (let place = hash >>> this.#shift; ; place = (place + 1) & mask) {
      const word = words[index + place]!
      if (word === 0) return -1
      if (((word ^ tag) & ~mask) === 0 && this.#hasKey((word & mask) - 1, key)) return (word & mask) - 1
    }
  }

  /** The bits of a hash that do not choose its place, where a word of the index has them. */
  #tagOf(hash: number): number {
    return hash << (32 - this.#shift)
  }

  /** What stands at the first place of a hash: most likely the entry of its key. -1 for nothing. */
  firstAt(hash: number): number {
    const word = this.#words[WORDS * this.#capacity + (hash >>> this.#shift)]!
    return (word & (2 * this.#capacity - 1)) - 1
  }

  /** What the entries take in memory, about. @param valueBytes of a value that is no mere number */
  memoryBytes(valueBytes: number): number {
    const boxed = this.#boxed === undefined ? 0 : valueBytes
    return this.size * (PACKED_BYTES + (this.#canonicals === undefined ? 0 : REFERENCE_BYTES) + boxed)
  }

  has(key: unknown, group: number): boolean {
    seeker.resume(key, group)
    return this.find(seeker) >= 0
  }

  #hasKey(number: number, key: CurrentKey): boolean {
    const words = this.#words
    const at = WORDS * number
    if (((words[at + META]! >>> FORM_SHIFT) & 0xff) !== key.form) return false
    if (key.form === REFERENCE) return this.#canonicals![number] === key.canonical
    const { words: own, at: from } = key
    return (
      words[at + KEY] === own[from] &&
      words[at + KEY + 1] === own[from + 1] &&
      words[at + KEY + 2] === own[from + 2] &&
      words[at + KEY + 3] === own[from + 3]
    )
  }

  /** A new entry for a key that has none, without a value. Its epoch is what it was for the last one who had its number. */
  add(key: CurrentKey, flags: number): number {
    const number = this.#free.pop() ?? this.#next()
    const words = this.#words
    const at = WORDS * number
    words[at + META] = flags | (key.form << FORM_SHIFT) | (key.group << GROUP_SHIFT)
    for (let index = 0; index < KEY_WORDS; index++) words[at + KEY + index] = key.words[key.at + index]!
    if (key.form === REFERENCE) this.#refer(number, key)
    this.keyForms |= kindOfForm(key.form)
    if (key.form <= TEXT_MAX && key.form > this.longestText) this.longestText = key.form
    this.size++
    this.#enter(key.hash, number)
    return number
  }

  #refer(number: number, key: CurrentKey): void {
    this.#keys ??= []
    this.#canonicals ??= []
    this.#hashes ??= []
    this.#keys[number] = copyValue(key.key)
    this.#canonicals[number] = key.canonical
    this.#hashes[number] = key.hash
  }

  #next(): number {
    if (this.#end === this.#capacity) this.#grow()
    this.#words[WORDS * this.#end + EPOCH] = NO_EPOCH
    return this.#end++
  }

  #grow(): void {
    const before = this.#words
    const index = WORDS * this.#capacity
    const mask = 2 * this.#capacity - 1
    this.#capacity *= 2
    this.#shift--
    this.#words = new Int32Array(2 * before.length)
    this.#words.set(before.subarray(0, index))
    this.#doubles = new Float64Array(this.#words.buffer)
    this.#bytes = Buffer.from(this.#words.buffer)
    for (let at = index; at < before.length; at++) {
      const number = (before[at]! & mask) - 1
      if (number >= 0) this.#enter(this.#hashOf(number), number)
    }
  }

  #enter(hash: number, number: number): void {
    const words = this.#words
    const index = WORDS * this.#capacity
    const mask = 2 * this.#capacity - 1
    let place = hash >>> this.#shift
    while (words[index + place] !== 0) place = (place + 1) & mask
    words[index + place] = this.#tagOf(hash) | (number + 1)
  }

  /** Forgets an entry; its number may come again at the next `add`. */
  remove(number: number): void {
    this.#leave(number)
    this.setFlags(number, 0)
    this.clearValue(number)
    if (this.#keys !== undefined) this.#keys[number] = this.#canonicals![number] = undefined
    this.size--
    this.#free.push(number)
  }

  /** Takes a number out of the index, and closes the gap: whatever stood behind it because of it moves up. */
  #leave(number: number): void {
    const words = this.#words
    const index = WORDS * this.#capacity
    const mask = 2 * this.#capacity - 1
    let gap = this.#placeOf(number)
    for (let place = (gap + 1) & mask; words[index + place] !== 0; place = (place + 1) & mask) {
      const home = this.#hashOf((words[index + place]! & mask) - 1) >>> this.#shift
      if (((place - home) & mask) < ((place - gap) & mask)) continue
      words[index + gap] = words[index + place]!
      gap = place
    }
    words[index + gap] = 0
  }

  #placeOf(number: number): number {
    const index = WORDS * this.#capacity
    const mask = 2 * this.#capacity - 1
    let place = this.#hashOf(number) >>> this.#shift
    for (let tried = 0; (this.#words[index + place]! & mask) !== number + 1; tried++) {
      assert(tried <= mask, `entry ${number} is not in the index of ${this.size}`)
      place = (place + 1) & mask
    }
    return place
  }

  #hashOf(number: number): number {
    const form = this.#formOf(number)
    return form === REFERENCE ? this.#hashes![number]! : hashOfWords(this.#words, WORDS * number + KEY, form)
  }

  // What is kept for each

  /** All entries have numbers below this one. Those that are not in use have no flags. */
  get end(): number {
    return this.#end
  }

  epoch(number: number): number {
    return this.#words[WORDS * number + EPOCH]!
  }

  setEpoch(number: number, epoch: number): void {
    this.#words[WORDS * number + EPOCH] = epoch
  }

  flags(number: number): number {
    return this.#words[WORDS * number + META]! & FLAGS
  }

  setFlags(number: number, flags: number): void {
    const at = WORDS * number + META
    this.#words[at] = (this.#words[at]! & ~FLAGS) | flags
  }

  mark(number: number, flag: number): void {
    const at = WORDS * number + META
    const meta = this.#words[at]!
    if ((meta & flag) === 0) this.#words[at] = meta | flag
  }

  group(number: number): number {
    return this.#words[WORDS * number + META]! >>> GROUP_SHIFT
  }

  value(number: number): V | undefined {
    return this.#boxed === undefined ? (this.#doubles[(WORDS / 2) * number + VALUE] as V) : this.#boxed[number]
  }

  setValue(number: number, value: V | undefined): void {
    if (this.#boxed !== undefined) this.#boxed[number] = value
    else if (typeof value === 'number') this.#doubles[(WORDS / 2) * number + VALUE] = value
    else this.#box()[number] = value
  }

  clearValue(number: number): void {
    if (this.#boxed !== undefined) this.#boxed[number] = undefined
  }

  #box(): (V | undefined)[] {
    const boxed: (V | undefined)[] = []
    for (let number = 0; number < this.#end; number++) boxed.push(this.flags(number) === 0 ? undefined : this.value(number))
    return (this.#boxed = boxed)
  }

  key(number: number): unknown {
    const at = WORDS * number
    switch (this.#formOf(number)) {
      case INT:
        return this.#words[at + KEY]
      case DOUBLE:
        return this.#doubles[(at + KEY) / 2]
      case REFERENCE:
        return this.#keys![number]
      default:
        return this.#bytes.toString('latin1', 4 * (at + KEY), 4 * (at + KEY) + this.#formOf(number))
    }
  }

  // As columns: see `group-image.ts`

  /** Whether all values are numbers. */
  get holdsNumbers(): boolean {
    return this.#boxed === undefined
  }

  get words(): Int32Array {
    return this.#words
  }

  get doubles(): Float64Array {
    return this.#doubles
  }

  /** Writes the bytes of the key where `copyKeyTo` finds them. Returns their number. */
  keyInPlace(number: number): number {
    const form = this.#formOf(number)
    return form > TEXT_MAX ? keyInPlace(this.key(number)) : latinKeyInPlace(this.#bytes, 4 * (WORDS * number + KEY), form)
  }

  #formOf(number: number): number {
    return formIn(this.#words[WORDS * number + META]!)
  }

  #wordOf(number: number, index: number): number {
    return this.#words[WORDS * number + KEY + index]!
  }

  canonical(number: number): unknown {
    return this.#formOf(number) === REFERENCE ? this.#canonicals![number] : canonicalKey(this.key(number))
  }

  // Order

  /** Entries in the order of their keys, which is that of `compareKeys`. */
  sort(numbers: readonly number[]): readonly number[] {
    if (numbers.length < RANKS) {
      if (numbers.every((number) => this.#formOf(number) === INT))
        return sortedBy(numbers, (number) => this.#wordOf(number, 0) ^ SIGN)
      if (numbers.every((number) => this.#formOf(number) < INT)) return this.#sortTexts(numbers)
    }
    return numbers.toSorted((a, b) => compareKeys(this.canonical(a), this.canonical(b)))
  }

  /** Word by word, the last one first; behind all words is the length: one may be the other with zeroes behind it. */
  #sortTexts(numbers: readonly number[]): readonly number[] {
    let sorted = sortedBy(numbers, (number) => this.#formOf(number))
    for (let index = KEY_WORDS - 1; index >= 0; index--)
      sorted = sortedBy(sorted, (number) => turned(this.#wordOf(number, index)))
    return sorted
  }
}

const SIGN = 0x80000000

/** A double holds 53 bits: a word, and the rank of an entry below it. */
const RANKS = 1 << 21
let ranked = new Float64Array(1 << 10)

/** Sorted by a word of each entry, those with equal ones as they were: without a comparison that would have to be called. */
function sortedBy(numbers: readonly number[], wordOf: (number: number) => number): readonly number[] {
  const { length } = numbers
  if (ranked.length < length) ranked = new Float64Array(2 ** Math.ceil(Math.log2(length)))
  let differs = 0
  const first = length === 0 ? 0 : wordOf(numbers[0]!)
  for (let rank = 0; rank < length; rank++) {
    const word = wordOf(numbers[rank]!)
    differs |= word ^ first
    ranked[rank] = (word >>> 0) * RANKS + rank
  }
  if (differs === 0) return numbers
  const sorted = ranked.subarray(0, length).sort()
  const result: number[] = []
  for (let place = 0; place < length; place++) {
    const word = Math.floor(sorted[place]! / RANKS)
    result.push(numbers[sorted[place]! - word * RANKS]!)
  }
  return result
}

/** The bytes of a word as they are read: the first one counts most. */
function turned(word: number): number {
  return (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)
}

/** Looks for a key that nobody is handling. */
const seeker = new CurrentKey()

/** An entry in words, with its places of the index and what is free behind it: 42 to 55 bytes, measured with 100,000 and a million. */
const PACKED_BYTES = 56
/** A key by reference, such as text of 31 characters. */
const REFERENCE_BYTES = 80

/** Of an entry whose number was never used before: no epoch is this one. */
const NO_EPOCH = -3
