import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { readJsonLines } from '../../../operators/sources/index.ts'
import { checkSource, context, fileIn, folderWith, readAll, splitsOf } from './conformance.ts'

test.each([1, 7, 50, 1000])('reads values of all kinds in splits of %i bytes', async (splitBytes) => {
  const text = '{"name":"Zoë 😀"}\r\n\n  \n[1,2]\n"漢字"\n\t\nnull\n3.5\n\t \n{"last":true}'
  const path = join(folderWith({ 'a.jsonl': text }), 'a.jsonl')
  await checkSource(readJsonLines(path, { splitBytes }), [{ name: 'Zoë 😀' }, [1, 2], '漢字', null, 3.5, { last: true }])
})

test('reads nothing from blank files', async () => {
  const folder = folderWith({ 'a.jsonl': '', 'b.jsonl': '\n\n', 'c.jsonl': '\ufeff' })
  await checkSource(readJsonLines(join(folder, '*.jsonl')), [])
})

test('gives back what was written', async () => {
  const folder = folderWith({})
  const values = fc.array(fc.jsonValue({ maxDepth: 2 }), { maxLength: 12 })
  const lineEnd = fc.constantFrom('\n', '\r\n', '\n\n')
  await fc.assert(
    fc.asyncProperty(
      values,
      lineEnd,
      fc.integer({ min: 1, max: 50 }),
      fc.integer({ min: 1, max: 5 }),
      async (array, end, splitBytes, max) => {
        const lines = array.map((value) => JSON.stringify(value))
        const source = readJsonLines(fileIn(folder, 'a.jsonl', lines.join(end)), { splitBytes })
        expect(await readAll(source, max)).toEqual(lines.map((line) => JSON.parse(line)))
      },
    ),
    { numRuns: 200 },
  )
})

test('reads lines far beyond what is decoded at once, whatever their neighbours are', async () => {
  const lines = Array.from({ length: 12_000 }, (_, i) => `{"i":${i},"text":"${i % 9 === 0 ? 'Zoë 😀' : 'x'.repeat(i % 90)}"}`)
  lines[3000] = `["${'long '.repeat(30_000)}"]`
  lines[3001] = `["${'länger '.repeat(30_000)}"]`
  const path = fileIn(folderWith({}), 'a.jsonl', lines.join('\r\n'))
  const expected = lines.map((line) => JSON.parse(line))
  expect(await readAll(readJsonLines(path))).toEqual(expected)
  expect(await readAll(readJsonLines(path, { splitBytes: 70_000 }), 7)).toEqual(expected)
})

test('bytes that are not UTF-8 spoil only the characters that they stand for', async () => {
  const bytes = Buffer.from('["a?b"]\n["plain"]\n["?"]\n["é?"]\n').map((byte) => (byte === 63 ? 0xff : byte))
  expect(await readAll(readJsonLines(fileIn(folderWith({}), 'a.jsonl', bytes)))).toEqual([
    ['a\ufffdb'],
    ['plain'],
    ['\ufffd'],
    ['é\ufffd'],
  ])
})

test('passes over many bad lines of one file', async () => {
  const lines = Array.from({ length: 3000 }, (_, i) => (i % 3 === 1 ? `oops ${i}` : `{"i":${i}}`))
  const path = fileIn(folderWith({}), 'a.jsonl', lines.join('\n'))
  const source = readJsonLines<{ i: number }>(path)
  const reader = await source.open((await splitsOf(source))[0]!, undefined, context)
  const found: number[] = []
  let bad = 0
  for (let isOver = false; !isOver; ) {
    try {
      const batch = await reader.poll(100)
      isOver = batch === null
      found.push(...(batch ?? []).map(({ i }) => i))
    } catch {
      bad++
    }
  }
  await reader.close?.()
  expect(bad).toBe(1000)
  expect(found).toEqual(
    lines
      .keys()
      .filter((i) => i % 3 !== 1)
      .toArray(),
  )
})

describe('a malformed line', () => {
  const text = '{"n":1}\n\n{"ö":2}\n{"n":3,}\n{"n":4}\n'

  async function open(content: string, splitBytes = 1000) {
    const path = join(folderWith({ 'a.jsonl': content }), 'a.jsonl')
    const source = readJsonLines(path, { splitBytes })
    return { path, reader: await source.open((await splitsOf(source)).at(-1)!, undefined, context) }
  }

  test('comes after the records before it, and can be passed over', async () => {
    const { reader } = await open(text)
    expect(await reader.poll(9)).toEqual([{ n: 1 }, { ö: 2 }])
    expect(reader.position()).toBe(Buffer.byteLength(text.slice(0, text.indexOf('{"n":3'))))
    expect(() => reader.poll(9)).toThrow(expect.objectContaining({ code: 'MALFORMED_RECORD' }))
    expect(await reader.poll(9)).toEqual([{ n: 4 }])
    expect(await reader.poll(9)).toBe(null)
    await reader.close?.()
  })

  test('is named with file, line, offset and beginning', async () => {
    const { path, reader } = await open(text)
    await reader.poll(9)
    const message = expect.stringContaining(`${path}, line 4 (byte 18): not JSON: "{\\"n\\":3,}"`)
    expect(() => reader.poll(9)).toThrow(expect.objectContaining({ message, cause: expect.any(SyntaxError) }))
    await reader.close?.()
  })

  test('is counted from the beginning of the file, not of the split', async () => {
    const { reader } = await open(`${'{"n":1}\n'.repeat(20)}oops`, 8)
    expect(() => reader.poll(9)).toThrow(/line 21 \(byte 160\)/)
    await reader.close?.()
  })

  test('is quoted in part when it is long', async () => {
    const { reader } = await open(`oops ${'x'.repeat(500)}`)
    expect(() => reader.poll(9)).toThrow(/"oops x{75}"\.\.\./)
    await reader.close?.()
  })
})

test('has the type that it is told', async () => {
  interface Order {
    id: string
    amount: number
  }
  const path = join(folderWith({ 'a.jsonl': '{"id":"a","amount":1}\n' }), 'a.jsonl')
  expectTypeOf(await readAll(readJsonLines<Order>(path))).toEqualTypeOf<Order[]>()
  expectTypeOf(await readAll(readJsonLines(path))).toEqualTypeOf<unknown[]>()
})
