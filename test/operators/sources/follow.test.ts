import { appendFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readCsv, readJsonLines, readText } from '../../../operators/sources/index.ts'
import type { Source } from '../../../src/core/source.ts'
import { context, folderWith, splitsOf } from './conformance.ts'

async function openFirst<T, S, P>(source: Source<T, S, P>, position?: P) {
  return source.open((await splitsOf(source))[0]!, position, context)
}

test('gives lines when they are complete, and never ends', async () => {
  const path = join(folderWith({ 'a.log': 'one\ntw' }), 'a.log')
  const reader = await openFirst(readText(path, { follow: true }))
  expect(await reader.poll(9)).toEqual(['one'])
  expect(await reader.poll(9)).toEqual([])
  appendFileSync(path, 'o\r')
  expect(await reader.poll(9)).toEqual([])
  appendFileSync(path, '\nthree\n')
  expect(await reader.poll(9)).toEqual(['two', 'three'])
  await reader.close?.()
})

test('begins with an empty file, and passes over a byte order mark that comes in pieces', async () => {
  const path = join(folderWith({ 'a.log': '' }), 'a.log')
  const reader = await openFirst(readText(path, { follow: true }))
  expect(await reader.poll(9)).toEqual([])
  appendFileSync(path, Uint8Array.of(0xef, 0xbb))
  expect(await reader.poll(9)).toEqual([])
  appendFileSync(path, Uint8Array.of(0xbf, 65, 10))
  expect(await reader.poll(9)).toEqual(['A'])
  await reader.close?.()
})

test('goes on where it was', async () => {
  const path = join(folderWith({ 'a.log': 'one\ntwo\nthree\n' }), 'a.log')
  const source = readText(path, { follow: true })
  const reader = await openFirst(source)
  expect(await reader.poll(2)).toEqual(['one', 'two'])
  const position = reader.position()
  await reader.close?.()
  appendFileSync(path, 'four\n')
  const again = await openFirst(source, position)
  expect(await again.poll(9)).toEqual(['three', 'four'])
  await again.close?.()
})

test('lets one subtask follow several files in turn', async () => {
  const folder = folderWith({ 'a.log': 'a1\na2\n', 'b.log': 'b1\n', 'c.log': 'c1\n' })
  const source = readText(join(folder, '*.log'), { follow: true })
  const names = (await splitsOf(source, 2)).map((split) => ('files' in split ? split.files.map((file) => file.at(-5)) : []))
  expect(names).toEqual([['a', 'c'], ['b']])
  expect(await splitsOf(source, 8)).toHaveLength(3)
  const reader = await openFirst(source)
  expect([await reader.poll(1), await reader.poll(1), await reader.poll(1), await reader.poll(1)]).toEqual([
    ['a1'],
    ['b1'],
    ['c1'],
    ['a2'],
  ])
  appendFileSync(join(folder, 'b.log'), 'b2\n')
  expect(await reader.poll(9)).toEqual(['b2'])
  expect(await reader.poll(9)).toEqual([])
  expect(reader.position()).toEqual([6, 6, 3])
  await reader.close?.()
})

test('follows JSON lines', async () => {
  const path = join(folderWith({ 'a.jsonl': '{"n":1}\n{"n"' }), 'a.jsonl')
  const reader = await openFirst(readJsonLines<{ n: number }>(path, { follow: true }))
  expect(await reader.poll(9)).toEqual([{ n: 1 }])
  appendFileSync(path, ':2}\n')
  expect(await reader.poll(9)).toEqual([{ n: 2 }])
  await reader.close?.()
})

test('follows CSV files, from before there is a header', async () => {
  const path = join(folderWith({ 'a.csv': 'na' }), 'a.csv')
  const source = readCsv(path, { follow: true })
  const reader = await openFirst(source)
  expect(await reader.poll(9)).toEqual([])
  appendFileSync(path, 'me,note\nx,"one\n')
  expect(await reader.poll(9)).toEqual([])
  appendFileSync(path, 'two"\ny,')
  expect(await reader.poll(9)).toEqual([{ name: 'x', note: 'one\ntwo' }])
  const position = reader.position()
  await reader.close?.()
  appendFileSync(path, '\n')
  const again = await openFirst(source, position)
  expect(await again.poll(9)).toEqual([{ name: 'y', note: '' }])
  await again.close?.()
})

test('refuses a file that has become shorter', async () => {
  const path = join(folderWith({ 'a.log': 'one\ntwo\n' }), 'a.log')
  const source = readText(path, { follow: true })
  const reader = await openFirst(source)
  await reader.poll(9)
  const position = reader.position()
  truncateSync(path, 4)
  await expect(reader.poll(9)).rejects.toMatchObject({ code: 'INPUT_CHANGED' })
  await reader.close?.()
  await expect(openFirst(source, position)).rejects.toMatchObject({ code: 'INPUT_CHANGED' })
  writeFileSync(path, 'one\ntwo\nthree\n')
  const again = await openFirst(source, position)
  expect(await again.poll(9)).toEqual(['three'])
  await again.close?.()
})
