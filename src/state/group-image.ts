import { crc32 } from 'node:zlib'
import { INT, KEY_FORMS, KEY_WORDS, TEXT_MAX } from './current-key.ts'
import { ENTRY_WORDS, formIn, KEY, META, VALUE } from './entry-words.ts'
import { LIVE } from './epochs.ts'
import { keyBytes } from './key-bytes.ts'
import { DEFAULT_FORM, valueBytesInPlace } from './row-value.ts'
import type { BaseRow } from './state-base.ts'

/*
 * All rows of one key group of a table in columns, for groups of which keys and values are numbers and short text: a snapshot takes such a group as a
 * whole sooner than it takes row after row an eighth of it, and the base keeps it as one value. Part of the on-disk format (docs/format.md): frozen.
 *
 *   rows (4 bytes), form of the keys (1), form of the values (1), words of a text (1), 0 (1), CRC-32 of that and of all behind it (4), 0 (4),
 *   values, keys, lengths of texts (1 each)
 *
 *   values    form 1: whole numbers of 32 bits; form 2: doubles
 *   keys      form 1: whole numbers of 32 bits; form 2: doubles; form 3: text of up to 16 code units below 256, a byte each, in so many words of four
 *             bytes, with zeroes behind it
 *
 * Numbers are little endian. Rows are in no order. No two have the same key.
 */
const HEADER_BYTES = 16
/** Up to the checksum. */
const MARK_BYTES = 8
const UNUSED_AT = 12
const INTS = 1
const DOUBLES = 2
const TEXTS = 3
const WORD_BYTES = 4
const DOUBLE_BYTES = 8

/** The entries of a group, as `KeyEntries` has them in memory. */
export interface ImageSource extends ImageKeys {
  readonly end: number
  readonly words: Int32Array
  /** The same memory. */
  readonly doubles: Float64Array
  /** Whether all values are numbers. */
  readonly holdsNumbers: boolean
}

/** What keys there are, or were: an image has a place for each of them. */
export interface ImageKeys {
  /** A sum of `KEY_FORMS`. */
  readonly keyForms: number
  /** Code units of the longest small text. */
  readonly longestText: number
}

/** In which forms an image has its columns. */
interface Forms {
  readonly rows: number
  readonly keys: number
  readonly values: number
  readonly words: number
}

/** Numbers lie in memory as they lie in an image, or there are none. */
const IS_LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1

/** Values and keys of the live entries, before it is known in which form they go into the image. */
let values = new Float64Array(0)
let keyWords = new Int32Array(0)
let keyDoubles = new Float64Array(keyWords.buffer)
let lengths = new Uint8Array(0)
let scratch = new ArrayBuffer(1 << 12)

/** Whether keys and values are of those that an image can have. */
export function canBeImage({ holdsNumbers, keyForms }: ImageSource): boolean {
  const isText = keyForms === KEY_FORMS.text
  return IS_LITTLE_ENDIAN && holdsNumbers && (isText || (keyForms & ~(KEY_FORMS.int | KEY_FORMS.double)) === 0)
}

/**
 * The image of a group that can be one, to be copied before the next call.
 * @param keys of the live entries
 */
export function imageInPlace(source: ImageSource, keys: ImageKeys = source): Uint8Array {
  const form = keys.keyForms === KEY_FORMS.text ? TEXTS : keys.keyForms === KEY_FORMS.int ? INTS : DOUBLES
  const width = form === TEXTS ? Math.ceil(keys.longestText / WORD_BYTES) : form === INTS ? 1 : 2
  reserve(source.end)
  const rows = gatherValues(source)
  if (form === INTS) gatherInts(source)
  else if (form === DOUBLES) gatherDoubles(source)
  else gatherTexts(source, width)
  return assemble({ rows, keys: form, values: areInts(rows) ? INTS : DOUBLES, words: form === TEXTS ? width : 0 }, width)
}

function reserve(entries: number): void {
  if (values.length >= entries) return
  const { length } = (values = new Float64Array(2 ** Math.ceil(Math.log2(entries))))
  lengths = new Uint8Array(length)
  keyWords = new Int32Array(KEY_WORDS * length)
  keyDoubles = new Float64Array(keyWords.buffer)
}

/** Returns how many there are. */
function gatherValues({ end, words, doubles }: ImageSource): number {
  let row = 0
  for (let at = 0; at < ENTRY_WORDS * end; at += ENTRY_WORDS) {
    if ((words[at + META]! & LIVE) !== 0) values[row++] = doubles[at / 2 + VALUE]!
  }
  return row
}

function gatherInts({ end, words }: ImageSource): void {
  let row = 0
  for (let at = 0; at < ENTRY_WORDS * end; at += ENTRY_WORDS) {
    if ((words[at + META]! & LIVE) !== 0) keyWords[row++] = words[at + KEY]!
  }
}

function gatherDoubles({ end, words, doubles }: ImageSource): void {
  let row = 0
  for (let at = 0; at < ENTRY_WORDS * end; at += ENTRY_WORDS) {
    const meta = words[at + META]!
    if ((meta & LIVE) !== 0) keyDoubles[row++] = formIn(meta) === INT ? words[at + KEY]! : doubles[(at + KEY) / 2]!
  }
}

function gatherTexts({ end, words }: ImageSource, width: number): void {
  let [row, next] = [0, 0]
  for (let at = 0; at < ENTRY_WORDS * end; at += ENTRY_WORDS) {
    const meta = words[at + META]!
    if ((meta & LIVE) === 0) continue
    lengths[row++] = formIn(meta)
    for (let index = 0; index < width; index++) keyWords[next++] = words[at + KEY + index]!
  }
}

function areInts(rows: number): boolean {
  for (let row = 0; row < rows; row++) {
    const value = values[row]!
    if ((value | 0) !== value || (value === 0 && 1 / value < 0)) return false
  }
  return true
}

/** @param width of a key in words */
function assemble(forms: Forms, width: number): Uint8Array {
  const { rows } = forms
  const length = lengthOf(forms)
  if (scratch.byteLength < length) scratch = new ArrayBuffer(2 ** Math.ceil(Math.log2(length)))
  const bytes = new Uint8Array(scratch, 0, length)
  new Uint32Array(scratch)[0] = rows
  bytes.set([forms.keys, forms.values, forms.words, 0, 0, 0, 0, 0, 0, 0, 0, 0], 4)
  const keysAt = putValues(forms)
  const keys = new Uint8Array(keyWords.buffer, 0, WORD_BYTES * width * rows)
  bytes.set(keys, keysAt)
  if (forms.keys === TEXTS) bytes.set(lengths.subarray(0, rows), keysAt + keys.byteLength)
  new Uint32Array(scratch)[2] = checksumOf(bytes)
  return bytes
}

/** Returns where the keys begin. */
function putValues({ rows, values: form }: Forms): number {
  if (form === DOUBLES) {
    new Float64Array(scratch, HEADER_BYTES, rows).set(values.subarray(0, rows))
    return HEADER_BYTES + DOUBLE_BYTES * rows
  }
  const ints = new Int32Array(scratch, HEADER_BYTES, rows)
  for (let row = 0; row < rows; row++) ints[row] = values[row]!
  return HEADER_BYTES + WORD_BYTES * rows
}

function checksumOf(bytes: Uint8Array): number {
  return crc32(bytes.subarray(HEADER_BYTES), crc32(bytes.subarray(0, MARK_BYTES)))
}

function lengthOf({ rows, keys, values, words }: Forms): number {
  const value = values === INTS ? WORD_BYTES : DOUBLE_BYTES
  const key = keys === INTS ? WORD_BYTES : keys === DOUBLES ? DOUBLE_BYTES : WORD_BYTES * words + 1
  return HEADER_BYTES + rows * (value + key)
}

/** The image that begins at a place in bytes. @throws Error when there is none */
export class GroupImage {
  readonly rows: number
  readonly byteLength: number
  readonly #bytes: Buffer
  readonly #forms: Forms
  readonly #valuesAt: number
  readonly #keysAt: number
  readonly #lengthsAt: number

  constructor(bytes: Uint8Array, at = 0, end = bytes.byteLength) {
    const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    if (at + HEADER_BYTES > end) throw new Error('an image of a group is shorter than its header')
    const forms = { rows: view.readUInt32LE(at), keys: view[at + 4]!, values: view[at + 5]!, words: view[at + 6]! }
    const { rows, keys, values, words } = forms
    const isKnown = keys >= INTS && keys <= TEXTS && (values === INTS || values === DOUBLES)
    const isUnused = view[at + 7] === 0 && view.readUInt32LE(at + UNUSED_AT) === 0
    if (!isKnown || !isUnused || WORD_BYTES * words > TEXT_MAX)
      throw new Error('an image of a group has columns of an unknown form')
    this.rows = rows
    this.byteLength = lengthOf(forms)
    if (at + this.byteLength > end) throw new Error('an image of a group is longer than what holds it')
    this.#bytes = view
    this.#forms = forms
    this.#valuesAt = at + HEADER_BYTES
    this.#keysAt = this.#valuesAt + rows * (values === INTS ? WORD_BYTES : DOUBLE_BYTES)
    this.#lengthsAt = this.#keysAt + rows * WORD_BYTES * words
    if (keys === TEXTS) this.#checkLengths()
  }

  /** An image of the base, which nobody else has proved. @throws Error when it is not as it was written */
  static proved(bytes: Uint8Array): GroupImage {
    const image = new GroupImage(bytes)
    if (image.byteLength !== bytes.byteLength) throw new Error('an image of a group is followed by something')
    if (image.bytes.readUInt32LE(MARK_BYTES) !== checksumOf(image.bytes))
      throw new Error('the checksum of an image of a group is wrong')
    return image
  }

  #checkLengths(): void {
    const longest = WORD_BYTES * this.#forms.words
    for (let row = 0; row < this.rows; row++) {
      if (this.#bytes[this.#lengthsAt + row]! > longest) throw new Error('a key of an image is longer than its place')
    }
  }

  /** As it lies in memory. */
  get bytes(): Buffer {
    const at = this.#valuesAt - HEADER_BYTES
    return this.#bytes.subarray(at, at + this.byteLength)
  }

  key(row: number): number | string {
    const { keys, words } = this.#forms
    if (keys === INTS) return this.#bytes.readInt32LE(this.#keysAt + WORD_BYTES * row)
    if (keys === DOUBLES) return this.#bytes.readDoubleLE(this.#keysAt + DOUBLE_BYTES * row)
    const at = this.#keysAt + WORD_BYTES * words * row
    return this.#bytes.toString('latin1', at, at + this.#bytes[this.#lengthsAt + row]!)
  }

  value(row: number): number {
    return this.#forms.values === INTS
      ? this.#bytes.readInt32LE(this.#valuesAt + WORD_BYTES * row)
      : this.#bytes.readDoubleLE(this.#valuesAt + DOUBLE_BYTES * row)
  }

  baseRow(row: number): BaseRow {
    return {
      namespace: 0,
      key: keyBytes(this.key(row)),
      value: Uint8Array.from(valueBytesInPlace(this.value(row), DEFAULT_FORM)),
    }
  }

  /** As rows, in the order of the base. */
  sortedRows(): readonly BaseRow[] {
    const rows: BaseRow[] = []
    for (let row = 0; row < this.rows; row++) rows.push(this.baseRow(row))
    return rows.sort((a, b) => Buffer.compare(a.key, b.key))
  }
}
