import { parse } from 'csv-parse/sync'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { castText } from '../../../operators/sources/csv-cast.ts'
import { FieldCutter } from '../../../operators/sources/csv-fields.ts'
import { type CsvDialect, CsvRecordReader } from '../../../operators/sources/csv-records.ts'
import { fileIn, folderWith } from './conformance.ts'

const DIALECTS: readonly CsvDialect[] = [
  { delimiter: ',', quote: '"', comment: undefined },
  { delimiter: '\t', quote: "'", comment: undefined },
  { delimiter: '::', quote: '"', comment: undefined },
  { delimiter: '§', quote: '"', comment: undefined },
  { delimiter: ',', quote: false, comment: undefined },
]

/** What the cutter says of each record of a file, beside what csv-parse says. */
function compareAll(path: string, size: number, dialect: CsvDialect, cast: boolean): void {
  const records = new CsvRecordReader({ path, start: 0, end: size }, undefined, false, dialect)
  const cutter = new FieldCutter(dialect, cast)
  try {
    while (records.next()) {
      const fields: unknown[] = []
      const found = cutter.cut(records, fields)
      expect(typeof found === 'number' ? fields.slice(0, found) : found.message).toEqual(parsed(records.text(), dialect, cast))
    }
  } finally {
    records.close()
  }
}

function parsed(text: string, { delimiter, quote }: CsvDialect, cast: boolean): unknown {
  const options = { delimiter, quote, escape: quote, record_delimiter: ['\n', '\r\n'], relax_column_count: true }
  try {
    const row = (parse(text, options) as string[][])[0]!
    return cast ? row.map(castText) : row
  } catch (error) {
    return (error as Error).message
  }
}

/** Fields that are written as they should be, and pieces that make records of any other kind. */
function texts(dialect: CsvDialect): fc.Arbitrary<string> {
  const quote = dialect.quote === false ? '"' : dialect.quote
  const words = fc.constantFrom(
    'a',
    'é',
    '漢',
    ' ',
    '17',
    '-2.5',
    '007',
    'true',
    'a text that is not short',
    'größer als ein paar Zeichen',
  )
  const quoted = fc.array(fc.oneof(words, fc.constantFrom(dialect.delimiter, quote + quote, '\n', '\r')), { maxLength: 5 })
  const field = fc.oneof(
    words,
    quoted.map((parts) => quote + parts.join('') + quote),
  )
  const record = fc.array(field, { minLength: 1, maxLength: 4 }).map((fields) => fields.join(dialect.delimiter))
  const mess = fc
    .array(fc.oneof(words, fc.constantFrom(dialect.delimiter, quote, ':', '\r')), { maxLength: 6 })
    .map((parts) => parts.join(''))
  const line = fc.oneof({ weight: 4, arbitrary: record }, { weight: 1, arbitrary: mess })
  return fc.array(line, { maxLength: 10 }).map((lines) => lines.join('\n'))
}

test.each(DIALECTS)('cuts records as csv-parse does: %j', (dialect) => {
  const folder = folderWith({})
  fc.assert(
    fc.property(texts(dialect), fc.boolean(), (text, cast) => {
      compareAll(fileIn(folder, 'a.csv', text), Buffer.byteLength(text), dialect, cast)
    }),
    { numRuns: 200 },
  )
})

test.each([
  ['ASCII', 'a rather long text', ''],
  ['other characters', 'ein größerer Text', ''],
  ['quotes', '"a ""long"" text"', ''],
  ['neighbours with other characters', 'a rather long text', 'größer'],
])('reads records far beyond what is decoded at once: %s', (_, field, other) => {
  const lines = Array.from({ length: 20_000 }, (_, i) => `${i},${field},${i % 7 === 0 ? other : 'x'.repeat(i % 50)}`)
  const text = `${lines.join('\n')}\n"${'long '.repeat(40_000)}",2,3\n${lines.slice(0, 10).join('\r\n')}`
  const dialect = DIALECTS[0]!
  const path = fileIn(folderWith({}), 'a.csv', text)
  const records = new CsvRecordReader({ path, start: 0, end: Buffer.byteLength(text) }, undefined, false, dialect)
  const cutter = new FieldCutter(dialect, false)
  const rows: unknown[][] = []
  while (records.next()) {
    const fields: unknown[] = []
    const count = cutter.cut(records, fields)
    rows.push(fields.slice(0, count as number))
  }
  records.close()
  expect(rows).toEqual(parse(text, { relax_column_count: true, record_delimiter: ['\n', '\r\n'] }))
})
