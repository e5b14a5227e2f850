import { messageOf, SluiceError } from '../../src/core/errors.ts'
import type { Source, SplitReader } from '../../src/core/source.ts'
import { cutRecords } from './csv-cut.ts'
import { FieldCutter } from './csv-fields.ts'
import { type CsvDialect, CsvRecordReader } from './csv-records.ts'
import { type FileOptions, type FileSourcePosition, type FileSourceSplit, fileSource } from './file-source.ts'
import { excerpt, malformed } from './files.ts'
import type { FileSplit } from './line-reader.ts'
import type { Paths } from './paths.ts'
import { type RowMaker, rowMaker } from './row-maker.ts'

/** How a CSV file is written. */
export interface CsvOptions extends FileOptions {
  /** What stands between two fields; a comma. */
  readonly delimiter?: string
  /** `true`, the default: the first record of each file has the names of the columns. An array: these are their names. */
  readonly header?: true | readonly string[]
  /** What stands around fields that contain a delimiter, a newline or a quote (doubled); `"`. `false`: quotes mean nothing. */
  readonly quote?: string | false
  /** Lines that begin with this are passed over; by default none. */
  readonly comment?: string
  /**
   * `false`, the default: all values are strings. `true`: a field written as JSON writes numbers is a number (`7`, `-0.50`, `1e3`; but
   * not `007`, `+7`, ` 7`, and no whole number beyond `Number.MAX_SAFE_INTEGER`), `true` and `false` are booleans, and everything
   * else is a string, the empty field too. Quotes around a field make no difference.
   */
  readonly cast?: boolean
}

const NAME_COLUMNS = 'give the names yourself: { header: [...] }, and pass over the first record'

/**
 * A source of the records of CSV files, as objects with the columns' names. Empty lines are passed over; every other record must have
 * as many fields as there are columns.
 *
 * @example
 * job('hot').from(readCsv<{ city: string; celsius: number }>('weather.csv', { cast: true })).filter((day) => day.celsius > 30)
 */
export function readCsv<T = Record<string, string>>(
  paths: Paths,
  options: CsvOptions = {},
): Source<T, FileSourceSplit, FileSourcePosition> {
  const { delimiter = ',', header = true, quote = '"', comment, cast = false } = options
  const dialect = { delimiter, quote, comment }
  check(dialect, header)
  return fileSource(paths, options, {
    kind: 'readCsv',
    options: ['delimiter', 'header', 'quote', 'comment', 'cast'],
    settings: { delimiter, header, quote, cast, ...(comment === undefined ? {} : { comment }) },
    cut: (file, size, splitBytes) => cutRecords(file, size, splitBytes, dialect),
    open: (split, position, follow) => new CsvReader<T>({ split, position, follow, dialect, header, cast }),
  })
}

function check({ delimiter, quote, comment }: CsvDialect, header: true | readonly string[]): void {
  const isText = (value: unknown) => typeof value === 'string' && value !== '' && !/[\r\n]/.test(value)
  const refuse = (option: string, expected: string) => {
    throw new SluiceError('INVALID_OPTION', `readCsv: ${option} must be ${expected}`)
  }
  if (!isText(delimiter)) refuse('delimiter', 'one or more characters, and no line end')
  if (comment !== undefined && !isText(comment)) refuse('comment', 'one or more characters, and no line end')
  if (quote !== false && !/^[!-~]$/.test(quote)) refuse('quote', 'one ASCII character, or false')
  if (quote !== false && (delimiter.includes(quote) || comment?.includes(quote)))
    refuse('quote', 'no part of delimiter or comment')
  if (header === true) return
  if (!Array.isArray(header) || header.length === 0) refuse('header', 'true or the names of the columns')
  if (new Set(header).size < header.length) refuse('header', 'names that are all different')
}

interface CsvReaderOptions {
  readonly split: FileSplit
  readonly position: number | undefined
  readonly follow: boolean
  readonly dialect: CsvDialect
  readonly header: true | readonly string[]
  readonly cast: boolean
}

/** How wide a file's rows are, and what makes them. */
interface Columns {
  readonly width: number
  readonly makeRow: RowMaker
}

class CsvReader<T> implements SplitReader<T, number> {
  readonly #options: CsvReaderOptions
  readonly #records: CsvRecordReader
  readonly #cutter: FieldCutter
  /** Those of the current record, in the same array for all of them. */
  readonly #fields: unknown[] = []
  #columns: Columns | undefined

  constructor(options: CsvReaderOptions) {
    const { split, position, follow, dialect, header, cast } = options
    this.#options = options
    this.#records = new CsvRecordReader(split, position, follow, dialect)
    this.#cutter = new FieldCutter(dialect, cast)
    if (header !== true) this.#columns = { width: header.length, makeRow: rowMaker(header) }
  }

  poll(max: number): readonly T[] | null {
    this.#columns ??= this.#readHeader()
    const rows = this.#columns ? this.#readRows(max, this.#columns) : []
    return rows.length > 0 || this.#options.follow ? rows : null
  }

  position(): number {
    return this.#records.position
  }

  close(): void {
    this.#records.close()
  }

  #readRows(max: number, { width, makeRow }: Columns): T[] {
    const records = this.#records
    const rows: T[] = []
    while (rows.length < max && records.nextOfBatch(rows.length)) {
      const count = this.#cutter.cut(records, this.#fields)
      if (count !== width) {
        if (rows.length === 0) throw this.#malformed(records, count, width)
        // The records before the bad one are handed on first, and it has the next answer to itself.
        records.seek(records.offset)
        break
      }
      rows.push(makeRow(this.#fields) as T)
    }
    return rows
  }

  #malformed(record: CsvRecordReader, fields: number | Error, width: number): SluiceError {
    const isParsed = typeof fields === 'number'
    // The parser counts lines from the beginning of what it was given, which would only mislead.
    const what = isParsed ? `${fields} fields instead of ${width}` : messageOf(fields).replace(/ (?:at|on) line \d+/, '')
    const text = record.text()
    const details = { record: text, ...(isParsed ? {} : { cause: fields }) }
    return malformed(record, `not CSV: ${what}, in ${excerpt(text)}`, details)
  }

  /** The names of the columns from the beginning of the file; `undefined` when there are none (in a file that grows, none yet). */
  #readHeader(): Columns | undefined {
    const { split, follow, dialect } = this.#options
    const head = new CsvRecordReader({ path: split.path, start: 0, end: split.end }, 0, follow, dialect)
    try {
      if (!head.next()) return undefined
      const names: string[] = []
      const width = new FieldCutter(dialect, false).cut(head, names)
      if (typeof width !== 'number') throw this.#malformed(head, width, 0)
      const twice = names.find((name, index) => names.indexOf(name) < index)
      if (twice !== undefined) throw malformed(head, `two columns are named '${twice}'`, { hint: NAME_COLUMNS })
      if (this.#records.position < head.position) this.#records.seek(head.position)
      return { width, makeRow: rowMaker(names) }
    } finally {
      head.close()
    }
  }
}
