import { types } from 'node:util'
import { SluiceError } from '../../src/core/errors.ts'
import type { Sink } from '../../src/core/sink.ts'
import { describeOpaque, isOpaque } from './opaque-values.ts'
import { type StagedFile, stagedFileSink } from './staged-files.ts'

/** How a CSV file looks. */
export interface WriteCsvOptions {
  /** Names and order of the columns. Without it they are the properties of the first record of each file. */
  readonly columns?: readonly string[]
  /** One character, `,` unless told otherwise. */
  readonly delimiter?: string
}

/**
 * Writes records as CSV (RFC 4180, lines end with a line feed) to `part-<subtask>-<checkpoint>.csv` in a folder. Each file begins with
 * a header line. A file appears when its checkpoint is complete, and never changes after that.
 *
 * ```ts
 * job('delays-per-airport')
 *   .from(readCsv('flights.csv'))
 *   .map((flight) => ({ airport: flight.origin, minutes: Number(flight.delay) }))
 *   .to(writeCsv('out/delays', { columns: ['airport', 'minutes'] }))
 * ```
 *
 * A `Date` becomes its ISO string; `null`, `undefined` and a missing property become an empty cell, as does an empty string. A record
 * with a property outside the columns is refused with `VALUE_NOT_ENCODABLE`, and so is a cell that is an object, a function, a symbol
 * or an invalid `Date`, or that contains half of a surrogate pair.
 */
export function writeCsv<T extends object>(folder: string, options: WriteCsvOptions = {}): Sink<T, StagedFile> {
  const { columns, delimiter = ',' } = options
  checkDelimiter(delimiter)
  if (columns !== undefined) checkColumns(columns)
  const settings = { delimiter, ...(columns && { columns: [...columns] }) }
  return stagedFileSink<T>({
    kind: 'writeCsv',
    folder,
    extension: 'csv',
    encoder: () => csvEncoder(settings.columns, delimiter),
    settings,
  })
}

/** Makes the encoder of one file; the text of its first record begins with the header line. */
export function csvEncoder(columns: readonly string[] | undefined, delimiter: string): (value: object) => string {
  let table: CsvTable | undefined
  return (value) => {
    checkRecord(value)
    if (table !== undefined) return table.row(value)
    const started = new CsvTable(columns ?? Object.keys(value), delimiter)
    const text = started.header() + started.row(value)
    // Only now, because a first record that was refused must not have chosen the columns.
    table = started
    return text
  }
}

/** The rows of one file. What is quoted, and how, is as in csv-stringify: a property test compares them. */
class CsvTable {
  readonly #columns: readonly string[]
  readonly #known: ReadonlySet<string>
  readonly #delimiter: string
  /** What makes it worth to look closer at a cell: it may have to be quoted or refused. */
  readonly #special: RegExp
  /** Numbers, dates and booleans can have the delimiter in them. */
  readonly #checksAll: boolean

  constructor(columns: readonly string[], delimiter: string) {
    if (columns.length === 0) throw refusal('it has no properties, so there are no columns', GIVE_COLUMNS)
    this.#columns = columns
    this.#known = new Set(columns)
    this.#delimiter = delimiter
    this.#special = new RegExp(`["\\r\\n\\ud800-\\udfff${/\w/.test(delimiter) ? delimiter : `\\${delimiter}`}]`)
    this.#checksAll = /[\w.:+-]/.test(delimiter)
  }

  header(): string {
    return this.#line(this.#columns.map((name) => this.#textCell(name)).join(this.#delimiter))
  }

  row(value: object): string {
    const columns = this.#columns
    const isComplete = this.#isComplete(Object.keys(value))
    let line = ''
    for (let index = 0; index < columns.length; index++) {
      const column = columns[index]!
      const cell = isComplete || Object.hasOwn(value, column) ? value[column as never] : undefined
      const text = typeof cell === 'string' ? this.#textCell(cell) : this.#otherCell(column, cell)
      line = index === 0 ? text : line + this.#delimiter + text
    }
    return this.#line(line)
  }

  /** Whether a record has all columns. What it inherits is not its data: a column named `constructor` is empty unless the record says otherwise. */
  #isComplete(names: readonly string[]): boolean {
    let isInOrder = names.length === this.#columns.length
    for (let index = 0; isInOrder && index < names.length; index++) isInOrder = names[index] === this.#columns[index]
    if (isInOrder) return true
    for (const name of names) {
      if (!this.#known.has(name)) throw refusal(`its property ${JSON.stringify(name)} is not among the columns`, GIVE_COLUMNS)
    }
    return names.length === this.#columns.length
  }

  #line(text: string): string {
    // In a single column an empty cell would be an empty line, and readers skip those.
    return text === '' && this.#columns.length === 1 ? '""\n' : `${text}\n`
  }

  #textCell(text: string): string {
    return this.#special.test(text) ? this.#quoted(text) : text
  }

  #otherCell(column: string, value: unknown): string {
    const text = cellText(column, value)
    return this.#checksAll ? this.#textCell(text) : text
  }

  #quoted(text: string): string {
    if (!text.isWellFormed()) throw refusal('a cell contains half of a surrogate pair, which UTF-8 cannot hold', CHANGE_CELL)
    const needsQuotes = text.includes(this.#delimiter) || /["\r\n]/.test(text)
    return needsQuotes ? `"${text.replaceAll('"', '""')}"` : text
  }
}

const GIVE_COLUMNS = 'Name all columns with the option columns, or leave properties out with map.'
const CHANGE_CELL = 'Turn the cell into text, a number, a boolean or a Date with map.'

function cellText(column: string, value: unknown): string {
  switch (typeof value) {
    case 'undefined':
      return ''
    case 'number':
    case 'boolean':
    case 'bigint':
      return String(value)
    case 'object':
      if (value === null) return ''
      if (types.isDate(value) && Number.isFinite(value.getTime())) return value.toISOString()
  }
  throw refusal(`the cell ${JSON.stringify(column)} is ${describe(value)}`, CHANGE_CELL)
}

function describe(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  if (types.isDate(value) && Number.isNaN(value.getTime())) return 'an invalid Date'
  return typeof value === 'object' ? describeOpaque(value) : `of type ${typeof value}`
}

function checkRecord(value: unknown): void {
  if (typeof value === 'object' && value !== null && !Array.isArray(value) && !isOpaque(value)) return
  throw refusal(`it is ${describe(value)} and not a plain object`, 'Turn records into objects with map.')
}

function refusal(reason: string, hint: string): SluiceError {
  return new SluiceError('VALUE_NOT_ENCODABLE', `writeCsv cannot write a record: ${reason}.`, { hint })
}

function checkColumns(columns: readonly string[]): void {
  const names = new Set(columns)
  if (columns.length > 0 && names.size === columns.length && columns.every((name) => typeof name === 'string')) return
  throw new SluiceError('INVALID_OPTION', `The columns of writeCsv must be different names, not ${JSON.stringify(columns)}.`)
}

function checkDelimiter(delimiter: string): void {
  if (typeof delimiter === 'string' && delimiter.length === 1 && !'"\r\n'.includes(delimiter) && delimiter.isWellFormed()) return
  const given = JSON.stringify(delimiter)
  throw new SluiceError(
    'INVALID_OPTION',
    `The delimiter of writeCsv must be one character, no quote and no line end, not ${given}.`,
  )
}
