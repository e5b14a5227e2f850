import { parse } from 'csv-parse/sync'
import { stringify } from 'csv-stringify/sync'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { csvEncoder } from '../../../operators/sinks/csv.ts'
import { writeCsv } from '../../../operators/sinks/index.ts'
import { describeFolderSink } from './conformance.ts'

describeFolderSink<Record<string, string>>('writeCsv', {
  create: (folder) => writeCsv(folder),
  extension: 'csv',
  records: [
    { name: 'plain', note: 'a' },
    { name: 'quo"ted', note: 'a,b' },
    { name: 'two\nlines', note: '' },
    { name: ' 東京 ', note: '\r\n' },
  ],
  read: (text) => parse(text, { columns: true }),
})

function encodeAll(values: readonly object[], columns?: readonly string[], delimiter = ','): string {
  return values.map(csvEncoder(columns, delimiter)).join('')
}

const refused = expect.objectContaining({ code: 'VALUE_NOT_ENCODABLE' })

describe('csvEncoder', () => {
  test('takes the columns from the first record and fills what is missing', () => {
    expect(encodeAll([{ a: 1, b: 2 }, { b: 3 }, { b: 5, a: 4 }])).toBe('a,b\n1,2\n,3\n4,5\n')
  })

  test('takes columns and delimiter from the options', () => {
    expect(encodeAll([{ a: 1, b: '2;3' }], ['b', 'a', 'c'], ';')).toBe('b;a;c\n"2;3";1;\n')
  })

  test('writes each kind of cell', () => {
    const record = { text: 'x', number: -1.5, none: null, missing: undefined, yes: true, no: false, big: 12n, at: new Date(0) }
    expect(encodeAll([record])).toBe('text,number,none,missing,yes,no,big,at\nx,-1.5,,,true,false,12,1970-01-01T00:00:00.000Z\n')
  })

  test('takes names with dots and inherited names for what they are', () => {
    expect(encodeAll([{ 'a.b': 1, 'c[0]': 2 }, {}])).toBe('a.b,c[0]\n1,2\n,\n')
    expect(encodeAll([{ x: 1 }], ['x', 'constructor', '__proto__'])).toBe('x,constructor,__proto__\n1,,\n')
  })

  test('an empty cell in a single column is not an empty line', () => {
    expect(encodeAll([{ only: '' }, { only: null }, { only: 'x' }])).toBe('only\n""\n""\nx\n')
  })

  test('refuses a property outside the columns and says what to do', () => {
    const encode = csvEncoder(undefined, ',')
    encode({ a: 1 })
    expect(() => encode({ a: 1, b: 2 })).toThrow(
      expect.objectContaining({
        code: 'VALUE_NOT_ENCODABLE',
        message: expect.stringContaining('"b"'),
        hint: expect.stringContaining('columns'),
      }),
    )
    expect(encode({ a: 3 })).toBe('3\n')
  })

  test('a refused first record does not choose the columns', () => {
    const encode = csvEncoder(undefined, ',')
    expect(() => encode({ a: {} })).toThrow(refused)
    expect(encode({ b: 1 })).toBe('b\n1\n')
  })

  test.each<[string, object, string]>([
    ['an object', { a: { b: 1 } }, 'the cell "a" is of type Object'],
    ['an array', { a: [1] }, 'the cell "a" is an array'],
    ['a function', { a: () => 1 }, 'the cell "a" is of type function'],
    ['a symbol', { a: Symbol('s') }, 'the cell "a" is of type symbol'],
    ['a map', { a: new Map() }, 'the cell "a" is of type Map'],
    ['an invalid date', { a: new Date(Number.NaN) }, 'the cell "a" is an invalid Date'],
    ['half a surrogate pair', { a: '\ud83d' }, 'half of a surrogate pair'],
    ['half a surrogate pair in a quoted cell', { a: '",\udc00' }, 'half of a surrogate pair'],
    ['a record without properties', {}, 'no properties'],
    ['an array as the record', ['a'], 'an array and not a plain object'],
    ['a map as the record', new Map(), 'of type Map and not a plain object'],
    ['a date as the record', new Date(0), 'of type Date and not a plain object'],
    ['a string as the record', 'a' as never, 'of type string and not a plain object'],
    ['null as the record', null as never, 'null and not a plain object'],
  ])('refuses %s', (_, value, message) => {
    expect(() => encodeAll([value])).toThrow(
      expect.objectContaining({ code: 'VALUE_NOT_ENCODABLE', message: expect.stringContaining(message) }),
    )
  })

  const cell = fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom('"', ',', ';', '\n', '\r', ' ', 'a', '=', '\ufeff') }))
  const names = fc.uniqueArray(cell, { minLength: 1, maxLength: 5 })
  const tables = names.chain((columns) =>
    fc.tuple(fc.constant(columns), fc.array(fc.array(cell, { minLength: columns.length, maxLength: columns.length }))),
  )

  test('every row is what csv-stringify makes of it', () => {
    fc.assert(
      fc.property(tables, fc.constantFrom(',', ';', '\t', '|'), ([columns, rows], delimiter) => {
        fc.pre(rows.length > 0)
        const records = rows.map((row) => Object.fromEntries(columns.map((name, index) => [name, row[index]!])))
        const expected = stringify([columns, ...rows], { delimiter, quoted_empty: columns.length === 1 })
        expect(encodeAll(records, columns, delimiter)).toBe(expected)
      }),
    )
  })

  test('every table is read back equal', () => {
    fc.assert(
      fc.property(tables, ([columns, rows]) => {
        fc.pre(rows.length > 0)
        const records = rows.map((row) => Object.fromEntries(columns.map((name, index) => [name, row[index]!])))
        expect(parse(encodeAll(records, columns), { record_delimiter: '\n' })).toEqual([columns, ...rows])
      }),
    )
  })
})

describe('writeCsv', () => {
  test.each([
    ['no columns', { columns: [] }],
    ['a column twice', { columns: ['a', 'a'] }],
    ['an empty delimiter', { delimiter: '' }],
    ['a long delimiter', { delimiter: '::' }],
    ['a quote as the delimiter', { delimiter: '"' }],
    ['a line feed as the delimiter', { delimiter: '\n' }],
  ])('refuses %s', (_, options) => {
    expect(() => writeCsv('out', options)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
  })

  test('keeps its columns when the array of the caller changes', () => {
    const columns = ['a']
    const sink = writeCsv('out', { columns })
    columns.push('b')
    expect(sink.settings).toEqual({ folder: 'out', delimiter: ',', columns: ['a'] })
  })
})
