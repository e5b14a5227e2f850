import type { FrameMemory, FrameReader, FrameWriter } from './frame-buffer.ts'
import { inSteps } from './frame-buffer.ts'

/*
 * Columns of strings. A part of a frame: its form (4 bytes), the length of what follows (4 bytes), then
 *   short       the length of each string (1 byte each), the strings one behind the other, Latin-1
 *   latin1      the strings as a JSON array, Latin-1
 *   utf8        the same, UTF-8: JSON escapes lone surrogates, so nothing is lost
 *   dictionary  their number (4 bytes), the number of distinct ones (4 bytes), for each string which of them it is (1 byte each), and in the next step
 *               the distinct ones as a part of another form
 *
 * Why these, by measurement (Node 24, for each of 512 strings):
 * - A string must own its characters: V8 makes a substring of 13 or more a view of the whole block, and one kept in state would pin it. Shorter ones are
 *   copied, and a substring of one large decoded block costs 10 to 20 ns.
 * - Longer ones cost 60 ns each by `latin1Slice`, as a call out of JavaScript does, but 25 to 35 ns by one `JSON.parse` for all, which copies each.
 * - A string that repeats is found in the dictionary in 5 to 10 ns, written as a byte, made once by the reader, and not even that when the frame
 *   before had the same dictionary.
 */
const SHORT = 1
const LATIN1 = 2
const UTF8 = 3
const DICTIONARY = 4

const HEADER_BYTES = 8
/** The longest substring that V8 copies. */
const SHORT_LENGTH_MAX = 12
/** A text of all strings of a column may not become longer than a string can be. */
const CHARACTERS_MAX = 1 << 26
const DISTINCT_MAX = 256
/** What a reader remembers of a column at most. */
const DICTIONARY_BYTES_MAX = 1 << 14
const REPEATED_MIN = 32
const SLOTS = 1024
const PROBES_MAX = 8

/**
 * Writes the strings from `at` on and returns where the part ends. Which form it takes depends on them alone.
 * @throws when they are longer than a text can be, or when somebody has changed how all arrays become JSON
 */
export function writeText(frame: FrameWriter, strings: readonly string[], at: number): number {
  const distinct = strings.length < REPEATED_MIN ? undefined : distinctOf(strings)
  if (distinct === undefined) return writeStrings(frame, strings, at)
  const placesAt = at + HEADER_BYTES + 8
  const distinctAt = inSteps(placesAt + strings.length)
  const { bytes, uint32, float64 } = frame.reserve(distinctAt)
  float64[(distinctAt >>> 3) - 1] = 0
  uint32[(at >>> 2) + 2] = strings.length
  uint32[(at >>> 2) + 3] = distinct.strings.length
  bytes.set(distinct.places, placesAt)
  const end = writeStrings(frame, distinct.strings, distinctAt)
  writeHeader(frame.memory, at, DICTIONARY, end)
  return end
}

interface Distinct {
  readonly strings: readonly string[]
  /** By string, which of the distinct ones it is. */
  readonly places: Uint8Array
}

/** The distinct strings; `undefined` as soon as it shows that there are too many for it to pay. */
function distinctOf(strings: readonly string[]): Distinct | undefined {
  const slots = new Uint16Array(SLOTS)
  const distinct: string[] = []
  const places = new Uint8Array(strings.length)
  for (let index = 0; index < strings.length; index++) {
    const text = strings[index]!
    const place = placeOf(text, slots, distinct)
    if (place < 0 || distinct.length > REPEATED_MIN + (index >>> 2)) return undefined
    places[index] = place
  }
  return { strings: distinct, places }
}

/** Which of the distinct strings this is, perhaps a new one; -1 when there is no room for it near its slot. */
function placeOf(text: string, slots: Uint16Array, distinct: string[]): number {
  let slot = slotOf(text)
  for (let probe = 0; probe < PROBES_MAX; probe++) {
    const place = slots[slot]! - 1
    if (place < 0) {
      if (distinct.length === DISTINCT_MAX) return -1
      slots[slot] = distinct.push(text)
      return distinct.length - 1
    }
    if (distinct[place] === text) return place
    slot = (slot + 1) & (SLOTS - 1)
  }
  return -1
}

/** A few characters are enough to tell apart strings of which there are few. */
function slotOf(text: string): number {
  const { length } = text
  if (length === 0) return 0
  let hash = length
  hash = Math.imul(hash, 31) + text.charCodeAt(0)
  hash = Math.imul(hash, 31) + text.charCodeAt(length >>> 2)
  hash = Math.imul(hash, 31) + text.charCodeAt(length >>> 1)
  hash = Math.imul(hash, 31) + text.charCodeAt(length - 1 - (length >>> 3))
  hash = Math.imul(hash, 31) + text.charCodeAt(length - 1)
  return (hash ^ (hash >>> 10)) & (SLOTS - 1)
}

function writeStrings(frame: FrameWriter, strings: readonly string[], at: number): number {
  let [characters, longest] = [0, 0]
  for (let index = 0; index < strings.length; index++) {
    const { length } = strings[index]!
    characters += length
    if (length > longest) longest = length
  }
  if (characters > CHARACTERS_MAX || 'toJSON' in strings) throw new Error('strings that JSON cannot take as they are')
  if (longest <= SHORT_LENGTH_MAX) {
    const block = strings.join('')
    if (isLatin1(block)) return writeShort(frame, strings, block, at)
  }
  return writeJson(frame, JSON.stringify(strings), at)
}

function writeShort(frame: FrameWriter, strings: readonly string[], block: string, at: number): number {
  const lengthsAt = at + HEADER_BYTES
  const end = lengthsAt + strings.length + block.length
  const { bytes, float64 } = frame.reserve(inSteps(end))
  float64[(inSteps(end) >>> 3) - 1] = 0
  for (let index = 0; index < strings.length; index++) bytes[lengthsAt + index] = strings[index]!.length
  bytes.write(block, lengthsAt + strings.length, 'latin1')
  return writeHeader(frame.memory, at, SHORT, end)
}

function writeJson(frame: FrameWriter, text: string, at: number): number {
  const latin1 = isLatin1(text)
  const end = at + HEADER_BYTES + (latin1 ? text.length : Buffer.byteLength(text))
  const { bytes, float64 } = frame.reserve(inSteps(end))
  float64[(inSteps(end) >>> 3) - 1] = 0
  if (latin1) bytes.write(text, at + HEADER_BYTES, 'latin1')
  else bytes.write(text, at + HEADER_BYTES, 'utf8')
  return writeHeader(frame.memory, at, latin1 ? LATIN1 : UTF8, end)
}

/** Returns where the next part begins. */
function writeHeader({ uint32 }: FrameMemory, at: number, form: number, end: number): number {
  uint32[at >>> 2] = form
  uint32[(at >>> 2) + 1] = end - at - HEADER_BYTES
  return inSteps(end)
}

/** V8 knows of a string whether one byte is enough for each of its characters, and then has nothing to look for here. */
function isLatin1(text: string): boolean {
  return !/[^\0-\xff]/.test(text)
}

/** Reads the parts of one column. It remembers the last dictionary. */
export class TextReader {
  /** Where the part that was read last ends. */
  end = 0
  #dictionary: Buffer = Buffer.alloc(0)
  #distinct: readonly string[] = []

  /** The strings of the part at `at`, of which there must be `count`. */
  read(frame: FrameReader, at: number, count: number): readonly string[] {
    if (frame.uint32(at) !== DICTIONARY) return this.#readStrings(frame, at, count)
    const distinctCount = frame.uint32(at + HEADER_BYTES + 4)
    const placesAt = at + HEADER_BYTES + 8
    if (frame.uint32(at + HEADER_BYTES) !== count || distinctCount > DISTINCT_MAX) throw damaged()
    frame.need(placesAt, count)
    const distinct = this.#readDictionary(frame, inSteps(placesAt + count), distinctCount)
    const { bytes } = frame.memory
    const strings = new Array<string>(count)
    for (let index = 0; index < count; index++) {
      const place = bytes[placesAt + index]!
      if (place >= distinct.length) throw damaged()
      strings[index] = distinct[place]!
    }
    return strings
  }

  #readDictionary(frame: FrameReader, at: number, count: number): readonly string[] {
    const length = HEADER_BYTES + frame.uint32(at + 4)
    frame.need(at, length)
    const bytes = frame.memory.bytes.subarray(at, at + length)
    this.end = inSteps(at + length)
    if (this.#distinct.length === count && this.#dictionary.equals(bytes)) return this.#distinct
    const distinct = this.#readStrings(frame, at, count)
    if (length > DICTIONARY_BYTES_MAX) return distinct
    this.#dictionary = Buffer.from(bytes)
    this.#distinct = distinct
    return distinct
  }

  #readStrings(frame: FrameReader, at: number, count: number): readonly string[] {
    const form = frame.uint32(at)
    const length = frame.uint32(at + 4)
    frame.need(at + HEADER_BYTES, length)
    this.end = inSteps(at + HEADER_BYTES + length)
    if (form === SHORT) return readShort(frame.memory, at + HEADER_BYTES, length, count)
    if (form !== LATIN1 && form !== UTF8) throw damaged()
    return readJson(frame.memory, at + HEADER_BYTES, length, count, form === LATIN1)
  }
}

function readShort({ bytes }: FrameMemory, at: number, length: number, count: number): readonly string[] {
  if (count > length) throw damaged()
  const block = bytes.toString('latin1', at + count, at + length)
  const strings = new Array<string>(count)
  let from = 0
  for (let index = 0; index < count; index++) {
    const to = from + bytes[at + index]!
    if (to - from > SHORT_LENGTH_MAX) throw damaged()
    strings[index] = block.substring(from, to)
    from = to
  }
  if (from !== block.length) throw damaged()
  return strings
}

function readJson({ bytes }: FrameMemory, at: number, length: number, count: number, latin1: boolean): readonly string[] {
  const text = bytes.toString(latin1 ? 'latin1' : 'utf8', at, at + length)
  const strings = JSON.parse(text) as readonly string[]
  if (!Array.isArray(strings) || strings.length !== count) throw damaged()
  for (let index = 0; index < count; index++) if (typeof strings[index] !== 'string') throw damaged()
  return strings
}

function damaged(): Error {
  return new Error('a frame holds a column of strings that nobody writes')
}
