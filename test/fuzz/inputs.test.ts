import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { readCsv, readJsonLines, readText } from '../../operators/sources/index.ts'
import { SluiceError } from '../../src/core/errors.ts'
import type { Source } from '../../src/core/source.ts'
import { readAll } from '../operators/sources/conformance.ts'
import { fuzzing, timeoutOf } from './runs.ts'

/*
 * Files that nobody wrote with care. Wherever they are cut, the same records come, or the same refusal with file, line and byte.
 */

const folder = mkdtempSync(join(tmpdir(), 'sluice-fuzz-'))
const path = join(folder, 'input')
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const bytes = (...numbers: number[]): Buffer => Buffer.from(numbers)
const PIECES = [
  ...[
    '\n',
    '\r\n',
    '\r',
    ',',
    '"',
    '""',
    '{"a":1}',
    '{"__proto__":{"x":1}}',
    '[',
    ']',
    'null',
    '1e999',
    'a,b,c',
    'é',
    '漢',
    '😀',
    ' ',
    '\t',
    '\0',
  ],
  ...[
    '"a\nb"',
    '"a',
    'b"c',
    '{"a":"\\ud800"}',
    '__proto__,constructor',
    'x'.repeat(300),
    '[['.repeat(100),
    '\u2028',
    '#',
    ';',
    "'",
  ],
].map((text) => Buffer.from(text))
const BROKEN = [
  bytes(0xef, 0xbb, 0xbf),
  bytes(0xff, 0xfe),
  bytes(0xc3),
  bytes(0xe6, 0xbc),
  bytes(0xed, 0xa0, 0x80),
  bytes(0x80),
  bytes(0xc0, 0x80),
]
/** Longer than the blocks in which files are read. */
const LONG = [Buffer.alloc(256 * 1024 - 3, 'y'), Buffer.alloc(256 * 1024 + 1, '"')]

const pieces = fc.array(
  fc.oneof(
    { weight: 20, arbitrary: fc.constantFrom(...PIECES) },
    { weight: 4, arbitrary: fc.constantFrom(...BROKEN) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 20 }).map((each) => Buffer.from(each)) },
  ),
  { maxLength: 40 },
)
const files = fc.oneof(
  { weight: 30, arbitrary: pieces.map((all) => Buffer.concat(all)) },
  { weight: 1, arbitrary: fc.tuple(pieces, fc.constantFrom(...LONG), pieces).map((all) => Buffer.concat(all.flat())) },
)

/** All records, or the code and message of the refusal. */
async function outcomeOf<T, S, P>(source: Source<T, S, P>, max: number): Promise<unknown> {
  try {
    return await readAll(source, max)
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error
    expect(error.code).toBe('MALFORMED_RECORD')
    return error.code
  }
}

const SOURCES: Readonly<Record<string, (splitBytes: number) => Source<unknown, never, never>>> = {
  readText: (splitBytes) => readText(path, { splitBytes }) as unknown as Source<unknown, never, never>,
  readJsonLines: (splitBytes) => readJsonLines(path, { splitBytes }) as unknown as Source<unknown, never, never>,
  readCsv: (splitBytes) => readCsv(path, { splitBytes }) as unknown as Source<unknown, never, never>,
  'readCsv with cast': (splitBytes) =>
    readCsv(path, { splitBytes, cast: true } as never) as unknown as Source<unknown, never, never>,
}

describe.each(Object.entries(SOURCES))('%s', (_, source) => {
  test('gives the same wherever a file is cut', { timeout: timeoutOf(60_000) }, async () => {
    const check = async (file: Buffer, splitBytes: number, max: number): Promise<void> => {
      writeFileSync(path, file)
      const whole = await outcomeOf(source(1 << 30), 1_000)
      expect(await outcomeOf(source(Math.max(splitBytes, file.length >>> 8)), max)).toEqual(whole)
      expect(Object.keys(Object.prototype)).toEqual([])
    }
    await fc.assert(fc.asyncProperty(files, fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 9 }), check), fuzzing(150))
  })
})
