import { parse } from 'csv-parse/sync'
import { castRange, castText } from './csv-cast.ts'
import type { CsvDialect, CsvRecordReader } from './csv-records.ts'

/** Characters from which on V8 makes a substring that points into its string, and so keeps all of it. */
const SHORTEST_SLICE = 13

/**
 * Cuts records into their fields.
 *
 * What always holds:
 *
 * - A field is a string of its own, or a number or boolean: whoever keeps it keeps nothing else of the file.
 * - The fields are those that csv-parse finds (a property test compares them). A record that is not simply made of fields without a quote and
 *   fields in quotes goes to csv-parse itself, which says what is wrong with it.
 *
 * @example
 * const cutter = new FieldCutter(dialect, false)
 * const fields: unknown[] = []
 * while (records.next()) if (cutter.cut(records, fields) === 2) console.log(fields[0], fields[1])
 */
export class FieldCutter {
  readonly #dialect: CsvDialect
  readonly #cast: boolean
  readonly #delimiter: string
  readonly #quote: string
  readonly #quoteCode: number
  readonly #delimiters: NextIndex
  readonly #quotes: NextIndex

  constructor(dialect: CsvDialect, cast: boolean) {
    this.#dialect = dialect
    this.#cast = cast
    this.#delimiter = dialect.delimiter
    this.#quote = dialect.quote === false ? '' : dialect.quote
    this.#quoteCode = dialect.quote === false ? -1 : dialect.quote.charCodeAt(0)
    this.#delimiters = new NextIndex(this.#delimiter)
    this.#quotes = new NextIndex(this.#quote)
  }

  /** Puts the fields of the current record into `fields`, and returns how many there are; or the error that says why it has none. */
  cut(record: CsvRecordReader, fields: unknown[]): number | Error {
    const isBytes = record.show()
    if (!record.hasQuotes) return this.#cutPlain(record, isBytes, fields)
    const count = this.#cutQuoted(record, isBytes, fields)
    return count === -1 ? this.#parse(record.text(), fields) : count
  }

  #cutPlain(record: CsvRecordReader, isBytes: boolean, fields: unknown[]): number {
    const { shownEnd } = record
    let count = 0
    for (let from = record.shownFrom; ; ) {
      const end = Math.min(this.#delimiters.from(record, from), shownEnd)
      fields[count++] = this.#value(record, isBytes, from, end)
      if (end === shownEnd) return count
      from = end + this.#delimiter.length
    }
  }

  /** -1: there is a quote where none is expected. */
  #cutQuoted(record: CsvRecordReader, isBytes: boolean, fields: unknown[]): number {
    const { shown, shownEnd } = record
    let count = 0
    for (let at = record.shownFrom; ; at += this.#delimiter.length) {
      const isQuoted = at < shownEnd && shown.charCodeAt(at) === this.#quoteCode
      const end = isQuoted ? this.#closingQuote(record, at + 1) : Math.min(this.#delimiters.from(record, at), shownEnd)
      if (isQuoted ? end >= shownEnd : this.#quotes.from(record, at) < end) return -1
      fields[count++] = isQuoted ? this.#unquoted(record, isBytes, at + 1, end) : this.#value(record, isBytes, at, end)
      at = isQuoted ? end + 1 : end
      if (at === shownEnd) return count
      if (isQuoted && this.#delimiters.from(record, at) !== at) return -1
    }
  }

  /** Index of the quote that ends a field, or one behind the record. */
  #closingQuote(record: CsvRecordReader, from: number): number {
    for (let at = this.#quotes.from(record, from); ; at = this.#quotes.from(record, at + 2)) {
      if (at + 1 >= record.shownEnd || record.shown.charCodeAt(at + 1) !== this.#quoteCode) return at
    }
  }

  #value(record: CsvRecordReader, isBytes: boolean, from: number, end: number): unknown {
    if (!this.#cast) return ownText(record, isBytes, from, end)
    return castRange(record.shown, from, end) ?? castText(ownText(record, isBytes, from, end))
  }

  #unquoted(record: CsvRecordReader, isBytes: boolean, from: number, end: number): unknown {
    const text = withoutDoubled(ownText(record, isBytes, from, end), this.#quote)
    return this.#cast ? castText(text) : text
  }

  #parse(text: string, fields: unknown[]): number | Error {
    const { delimiter, quote } = this.#dialect
    try {
      const options = { delimiter, quote, escape: quote, record_delimiter: ['\n', '\r\n'], relax_column_count: true }
      const row = parse(text, options)[0] as string[] | undefined
      if (row === undefined) return new Error('no fields')
      for (const [index, value] of row.entries()) fields[index] = this.#cast ? castText(value) : value
      return row.length
    } catch (error) {
      return error as Error
    }
  }
}

/**
 * Finds the next place of a text in what a reader shows. It looks at no character twice, also where the next place lies far behind the record
 * that was asked about.
 */
class NextIndex {
  readonly #text: string
  #shownIn = -1
  #index = 0

  constructor(text: string) {
    this.#text = text
  }

  /** The first place from `from` on; the length of all that is shown when there is none. Within one shown string, `from` only rises. */
  from(record: CsvRecordReader, from: number): number {
    if (record.shownIn !== this.#shownIn || this.#index < from) {
      const index = record.shown.indexOf(this.#text, from)
      this.#shownIn = record.shownIn
      this.#index = index === -1 ? record.shown.length : index
    }
    return this.#index
  }
}

/** What `replaceAll` would do, at a third of its cost. */
function withoutDoubled(text: string, quote: string): string {
  let result = ''
  let from = 0
  for (let at = text.indexOf(quote); at !== -1; at = text.indexOf(quote, from)) {
    result += text.slice(from, at + 1)
    from = at + 2
  }
  return from === 0 ? text : result + text.slice(from)
}

function ownText(record: CsvRecordReader, isBytes: boolean, from: number, end: number): string {
  if (end - from < SHORTEST_SLICE) return record.shown.slice(from, end)
  return isBytes ? record.keep(from, end) : Buffer.from(record.shown.slice(from, end)).toString()
}
