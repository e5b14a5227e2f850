import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { makeFolders, makeFoldersDurably } from '../../src/core/make-folders.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-folders-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

test('makes what is missing, outermost first, and nothing twice', () => {
  const path = join(folder, 'a/b/c')
  expect(makeFolders(path)).toEqual([join(folder, 'a'), join(folder, 'a/b'), path])
  expect(existsSync(path)).toBe(true)
  expect(makeFolders(path)).toEqual([])
})

test('comes back where none can be made', () => {
  expect(() => makeFolders('/proc/nowhere/deeper')).toThrow(/ENOENT/)
  writeFileSync(join(folder, 'file'), '')
  expect(() => makeFolders(join(folder, 'file/deeper'))).toThrow(/ENOTDIR/)
})

test('makes each folder only when the one above it is on the disk, and syncs where one may have been left', () => {
  const [outer, inner] = [join(folder, 'a'), join(folder, 'a/b')]
  const done: unknown[] = []
  const sync = (synced: string): void => void done.push([synced, existsSync(outer), existsSync(inner)])
  makeFoldersDurably(inner, 0o700, sync)
  expect(done).toEqual([
    [dirname(folder), false, false],
    [folder, true, false],
    [outer, true, true],
  ])
  done.length = 0
  makeFoldersDurably(inner, 0o700, sync)
  expect(done).toEqual([[outer, true, true]])
})
