import { parse } from 'csv-parse/sync'
import type { CsvDialect } from './csv-records.ts'

/** One record as it stands in the file. */
export interface RawRecord {
  readonly text: string
  /** Byte offset in the file. */
  readonly offset: number
  readonly hasQuotes: boolean
}

/**
 * The fields of each record, or the error that says why it has none.
 *
 * A record without a quote is simply what is between its delimiters. The others go to the parser together, because a call of it costs
 * as much as several records.
 *
 * @example
 * parseFields([{ text: 'a,"b,c"', offset: 0, hasQuotes: true }], dialect) // [['a', 'b,c']]
 */
export function parseFields(records: readonly RawRecord[], dialect: CsvDialect): readonly (string[] | Error)[] {
  const quoted = records.filter((record) => record.hasQuotes).map((record) => record.text)
  const parsed = quoted.length > 0 ? parseQuoted(quoted, dialect) : []
  let next = 0
  return records.map((record) => (record.hasQuotes ? parsed[next++]! : record.text.split(dialect.delimiter)))
}

function parseQuoted(texts: readonly string[], dialect: CsvDialect): readonly (string[] | Error)[] {
  try {
    const rows = parseText(texts.join('\n'), dialect)
    if (rows.length === texts.length) return rows
  } catch {
    // One of them is malformed; which one shows when each is parsed by itself.
  }
  return texts.map((text) => {
    try {
      return parseText(text, dialect)[0] ?? new Error('no fields')
    } catch (error) {
      return error as Error
    }
  })
}

function parseText(text: string, { delimiter, quote }: CsvDialect): string[][] {
  return parse(text, { delimiter, quote, escape: quote, record_delimiter: ['\n', '\r\n'], relax_column_count: true })
}
