import { isAscii } from 'node:buffer'

/** Bytes that are decoded at once: many lines, and yet so few that the string is an ordinary one of the young generation. */
const TEXT_BYTES = 64 * 1024

/**
 * A stretch of a buffer as one string, if it is ASCII: then each character stands where its byte stands, from `from` on.
 *
 * @example
 * const decoded = new DecodedBlock()
 * decoded.decode(buffer, 100)
 * if (decoded.isAscii) console.log(decoded.text.slice(0, 10), decoded.newline(100))
 */
export class DecodedBlock {
  /** Indexes in the buffer. */
  from = 0
  end = 0
  text = ''
  isAscii = false

  decode(bytes: Buffer, from: number): void {
    this.from = from
    this.end = Math.min(from + TEXT_BYTES, bytes.length)
    this.isAscii = isAscii(bytes.subarray(from, this.end))
    this.text = this.isAscii ? bytes.toString('latin1', from, this.end) : ''
  }

  covers(from: number, end: number): boolean {
    return from >= this.from && end <= this.end
  }

  /** The buffer has changed. */
  forget(): void {
    this.end = -1
  }

  /** Index in the buffer of the first newline from `from` on; -1 when the string has none. */
  newline(from: number): number {
    if (!this.isAscii || from < this.from || from >= this.end) return -1
    const at = this.text.indexOf('\n', from - this.from)
    return at === -1 ? -1 : at + this.from
  }
}
