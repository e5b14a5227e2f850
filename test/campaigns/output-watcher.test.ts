import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Link } from './chain-check.ts'
import { OutputWatcher } from './output-watcher.ts'
import { type InputShape, recordOf } from './records.ts'

const INPUT: InputShape = { seed: 1, records: 400, weight: 1, bound: 'exact' }

let folder: string
let watcher: OutputWatcher

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-watched-'))
  mkdirSync(join(folder, 'counts'))
  mkdirSync(join(folder, 'chain'))
  const lines = new Map([['counts', ['{"n":1}', '{"n":2}', '{"n":2}']]])
  watcher = new OutputWatcher(folder, { lines, chains: new Map([['chain', { stream: 'measures', input: INPUT, splits: 1 }]]) })
})

afterEach(() => {
  rmSync(folder, { recursive: true })
})

function write(name: string, ...lines: readonly string[]): void {
  writeFileSync(join(folder, name), lines.map((line) => `${line}\n`).join(''))
}

/** What the input chains, in the order of its records. */
function links(): readonly Link[] {
  const last = new Map<string, Link>()
  return Array.from({ length: INPUT.records }, (_, id) => {
    const { user: key, amount } = recordOf('measures', INPUT, id)
    const before = last.get(key)
    const link = { key, number: (before?.number ?? 0) + 1, id, sum: (before?.sum ?? 0) + amount, before: before?.id ?? null }
    last.set(key, link)
    return link
  })
}

function writeChain(...written: readonly Link[]): void {
  write('chain/part-0-1.jsonl', ...written.map((link) => JSON.stringify(link)))
}

test('output that is as it must be is accepted, in whatever files it comes', () => {
  write('counts/part-0-1.jsonl', '{"n":2}')
  writeChain(...links())
  watcher.look()
  write('counts/part-1-1.jsonl', '{"n":1}', '{"n":2}')
  write('counts/.part-0-2.run.1.jsonl.staged', '{"n":')
  watcher.look()
  rmSync(join(folder, 'counts/.part-0-2.run.1.jsonl.staged'))
  watcher.finish()
  expect(watcher.differences).toEqual([])
})

describe('a reader finds at once', () => {
  test.each<[string, () => void, RegExp]>([
    [
      'a line that is there once too often',
      () => write('counts/part-0-2.jsonl', '{"n":1}'),
      /once too often, before in counts\/part-0-1/,
    ],
    [
      'a line that nobody should have written',
      () => write('counts/part-0-2.jsonl', '{"n":3}'),
      /no undisturbed run writes: {"n":3}/,
    ],
    ['a line that is torn', () => write('counts/part-0-2.jsonl', '{"n":'), /a line that is torn/],
    [
      'a file without its last newline',
      () => writeFileSync(join(folder, 'counts/part-0-2.jsonl'), '{"n":2}'),
      /last line is torn/,
    ],
    ['a file that vanishes', () => rmSync(join(folder, 'counts/part-0-1.jsonl')), /part-0-1.jsonl: was visible and is gone/],
  ])('%s', (_, happen, what) => {
    write('counts/part-0-1.jsonl', '{"n":1}')
    watcher.look()
    expect(watcher.differences).toEqual([])
    happen()
    watcher.look()
    expect(watcher.differences).toEqual([expect.stringMatching(what)])
  })
})

describe('a chain shows where', () => {
  /** The place of the third link of a key. */
  const place = links().findIndex(({ number }) => number === 3)
  const third = links()[place]!

  test.each<[string, readonly Link[], RegExp]>([
    ['a record is lost', links().toSpliced(place, 1), /links 3 to 3 are missing.*"number":4/],
    ['a record is doubled', links().toSpliced(place, 0, third), /counts twice/],
    ['a sum has lost something', links().with(place, { ...third, sum: third.sum + 1 }), /its sum is not/],
    ['a record came to another key', links().with(place, { ...third, key: 'user-99-ü' }), /there is no record \d+ of user-99/],
    ['another came before', links().with(place, { ...third, before: -1 }), /names another record before it/],
  ])('%s', (_, written, what) => {
    writeChain(...written)
    watcher.look()
    expect(watcher.differences[0]).toMatch(what)
  })

  test('records have changed places, though the chain is whole', () => {
    const [first, second] = links().filter(({ key }) => key === third.key)
    const swapped = [
      { ...second!, number: 1, sum: recordOf('measures', INPUT, second!.id).amount, before: null },
      { ...first!, number: 2, sum: second!.sum, before: second!.id },
    ]
    writeChain(...swapped)
    watcher.look()
    expect(watcher.differences).toEqual([expect.stringMatching(/of one split have changed places/)])
  })
})

describe('at the end it finds', () => {
  beforeEach(() => {
    write('counts/part-0-1.jsonl', '{"n":1}', '{"n":2}', '{"n":2}')
    writeChain(...links())
    watcher.look()
  })

  test('a file whose bytes have changed', () => {
    appendFileSync(join(folder, 'counts/part-0-1.jsonl'), '{"n":4}\n')
    watcher.finish()
    expect(watcher.differences).toEqual(['counts/part-0-1.jsonl: has changed since it became visible'])
  })

  test('what is left behind', () => {
    write('counts/.part-0-2.run.1.jsonl.staged', '')
    watcher.finish()
    expect(watcher.differences).toEqual([expect.stringMatching(/files are left that are no output: \.part-0-2/)])
  })
})

test('at the end it names what is missing', () => {
  write('counts/part-0-1.jsonl', '{"n":2}', '{"n":2}')
  writeChain(...links().slice(0, -1))
  watcher.finish()
  expect(watcher.differences).toEqual(['counts: 1 lines are missing: {"n":1}', 'chain: 1 records are missing: 399'])
})
