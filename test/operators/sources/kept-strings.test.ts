import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { readCsv, readJsonLines, readText } from '../../../operators/sources/index.ts'
import type { Source } from '../../../src/core/source.ts'
import { context, fileIn, folderWith, splitsOf } from './conformance.ts'

const RECORDS = 20_000

/** Longer than the substrings that V8 copies in any case. */
const keyOf = (i: number): string => `the-key-of-number-${String(i).padStart(6, '0')}`

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

/** Bytes of the heap for each key, when a job keeps the keys of all records and nothing else. */
async function bytesKept<T>(source: Source<T>, key: (record: T) => string): Promise<number> {
  const kept: string[] = []
  collectGarbage()
  const before = process.memoryUsage().heapUsed
  for (const split of await splitsOf(source)) {
    const reader = await source.open(split, undefined, context)
    for (let batch = await reader.poll(512); batch !== null; batch = await reader.poll(512)) kept.push(...batch.map(key))
    await reader.close?.()
  }
  collectGarbage()
  const bytes = process.memoryUsage().heapUsed - before
  expect(kept.every((key, i) => key === keyOf(i))).toBe(true)
  return bytes / RECORDS
}

// A key takes about 50 bytes; a record has 1,000.
const MOST_BYTES = 200

test.each(['', 'é'])('a key that is kept does not hold on to the text of its record (%j)', async (other) => {
  const folder = folderWith({})
  const rest = `${other}${'x'.repeat(1000)}`
  const fileOf = (name: string, lineOf: (key: string) => string) =>
    fileIn(folder, name, Array.from({ length: RECORDS }, (_, i) => `${lineOf(keyOf(i))}\n`).join(''))

  const json = readJsonLines<{ key: string }>(fileOf('a.jsonl', (key) => JSON.stringify({ key, rest })))
  expect(await bytesKept(json, (record) => record.key)).toBeLessThan(MOST_BYTES)
  const plain = readCsv<{ key: string }>(
    fileOf('a.csv', (key) => `${key},${rest}`),
    { header: ['key', 'rest'] },
  )
  expect(await bytesKept(plain, (record) => record.key)).toBeLessThan(MOST_BYTES)
  const quoted = readCsv<{ key: string }>(
    fileOf('b.csv', (key) => `"${key}","${rest}"`),
    { header: ['key', 'rest'] },
  )
  expect(await bytesKept(quoted, (record) => record.key)).toBeLessThan(MOST_BYTES)
  const text = readText(fileOf('a.txt', (key) => key))
  expect(await bytesKept(text, (line) => line)).toBeLessThan(MOST_BYTES)
})
