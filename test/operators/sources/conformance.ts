import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import type { Source, SourceContext, SplitReader } from '../../../src/core/source.ts'

export const context: SourceContext = { operator: 'source', subtask: 0, now: () => 0 }

/** Sizes of answers to ask for: one at a time, an odd few, and everything at once. */
const MAXIMA = [1, 2, 3, 7, 100_000]

/**
 * What every source promises: each record once, in the order of the splits, however many are asked for at a time; and the same
 * records from any position on, with splits and positions that have been through a checkpoint.
 */
export async function checkSource<T, S, P>(source: Source<T, S, P>, expected: readonly T[], parallelism = 1): Promise<void> {
  const splits = await splitsOf(source, parallelism)
  for (const max of MAXIMA) expect(await readSplits(source, splits, max)).toEqual(expected)
  for (const max of [1, 3]) expect(await readWithRestarts(source, splits, max)).toEqual(expected)
  await checkEveryPosition(source, splits)
}

/** The splits of a source, as a checkpoint gives them back. */
export async function splitsOf<T, S, P>(source: Source<T, S, P>, parallelism = 1): Promise<readonly S[]> {
  return stored(await source.enumerate({ parallelism }))
}

/** All records of a source. */
export async function readAll<T, S, P>(source: Source<T, S, P>, max = 1000): Promise<T[]> {
  return readSplits(source, await splitsOf(source), max)
}

async function readSplits<T, S, P>(source: Source<T, S, P>, splits: readonly S[], max: number): Promise<T[]> {
  const records: T[] = []
  for (const split of splits) {
    const reader = await source.open(split, undefined, context)
    records.push(...(await readToEnd(reader, max)))
    await reader.close?.()
  }
  return records
}

async function readToEnd<T, P>(reader: SplitReader<T, P>, max: number): Promise<T[]> {
  const records: T[] = []
  for (let batch = await reader.poll(max); batch !== null; batch = await reader.poll(max)) {
    expect(batch.length).toBeLessThanOrEqual(max)
    records.push(...batch)
  }
  expect(await reader.poll(max), 'the end stays the end').toBe(null)
  return records
}

/** Closes the reader after each answer and opens another where it stood. */
async function readWithRestarts<T, S, P>(source: Source<T, S, P>, splits: readonly S[], max: number): Promise<T[]> {
  const records: T[] = []
  for (const split of splits) {
    let position: P | undefined
    for (;;) {
      const reader = await source.open(split, position, context)
      const batch = await reader.poll(max)
      position = stored(reader.position())
      await reader.close?.()
      if (batch === null) break
      records.push(...batch)
    }
  }
  return records
}

/** From each position, all that is left comes again. */
async function checkEveryPosition<T, S, P>(source: Source<T, S, P>, splits: readonly S[]): Promise<void> {
  for (const split of splits) {
    const all = await readSplits(source, [split], 1000)
    const reader = await source.open(split, undefined, context)
    let seen = 0
    for (let batch = await reader.poll(2); batch !== null && seen < 40; batch = await reader.poll(2)) {
      seen += batch.length
      const again = await source.open(split, stored(reader.position()), context)
      expect(await readToEnd(again, 1000)).toEqual(all.slice(seen))
      await again.close?.()
    }
    await reader.close?.()
  }
}

function stored<V>(value: V): V {
  return JSON.parse(JSON.stringify(value))
}

/** A folder for one test, with these files in it. */
export function folderWith(files: Record<string, string | Uint8Array>): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-sources-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content)
  return folder
}

/** A folder for several runs of a property, so that each of them only writes a file. */
export function fileIn(folder: string, name: string, content: string | Uint8Array): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}
