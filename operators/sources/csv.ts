import { setImmediate } from 'node:timers/promises'
import { messageOf, SluiceError } from '../../src/core/errors.ts'
import type { Source, SplitReader } from '../../src/core/source.ts'
import { castText } from './csv-cast.ts'
import { parseFields, type RawRecord } from './csv-fields.ts'
import { type CsvDialect, CsvRecordReader } from './csv-records.ts'
import { type FileOptions, type FileSourcePosition, type FileSourceSplit, fileSource } from './file-source.ts'
import { excerpt, type InputFile, malformed } from './files.ts'
import type { FileSplit } from './line-reader.ts'
import type { Paths } from './paths.ts'
import { type RowFactory, rowFactory } from './row-factory.ts'

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

/** Bytes after which cutting a file lets other work of the thread go on. */
const BREATH_BYTES = 8 * 1024 * 1024

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

/** Cuts a file where records begin. Only reading it from its start can tell, so a large file is read once for that alone. */
async function cutRecords(file: InputFile, size: number, splitBytes: number, dialect: CsvDialect): Promise<FileSplit[]> {
  const { path } = file
  const splits: FileSplit[] = []
  let start = 0
  if (size > splitBytes) {
    const records = new CsvRecordReader({ path, start: 0, end: size }, 0, false, dialect)
    try {
      for (let rested = 0; records.next(); ) {
        if (records.offset >= start + splitBytes) {
          splits.push({ path, start, end: records.offset })
          start = records.offset
        }
        if (records.offset < rested + BREATH_BYTES) continue
        rested = records.offset
        await setImmediate()
      }
    } finally {
      records.close()
    }
  }
  return [...splits, { path, start, end: size }]
}

interface CsvReaderOptions {
  readonly split: FileSplit
  readonly position: number | undefined
  readonly follow: boolean
  readonly dialect: CsvDialect
  readonly header: true | readonly string[]
  readonly cast: boolean
}

/** The names of a file's columns, and what makes rows of them. */
interface Columns {
  readonly names: readonly string[]
  readonly makeRows: RowFactory
}

class CsvReader<T> implements SplitReader<T, number> {
  readonly #options: CsvReaderOptions
  readonly #records: CsvRecordReader
  #columns: Columns | undefined

  constructor(options: CsvReaderOptions) {
    const { split, position, follow, dialect, header } = options
    this.#options = options
    this.#records = new CsvRecordReader(split, position, follow, dialect)
    if (header !== true) this.#columns = { names: header, makeRows: rowFactory(header) }
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

  #readRows(max: number, { names, makeRows }: Columns): T[] {
    const records: RawRecord[] = []
    while (records.length < max && this.#records.next()) records.push(rawRecord(this.#records))
    const columns: unknown[][] = names.map(() => [])
    const fields = parseFields(records, this.#options.dialect)
    const bad = fields.findIndex((values, row) => !this.#addRow(values, columns, row))
    if (bad !== -1) this.#stopAt(bad, records, fields, names.length)
    return makeRows(columns, bad === -1 ? records.length : bad) as T[]
  }

  #addRow(values: string[] | Error, columns: unknown[][], row: number): boolean {
    if (values instanceof Error || values.length !== columns.length) return false
    const { cast } = this.#options
    for (let column = 0; column < values.length; column++) {
      columns[column]![row] = cast ? castText(values[column]!) : values[column]
    }
    return true
  }

  /** The records before a bad one are handed on first, and it has the next answer to itself. */
  #stopAt(bad: number, records: readonly RawRecord[], fields: readonly (string[] | Error)[], width: number): void {
    const record = records[bad]!
    const behind = records[1]?.offset ?? this.#records.position
    this.#records.seek(bad > 0 ? record.offset : behind)
    if (bad === 0) throw this.#malformed(record, fields[bad]!, width)
  }

  #malformed(record: RawRecord, fields: string[] | Error, width: number): SluiceError {
    const isParsed = !(fields instanceof Error)
    // The parser counts lines from the beginning of what it was given, which would only mislead.
    const what = isParsed ? `${fields.length} fields instead of ${width}` : messageOf(fields).replace(/ (?:at|on) line \d+/, '')
    const details = isParsed ? {} : { cause: fields }
    return malformed(this.#records.path, record.offset, `not CSV: ${what}, in ${excerpt(record.text)}`, details)
  }

  /** The names of the columns from the beginning of the file; `undefined` when there are none (in a file that grows, none yet). */
  #readHeader(): Columns | undefined {
    const { split, follow, dialect } = this.#options
    const head = new CsvRecordReader({ path: split.path, start: 0, end: split.end }, 0, follow, dialect)
    try {
      if (!head.next()) return undefined
      const record = rawRecord(head)
      const names = parseFields([record], dialect)[0]!
      if (names instanceof Error) throw this.#malformed(record, names, 0)
      const twice = names.find((name, index) => names.indexOf(name) < index)
      if (twice !== undefined)
        throw malformed(split.path, record.offset, `two columns are named '${twice}'`, { hint: NAME_COLUMNS })
      if (this.#records.position < head.position) this.#records.seek(head.position)
      return { names, makeRows: rowFactory(names) }
    } finally {
      head.close()
    }
  }
}

function rawRecord(records: CsvRecordReader): RawRecord {
  return { text: records.text(), offset: records.offset, hasQuotes: records.hasQuotes }
}
