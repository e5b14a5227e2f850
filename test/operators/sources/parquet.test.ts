import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { type AsyncBuffer, parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { readParquet } from '../../../operators/sources/index.ts'
import { readRuns } from '../../../operators/sources/parquet-runs.ts'
import { checkSource, context, fileIn, folderWith, readAll, splitsOf } from './conformance.ts'
import { parquetFile, runs, type TestColumn } from './parquet-writer.ts'

interface Flight {
  date: Date
  delay: number
  distance: number
  origin: string
  destination: string
}

const FLIGHTS = join(import.meta.dirname, '../../../node_modules/vega-datasets/data/flights-3m.parquet')
const GROUP_ROWS = 272_727

function fileOf(...columns: readonly TestColumn[]): string {
  return fileIn(folderWith({}), 'a.parquet', parquetFile(columns))
}

/** What the library makes of the same file, with numbers for bigints. */
async function expectedRows(path: string, rowStart?: number, rowEnd?: number): Promise<Record<string, unknown>[]> {
  const bytes = readFileSync(path)
  const file: AsyncBuffer = { byteLength: bytes.length, slice: (start, end) => new Uint8Array(bytes.subarray(start, end)).buffer }
  const range = rowStart === undefined || rowEnd === undefined ? {} : { rowStart, rowEnd }
  const rows = await parquetReadObjects({ file, compressors, ...range })
  const plain = (value: unknown) => (typeof value === 'bigint' ? Number(value) : value)
  return rows.map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, plain(value)])))
}

describe('three million flights', () => {
  test('have one split for each row group', async () => {
    const splits = await splitsOf(readParquet<Flight>(FLIGHTS))
    expect(splits).toHaveLength(11)
    expect(splits[1]).toEqual({ path: FLIGHTS, rowGroup: 1, rowStart: GROUP_ROWS, rowEnd: 2 * GROUP_ROWS })
    expect(splits.at(-1)?.rowEnd).toBe(3_000_000)
  })

  test('are all read', async () => {
    const source = readParquet<Flight>(FLIGHTS, { columns: ['delay', 'origin'] })
    const sum = { flights: 0, delay: 0, fromAtlanta: 0 }
    for (const split of await splitsOf(source)) {
      const reader = await source.open(split, undefined, context)
      for (let batch = await reader.poll(1000); batch !== null; batch = await reader.poll(1000)) {
        for (const { delay, origin } of batch) {
          sum.flights++
          sum.delay += delay
          if (origin === 'ATL') sum.fromAtlanta++
        }
      }
      await reader.close?.()
    }
    expect(sum).toEqual({ flights: 3_000_000, delay: 20_003_603, fromAtlanta: expect.any(Number) })
    expect(sum.fromAtlanta).toBeGreaterThan(100_000)
  })

  test('are what the library reads, from any position', async () => {
    const source = readParquet<Flight>(FLIGHTS)
    const split = (await splitsOf(source))[1]!
    for (const row of [GROUP_ROWS, GROUP_ROWS + 1, GROUP_ROWS + 100_003, 2 * GROUP_ROWS - 100]) {
      const reader = await source.open(split, row, context)
      const batch = await reader.poll(100)
      expect(batch).toEqual(await expectedRows(FLIGHTS, row, row + 100))
      expect(Object.keys(batch![0]!)).toEqual(['date', 'delay', 'distance', 'origin', 'destination'])
      expect(reader.position()).toBe(row + 100)
      await reader.close?.()
    }
  })

  test('are polled without a promise after the first time', async () => {
    const source = readParquet<Flight>(FLIGHTS, { columns: ['delay'] })
    const reader = await source.open((await splitsOf(source))[0]!, undefined, context)
    const first = reader.poll(1)
    expect(first).toBeInstanceOf(Promise)
    await first
    expect(reader.poll(1)).toBeInstanceOf(Array)
    await reader.close?.()
  })

  test('do not share their dates', async () => {
    const source = readParquet<Flight>(FLIGHTS, { columns: ['date'] })
    const reader = await source.open((await splitsOf(source))[0]!, undefined, context)
    const dates = (await reader.poll(1000))!.map((flight) => flight.date)
    expect(new Set(dates).size).toBe(1000)
    expect(new Set(dates.map(Number)).size).toBeLessThan(1000)
    await reader.close?.()
  })
})

const NUMBERS: TestColumn = {
  name: 'n',
  type: 'INT64',
  isOptional: true,
  dictionary: [10n, 20n, -30n],
  pages: [
    { values: [0, 1, 2, 1, 1], usesDictionary: true },
    { values: [2, 0], usesDictionary: true, present: [0, 1, 0, 1, 0] },
    { values: [], usesDictionary: true, present: [0, 0, 0] },
    { values: [7n, -8n], present: [1, 0, 1] },
    { values: [9n, 9n, 9n], version: 2 },
    { values: [1], usesDictionary: true, present: [0, 1], version: 2 },
  ],
}
const TEXTS: TestColumn = {
  name: 's',
  type: 'BYTE_ARRAY',
  pages: [{ values: [...'abcdé漢😀hijklmno'] }, { values: ['', 'p', 'q', 'r', 's', 't'] }],
}
const ROWS = [10, 20, -30, 20, 20, null, -30, null, 10, null, null, null, null, 7, null, -8, 9, 9, 9, null, 20]

test('reads pages of both versions, by dictionary or plain, with and without nulls', async () => {
  const path = fileOf(NUMBERS, TEXTS)
  const texts = [...'abcdé漢😀hijklmno', '', 'p', 'q', 'r', 's', 't']
  const expected = ROWS.map((n, i) => ({ n, s: texts[i] }))
  expect(await expectedRows(path)).toEqual(expected)
  await checkSource(readParquet(path), expected)
})

test.each([
  ['GZIP', 2, gzipSync],
  ['BROTLI', 4, brotliCompressSync],
  ['ZSTD', 6, zstdCompressSync],
])('reads %s', async (_, number, compress) => {
  const codec = { number, compress: (bytes: Buffer) => compress(bytes) }
  await checkSource(
    readParquet(fileOf({ ...NUMBERS, codec })),
    ROWS.map((n) => ({ n })),
  )
})

test('reads the common types as the library does', async () => {
  const DAYS = 6
  const MILLIS = 9
  const MICROS = 10
  const path = fileOf(
    { name: 'int', type: 'INT32', pages: [{ values: [-1, 0, 2147483647] }] },
    { name: 'float', type: 'FLOAT', pages: [{ values: [0.5, -1.25, 3] }] },
    { name: 'double', type: 'DOUBLE', pages: [{ values: [0.1, 1e300, Number.NaN] }] },
    { name: 'day', type: 'INT32', convertedType: DAYS, pages: [{ values: [-1, 0, 19_000] }] },
    { name: 'millis', type: 'INT64', convertedType: MILLIS, pages: [{ values: [-1n, 0n, 1_700_000_000_123n] }] },
    {
      name: 'micros',
      type: 'INT64',
      convertedType: MICROS,
      isOptional: true,
      pages: [{ values: [-1_999n, 10n ** 16n + 999n], present: [1, 0, 1] }],
    },
    { name: 'time', type: 'INT64', convertedType: 8, pages: [{ values: [1n, 2n, 3n] }] },
  )
  const expected = await expectedRows(path)
  expect(expected[0]).toMatchObject({ int: -1, day: new Date(-86_400_000), micros: new Date(-1), time: 1 })
  await checkSource(readParquet(path), expected)
})

test('leaves out columns, and gives the others in the order asked for', async () => {
  const rows = await readAll(readParquet(fileOf(NUMBERS, TEXTS), { columns: ['s', 'n'] }))
  expect(Object.entries(rows[1]!)).toEqual([
    ['s', 'b'],
    ['n', 20],
  ])
  await checkSource(
    readParquet(fileOf(NUMBERS, TEXTS), { columns: ['n'] }),
    ROWS.map((n) => ({ n })),
  )
})

test('refuses an integer that is too large for a number, unless bigints are asked for', async () => {
  const values = [1n, 2n ** 53n - 1n, -(2n ** 53n)]
  const path = fileOf({ name: 'id', type: 'INT64', pages: [{ values }] })
  await expect(readAll(readParquet(path))).rejects.toMatchObject({
    code: 'MALFORMED_RECORD',
    message: expect.stringContaining(`${path}, column id: -9007199254740992`),
  })
  expect(await readAll(readParquet(path, { bigints: true }))).toEqual(values.map((id) => ({ id })))
})

test('refuses an option that cannot be right', async () => {
  const path = fileOf(NUMBERS)
  const refused = expect.objectContaining({ code: 'INVALID_OPTION' })
  expect(() => readParquet(path, { columns: [] })).toThrow(refused)
  expect(() => readParquet(path, { columns: ['n', 'n'] })).toThrow(refused)
  await expect(readParquet(path, { columns: ['m'] }).enumerate({ parallelism: 1 })).rejects.toMatchObject({
    code: 'INVALID_OPTION',
    message: `${path} has no column 'm', but: n`,
  })
})

describe('a file that cannot be read', () => {
  test.each([['not parquet at all'], ['PAR1'], [''], ['PAR1\u0001\u0000\u0000\u0000PAR1']])('says so: %j', async (content) => {
    const path = fileIn(folderWith({}), 'a.parquet', content)
    await expect(readParquet(path).enumerate({ parallelism: 1 })).rejects.toMatchObject({
      code: 'INPUT_UNREADABLE',
      message: expect.stringContaining(path),
      cause: expect.any(Error),
    })
  })

  test('says so when a page is damaged', async () => {
    const codec = { number: 6, compress: (bytes: Buffer) => zstdCompressSync(bytes) }
    const bytes = parquetFile([{ ...NUMBERS, codec }])
    const frame = bytes.indexOf(Buffer.of(0x28, 0xb5, 0x2f, 0xfd))
    bytes.fill(0, frame, frame + 8)
    const path = fileIn(folderWith({}), 'a.parquet', bytes)
    await expect(readAll(readParquet(path))).rejects.toMatchObject({ code: 'INPUT_UNREADABLE', cause: expect.any(Error) })
  })

  test('says so when a position is outside the dictionary', async () => {
    const path = fileOf({ name: 'n', type: 'INT64', dictionary: [1n, 2n], pages: [{ values: [0, 1, 3], usesDictionary: true }] })
    await expect(readAll(readParquet(path))).rejects.toMatchObject({ code: 'INPUT_UNREADABLE' })
  })

  test('may be another file than before', async () => {
    const path = fileOf(NUMBERS)
    const source = readParquet(path)
    const splits = await splitsOf(source)
    writeFileSync(path, parquetFile([{ ...NUMBERS, pages: NUMBERS.pages.slice(1) }]))
    await expect(source.open(splits[0]!, undefined, context)).rejects.toMatchObject({ code: 'INPUT_CHANGED' })
    copyFileSync(FLIGHTS, path)
    await expect(source.open(splits[0]!, undefined, context)).rejects.toMatchObject({ code: 'INPUT_CHANGED' })
  })
})

test('unpacks numbers of any width', () => {
  const cases = fc
    .integer({ min: 1, max: 31 })
    .chain((bits) =>
      fc.tuple(
        fc.constant(bits),
        fc.array(fc.oneof(fc.constant(1), fc.nat({ max: 2 ** bits - 1 })), { minLength: 1, maxLength: 60 }),
      ),
    )
  fc.assert(
    fc.property(cases, ([bits, values]) => {
      // Groups of eight come at the end only, as a shorter one is filled up.
      const whole = values.slice(0, values.length - (values.length % 8))
      expect([...readRuns(runs(whole, bits), 0, bits, whole.length, 2 ** bits)]).toEqual(whole)
    }),
  )
})

test('has the type that it is told', async () => {
  expectTypeOf(await readAll(readParquet<{ n: number | null }>(fileOf(NUMBERS)))).toEqualTypeOf<{ n: number | null }[]>()
})
