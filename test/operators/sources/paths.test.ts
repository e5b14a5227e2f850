import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { expect, test } from 'vitest'
import { readText } from '../../../operators/sources/index.ts'
import { expandPaths } from '../../../operators/sources/paths.ts'
import { folderWith } from './conformance.ts'

const FILES = { 'b.txt': '', 'a.txt': '', 'c.csv': '', '.hidden.txt': '', 'odd[1].txt': '' }

test('takes a path as it is, absolute or relative', async () => {
  const folder = folderWith(FILES)
  const path = join(folder, 'a.txt')
  expect(await expandPaths(path)).toEqual([path])
  expect(await expandPaths(relative(process.cwd(), path))).toEqual([path])
})

test('sorts the files of a glob and leaves hidden ones out', async () => {
  const folder = folderWith(FILES)
  mkdirSync(join(folder, '.staging'))
  mkdirSync(join(folder, 'deep'))
  writeFileSync(join(folder, '.staging', 'x.txt'), '')
  writeFileSync(join(folder, 'deep', 'd.txt'), '')
  expect(await expandPaths(join(folder, '*.txt'))).toEqual(['a.txt', 'b.txt', 'odd[1].txt'].map((name) => join(folder, name)))
  expect(await expandPaths(join(folder, '**/{a,d,x}.txt'))).toEqual(['a.txt', 'deep/d.txt'].map((name) => join(folder, name)))
})

test('finds files by glob below a hidden folder that is named', async () => {
  const folder = folderWith({})
  mkdirSync(join(folder, '.data'))
  writeFileSync(join(folder, '.data', 'x.txt'), '')
  expect(await expandPaths(join(folder, '.data/*.txt'))).toEqual([join(folder, '.data', 'x.txt')])
})

test('keeps the order of an array and gives each file once', async () => {
  const folder = folderWith(FILES)
  const [a, b] = [join(folder, 'a.txt'), join(folder, 'b.txt')]
  expect(await expandPaths([b, join(folder, '[ab].txt'), join(folder, '.', 'a.txt')])).toEqual([b, a])
})

test('prefers a file whose name looks like a glob', async () => {
  const folder = folderWith({ ...FILES, 'odd1.txt': '' })
  expect(await expandPaths(join(folder, 'odd[1].txt'))).toEqual([join(folder, 'odd[1].txt')])
})

test('follows a link to a file', async () => {
  const folder = folderWith(FILES)
  symlinkSync(join(folder, 'a.txt'), join(folder, 'link.log'))
  expect(await expandPaths(join(folder, '*.log'))).toEqual([join(folder, 'link.log')])
})

test.each(['missing.txt', '*.json', 'a.txt/deeper'])('says which path has no files: %s', async (name) => {
  const path = join(folderWith(FILES), name)
  const error = await expandPaths([path]).catch((caught) => caught)
  expect(error).toMatchObject({ code: 'NO_INPUT_FILES' })
  expect(error.message).toContain(path)
  expect(error.message).toContain(process.cwd())
})

test('says of a folder how to read the files in it', async () => {
  const folder = folderWith(FILES)
  const error = await expandPaths(folder).catch((caught) => caught)
  expect(error).toMatchObject({ code: 'INPUT_UNREADABLE', hint: expect.stringContaining(`${folder}/*`) })
})

test.each([[[]], [''], [['a.txt', '']], [undefined]])('refuses %j when the job is written', (paths) => {
  expect(() => readText(paths as string)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
})
