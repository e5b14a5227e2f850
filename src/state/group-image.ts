import { crc32 } from 'node:zlib'
import { INT, KEY_FORMS, TEXT_MAX } from './current-key.ts'
import { ENTRY_WORDS, formIn, KEY, META, VALUE } from './entry-words.ts'
import { LIVE } from './epochs.ts'
import { keyBytes } from './key-bytes.ts'
import { DEFAULT_FORM, valueBytesInPlace } from './row-value.ts'
import type { BaseRow } from './state-base.ts'

/*
 * All rows of one key group of a table in columns, for groups of which keys and values are numbers and short text: a snapshot takes such a group as a
 * whole sooner than it takes row after row a tenth of it, and the base keeps it as one value. Part of the on-disk format (docs/format.md): frozen.
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
export interface ImageSource {
  readonly end: number
  readonly words: Int32Array
  /** The same memory. */
  readonly doubles: Float64Array
  /** Whether all values are numbers. */
  readonly holdsNumbers: boolean
  /** Which forms of keys there are, or were: a sum of `KEY_FORMS`. */
  readonly keyForms: number
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

let scratch = new ArrayBuffer(1 << 12)

/** Whether keys and values are of those that an image can have. */
export function canBeImage({ holdsNumbers, keyForms }: ImageSource): boolean {
  return IS_LITTLE_ENDIAN && holdsNumbers && (keyForms === KEY_FORMS.text || (keyForms & ~KEY_FORMS.number) === 0)
}

/** The image of a group that can be one, to be copied before the next call. */
export function imageInPlace(source: ImageSource): Uint8Array {
  const forms = formsOf(source)
  const length = lengthOf(forms)
  if (scratch.byteLength < length) scratch = new ArrayBuffer(2 ** Math.ceil(Math.log2(length)))
  const bytes = new Uint8Array(scratch, 0, length)
  new Uint32Array(scratch)[0] = forms.rows
  bytes.set([forms.keys, forms.values, forms.words, 0, 0, 0, 0, 0, 0, 0, 0, 0], 4)
  const keysAt = writeValues(source, forms)
  const lengthsAt = writeKeys(source, forms, keysAt)
  if (forms.keys === TEXTS) writeLengths(source, bytes, lengthsAt)
  new Uint32Array(scratch)[2] = checksumOf(bytes)
  return bytes
}

function checksumOf(bytes: Uint8Array): number {
  return crc32(bytes.subarray(HEADER_BYTES), crc32(bytes.subarray(0, MARK_BYTES)))
}

function formsOf({ end, words, doubles, keyForms }: ImageSource): Forms {
  const isText = keyForms === KEY_FORMS.text
  let [rows, longest, ints, whole] = [0, 0, 0, 0]
  for (let at = 0; at < ENTRY_WORDS * end; at += ENTRY_WORDS) {
    const meta = words[at + META]!
    if ((meta & LIVE) === 0) continue
    rows++
    const form = formIn(meta)
    if (form === INT) ints++
    else if (isText && form > longest) longest = form
    const value = doubles[at / 2 + VALUE]!
    if ((value | 0) === value && (value !== 0 || 1 / value > 0)) whole++
  }
  const values = whole === rows ? INTS : DOUBLES
  if (isText) return { rows, keys: TEXTS, values, words: Math.ceil(longest / WORD_BYTES) }
  return { rows, keys: ints === rows ? INTS : DOUBLES, values, words: 0 }
}

/** Returns where the keys begin. */
function writeValues({ end, words, doubles }: ImageSource, { rows, values }: Forms): number {
  let row = 0
  if (values === INTS) {
    const column = new Int32Array(scratch, HEADER_BYTES, rows)
    for (let at = 0; at < ENTRY_WORDS * end; at += ENTRY_WORDS) {
      if ((words[at + META]! & LIVE) !== 0) column[row++] = doubles[at / 2 + VALUE]!
    }
    return HEADER_BYTES + WORD_BYTES * rows
  }
  const column = new Float64Array(scratch, HEADER_BYTES, rows)
  for (let at = 0; at < ENTRY_WORDS * end; at += ENTRY_WORDS) {
    if ((words[at + META]! & LIVE) !== 0) column[row++] = doubles[at / 2 + VALUE]!
  }
  return HEADER_BYTES + DOUBLE_BYTES * rows
}

/** Returns where the lengths begin. */
function writeKeys(source: ImageSource, { rows, keys, words: width }: Forms, at: number): number {
  if (keys === DOUBLES) return writeNumbers(source, rows, at)
  const column = new Int32Array(scratch, at, (keys === INTS ? 1 : width) * rows)
  return at + WORD_BYTES * (keys === INTS ? writeWholeNumbers(source, column) : writeTexts(source, column, width))
}

function writeWholeNumbers({ end, words }: ImageSource, column: Int32Array): number {
  let row = 0
  for (let at = 0; at < ENTRY_WORDS * end; at += ENTRY_WORDS) {
    if ((words[at + META]! & LIVE) !== 0) column[row++] = words[at + KEY]!
  }
  return row
}

function writeTexts({ end, words }: ImageSource, column: Int32Array, width: number): number {
  let next = 0
  for (let at = 0; at < ENTRY_WORDS * end; at += ENTRY_WORDS) {
    if ((words[at + META]! & LIVE) === 0) continue
    for (let index = 0; index < width; index++) column[next++] = words[at + KEY + index]!
  }
  return next
}

/** Values may be whole ones, and then keys lie where no column of doubles can. */
function writeNumbers({ end, words, doubles }: ImageSource, rows: number, place: number): number {
  const view = new DataView(scratch, place, DOUBLE_BYTES * rows)
  let next = 0
  for (let at = 0; at < ENTRY_WORDS * end; at += ENTRY_WORDS) {
    const meta = words[at + META]!
    if ((meta & LIVE) === 0) continue
    view.setFloat64(next, formIn(meta) === INT ? words[at + KEY]! : doubles[(at + KEY) / 2]!, true)
    next += DOUBLE_BYTES
  }
  return place + next
}

function writeLengths({ end, words }: ImageSource, bytes: Uint8Array, place: number): void {
  let next = place
  for (let at = 0; at < ENTRY_WORDS * end; at += ENTRY_WORDS) {
    const meta = words[at + META]!
    if ((meta & LIVE) !== 0) bytes[next++] = formIn(meta)
  }
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
