import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'csv-stringify/sync'
import fc from 'fast-check'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { type CsvOptions, readCsv } from '../../../operators/sources/index.ts'
import { checkSource, context, fileIn, folderWith, readAll, splitsOf } from './conformance.ts'

function fileOf(text: string): string {
  return join(folderWith({ 'a.csv': text }), 'a.csv')
}

async function openSplit(text: string, options: CsvOptions = {}, split = 0) {
  const path = fileOf(text)
  const source = readCsv(path, options)
  return { path, reader: await source.open((await splitsOf(source)).at(split)!, undefined, context) }
}

const ROWS = [
  { city: 'Zürich', note: 'a "quoted" word', '': '1' },
  { city: 'Oslo, Norway', note: 'two\nlines', '': '' },
  { city: '漢字', note: '\r\n', '': '"' },
  { city: '', note: '', '': '😀' },
]

describe.each(['\n', '\r\n'])('with line end %j', (lineEnd) => {
  test.each([1, 5, 20, 50, 1000])(
    'reads quotes, newlines and characters of several bytes in splits of %i bytes',
    async (splitBytes) => {
      const text = stringify(ROWS, { header: true, record_delimiter: lineEnd, quoted_match: /\n/ })
      await checkSource(readCsv(fileOf(text), { splitBytes }), ROWS)
      await checkSource(readCsv(fileOf(`\ufeff${text.trimEnd()}`), { splitBytes }), ROWS)
    },
  )
})

test('gives back what was written', async () => {
  const folder = folderWith({})
  const field = fc
    .array(fc.constantFrom('a', 'é', '漢', '"', ',', '\n', '\r', ' ', '1', '#'), { maxLength: 6 })
    .map((parts) => parts.join(''))
  const rows = fc.array(fc.record({ one: field, two: field }), { maxLength: 12 })
  const layout = fc.record({ quoted: fc.boolean(), isFinished: fc.boolean(), lineEnd: fc.constantFrom('\n', '\r\n') })
  await fc.assert(
    fc.asyncProperty(
      rows,
      layout,
      fc.integer({ min: 1, max: 50 }),
      fc.integer({ min: 1, max: 5 }),
      async (array, how, splitBytes, max) => {
        const options = {
          header: true,
          columns: ['one', 'two'],
          quoted: how.quoted,
          record_delimiter: how.lineEnd,
          eof: how.isFinished,
        }
        // The writer by itself puts quotes only around the line end that it uses itself.
        const text = stringify(array, { ...options, quoted_match: /[\r\n]/ })
        const source = readCsv(fileIn(folder, 'a.csv', text), { splitBytes })
        expect(await readAll(source, max)).toEqual(array)
      },
    ),
    { numRuns: 300 },
  )
})

test('reads records with quotes and without among each other', async () => {
  const rows = Array.from({ length: 5000 }, (_, i) => ({ id: `${i}`, text: i % 3 === 0 ? `a, "${i}"\n` : `b${i}` }))
  const source = readCsv(fileOf(stringify(rows, { header: true })), { splitBytes: 10_000 })
  expect((await splitsOf(source)).length).toBeGreaterThan(5)
  expect(await readAll(source)).toEqual(rows)
})

test.each([undefined, '#'])('cuts a file of many blocks only where records begin, with comment %j', async (comment) => {
  const rows = Array.from({ length: 30_000 }, (_, i) => ({ id: `${i}`, text: i % 5 === 0 ? `\n"${i}",\n` : 'x'.repeat(i % 40) }))
  const path = fileOf(stringify(rows, { header: true, quoted_match: /\n/ }))
  for (const splitBytes of [1000, 99_999, 262_144, 10_000_000]) {
    const source = readCsv(path, { splitBytes, ...(comment === undefined ? {} : { comment }) })
    const splits = (await splitsOf(source)) as readonly { start: number; end: number }[]
    expect(splits.slice(0, -1).every(({ start, end }) => end - start >= splitBytes && end - start < splitBytes + 100)).toBe(true)
    expect(await readAll(source)).toEqual(rows)
  }
})

test('bytes that are not UTF-8 spoil only the characters that they stand for', async () => {
  const text = 'a,b\n1,a rather ? long text\n2,ein längerer ? Text\n"3","and ? one in quotes"\n'
  const bytes = Buffer.from(text).map((byte) => (byte === 63 ? 0xc3 : byte))
  expect(await readAll(readCsv(fileIn(folderWith({}), 'a.csv', bytes)))).toEqual([
    { a: '1', b: 'a rather \ufffd long text' },
    { a: '2', b: 'ein längerer \ufffd Text' },
    { a: '3', b: 'and \ufffd one in quotes' },
  ])
})

test('passes over empty lines and comments, also before the header', async () => {
  const text = '# a "comment\n\nid,name\n\n1,x\n#2,y\n3,"#z\n#"\n\n'
  for (const splitBytes of [1, 12, 100]) {
    const expected = [
      { id: '1', name: 'x' },
      { id: '3', name: '#z\n#' },
    ]
    await checkSource(readCsv(fileOf(text), { comment: '#', splitBytes }), expected)
  }
})

test('takes other delimiters and quotes, or none', async () => {
  await checkSource(readCsv(fileOf("a;b\n'x;''y';2\n"), { delimiter: ';', quote: "'" }), [{ a: "x;'y", b: '2' }])
  await checkSource(readCsv(fileOf('a\tb\n5" pipe\t"\n'), { delimiter: '\t', quote: false }), [{ a: '5" pipe', b: '"' }])
  await checkSource(readCsv(fileOf('a::b\n1::"2::3"\n'), { delimiter: '::' }), [{ a: '1', b: '2::3' }])
})

test('takes names for files without a header', async () => {
  const source = readCsv(fileOf('1,2\n3,4\n'), { header: ['x', 'y'], splitBytes: 1 })
  await checkSource(source, [
    { x: '1', y: '2' },
    { x: '3', y: '4' },
  ])
})

test('reads each file by its own header', async () => {
  const folder = folderWith({ 'a.csv': 'x,y\n1,2\n', 'b.csv': 'y,x\n3,4\n', 'c.csv': 'x,y\n', 'd.csv': '' })
  await checkSource(readCsv(join(folder, '*.csv')), [
    { x: '1', y: '2' },
    { y: '3', x: '4' },
  ])
})

test('takes any name for a column', async () => {
  const [row] = await readAll(readCsv(fileOf('__proto__,constructor,"a ""b"" \\ `$c`"\n1,2,3\n')))
  expect(Object.entries(row!)).toEqual([
    ['__proto__', '1'],
    ['constructor', '2'],
    ['a "b" \\ `$c`', '3'],
  ])
})

test('reads a table of many columns', async () => {
  const row = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`column ${i}`, `${i}`]))
  await checkSource(readCsv(fileOf(stringify([row, row], { header: true }))), [row, row])
})

describe('cast', () => {
  test.each([
    ['7', 7],
    ['-0.50', -0.5],
    ['1e3', 1000],
    ['0', 0],
    ['9007199254740991', 9007199254740991],
    ['true', true],
    ['false', false],
  ])('makes %s a value', async (text, value) => {
    await checkSource(readCsv<{ a: unknown }>(fileOf(`a\n"${text}"\n${text}\n`), { cast: true }), [{ a: value }, { a: value }])
  })

  test.each([
    '007',
    '+7',
    ' 7',
    '7 ',
    '9007199254740993',
    '1e999',
    '.5',
    '5.',
    '0x10',
    'NaN',
    'Infinity',
    'True',
    'null',
    '-',
    '1_000',
  ])('leaves %j a string', async (text) => {
    await checkSource(readCsv(fileOf(`a,b\n${text},\n`), { cast: true }), [{ a: text, b: '' }])
  })
})

describe('a malformed record', () => {
  test.each([
    ['too few fields', '3\n', '1 fields instead of 2'],
    ['too many fields', '3,4,"5"\n', '3 fields instead of 2'],
    ['a quote inside a field', '3,x"y"\n', 'Invalid Opening Quote'],
    ['text behind a quoted field', '"3"x,4\n', 'Invalid Closing Quote'],
    ['a quote that is not closed', '3,"4\n5,6\n', 'Quote Not Closed'],
  ])('is named with its place: %s', async (_, record, problem) => {
    const { path, reader } = await openSplit(`a,b\n1,"é\n2"\n${record}`)
    expect(await reader.poll(9)).toEqual([{ a: '1', b: 'é\n2' }])
    expect(() => reader.poll(9)).toThrow(
      expect.objectContaining({
        code: 'MALFORMED_RECORD',
        message: expect.stringMatching(new RegExp(`^${path}, line 4 \\(byte 13\\): not CSV: .*${problem}`)),
      }),
    )
    await reader.close?.()
  })

  test('can be passed over', async () => {
    const { reader } = await openSplit('a,b\n1,2\n\n3\n5,6\n7,"x"y\n9,"0"\n')
    expect(await reader.poll(9)).toEqual([{ a: '1', b: '2' }])
    expect(() => reader.poll(9)).toThrow(/line 4/)
    expect(await reader.poll(9)).toEqual([{ a: '5', b: '6' }])
    expect(() => reader.poll(9)).toThrow(/line 6/)
    expect(await reader.poll(9)).toEqual([{ a: '9', b: '0' }])
    expect(await reader.poll(9)).toBe(null)
    await reader.close?.()
  })

  test('may be the header', async () => {
    const twice = await openSplit('a,b,a\n1,2,3\n')
    expect(() => twice.reader.poll(9)).toThrow(/line 1 \(byte 0\): two columns are named 'a'/)
    const unclosed = await openSplit('a,"b\n1,2\n')
    expect(() => unclosed.reader.poll(9)).toThrow(/line 1 \(byte 0\): not CSV: Quote Not Closed/)
  })
})

test('refuses a file in which the position is no longer where a record begins', async () => {
  const path = fileOf('a\n1\n2\n3\n')
  const source = readCsv(path)
  const splits = await splitsOf(source)
  writeFileSync(path, 'a\n10\n20\n30\n')
  expect(() => source.open(splits[0]!, 6, context)).toThrow(expect.objectContaining({ code: 'INPUT_CHANGED' }))
})

test.each([
  { delimiter: '' },
  { delimiter: '\n' },
  { delimiter: '"' },
  { quote: 'ü' },
  { quote: '""' },
  { comment: '' },
  { header: [] },
  { header: ['a', 'a'] },
])('refuses %j', (options) => {
  expect(() => readCsv('a.csv', options)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
})

test('has the type that it is told, or strings', async () => {
  const path = fileOf('a\n1\n')
  expectTypeOf(await readAll(readCsv<{ a: number }>(path, { cast: true }))).toEqualTypeOf<{ a: number }[]>()
  expectTypeOf(await readAll(readCsv(path))).toEqualTypeOf<Record<string, string>[]>()
})
