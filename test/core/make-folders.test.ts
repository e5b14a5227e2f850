import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { makeFolders } from '../../src/core/make-folders.ts'

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
