import { appendFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { readText } from '../../../operators/sources/index.ts'
import { checkSource, context, fileIn, folderWith, readAll, splitsOf } from './conformance.ts'

/** The lines of a text, as the documentation defines them. */
function linesOf(text: string): string[] {
  const lines = text.replace(/^\ufeff/, '').split('\n')
  if (lines.at(-1) === '') lines.pop()
  return lines.map((line) => line.replace(/\r$/, ''))
}

const TEXTS = {
  'no final newline': 'one\ntwo\nthree',
  'a final newline': 'one\ntwo\n',
  'empty lines': '\n\none\n\n\ntwo\n\n',
  CRLF: 'one\r\n\r\ntwo\r\nthree\r',
  'characters of two to four bytes': 'é\nööö\n漢字\n😀😀\nñ',
  'a byte order mark': '\ufeffone\n\ufefftwo\n',
  'only a byte order mark': '\ufeff',
  'lone carriage returns': 'a\rb\n\r\r\nc',
  nothing: '',
  'one newline': '\n',
}

describe.each(Object.entries(TEXTS))('a file with %s', (_, text) => {
  test.each([1, 2, 3, 5, 50, undefined])('in splits of %s bytes', async (splitBytes) => {
    const path = join(folderWith({ 'a.txt': text }), 'a.txt')
    await checkSource(readText(path, splitBytes === undefined ? {} : { splitBytes }), linesOf(text))
  })
})

test('gives each line once, whatever is in it and however it is cut', async () => {
  const folder = folderWith({})
  const piece = fc.constantFrom('a', 'bc', 'é', '漢', '😀', '\n', '\r\n', '\n\n', ' ')
  const text = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(''))
  await fc.assert(
    fc.asyncProperty(text, fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 9 }), async (content, splitBytes, max) => {
      const source = readText(fileIn(folder, 'a.txt', content), { splitBytes })
      expect(await readAll(source, max)).toEqual(linesOf(content))
    }),
    { numRuns: 300 },
  )
})

test('reads lines that lie across the borders of blocks', async () => {
  const lines = Array.from({ length: 30_000 }, (_, i) => `${i} ${'漢字é😀'.repeat(i % 7)}`)
  const folder = folderWith({ 'a.txt': lines.join('\n') })
  expect(await readAll(readText(join(folder, 'a.txt')))).toEqual(lines)
  expect(await readAll(readText(join(folder, 'a.txt'), { splitBytes: 100_000 }))).toEqual(lines)
})

test('reads lines longer than a block', async () => {
  const lines = ['short', 'ü'.repeat(1_000_000), '', 'x'.repeat(300_000), 'end']
  const folder = folderWith({ 'a.txt': lines.join('\r\n') })
  for (const splitBytes of [1000, 10_000_000]) {
    const source = readText(join(folder, 'a.txt'), { splitBytes })
    expect((await readAll(source)).map((line) => line.length)).toEqual(lines.map((line) => line.length))
    expect(await readAll(source)).toEqual(lines)
  }
})

test('refuses a line without end, and can go on behind it', async () => {
  const path = fileIn(folderWith({}), 'a.txt', `first\n${'x'.repeat(64 * 1024 * 1024 + 1)}\nlast\n`)
  const source = readText(path, { splitBytes: 1e9 })
  const reader = await source.open((await splitsOf(source))[0]!, undefined, context)
  expect(await reader.poll(1)).toEqual(['first'])
  expect(() => reader.poll(1)).toThrow(
    expect.objectContaining({ code: 'MALFORMED_RECORD', message: expect.stringContaining('line 2') }),
  )
  expect(await reader.poll(1)).toEqual(['last'])
  await reader.close?.()
})

test('reads several files in their order', async () => {
  const folder = folderWith({ 'b.txt': 'b1\nb2', 'a.txt': 'a1\na2\n', 'c.txt': '' })
  await checkSource(readText(join(folder, '*.txt'), { splitBytes: 3 }), ['a1', 'a2', 'b1', 'b2'])
})

test('does not read what is appended after the start, not even to the last line', async () => {
  const path = join(folderWith({ 'a.txt': 'one\ntwo' }), 'a.txt')
  const source = readText(path)
  const splits = await splitsOf(source)
  appendFileSync(path, ' and more\nthree\n')
  const reader = await source.open(splits[0]!, undefined, context)
  expect([await reader.poll(9), await reader.poll(9)]).toEqual([['one', 'two'], null])
  await reader.close?.()
})

describe('a file that has changed', () => {
  test('is refused when it has become shorter', async () => {
    const path = join(folderWith({ 'a.txt': 'one\ntwo\nthree\n' }), 'a.txt')
    const source = readText(path)
    const splits = await splitsOf(source)
    truncateSync(path, 6)
    expect(() => source.open(splits[0]!, 4, context)).toThrow(
      expect.objectContaining({ code: 'INPUT_CHANGED', message: expect.stringContaining(path) }),
    )
  })

  test('is refused when no line begins at the position any more', async () => {
    const path = join(folderWith({ 'a.txt': 'one\ntwo\nthree\n' }), 'a.txt')
    const source = readText(path)
    const splits = await splitsOf(source)
    writeFileSync(path, 'something else entirely\n')
    expect(() => source.open(splits[0]!, 4, context)).toThrow(expect.objectContaining({ code: 'INPUT_CHANGED' }))
  })

  test('is refused when it becomes shorter while it is read', async () => {
    const path = join(folderWith({ 'a.txt': 'one\ntwo\nthree\n' }), 'a.txt')
    const source = readText(path)
    const reader = await source.open((await splitsOf(source))[0]!, undefined, context)
    truncateSync(path, 0)
    expect(() => reader.poll(9)).toThrow(expect.objectContaining({ code: 'INPUT_CHANGED' }))
    await reader.close?.()
  })
})

test('names a file that cannot be opened', async () => {
  const source = readText('words.txt')
  const path = join(folderWith({}), 'gone.txt')
  const error = expect.objectContaining({
    code: 'INPUT_UNREADABLE',
    message: expect.stringContaining(path),
    cause: expect.any(Error),
  })
  expect(() => source.open({ path, start: 0, end: 1 }, undefined, context)).toThrow(error)
})

test.each([0, -1, 1.5])('refuses splitBytes %d', (splitBytes) => {
  expect(() => readText('a.txt', { splitBytes })).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
})

test('gives strings', async () => {
  const path = join(folderWith({ 'a.txt': 'one' }), 'a.txt')
  expectTypeOf(await readAll(readText(path))).toEqualTypeOf<string[]>()
})
