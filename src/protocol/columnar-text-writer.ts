import { SHORT_LENGTH_MAX, TEXT_FORMS, TEXT_HEADER_BYTES } from './columnar-text.ts'
import type { Distinct } from './distinct-strings.ts'
import { distinctOf } from './distinct-strings.ts'
import type { FrameMemory, FrameWriter } from './frame-buffer.ts'
import { inSteps } from './frame-buffer.ts'

/** Strings of a column among which repeated ones are looked for at all. */
const REPEATED_MIN = 32
/** A look for repeated strings costs as much as a tenth of writing them: where there are none it comes more and more seldom. */
const PAUSE_MAX = 16
/** Characters of a string, on the average, from which on a call for each costs less than JSON. */
const LONG_LENGTH = 48
/** A text of all strings of a column may not become longer than a string can be. */
const CHARACTERS_MAX = 1 << 26

/** Writes the parts of one column. */
export class TextWriter {
  /** Batches before the next look for repeated strings, and how many those will be that come after a look in vain. */
  #pause = 0
  #pauseNext = 1

  /**
   * Writes the strings from `at` on and returns where the part ends.
   * @throws when they are longer than a text can be, or when somebody has changed how all arrays become JSON
   */
  write(frame: FrameWriter, strings: readonly string[], at: number): number {
    const distinct = this.#distinctOf(strings)
    if (distinct === undefined) return writeStrings(frame, strings, at)
    const placesAt = at + TEXT_HEADER_BYTES + 8
    const distinctAt = inSteps(placesAt + strings.length)
    const { bytes, uint32, float64 } = frame.reserve(distinctAt)
    float64[(distinctAt >>> 3) - 1] = 0
    uint32[(at >>> 2) + 2] = strings.length
    uint32[(at >>> 2) + 3] = distinct.strings.length
    bytes.set(distinct.places, placesAt)
    const end = writeStrings(frame, distinct.strings, distinctAt)
    writeHeader(frame.memory, at, TEXT_FORMS.dictionary, end)
    return end
  }

  #distinctOf(strings: readonly string[]): Distinct | undefined {
    if (strings.length < REPEATED_MIN || this.#pause-- > 0) return undefined
    const distinct = distinctOf(strings)
    this.#pauseNext = distinct === undefined ? Math.min(PAUSE_MAX, 2 * this.#pauseNext) : 1
    this.#pause = distinct === undefined ? this.#pauseNext : 0
    return distinct
  }
}

function writeStrings(frame: FrameWriter, strings: readonly string[], at: number): number {
  let [characters, longest] = [0, 0]
  for (let index = 0; index < strings.length; index++) {
    const { length } = strings[index]!
    characters += length
    if (length > longest) longest = length
  }
  if (characters > CHARACTERS_MAX || 'toJSON' in strings) throw new Error('strings that JSON cannot take as they are')
  if (longest <= SHORT_LENGTH_MAX || characters >= LONG_LENGTH * strings.length) {
    const block = strings.join('')
    if (isLatin1(block))
      return longest <= SHORT_LENGTH_MAX ? writeShort(frame, strings, block, at) : writeLong(frame, strings, block, at)
  }
  return writeJson(frame, JSON.stringify(strings), at)
}

function writeShort(frame: FrameWriter, strings: readonly string[], block: string, at: number): number {
  const lengthsAt = at + TEXT_HEADER_BYTES
  const end = lengthsAt + strings.length + block.length
  const { bytes, float64 } = frame.reserve(inSteps(end))
  float64[(inSteps(end) >>> 3) - 1] = 0
  for (let index = 0; index < strings.length; index++) bytes[lengthsAt + index] = strings[index]!.length
  bytes.write(block, lengthsAt + strings.length, 'latin1')
  return writeHeader(frame.memory, at, TEXT_FORMS.short, end)
}

function writeLong(frame: FrameWriter, strings: readonly string[], block: string, at: number): number {
  const lengthsAt = at + TEXT_HEADER_BYTES
  const blockAt = lengthsAt + 4 * strings.length
  const end = blockAt + block.length
  const { bytes, uint32, float64 } = frame.reserve(inSteps(end))
  float64[(inSteps(end) >>> 3) - 1] = 0
  for (let index = 0, from = lengthsAt >>> 2; index < strings.length; index++) uint32[from + index] = strings[index]!.length
  bytes.write(block, blockAt, 'latin1')
  return writeHeader(frame.memory, at, TEXT_FORMS.long, end)
}

function writeJson(frame: FrameWriter, text: string, at: number): number {
  const latin1 = isLatin1(text)
  const end = at + TEXT_HEADER_BYTES + (latin1 ? text.length : Buffer.byteLength(text))
  const { bytes, float64 } = frame.reserve(inSteps(end))
  float64[(inSteps(end) >>> 3) - 1] = 0
  if (latin1) bytes.write(text, at + TEXT_HEADER_BYTES, 'latin1')
  else bytes.write(text, at + TEXT_HEADER_BYTES, 'utf8')
  return writeHeader(frame.memory, at, latin1 ? TEXT_FORMS.latin1 : TEXT_FORMS.utf8, end)
}

/** Returns where the next part begins. */
function writeHeader({ uint32 }: FrameMemory, at: number, form: number, end: number): number {
  uint32[at >>> 2] = form
  uint32[(at >>> 2) + 1] = end - at - TEXT_HEADER_BYTES
  return inSteps(end)
}

/** V8 knows of a string whether one byte is enough for each of its characters, and then has nothing to look for here. */
function isLatin1(text: string): boolean {
  return !/[^\0-\xff]/.test(text)
}
