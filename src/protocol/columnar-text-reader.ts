import { DISTINCT_MAX, SHORT_LENGTH_MAX, TEXT_FORMS, TEXT_HEADER_BYTES } from './columnar-text.ts'
import type { FrameMemory, FrameReader } from './frame-buffer.ts'
import { inSteps } from './frame-buffer.ts'

/** What a reader remembers of a column at most. */
const DICTIONARY_BYTES_MAX = 1 << 14

/** Reads the parts of one column. It remembers the last dictionary. */
export class TextReader {
  /** Where the part that was read last ends. */
  end = 0
  #dictionary: Buffer = Buffer.alloc(0)
  #distinct: readonly string[] = []

  /** The strings of the part at `at`, of which there must be `count`. */
  read(frame: FrameReader, at: number, count: number): readonly string[] {
    if (frame.uint32(at) !== TEXT_FORMS.dictionary) return this.#readStrings(frame, at, count)
    const distinctCount = frame.uint32(at + TEXT_HEADER_BYTES + 4)
    const placesAt = at + TEXT_HEADER_BYTES + 8
    if (frame.uint32(at + TEXT_HEADER_BYTES) !== count || distinctCount > DISTINCT_MAX) throw damaged()
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
    const length = TEXT_HEADER_BYTES + frame.uint32(at + 4)
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
    frame.need(at + TEXT_HEADER_BYTES, length)
    this.end = inSteps(at + TEXT_HEADER_BYTES + length)
    if (form === TEXT_FORMS.short) return readShort(frame.memory, at + TEXT_HEADER_BYTES, length, count)
    if (form === TEXT_FORMS.long) return readLong(frame.memory, at + TEXT_HEADER_BYTES, length, count)
    if (form !== TEXT_FORMS.latin1 && form !== TEXT_FORMS.utf8) throw damaged()
    return readJson(frame.memory, at + TEXT_HEADER_BYTES, length, count, form === TEXT_FORMS.latin1)
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

function readLong({ bytes, uint32 }: FrameMemory, at: number, length: number, count: number): readonly string[] {
  if (4 * count > length) throw damaged()
  const strings = new Array<string>(count)
  let from = at + 4 * count
  for (let index = 0; index < count; index++) {
    const to = from + uint32[(at >>> 2) + index]!
    if (to > at + length) throw damaged()
    strings[index] = bytes.toString('latin1', from, to)
    from = to
  }
  if (from !== at + length) throw damaged()
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
