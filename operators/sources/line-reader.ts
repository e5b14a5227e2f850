import type { SluiceError } from '../../src/core/errors.ts'
import { DecodedBlock } from './decoded-block.ts'
import { BLOCK_BYTES, changed, InputFile, LineNumbers, malformed } from './files.ts'

const NEWLINE = 10
const RETURN = 13
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf] as const

/** Longest line, so that a file that is not made of lines ends in an error and not in a full memory. */
const LINE_LIMIT = 64 * 1024 * 1024

/** The bytes of a file from `start` up to, not including, `end`. Both are where a line begins, or the end of the file. */
export interface FileSplit {
  readonly path: string
  readonly start: number
  readonly end: number
}

/**
 * Reads the lines of one byte range of a file, with the byte offset of each.
 *
 * A line can be had in two ways. `text` decodes it from its own bytes: whoever keeps it does not hold on to a block of its neighbours, as a
 * slice of a long string would, and a character whose bytes lie in two blocks comes out whole. `show` only says where it lies in a string of
 * many lines, which is decoded at once and costs much less; what is cut from that string must not be kept.
 *
 * @example
 * const reader = new LineReader({ path, start: 0, end: size })
 * while (reader.next()) console.log(reader.offset, reader.text())
 */
export class LineReader {
  readonly path: string
  readonly #file: InputFile
  readonly #end: number
  readonly #follow: boolean
  #storage: Buffer
  /** File offset of the first byte of `filled`. */
  protected base: number
  /** What has been read and not been shifted out; lines are cut from it. */
  protected filled: Buffer
  /** Index in `filled` at which the next line begins. */
  protected from = 0
  #scanned = 0
  #lineStart = 0
  #lineEnd = 0
  /** Byte offset of the current line in the file. */
  offset = 0
  /** After `show`: a string that has the current line in it, from `shownFrom` up to, not including, `shownEnd`. */
  shown = ''
  shownFrom = 0
  shownEnd = 0
  /** Another number for each string that is shown. */
  shownIn = 0
  readonly #decoded = new DecodedBlock()
  readonly #numbers: LineNumbers
  #decodedIn = 0
  #strings = 0

  /**
   * @param position where to go on, if not at the split's start: what `position` was.
   * @param follow the file may grow: a line without a newline is not complete yet.
   */
  constructor(split: FileSplit, position: number = split.start, follow = false) {
    this.path = split.path
    this.#end = split.end
    this.#follow = follow
    this.#storage = Buffer.allocUnsafeSlow(Math.min(BLOCK_BYTES, Math.max(split.end - position, 1)))
    this.filled = this.#storage.subarray(0, 0)
    this.base = position
    this.#numbers = new LineNumbers(split.path)
    this.#file = new InputFile(split.path)
    try {
      this.#checkUnchanged()
    } catch (error) {
      this.#file.close()
      throw error
    }
  }

  /** Byte offset of the next line. */
  get position(): number {
    return this.base + this.from
  }

  /** Whether the current line has no characters. */
  get isEmpty(): boolean {
    return this.#lineStart === this.#lineEnd
  }

  /** Goes to the next line; false when there is none (or, in a file that grows, none yet). */
  next(): boolean {
    for (;;) {
      const newline = this.findEnd()
      if (newline !== -1) {
        this.#take(newline, newline + 1)
        return true
      }
      if (!this.#readMore()) return this.#takeRest()
    }
  }

  /**
   * The same for a batch that holds so many records: one that is no line has the next answer to itself, behind them.
   * @throws SluiceError `MALFORMED_RECORD`, for an empty batch
   */
  nextOfBatch(records: number): boolean {
    const { position } = this
    try {
      return this.next()
    } catch (error) {
      if (records === 0) throw error
      this.seek(position)
      return false
    }
  }

  /** The number of the current line, from 1: to be said in an error. */
  get line(): number {
    return this.#numbers.at(this.offset)
  }

  /** The current line, without its line end. */
  text(): string {
    return this.filled.toString('utf8', this.#lineStart, this.#lineEnd)
  }

  /** Puts the current line, without its line end, where it can be looked at but not kept. Returns whether each character is a byte. */
  show(): boolean {
    const [from, end] = [this.#lineStart, this.#lineEnd]
    const decoded = this.#decoded
    if (!decoded.covers(from, end)) {
      decoded.decode(this.filled, from)
      this.#decodedIn = ++this.#strings
    }
    if (!decoded.isAscii || end > decoded.end) return this.#showAlone(end - from)
    this.shown = decoded.text
    this.shownIn = this.#decodedIn
    this.shownFrom = from - decoded.from
    this.shownEnd = end - decoded.from
    return true
  }

  /** A string of its own of some characters of the shown line, of which each is a byte: an ASCII character, or a byte that is no character. */
  keep(from: number, end: number): string {
    const start = this.#lineStart - this.shownFrom
    return this.filled.toString('utf8', start + from, start + end)
  }

  /** Makes the line at `position` the next one. */
  seek(position: number): void {
    if (position >= this.base && position <= this.base + this.filled.length) {
      this.from = position - this.base
      this.#scanned = 0
      return
    }
    this.#decoded.forget()
    this.base = position
    this.from = 0
    this.#scanned = 0
    this.filled = this.#storage.subarray(0, 0)
  }

  close(): void {
    this.#file.close()
  }

  /** Index in `filled` of the newline that ends the next line; -1 when it has not been read yet. */
  protected findEnd(): number {
    const newline = this.findNewline(Math.max(this.from, this.#scanned))
    this.#scanned = newline === -1 ? this.filled.length : newline
    return newline
  }

  /** Index in `filled` of the first newline from `from` on; -1 when there is none. */
  protected findNewline(from: number): number {
    // A search in a string costs half of one in a buffer.
    const newline = this.#decoded.newline(from)
    if (newline !== -1) return newline
    return this.filled.indexOf(NEWLINE, from)
  }

  /** Index in `filled` of the next line's first character: a byte order mark at the start of the file is none. */
  protected firstCharacter(): number {
    const isMarked = this.position === 0 && BYTE_ORDER_MARK.every((byte, index) => this.filled[this.from + index] === byte)
    return isMarked ? this.from + BYTE_ORDER_MARK.length : this.from
  }

  /** A line that is too long, or has neighbours with other characters than ASCII. */
  #showAlone(bytes: number): boolean {
    this.shown = this.text()
    this.shownIn = ++this.#strings
    this.shownFrom = 0
    this.shownEnd = this.shown.length
    return bytes === this.shownEnd
  }

  #take(end: number, next: number): void {
    this.offset = this.base + this.from
    this.#lineStart = this.offset === 0 ? this.firstCharacter() : this.from
    this.#lineEnd = end > this.#lineStart && this.filled[end - 1] === RETURN ? end - 1 : end
    this.from = next
  }

  #takeRest(): boolean {
    const end = this.filled.length
    if (this.#follow || this.from === end) return false
    const isEmpty = this.firstCharacter() === end
    this.#take(end, end)
    return !isEmpty
  }

  #readMore(): boolean {
    const rest = this.filled.length - this.from
    const left = this.#end - this.base - this.filled.length
    if (left <= 0) return false
    if (rest > LINE_LIMIT) throw this.#tooLong()
    // A long line is read in ever larger pieces, so that what is done again for each piece does not add up.
    const wanted = Math.min(Math.max(BLOCK_BYTES, rest), left, LINE_LIMIT + 1 - rest)
    this.#makeRoom(rest, wanted)
    const bytes = this.#file.read(this.#storage, rest, wanted, this.base + rest)
    this.filled = this.#storage.subarray(0, rest + bytes)
    if (bytes === 0) this.#checkEnd()
    return bytes > 0
  }

  /** Moves the beginning of the next line to the front, with room behind it. */
  #makeRoom(rest: number, wanted: number): void {
    const target = rest + wanted <= this.#storage.length ? this.#storage : Buffer.allocUnsafeSlow(rest + wanted)
    this.filled.copy(target, 0, this.from)
    this.#storage = target
    this.filled = target.subarray(0, rest)
    this.base += this.from
    this.#decoded.forget()
    this.#scanned = Math.max(0, this.#scanned - this.from)
    this.from = 0
  }

  /** Passes over the line, so that a job that skips bad records can go on behind it. */
  #tooLong(): SluiceError {
    const offset = this.position
    this.seek(this.#file.lineStart(this.base + this.filled.length, this.#end))
    const place = { path: this.path, offset, line: this.#numbers.at(offset) }
    return malformed(place, `longer than ${LINE_LIMIT / 1024 / 1024} MiB without an end`, {
      hint: 'check that the file has the format that the job reads it as, and for CSV that no quote is left open',
    })
  }

  /** Bytes that this job has read or counted before must still be there, and must still begin a line. */
  #checkUnchanged(): void {
    const size = this.#file.size
    const needed = this.#follow ? this.base : this.#end
    if (size < needed) throw changed(this.path, `it has ${size} bytes, and had at least ${needed}`)
    if (this.base === 0 || this.base === this.#end) return
    if (!this.#isAfterNewline()) throw changed(this.path, `no line begins at byte ${this.base} any more`)
  }

  #isAfterNewline(): boolean {
    const byte = Buffer.alloc(1)
    this.#file.read(byte, 0, 1, this.base - 1)
    return byte[0] === NEWLINE
  }

  /** There is nothing to read. That is as it should be only at the end of a file that may grow. */
  #checkEnd(): void {
    const reached = this.base + this.filled.length
    if (!this.#follow || this.#file.size < reached)
      throw changed(this.path, `it ends before byte ${this.#follow ? reached : this.#end}`)
  }
}
