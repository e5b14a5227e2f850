import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { open } from 'lmdb'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { CheckpointRecord } from '../../src/checkpoint/checkpoint-history.ts'
import { CheckpointStore } from '../../src/checkpoint/checkpoint-store.ts'
import { writeSavepoint } from '../../src/checkpoint/savepoint.ts'
import { StoredCheckpoints } from '../../src/checkpoint/stored-checkpoints.ts'
import { Told } from '../checkpoint/histories.ts'
import { sampleManifest } from '../checkpoint/manifests.ts'
import { sluice } from './command-line.ts'

const TRIGGERED_AT = 1_700_000_000_000
const TIMING = {
  alignmentMs: 3,
  pauseMs: 0.5,
  writingMs: 7,
  bytes: 2048,
  inFlightRecords: 4,
  heapBytes: 1,
  heapLimitBytes: 2,
}

let folder: string
let store: CheckpointStore
let told: Told

function record(checkpoint: number, changes: Partial<CheckpointRecord> = {}): CheckpointRecord {
  const subtasks = { 'count-1/0': TIMING }
  const times = { triggeredAtMs: TRIGGERED_AT + checkpoint, durationMs: 25 }
  return { checkpoint, status: 'completed', ...times, bytes: 2048, attempt: 1, subtasks, ...changes }
}

/** Checkpoint 1 is folded and gone, 2 and 3 are kept, 4 has failed. */
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'sluice-checkpoints-cli-')))
  store = CheckpointStore.open(join(folder, '.sluice'), 'words')
  store.claim(() => 'a-run')
  told = new Told(store)
  told.checkpoint({
    'count-1': [
      { key: 'the', value: 3 },
      { key: 'x'.repeat(2000), value: 'long' },
      { key: 'cat', value: 1, window: -5 },
    ],
  })
  told.checkpoint({ 'count-1': [{ key: 'the', value: 4 }] })
  store.committed(2, 1)
  while (store.foldStep()) {}
  told.checkpoint(
    { 'count-1': [{ key: 'dog', value: 1 }] },
    { committables: [{ operator: 'out', subtask: 0, checkpoint: 3, bytes: new Uint8Array(5) }] },
  )
  const failure = { subtask: 'count-1/0', phase: 'snapshot', message: 'no room' } as const
  for (const each of [record(1), record(2, { purpose: 'savepoint' }), record(3)]) store.failed(each)
  store.failed(record(4, { status: 'failed', failure, subtasks: {} }))
})

afterEach(async () => {
  await store.close()
  rmSync(folder, { recursive: true, force: true })
})

const call = (...args: readonly string[]) => sluice(['checkpoints', ...args], { cwd: folder })

async function json(...args: readonly string[]): Promise<{ readonly code: number | null; readonly document: unknown }> {
  const { code, stdout, stderr } = await call(...args, '--json')
  expect(stderr).toBe('')
  return { code, document: JSON.parse(stdout) }
}

/** Changes a value as it lies on the disk, past everything that the store protects. */
async function damage(table: string, change: (value: Buffer, key: unknown) => Buffer | undefined): Promise<void> {
  const root = open({ path: store.path, noSubdir: true, maxDbs: 8, overlappingSync: false, encoding: 'binary' })
  const keyEncoding = table === 'state' ? { keyEncoding: 'binary' as const } : {}
  const opened = root.openDB<Buffer, Buffer>({ name: table, encoding: 'binary', ...keyEncoding })
  for (const { key, value } of [...opened.getRange()]) {
    const changed = change(Buffer.from(value), key)
    if (changed !== undefined) opened.putSync(key, changed)
  }
  await root.close()
}

describe('ls', () => {
  test('lists what is kept and how the others went, while the job runs', async () => {
    const { code, document } = await json('ls')
    expect({ code, document }).toMatchObject({
      code: 0,
      document: {
        job: 'words',
        checkpoints: [
          { id: 1, status: 'completed', completedAtMs: TRIGGERED_AT + 26, durationMs: 25, retained: false, committed: true },
          { id: 2, status: 'completed', retained: true, committed: true, purpose: 'savepoint' },
          { id: 3, status: 'completed', retained: true, committed: false, purpose: 'periodic', failure: null },
          { id: 4, status: 'failed', completedAtMs: null, retained: false, failure: { phase: 'snapshot', message: 'no room' } },
        ],
      },
    })
    const { stdout } = await call('ls')
    expect(stdout).toMatch(/^ +2 {2}2023-11-14T22:13:20.000Z {2}25 ms .+ yes {3}yes {8}savepoint$/m)
    expect(stdout).toContain("checkpoint 4 failed in its phase 'snapshot', at count-1/0: no room")
  })
})

describe('show', () => {
  test('shows how a checkpoint went and what it holds', async () => {
    expect(await json('show', '3', 'words')).toMatchObject({
      code: 0,
      document: {
        job: 'words',
        checkpoint: 3,
        retained: true,
        committed: false,
        record: { durationMs: 25, subtasks: { 'count-1/0': TIMING } },
        content: {
          operators: [{ operator: 'items-1', subtasks: 1, records: 7, watermark: -1, splits: 1, splitsDone: 0, stateBytes: 2 }],
          committables: [{ operator: 'out', count: 1, bytes: 5 }],
          deltas: { count: 1, unfolded: { count: 1 } },
          dropped: [],
          inFlightRecords: 1,
        },
        sizes: { baseEntries: 3 },
      },
    })
    const { stdout } = await call('show', 'words@3')
    expect(stdout).toMatch(
      /^checkpoint 3, completed at .+, took 25 ms, 2.0 KiB of changed state\nkept, not known to be committed\n/,
    )
    expect(stdout).toMatch(/^count-1\/0 +3 ms {2}0.5 ms +7 ms {2}2.0 KiB +4$/m)
    expect(stdout).toMatch(/^items-1 {3}items +1 +7 {2}1969-12-31T23:59:59.999Z {2}0 of 1 done +2 B$/m)
    expect(stdout).toContain('to be committed by out: 1, 5 B')
  })

  test('shows the newest one, what is no longer kept, and what failed', async () => {
    expect(await json('show')).toMatchObject({ code: 0, document: { checkpoint: 3 } })
    expect(await json('show', '1')).toMatchObject({ document: { retained: false, content: null, record: { checkpoint: 1 } } })
    expect((await call('show', '4')).stdout).toContain("failed in its phase 'snapshot', at count-1/0: no room")
    expect(await call('show', '9')).toMatchObject({ code: 1, stderr: expect.stringContaining('hint: kept are: 2, 3;') })
    expect(await call('show', '3', 'nobody')).toMatchObject({ code: 3 })
  })
})

describe('verify', () => {
  test('finds nothing in what is sound, while the job runs', async () => {
    expect(await json('verify')).toEqual({
      code: 0,
      document: { job: 'words', sound: true, checkpoints: [2, 3], chunks: 1, rows: 4, damage: [] },
    })
    expect(await json('verify', '2', 'words')).toMatchObject({ code: 0, document: { checkpoints: [2], chunks: 0, rows: 3 } })
    expect((await call('verify')).stdout).toBe("2 manifests, 1 chunks and 4 rows of 'words' were read: nothing is damaged\n")
    expect(await call('verify', '9')).toMatchObject({ code: 1, stderr: expect.stringContaining('hint: kept are: 2, 3') })
  })

  test('finds each damaged thing', async () => {
    await damage('checkpoints', (value, key) => (Number(key) === 2 ? flipped(value, value.length - 1) : undefined))
    await damage('deltas', (value) => flipped(value, 3))
    await damage('state', (value) => (value[0] === 1 ? flipped(value, 0) : undefined))
    const { code, document } = await json('verify')
    expect({ code, document }).toMatchObject({ code: 5, document: { sound: false, checkpoints: [2, 3] } })
    const { damage: found } = document as { readonly damage: readonly { readonly where: string; readonly problem: string }[] }
    expect(found.map(({ where }) => where)).toEqual([
      'checkpoint 2',
      "chunk 3/0 of 'count-1'",
      "state 't' (table) of 'count-1'",
      "state 'w' (pane) of 'count-1'",
    ])
    expect(found[2]!.problem).toContain('1 of its rows cannot be read')
    expect((await call('verify')).stdout).toContain('4 are damaged')
  })

  test('finds a key that is not the one under whose hash it lies, and one in a group that is not its own', async () => {
    await damage('state', (value) => (value[0] === 0xfe ? flipped(value, 20) : undefined))
    const { document } = await json('verify')
    expect(document).toMatchObject({ damage: [{ problem: expect.stringMatching(/wrong key group|does not have the hash/) }] })
  })

  test('finds a page of the file that is none, without the library that would be ended by it', async () => {
    for (let checkpoint = 4; checkpoint < 12; checkpoint++) manyWords(checkpoint)
    expect(await json('verify')).toMatchObject({ code: 0, document: { sound: true } })
    await store.release(false)
    const bytes = readFileSync(store.path)
    misleadBranches(bytes)
    writeFileSync(store.path, bytes)
    const before = readFileSync(store.path)
    expect(await json('gc')).toMatchObject({ code: 5, document: { error: { code: 'CHECKPOINT_UNREADABLE' } } })
    expect(readFileSync(store.path).equals(before)).toBe(true)
    const { code, document } = await json('verify')
    expect({ code, document }).toMatchObject({
      code: 5,
      document: {
        sound: false,
        damage: [{ where: 'the state file', problem: expect.stringMatching(/^page \d+ is missing/) }],
      },
    })
  })

  test('finds nothing in a file that is written meanwhile', async () => {
    let ended = false
    const verified = json('verify').finally(() => {
      ended = true
    })
    for (let checkpoint = 4; !ended; checkpoint++) {
      manyWords(checkpoint)
      await nextTurn()
    }
    expect(await verified).toMatchObject({ code: 0, document: { sound: true } })
  })

  test('finds an import that was interrupted', async () => {
    store.forget('another-run')
    store.beginImport('/some/savepoint')
    expect(await json('verify')).toMatchObject({
      code: 5,
      document: { damage: [{ where: 'the base', problem: expect.stringContaining('/some/savepoint was interrupted') }] },
    })
  })

  test('reads a savepoint', async () => {
    const { path } = await writeSavepoint(store, store.latest()!, join(folder, 'savepoints'))
    expect(await json('verify', path)).toEqual({
      code: 0,
      document: { job: 'words', savepoint: path, sound: true, checkpoints: [3], chunks: 3, rows: 4, damage: [] },
    })
    const file = join(path, 'state-00001.chunk')
    writeFileSync(file, flipped(readFileSync(file), 40))
    expect(await call('verify', path)).toMatchObject({ code: 5, stdout: expect.stringContaining('state-00001.chunk') })
    writeFileSync(join(path, 'manifest'), '')
    expect(await json('verify', path)).toMatchObject({ code: 5, document: { error: { code: 'SAVEPOINT_UNREADABLE' } } })
  })
})

describe('gc', () => {
  test('folds and removes, and leaves the state as it was', async () => {
    // Nothing names these, as after an attempt that was killed.
    store.addDeltas(9, 'count-1', [{ firstGroup: 0, lastGroup: 0, rows: 1, bytes: new Uint8Array(5 << 20) }])
    told.checkpoint({ 'count-1': [{ key: 'the', value: 5 }] })
    store.committed(4, 1)
    await store.release(true)
    const { code, document } = await json('gc')
    expect({ code, document }).toMatchObject({ code: 0, document: { job: 'words', after: { deltaBytes: 0, baseEntries: 4 } } })
    const { before } = document as { readonly before: { readonly deltaBytes: number } }
    expect(before.deltaBytes).toBeGreaterThan(5 << 20)
    const after = StoredCheckpoints.openForReading(store.directory)
    const { finished, owner, run, latestCheckpoint, foldedThrough } = after
    expect({ finished, owner, run, latestCheckpoint, foldedThrough }).toEqual({
      finished: true,
      owner: undefined,
      run: 'a-run',
      latestCheckpoint: 4,
      foldedThrough: 4,
    })
    await after.close()
    expect((await call('gc')).stdout).toMatch(/^'words' is tidied\n\n +before +after\nchanges +0 B +0 B\n/)
    expect(await json('verify')).toMatchObject({ code: 0 })
  })

  test('refuses while a process has the job', async () => {
    expect(await json('gc')).toMatchObject({ code: 1, document: { error: { code: 'JOB_ALREADY_RUNNING' } } })
    expect(store.owner?.pid).toBe(process.pid)
  })

  test('says what is damaged, and gives the state back', async () => {
    store.complete(sampleManifest(5))
    await store.release(false)
    await damage('checkpoints', (value) => flipped(value, value.length - 1))
    expect(await json('gc')).toMatchObject({ code: 5, document: { error: { code: 'CHECKPOINT_UNREADABLE' } } })
    const after = StoredCheckpoints.openForReading(store.directory)
    expect(after.owner).toBeUndefined()
    await after.close()
  })
})

/** A checkpoint that changes the base at many places, and adds to it. */
function manyWords(checkpoint: number): void {
  const words = Array.from({ length: 500 }, (_, index) => ({ key: `word-${index}-${checkpoint % 8}`, value: checkpoint }))
  told.checkpoint({ 'count-1': words })
  store.committed(checkpoint, 1)
  while (store.foldStep()) {}
}

/** Lets every page of an LMDB file that refers to other pages of its tree refer to one far behind the end of the file. */
function misleadBranches(bytes: Buffer): void {
  const branches = Array.from({ length: bytes.byteLength / 4096 }, (_, page) => page * 4096).filter(
    (at) => at > 4096 && bytes.readBigUInt64LE(at) === BigInt(at / 4096) && (bytes.readUInt16LE(at + 18) & 1) === 1,
  )
  expect(branches.length).toBeGreaterThan(0)
  for (const at of branches) bytes.writeUInt32LE(1 << 24, at + 24 + bytes.readUInt16LE(at + 24))
}

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[at]! ^= 0x55
  return copy
}
