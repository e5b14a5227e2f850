import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Source, SplitReader } from 'sluice'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { cycles, roundsOf } from '../../benchmarks/jobs/parts/cycles.ts'
import { paced } from '../../benchmarks/jobs/parts/paced.ts'
import { rounds, sumOfRounds } from '../../benchmarks/jobs/parts/rounds.ts'

/*
 * The sources of the benchmarks: their records are a function of the position, and the models that runs are verified by know how many each key has.
 */

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-bench-sources-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

async function readersOf<T, Split, Position>(source: Source<T, Split, Position>, parallelism: number) {
  const context = { operator: 'source', subtask: 0, now: () => Date.now() }
  const splits = await source.enumerate({ parallelism })
  return splits.map((split) => (position?: Position) => source.open(split, position, context) as SplitReader<T, Position>)
}

/** Everything up to the end, opening the split anew after each `every` records. */
function readAll<T, Position>(open: (position?: Position) => SplitReader<T, Position>, max: number): readonly T[] {
  const all: T[] = []
  for (let reader = open(); ; reader = open(reader.position())) {
    const records = reader.poll(max) as readonly T[] | null
    if (records === null) return all
    all.push(...records)
  }
}

function countsOf(keys: readonly number[]): ReadonlyMap<number, number> {
  const counts = new Map<number, number>()
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1)
  return counts
}

describe('cycles', () => {
  test('give every key as many records as any other, and those that change more', async () => {
    const options = { keys: 100, hot: 10, endFile: join(folder, 'end'), at: (key: number) => key }
    const read: number[] = []
    for (const open of await readersOf(cycles(options), 2)) {
      const reader = open()
      for (let polls = 0; polls < 50; polls++) read.push(...(reader.poll(7) as readonly number[]))
      writeFileSync(options.endFile, '')
      for (let more = reader.poll(7); more !== null; more = reader.poll(7)) read.push(...(more as readonly number[]))
      rmSync(options.endFile)
    }
    const model = roundsOf(read.length, 2, 100, 10)
    const counts = countsOf(read)
    for (let key = 0; key < 100; key++) expect(counts.get(key)).toBe(key < 10 ? model.hot : model.cold)
  })

  test('go on where they were, in any round', async () => {
    const options = { keys: 30, hot: 10, endFile: join(folder, 'end'), at: (key: number) => key }
    const [, open] = await readersOf(cycles(options), 2)
    const straight = open!()
    const expected = Array.from({ length: 100 }, () => (straight.poll(1) as readonly number[])[0])
    let reader = open!()
    const read = expected.map(() => {
      reader = open!(reader.position())
      return (reader.poll(1) as readonly number[])[0]
    })
    expect(read).toEqual(expected)
  })
})

test('paced records come once each, whatever they are cut into, and bear the time at which they were due', async () => {
  const at = (i: number, dueMs: number): { i: number; dueMs: number } => ({ i, dueMs })
  writeFileSync(join(folder, 'schedule'), '1')
  const options = { count: 1001, rate: 1e9, burst: 100, scheduleFile: join(folder, 'schedule'), at }
  const read = (await readersOf(paced(options), 2)).flatMap((open) => readAll(open, 3))
  expect(read.map(({ i }) => i).sort((a, b) => a - b)).toEqual(Array.from({ length: 1001 }, (_, i) => i))
  expect(read.find(({ i }) => i === 1000)!.dueMs).toBeCloseTo(1 + 900 / 1e6)
})

test('rounds change as many keys as they are told, others each time, and the model knows their counts', async () => {
  const file = join(folder, 'rounds')
  for (const line of [40, 4, 10, 4]) appendFileSync(file, `${line}\n`)
  appendFileSync(file, 'end\n')
  const read = (await readersOf(rounds({ file, keys: 40, at: (key) => key }), 2)).map((open) => readAll(open, 3))
  const counts = countsOf(read.flat())
  expect(counts.size).toBe(40)
  expect(Math.max(...counts.values())).toBe(2)
  const sum = [...counts.values()].reduce((total, count) => total + (count * (count + 1)) / 2, 0)
  expect(sumOfRounds(file, 40, 2)).toBe(sum)
})
