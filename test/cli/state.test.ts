import { mkdtempSync, readFileSync, realpathSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CheckpointStore } from '../../src/checkpoint/checkpoint-store.ts'
import { writeSavepoint } from '../../src/checkpoint/savepoint.ts'
import { Told } from '../checkpoint/histories.ts'
import { sluice } from './command-line.ts'

let folder: string
let store: CheckpointStore
let told: Told
let savepoint: string

beforeEach(async () => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'sluice-state-cli-')))
  store = CheckpointStore.open(join(folder, '.sluice'), 'words')
  store.claim(() => 'a-run')
  told = new Told(store)
  told.checkpoint({
    'count-1': [
      { key: 'the', value: 3 },
      { key: 7, value: [1n] as never },
      { key: 'cat', value: 1, window: -5 },
    ],
  })
  savepoint = (await writeSavepoint(store, store.latest()!, join(folder, 'savepoints'))).path
  told.checkpoint({
    'count-1': [
      { key: 'the', value: 4 },
      { key: 'dog', value: 1 },
      { key: 'cat', window: -5 },
    ],
  })
})

afterEach(async () => {
  await store.close()
  rmSync(folder, { recursive: true, force: true })
})

const call = (...args: readonly string[]) => sluice(['state', ...args], { cwd: folder })

async function json(...args: readonly string[]): Promise<{ readonly code: number | null; readonly document: unknown }> {
  const { code, stdout, stderr } = await call(...args, '--json')
  expect(stderr).toBe('')
  return { code, document: JSON.parse(stdout) }
}

function linesOf(text: string): readonly unknown[] {
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as unknown)
}

describe('ls', () => {
  test('lists the states of a job that is running, at its newest checkpoint or another', async () => {
    expect(await json('ls')).toMatchObject({
      code: 0,
      document: {
        checkpoint: 2,
        states: [
          { operator: 'count-1', state: 't', kind: 'table' },
          { operator: 'count-1', state: 'w', kind: 'pane' },
        ],
        sources: [{ operator: 'items-1', splits: 1, done: 0 }],
      },
    })
    expect(await json('ls', 'words@1', '--count')).toMatchObject({
      document: { checkpoint: 1, states: [{ entries: 2 }, { entries: 1 }] },
    })
    const { code, stdout } = await call('ls', savepoint, '--count')
    expect({ code, stdout }).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^checkpoint 1, of .+\n\noperator +state +kind +entries\n/),
    })
  })

  test('says what is not there', async () => {
    expect(await call('ls', 'nobody')).toMatchObject({ code: 3, stderr: expect.stringContaining('hint: there are: words') })
    expect(await call('ls', 'words@9')).toMatchObject({ code: 1, stderr: expect.stringContaining('hint: kept are: 1, 2') })
  })
})

describe('get', () => {
  test('gives the value of a key of any type', async () => {
    expect(await call('get', 'count-1', 't', 'the')).toMatchObject({ code: 0, stdout: '4\n' })
    expect(await call('get', 'count-1', 't', 'the', savepoint)).toMatchObject({ code: 0, stdout: '3\n' })
    expect(await json('get', 'count-1', 't', '7', 'words@1')).toEqual({
      code: 0,
      document: { checkpoint: 1, operator: 'count-1', state: 't', key: 7, found: true, value: [{ $bigint: '1' }] },
    })
    expect(await call('get', 'count-1', 'w', 'cat', savepoint, '--window=-5')).toMatchObject({ code: 0, stdout: '1\n' })
  })

  test('tells a key without a value, and what it cannot ask for', async () => {
    expect(await json('get', 'count-1', 't', '"7"')).toMatchObject({ code: 1, document: { found: false } })
    expect(await call('get', 'count-1', 'u', 'the')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('hint: there are: t, w'),
    })
    expect(await call('get', 'count-1', 'w', 'the', '--window', 'soon')).toMatchObject({ code: 2 })
    expect(await call('get', 'count-1')).toMatchObject({ code: 2 })
  })
})

describe('export', () => {
  const entries = [
    { operator: 'count-1', state: 't', key: 'the', value: 3 },
    { operator: 'count-1', state: 't', key: 7, value: [{ $bigint: '1' }] },
    { operator: 'count-1', state: 'w', key: 'cat', window: -5, value: 1 },
  ]

  test('writes lines, or one document', async () => {
    const { code, stdout } = await call('export', savepoint)
    expect(code).toBe(0)
    expect(linesOf(stdout)).toHaveLength(3)
    expect(linesOf(stdout)).toEqual(expect.arrayContaining(entries))
    expect(await json('export', savepoint, '--state', 'w')).toEqual({ code: 0, document: { entries: [entries[2]] } })
    expect(await json('export', savepoint, '--operator', 'none')).toEqual({ code: 0, document: { entries: [] } })
    expect(linesOf((await call('export', '--limit', '1')).stdout)).toHaveLength(1)
  })

  test('writes a new file that only its owner can read', async () => {
    expect(await json('export', savepoint, '--output', 'state.jsonl')).toEqual({
      code: 0,
      document: { checkpoint: 1, entries: 3, file: 'state.jsonl' },
    })
    const file = join(folder, 'state.jsonl')
    expect(linesOf(readFileSync(file, 'utf8'))).toHaveLength(3)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(await call('export', '--output', 'state.jsonl')).toMatchObject({ code: 1, stderr: expect.stringContaining('EEXIST') })
  })

  test.each(['.', 'nowhere/state.jsonl'])('says why it cannot write to %s', async (file) => {
    expect(await json('export', '--output', file)).toMatchObject({
      code: 1,
      document: { error: { code: 'OUTPUT_UNWRITABLE', hint: expect.stringContaining('a file that is not there yet') } },
    })
  })

  test('writes a file of many blocks, and leaves one that is there alone', async () => {
    const words = Array.from({ length: 300 }, (_, index) => ({ key: `${'x'.repeat(500)}${index}`, value: index }))
    for (let from = 0; from < 300; from += 50) told.checkpoint({ 'count-1': words.slice(from, from + 50) })
    expect(await json('export', '--output', 'all.jsonl')).toMatchObject({ code: 0, document: { entries: 303 } })
    const before = readFileSync(join(folder, 'all.jsonl'), 'utf8')
    expect(linesOf(before)).toHaveLength(303)
    expect(await json('export', '--output', 'all.jsonl')).toMatchObject({ document: { error: { code: 'OUTPUT_UNWRITABLE' } } })
    expect(readFileSync(join(folder, 'all.jsonl'), 'utf8')).toBe(before)
  })
})

describe('diff', () => {
  test('shows what was added, removed and changed', async () => {
    const changes = [
      { change: 'changed', operator: 'count-1', state: 't', key: 'the', before: 3, after: 4 },
      { change: 'added', operator: 'count-1', state: 't', key: 'dog', after: 1 },
      { change: 'removed', operator: 'count-1', state: 'w', key: 'cat', window: -5, before: 1 },
    ]
    for (const before of ['words@1', savepoint]) {
      const { code, stdout } = await call('diff', before, 'words')
      expect(code).toBe(0)
      expect(linesOf(stdout)).toHaveLength(3)
      expect(linesOf(stdout)).toEqual(expect.arrayContaining(changes))
    }
    expect(await json('diff', savepoint, 'words@1')).toEqual({ code: 0, document: { changes: [] } })
  })
})

test('state says which commands it has', async () => {
  expect(await call()).toMatchObject({ code: 2, stderr: expect.stringContaining('there are: ls, get, export, diff') })
  expect(await call('lss')).toMatchObject({ code: 2, stderr: expect.stringContaining("did you mean 'sluice state ls'?") })
  expect(await call('--help')).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('usage: sluice state diff <before> <after>'),
  })
})
