import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { open } from 'lmdb'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { checkStoreFile } from '../../src/checkpoint/store-file.ts'

let folder: string
let path: string

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-store-file-'))
  path = join(folder, 'tables.mdb')
  await fill()
})

afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** Small rows in one table, values of several pages in another, and a list of free pages. */
async function fill(): Promise<void> {
  const root = open({ path, noSubdir: true, maxDbs: 4, encoding: 'binary', overlappingSync: false })
  const small = root.openDB<Buffer, number>({ name: 'small', encoding: 'binary' })
  const large = root.openDB<Buffer, number>({ name: 'large', encoding: 'binary' })
  for (let round = 0; round < 3; round++) {
    root.transactionSync(() => {
      for (let key = 0; key < 3_000; key++) small.putSync(key, Buffer.alloc(40, key + round))
      for (let key = 0; key < 40; key++) large.putSync(key, Buffer.alloc(20_000, key + round))
      for (let key = 0; key < 40; key += 3) large.removeSync(key)
    })
  }
  await root.close()
}

/** The pages that LMDB says are in use at the end: all before the returned one are needed by somebody. */
function pagesBeforeTheFreeEnd(): number {
  const bytes = readFileSync(path)
  const pages = Math.floor(bytes.byteLength / 4096)
  for (let kept = pages; kept > 2; kept--) {
    truncateSync(path, kept * 4096)
    try {
      checkStoreFile(path)
    } catch {
      return kept + 1
    }
  }
  return 2
}

describe('a file of LMDB', () => {
  test('is whole when it was closed', () => {
    expect(() => checkStoreFile(path)).not.toThrow()
  })

  test('cut at any page is either refused or can be read to its last row', async () => {
    const whole = readFileSync(path)
    const needed = pagesBeforeTheFreeEnd()
    expect(needed).toBeGreaterThan(50)
    writeFileSync(path, whole)
    truncateSync(path, needed * 4096)
    checkStoreFile(path)
    const root = open({ path, noSubdir: true, maxDbs: 4, encoding: 'binary', readOnly: true })
    const small = root.openDB<Buffer, number>({ name: 'small', encoding: 'binary' })
    const large = root.openDB<Buffer, number>({ name: 'large', encoding: 'binary' })
    expect([...small.getRange()].length).toBe(3_000)
    expect([...large.getRange()].map(({ value }) => value.byteLength)).toEqual(Array(26).fill(20_000))
    await root.close()
  })

  test.each([0.1, 0.3, 0.5, 0.7])('cut to %f of its length is refused by its name', (part) => {
    truncateSync(path, Math.floor(statSync(path).size * part))
    expect(() => checkStoreFile(path)).toThrow(expect.objectContaining({ code: 'CHECKPOINT_UNREADABLE' }))
  })

  test('whose last page says more than there is, and nothing refers to it, is whole', () => {
    const bytes = readFileSync(path)
    for (const at of [144, 4096 + 144]) bytes.writeBigUInt64LE(bytes.readBigUInt64LE(at) + 60n, at)
    writeFileSync(path, bytes)
    expect(() => checkStoreFile(path)).not.toThrow()
  })
})
