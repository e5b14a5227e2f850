import { type FileSplit, LineReader } from './line-reader.ts'

const NEWLINE = 10

/** How the records of a CSV file are told apart. */
export interface CsvDialect {
  readonly delimiter: string
  /** One ASCII character, or none. */
  readonly quote: string | false
  /** Lines that begin with it are no records. */
  readonly comment: string | undefined
}

/**
 * Cuts a CSV file into records, which are lines unless a quoted field has a newline in it. Comments and empty lines are left out.
 *
 * In a well-formed file a newline ends a record exactly when an even number of quotes stands before it, because a quote inside a
 * field is doubled. In a malformed one a record may come out too long; it does then not parse.
 *
 * @example
 * const records = new CsvRecordReader({ path, start: 0, end: size }, undefined, false, dialect)
 * while (records.next()) console.log(records.offset, records.hasQuotes, records.text())
 */
export class CsvRecordReader extends LineReader {
  readonly #quote: number
  readonly #comment: Buffer | undefined
  /** There is no quote between the last place that was asked for and this file offset. */
  #quoteOffset = 0
  #isComment = false
  /** Whether there is a quote in the current record; if not, its fields are what is between the delimiters. */
  hasQuotes = false

  constructor(split: FileSplit, position: number | undefined, follow: boolean, dialect: CsvDialect) {
    super(split, position, follow)
    this.#quote = dialect.quote === false ? -1 : dialect.quote.charCodeAt(0)
    this.#comment = dialect.comment === undefined ? undefined : Buffer.from(dialect.comment)
  }

  override next(): boolean {
    while (super.next()) if (!this.isEmpty && !this.#isComment) return true
    return false
  }

  protected override findEnd(): number {
    this.hasQuotes = false
    this.#isComment = this.#startsComment()
    const newline = this.findNewline(this.from)
    if (this.#isComment || this.#quote === -1) return newline
    const quote = this.#findQuote(this.from)
    if (quote === -1 || (newline !== -1 && newline < quote)) return newline
    this.hasQuotes = true
    const end = this.#endOfQuoted(quote)
    // The record is looked through again from its beginning when more of it is there.
    if (end === -1) this.#quoteOffset = 0
    return end
  }

  #startsComment(): boolean {
    if (this.#comment === undefined) return false
    const first = this.firstCharacter()
    return this.#comment.equals(this.filled.subarray(first, first + this.#comment.length))
  }

  /** Index of the newline that ends the record whose first quote is at `quote`. */
  #endOfQuoted(quote: number): number {
    const bytes = this.filled
    let isInside = true
    // Quotes stand close together where there are any, so a search for each would cost more than this.
    for (let at = quote + 1; at < bytes.length; at++) {
      const byte = bytes[at]
      if (byte === this.#quote) isInside = !isInside
      else if (byte === NEWLINE && !isInside) return at
    }
    return -1
  }

  /** Index of the first quote from `at` on. It is looked for once, not again for each record before it. */
  #findQuote(at: number): number {
    const known = Math.max(at, this.#quoteOffset - this.base)
    if (known >= this.filled.length) return -1
    const index = this.filled[known] === this.#quote ? known : this.filled.indexOf(this.#quote, known)
    this.#quoteOffset = this.base + (index === -1 ? this.filled.length : index)
    return index
  }

  override seek(position: number): void {
    super.seek(position)
    this.#quoteOffset = 0
  }
}
