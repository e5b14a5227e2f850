import type { ChildProcess } from 'node:child_process'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { open } from 'lmdb'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { CheckpointRecord } from '../../src/checkpoint/checkpoint-history.ts'
import { CheckpointStore } from '../../src/checkpoint/checkpoint-store.ts'
import type { Tables } from '../../src/checkpoint/environment.ts'
import { openForWriting } from '../../src/checkpoint/environment.ts'
import type { DroppedState, Manifest, StoredDelta } from '../../src/checkpoint/manifest.ts'
import { StoredCheckpoints } from '../../src/checkpoint/stored-checkpoints.ts'
import { thisMachine } from '../../src/checkpoint/surroundings.ts'
import type { DeltaChunk, StateIdentity } from '../../src/state/delta-chunk.ts'
import { MemoryOperatorBase } from '../../src/state/state-base.ts'
import type { Change } from './deltas.ts'
import { chunksSaying, deltaOf, FOLDED_BY_CHILD, rowsOf } from './deltas.ts'
import { sampleManifest } from './manifests.ts'

/** Whether the disk says that it has room. */
const disk = vi.hoisted(() => ({ isFull: false }))
vi.mock('../../src/checkpoint/disk-space.ts', async (original) => {
  const real = await original<typeof import('../../src/checkpoint/disk-space.ts')>()
  return { ...real, isRoomLeft: (folder: string) => !disk.isFull && real.isRoomLeft(folder) }
})

const CHILD = fileURLToPath(new URL('fixtures/store-child.ts', import.meta.url))

let directory: string
let opened: CheckpointStore[]
let children: ChildProcess[]

beforeEach(() => {
  disk.isFull = false
  directory = mkdtempSync(join(tmpdir(), 'sluice-store-'))
  opened = []
  children = []
})

afterEach(async () => {
  for (const child of children) await killed(child)
  for (const store of opened) await store.close().catch(() => undefined)
  rmSync(directory, { recursive: true, force: true })
})

function openStore(job = 'job'): CheckpointStore {
  const store = CheckpointStore.open(directory, job)
  opened.push(store)
  return store
}

function claimed(job = 'job'): CheckpointStore {
  const store = openStore(job)
  store.claim(() => 'run-1')
  return store
}

/** Another process that claims the state, does something and then waits to be killed. */
async function startChild(what: string, times = 1): Promise<ChildProcess> {
  const child = spawn(process.execPath, [CHILD, directory, 'job', what, `${times}`], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  const said: Promise<unknown[]> = once(child.stdout!, 'data')
  const died = once(child, 'exit').then(([code]) => {
    throw new Error(`the child process ended with ${String(code)} before it was ready`)
  })
  await Promise.race([said, died])
  died.catch(() => undefined)
  return child
}

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}

/** The tables as they lie on disk, past everything that the store protects. */
async function underneath(job: string, action: (table: (name: string) => ReturnType<typeof tableOf>) => void): Promise<void> {
  const root = open({
    path: join(directory, job, 'checkpoints.mdb'),
    noSubdir: true,
    maxDbs: 8,
    overlappingSync: false,
    encoding: 'binary',
  })
  root.transactionSync(() => action((name) => tableOf(root, name)))
  await root.close()
}

function tableOf(root: ReturnType<typeof open>, name: string) {
  return root.openDB<Buffer, string | number | number[]>({ name, encoding: 'binary' })
}

function chunkOf(text: string, firstGroup = 0, lastGroup = 127): DeltaChunk {
  return { firstGroup, lastGroup, rows: 1, bytes: new Uint8Array(Buffer.from(text)) }
}

const OPERATOR = 'count-1'

/** Completes a checkpoint with these chunks beside all that the base does not hold yet, and returns where the new ones are. */
function completeWith(
  store: CheckpointStore,
  checkpoint: number,
  chunks: readonly (string | DeltaChunk)[],
  changes: Partial<Manifest> = {},
): readonly StoredDelta[] {
  const latest = store.latest()
  const earlier = latest === undefined ? [] : store.unfolded(latest)
  const deltas = store.addDeltas(
    checkpoint,
    OPERATOR,
    chunks.map((chunk) => (typeof chunk === 'string' ? chunkOf(chunk) : chunk)),
  )
  store.complete(sampleManifest(checkpoint, { deltas: [...earlier, ...deltas], ...changes }))
  return deltas
}

function textOf(store: CheckpointStore, delta: StoredDelta): string {
  return Buffer.from(store.readDelta(delta)).toString()
}

/** What a checkpoint added itself. */
function deltasOf(store: CheckpointStore, checkpoint: number): readonly StoredDelta[] {
  return store.manifest(checkpoint).deltas.filter((delta) => delta.checkpoint === checkpoint)
}

function foldAll(store: CheckpointStore): void {
  while (store.foldStep()) {}
}

const code = (expected: string) => expect.objectContaining({ code: expected })

describe('claiming the state of a job', () => {
  test('the first start takes a new run and the first attempt', () => {
    expect(openStore().claim(() => 'run-1')).toEqual({ run: 'run-1', attempt: 1, lastCheckpoint: -1 })
  })

  test('a later start keeps the run and takes the next attempt and ids that no one has used', async () => {
    const first = claimed()
    completeWith(first, 0, [])
    completeWith(first, 1, [])
    await first.release(false)
    const claim = openStore().claim(() => 'another')
    expect(claim).toMatchObject({ run: 'run-1', attempt: 2 })
    expect(claim.lastCheckpoint).toBeGreaterThanOrEqual(1)
  })

  test('a restart in place takes the next attempt of the same run', () => {
    const store = claimed()
    expect(store.nextAttempt()).toMatchObject({ run: 'run-1', attempt: 2 })
    completeWith(store, 20, [])
    expect(store.nextAttempt().lastCheckpoint).toBeGreaterThanOrEqual(20)
  })

  test('an id that was used is never given again, even when many checkpoints in a row were aborted', async () => {
    const first = claimed()
    completeWith(first, 0, [])
    let newest = 0
    for (let checkpoint = 1; checkpoint <= 25; checkpoint++) {
      first.begin(checkpoint)
      first.addDeltas(checkpoint, OPERATOR, [chunkOf('aborted')])
      newest = checkpoint
    }
    expect(first.nextAttempt().lastCheckpoint).toBeGreaterThanOrEqual(newest)
  })

  test('jobs of one state folder do not know each other', () => {
    completeWith(claimed('one'), 1, ['a'])
    expect(claimed('two').latestCheckpoint).toBeUndefined()
  })

  test('the state can be read by its owner alone', () => {
    claimed()
    expect(statSync(join(directory, 'job')).mode & 0o777).toBe(0o700)
    expect(statSync(join(directory, 'job', 'checkpoints.mdb')).mode & 0o777).toBe(0o600)
  })

  test('is refused with the pid while another live process has it, and changes nothing', async () => {
    const child = await startChild('hold')
    const store = openStore()
    const claim = () => store.claim(() => 'mine')
    expect(claim).toThrow(code('JOB_ALREADY_RUNNING'))
    expect(claim).toThrow(`process ${child.pid}`)
    await killed(child)
    expect(store.claim(() => 'mine')).toMatchObject({ run: 'run-of-child', attempt: 2 })
  })

  test('succeeds when its owner was killed, and finds what that one completed', async () => {
    await killed(await startChild('complete'))
    const store = openStore()
    expect(store.claim(() => 'mine')).toMatchObject({ run: 'run-of-child', attempt: 2 })
    expect(store.retained()).toEqual([10, 11])
    expect(store.latest()).toMatchObject({ checkpoint: 11 })
    expect([...store.readDelta(deltasOf(store, 11)[0]!)]).toEqual(new Array(100).fill(11))
  })

  test('the state that was released can be claimed by another process', async () => {
    await claimed().release(false)
    await startChild('hold')
  })

  test('a folder in the place of the state is refused', () => {
    claimed()
    expect(() => CheckpointStore.open(join(directory, 'job', 'checkpoints.mdb'), 'job')).toThrow(code('STORE_FAILED'))
  })
})

describe('a second owner', () => {
  /** Two stores that both claimed: the owner record of the first is lost, as by a wrong verdict about its process. */
  async function twoOwners(): Promise<readonly [CheckpointStore, CheckpointStore]> {
    const first = claimed()
    completeWith(first, 1, ['of the first'])
    await underneath('job', (table) => table('meta').removeSync('owner'))
    const second = openStore()
    second.claim(() => 'unused')
    return [first, second]
  }

  test('fences the first one off from everything that counts', async () => {
    const [first, second] = await twoOwners()
    expect(() => completeWith(first, 2, ['late'])).toThrow(code('FENCED'))
    expect(() => first.committed(1, 1)).toThrow(code('FENCED'))
    expect(() => first.forget('other')).toThrow(code('FENCED'))
    expect(() => first.nextAttempt()).toThrow(code('FENCED'))
    expect(second.retained()).toEqual([1])
    expect(second.finished).toBe(false)
    completeWith(second, 12, ['of the second'])
    expect(second.latestCheckpoint).toBe(12)
  })

  test('keeps its place when the first one lets go, and the job is not over', async () => {
    const [first, second] = await twoOwners()
    await first.release(true)
    expect(second.finished).toBe(false)
    expect(() => openStore().claim(() => 'third')).toThrow(code('JOB_ALREADY_RUNNING'))
  })

  test('leaves no chunk of a fenced manifest behind that anything names', async () => {
    const [first, second] = await twoOwners()
    expect(() => completeWith(first, 2, ['late'])).toThrow(code('FENCED'))
    second.sweep()
    expect(deltasOf(second, 1).map((delta) => textOf(second, delta))).toEqual(['of the first'])
  })
})

describe('a complete checkpoint', () => {
  test('is the latest one, with its manifest and its chunks', () => {
    const store = claimed()
    completeWith(store, 1, ['a', 'b'])
    const deltas = completeWith(store, 2, ['c', 'd'])
    expect(store.latestCheckpoint).toBe(2)
    expect(store.latest()).toEqual(store.manifest(2))
    expect(deltas.map((delta) => delta.sequence)).toEqual([0, 1])
    expect(store.manifest(2).deltas.map((delta) => textOf(store, delta))).toEqual(['a', 'b', 'c', 'd'])
    expect(deltasOf(store, 1).map((delta) => textOf(store, delta))).toEqual(['a', 'b'])
  })

  test('is there for the next process, from the first byte to the last', async () => {
    const first = claimed()
    completeWith(first, 1, ['a'.repeat(100_000), ''])
    await first.release(false)
    const second = openStore()
    expect(deltasOf(second, 1).map((delta) => textOf(second, delta))).toEqual(['a'.repeat(100_000), ''])
  })

  test('there is none in a new state', () => {
    const store = claimed()
    expect(store.latest()).toBeUndefined()
    expect(store.retained()).toEqual([])
    expect(() => store.manifest(1)).toThrow(code('CHECKPOINT_UNREADABLE'))
  })

  test('goes when newer ones are committed, and its chunks when the base holds them', async () => {
    const store = claimed()
    for (let checkpoint = 1; checkpoint <= 4; checkpoint++) {
      completeWith(store, checkpoint, [deltaOf([{ key: 'a', value: checkpoint }])])
      store.committed(checkpoint, 2)
    }
    expect(store.committedThrough).toBe(4)
    expect(store.retained()).toEqual([3, 4])
    expect(store.manifest(3).deltas).toHaveLength(3)
    foldAll(store)
    expect(store.foldedThrough).toBe(3)
    await store.release(false)
    await underneath('job', (table) => expect([...table('deltas').getKeys()]).toEqual([[4, 0]]))
  })

  test('stays while its commit is outstanding, however many are kept', () => {
    const store = claimed()
    for (const checkpoint of [1, 2, 3]) completeWith(store, checkpoint, [])
    expect(store.retained()).toEqual([1, 2, 3])
    store.committed(1, 1)
    expect(store.retained()).toContain(3)
    expect(store.latest()).toMatchObject({ checkpoint: 3 })
  })

  test('is unreadable when a chunk was changed, cut off or lost, and says which', async () => {
    const changes: readonly (readonly [string, (stored: Buffer) => Buffer | undefined])[] = [
      ['corrupt', (stored) => Buffer.from(stored.map((byte, index) => (index === 2 ? byte ^ 1 : byte)))],
      ['corrupt', (stored) => Buffer.from(stored.subarray(0, stored.byteLength - 1))],
      ['missing', () => undefined],
    ]
    const first = claimed()
    changes.forEach((_, index) => void completeWith(first, index, ['good', 'victim']))
    await first.release(false)
    await underneath('job', (table) => {
      changes.forEach(([, change], checkpoint) => {
        const damaged = change(Buffer.from(table('deltas').get([checkpoint, 1])!))
        if (damaged === undefined) table('deltas').removeSync([checkpoint, 1])
        else table('deltas').putSync([checkpoint, 1], damaged)
      })
    })
    const store = openStore()
    changes.forEach(([what], checkpoint) => {
      const [good, victim] = deltasOf(store, checkpoint)
      expect(textOf(store, good!)).toBe('good')
      expect(() => store.readDelta(victim!)).toThrow(code('CHECKPOINT_UNREADABLE'))
      expect(() => store.readDelta(victim!)).toThrow(`chunk 1 is ${what}`)
    })
  })

  test('is unreadable when its manifest was changed, and no older one takes its place', async () => {
    const first = claimed()
    completeWith(first, 1, [])
    completeWith(first, 2, [])
    await first.release(false)
    await underneath('job', (table) => {
      const bytes = Buffer.from(table('checkpoints').get(2)!)
      bytes[bytes.byteLength - 1]! ^= 1
      table('checkpoints').putSync(2, bytes)
    })
    const store = openStore()
    expect(() => store.latest()).toThrow(code('CHECKPOINT_UNREADABLE'))
    expect(store.manifest(1)).toMatchObject({ checkpoint: 1 })
  })
})

describe('a checkpoint that never became complete', () => {
  test('leaves the former one as the latest when its process is killed between the chunks and the manifest', async () => {
    await killed(await startChild('die between chunks and manifest'))
    const store = openStore()
    store.claim(() => 'mine')
    expect(store.latest()).toMatchObject({ checkpoint: 10 })
    expect(store.retained()).toEqual([10])
    store.sweep()
    expect([...store.readDelta(deltasOf(store, 10)[0]!)]).toEqual(new Array(100).fill(10))
    await store.release(false)
    await underneath('job', (table) => expect([...table('deltas').getKeys()]).toEqual([[10, 0]]))
  })

  test('and was aborted leaves its chunks to the next one, those on disk and those in memory', async () => {
    const store = claimed()
    const aborted = [
      ...store.addDeltas(1, OPERATOR, [chunkOf('x'.repeat(5 << 20)), chunkOf('y')]),
      ...store.addDeltas(1, OPERATOR, [chunkOf('in memory')]),
    ]
    const own = store.addDeltas(2, OPERATOR, [chunkOf('own')])
    store.complete(sampleManifest(2, { deltas: [...aborted, ...own] }))
    await store.release(false)
    const next = openStore()
    const texts = next.latest()!.deltas.map((delta) => textOf(next, delta))
    expect(texts).toEqual(['x'.repeat(5 << 20), 'y', 'in memory', 'own'])
  })

  test('does not leave its chunks in the next attempt', async () => {
    const store = claimed()
    store.addDeltas(1, OPERATOR, [chunkOf('of an attempt that failed')])
    store.nextAttempt()
    completeWith(store, 20, ['good'])
    await store.release(false)
    await underneath('job', (table) => expect([...table('deltas').getKeys()]).toEqual([[20, 0]]))
  })

  test('the sweep removes what no manifest names and nothing else', async () => {
    const store = claimed()
    completeWith(store, 1, ['keep'])
    store.addDeltas(2, OPERATOR, [chunkOf('x'.repeat(5 << 20))])
    store.sweep()
    expect(deltasOf(store, 1).map((delta) => textOf(store, delta))).toEqual(['keep'])
    await store.release(false)
    await underneath('job', (table) => expect([...table('deltas').getKeys()]).toEqual([[1, 0]]))
  })

  test('more chunks than one transaction removes are all removed', async () => {
    const store = claimed()
    completeWith(
      store,
      1,
      Array.from({ length: 1000 }, (_, index) => deltaOf([{ key: index, value: index }])),
    )
    completeWith(store, 2, [deltaOf([{ key: 'keep', value: 1 }])])
    foldAll(store)
    expect(store.sizes().baseEntries).toBe(1000)
    await store.release(false)
    await underneath('job', (table) => expect([...table('deltas').getKeys()]).toEqual([[2, 0]]))
  })
})

describe('the end of a job', () => {
  test('is noted for the next start', async () => {
    const first = claimed()
    expect(first.finished).toBe(false)
    await first.release(true)
    expect(openStore().finished).toBe(true)
  })

  test('forgetting removes all checkpoints and takes a new run, while attempts and ids go on', async () => {
    const first = claimed()
    for (const checkpoint of [1, 2]) completeWith(first, checkpoint, ['state'])
    first.committed(1, 5)
    await first.release(true)
    const store = openStore()
    const before = store.claim(() => 'unused')
    const claim = store.forget('run-2')
    expect(claim).toEqual({ ...before, run: 'run-2' })
    expect(claim.lastCheckpoint).toBeGreaterThanOrEqual(2)
    expect(store.finished).toBe(false)
    expect(store.committedThrough).toBe(-1)
    expect(store.latestCheckpoint).toBeUndefined()
    expect(store.retained()).toEqual([])
    completeWith(store, claim.lastCheckpoint + 1, ['new'])
    await store.release(false)
    const next = openStore()
    expect(next.claim(() => 'unused')).toMatchObject({ run: 'run-2', attempt: before.attempt + 1 })
    await next.release(false)
    await underneath('job', (table) => expect([...table('deltas').getKeys()]).toEqual([[before.lastCheckpoint + 1, 0]]))
  })

  test('forgetting that ends half way leaves no rows that the next run could see', async () => {
    const first = claimed()
    completeWith(first, 1, [deltaOf([{ key: 'a', value: 1 }])])
    first.committed(1, 1)
    foldAll(first)
    vi.spyOn(first, 'purgeStep').mockImplementation(() => {
      throw new Error('the process has died')
    })
    expect(() => first.forget('run-2')).toThrow('the process has died')
    await first.close()
    await underneath('job', (table) => table('meta').removeSync('owner'))
    const store = openStore()
    const { lastCheckpoint, run } = store.claim(() => 'unused')
    expect([run, store.latestCheckpoint, rowsOf(store.base(OPERATOR))]).toEqual(['run-2', undefined, []])
    completeWith(store, lastCheckpoint + 1, [deltaOf([{ key: 'b', value: 2 }])])
    store.committed(lastCheckpoint + 1, 1)
    foldAll(store)
    while (store.purgeStep()) {}
    expect(rowsOf(store.base(OPERATOR))).toEqual(folded([deltaOf([{ key: 'b', value: 2 }])]))
    expect(store.sizes().baseEntries).toBe(1)
  })

  test('forgetting leaves no rows, no chunks, no history and no numbers of states', async () => {
    const store = claimed()
    completeWith(store, 1, [deltaOf([{ key: 'a', value: 1 }])])
    completeWith(store, 2, [deltaOf([{ key: 'b', value: 2 }])])
    store.committed(2, 1)
    store.failed(recordOf(1, 1))
    store.addDeltas(3, OPERATOR, [chunkOf('x'.repeat(5 << 20))])
    foldAll(store)
    completeWith(store, 4, [deltaOf([{ key: 'c', value: 3 }])])
    expect(store.sizes().baseEntries).toBe(2)
    store.forget('run-2')
    expect([store.history(), store.registry(), store.foldedThrough, store.sizes().baseEntries]).toEqual([[], [], -1, 0])
    await store.release(false)
    await underneath('job', (table) => {
      for (const name of ['checkpoints', 'deltas', 'state', 'history']) expect([...table(name).getKeys()], name).toEqual([])
    })
  })
})

// The base

function recordOf(checkpoint: number, triggeredAtMs: number): CheckpointRecord {
  return { checkpoint, status: 'failed', triggeredAtMs, durationMs: 5, bytes: 9, attempt: 1, subtasks: {} }
}

/** What the base of the operator would be after these changes. */
function folded(chunks: readonly DeltaChunk[]): readonly string[] {
  const base = new MemoryOperatorBase()
  for (const { bytes } of chunks) base.apply(bytes)
  return rowsOf(base)
}

const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ key: fc.oneof(fc.nat(9), fc.constant('k'.repeat(2_000))), value: fc.nat(99) }) },
  { weight: 2, arbitrary: fc.record({ key: fc.nat(9) }) },
  { weight: 4, arbitrary: fc.record({ key: fc.nat(4), window: fc.nat(3), value: fc.nat(99) }) },
  { weight: 1, arbitrary: fc.record({ drop: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ key: fc.nat(4), timer: fc.nat(9), value: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ image: fc.array(fc.record({ key: fc.nat(9), value: fc.nat(99) })) }) },
  { weight: 1, arbitrary: fc.constant({ clear: true }) },
)

describe('folding', () => {
  test('brings the base to what all chunks say in their order, up to the oldest retained checkpoint', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.array(change, { maxLength: 12 }), { maxLength: 3 }), { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 1, max: 3 }),
        fc.array(fc.nat(4), { minLength: 6, maxLength: 6 }),
        async (checkpoints, retain, steps) => {
          const store = claimed(`job-${jobs++}`)
          const all: { readonly checkpoint: number; readonly chunk: DeltaChunk }[] = []
          for (const [index, changes] of checkpoints.entries()) {
            const chunks = changes.map(deltaOf)
            all.push(...chunks.map((chunk) => ({ checkpoint: index + 1, chunk })))
            completeWith(store, index + 1, chunks)
            store.committed(index + 1, retain)
            for (let step = steps[index]!; step > 0; step--) store.foldStep()
            expect(store.foldedThrough).toBeLessThanOrEqual(store.retained()[0]!)
            // Whatever a fold has come to, each retained checkpoint is the base and what it lists beside it.
            for (const id of store.retained()) {
              const upTo = all.filter(({ checkpoint }) => checkpoint <= id).map(({ chunk }) => chunk)
              expect(storedRows(store, id)).toEqual(folded(upTo))
            }
          }
          foldAll(store)
          const [oldest] = store.retained()
          expect(store.foldedThrough).toBe(oldest)
          const upTo = all.filter(({ checkpoint }) => checkpoint <= oldest!).map(({ chunk }) => chunk)
          expect(rowsOf(store.base(OPERATOR))).toEqual(folded(upTo))
          expect(store.foldable()).toBeUndefined()
          expect(store.foldStep()).toBe(false)
          await store.release(false)
        },
      ),
      { numRuns: 40 },
    )
  })

  test('says beforehand how much there is to do', () => {
    const store = claimed()
    expect(store.foldable()).toBeUndefined()
    const chunk = deltaOf([{ key: 1, value: 1 }])
    completeWith(store, 1, [chunk, chunk])
    expect(store.foldable()).toEqual({
      through: 1,
      bytes: 2 * chunk.bytes.byteLength,
      rows: 2,
      chunks: 2,
      imageRows: 0,
      imageBytes: 0,
    })
  })

  test('begins anew in the next attempt, and comes to the same', () => {
    const store = claimed()
    const chunks = [deltaOf([{ key: 1, value: 1 }]), deltaOf([{ key: 1 }, { key: 2, value: 2 }]), deltaOf([{ key: 2, value: 3 }])]
    completeWith(store, 1, chunks)
    store.foldStep()
    store.foldStep()
    store.nextAttempt()
    foldAll(store)
    expect(rowsOf(store.base(OPERATOR))).toEqual(folded(chunks))
  })

  test('that dies in the middle is done again by the next process', async () => {
    const rowsFound: number[] = []
    // While chunks are read, merged, or rows written.
    for (const steps of [1, 20, 45, 100, 400]) {
      rmSync(join(directory, 'job'), { recursive: true, force: true })
      await killed(await startChild('fold', steps))
      const store = openStore()
      store.claim(() => 'mine')
      rowsFound.push(store.sizes().baseEntries)
      const expected = new MemoryOperatorBase()
      for (const { bytes } of FOLDED_BY_CHILD) expected.apply(bytes)
      const before = store.foldedThrough
      foldAll(store)
      expect(before).toBeLessThan(store.foldedThrough)
      expect(rowsOf(store.base(OPERATOR))).toEqual(rowsOf(expected))
      await store.release(false)
    }
    expect(rowsFound.at(-1)).toBeGreaterThan(0)
  })

  test('that ends after any of its steps is done again, and until then the checkpoint is the base and what it lists', () => {
    const chunks = [0, 1, 2, 3].map((part) =>
      deltaOf([
        { drop: part - 1 },
        ...Array.from({ length: 60 }, (_, key) => ({ key: key + 20 * part, value: part })),
        ...Array.from({ length: 30 }, (_, key) => ({ key, window: part, value: part })),
        { key: part },
      ]),
    )
    const steps: number[] = []
    for (let stop = 0, more = true; more; stop++) {
      const store = claimed(`job-${jobs++}`)
      completeWith(store, 1, chunks.slice(0, 2))
      completeWith(store, 2, chunks.slice(2))
      store.committed(2, 1)
      for (let step = 0; step < stop && more; step++) more = store.foldStep(0)
      store.nextAttempt()
      expect(storedRows(store, 2)).toEqual(folded(chunks))
      foldAll(store)
      expect(rowsOf(store.base(OPERATOR))).toEqual(folded(chunks))
      expect(store.foldedThrough).toBe(2)
      steps.push(stop)
    }
    // Four chunks, four drops, and rows in several transactions.
    expect(steps.length).toBeGreaterThan(12)
  })

  test('that fails in the middle of its rows begins again with the next step', () => {
    const store = claimed()
    const chunks = [0, 1].map((part) =>
      deltaOf(Array.from({ length: 200 }, (_, key) => ({ key: key + 100 * part, value: part }))),
    )
    completeWith(store, 1, chunks)
    const { tables } = store as unknown as { readonly tables: Tables }
    const put = tables.state.putSync.bind(tables.state)
    let puts = 0
    vi.spyOn(tables.state, 'putSync').mockImplementation((...row: Parameters<typeof put>) => {
      if (++puts === 150) throw new Error('no more')
      return put(...row)
    })
    expect(() => foldAll(store)).toThrow(code('STORE_FAILED'))
    expect(store.foldedThrough).toBe(-1)
    expect(storedRows(store, 1)).toEqual(folded(chunks))
    foldAll(store)
    expect(rowsOf(store.base(OPERATOR))).toEqual(folded(chunks))
  })

  test('reads no image of which there is a newer one', () => {
    const store = claimed()
    const imagesOf = (round: number): readonly DeltaChunk[] =>
      chunksSaying([{ image: Array.from({ length: 12_000 }, (_, key) => ({ key, value: key * round })) }])
    const chunks = [0, 1, 2].map(imagesOf)
    completeWith(store, 1, chunks[0]!)
    completeWith(store, 2, chunks[1]!)
    completeWith(store, 3, chunks[2]!)
    store.committed(3, 1)
    expect(store.foldable()).toMatchObject({ chunks: 12, rows: 0, imageRows: 12_000 })
    const read = vi.spyOn(store, 'chunk')
    foldAll(store)
    expect(read.mock.calls.map(([{ checkpoint }]) => checkpoint)).toEqual([3, 3, 3, 3])
    expect(store.sizes()).toMatchObject({ baseEntries: 4, deltaBytes: 0 })
    expect(rowsOf(store.base(OPERATOR))).toEqual(folded(chunks[2]!))
  })

  test('of more than fits into memory goes on batch by batch, and says how far it has come', () => {
    const store = claimed()
    // Rows of six mebibytes: eight are more than a batch.
    const large = (key: number): DeltaChunk => deltaOf([{ key, value: 'x'.repeat(6 << 20) }])
    completeWith(store, 1, [0, 1, 2, 3].map(large))
    completeWith(store, 2, [4, 5, 6, 7].map(large))
    completeWith(store, 3, [8, 9, 10, 11].map(large))
    store.committed(3, 1)
    const seen = new Set<number>()
    while (store.foldStep()) seen.add(store.foldedThrough)
    // Seven chunks are in the first batch, so all of checkpoint 1 is in the base and not all of 2.
    expect([...seen]).toEqual([-1, 1, 3])
    expect(store.sizes()).toMatchObject({ baseEntries: 12, deltaBytes: 0 })
  })

  test('of a disk that is nearly full takes room behind the last page beforehand, and what lies there is not part of the state', async () => {
    const store = claimed()
    const chunks = [deltaOf(Array.from({ length: 500 }, (_, key) => ({ key, value: 'x'.repeat(100) })))]
    completeWith(store, 1, chunks)
    disk.isFull = true
    foldAll(store)
    completeWith(store, 2, [deltaOf([{ key: 1, value: 2 }])])
    expect(statSync(store.path).size).toBeGreaterThan(store.sizes().fileBytes)
    await store.release(false)
    const next = claimed()
    expect(storedRows(next, 2)).toEqual(folded([...chunks, deltaOf([{ key: 1, value: 2 }])]))
  })

  test('of what a fenced owner still has in hand does not happen', async () => {
    const first = claimed()
    completeWith(first, 1, [deltaOf([{ key: 1, value: 'of the first' }])])
    completeWith(first, 2, [deltaOf([{ key: 1, value: 'of the first' }])])
    await underneath('job', (table) => table('meta').removeSync('owner'))
    const second = openStore()
    second.claim(() => 'unused')
    expect(() => foldAll(first)).toThrow(code('FENCED'))
    expect(second.foldedThrough).toBe(-1)
    expect(second.sizes().baseEntries).toBe(0)
  })

  test('of chunks that a newer owner has folded in the meantime says who has the state, and not that they are missing', async () => {
    const first = claimed()
    completeWith(first, 1, [deltaOf([{ key: 1, value: 'a' }]), deltaOf([{ key: 2, value: 'b' }])])
    // One chunk is read, the other is not.
    expect(first.foldStep(0)).toBe(true)
    await underneath('job', (table) => table('meta').removeSync('owner'))
    const second = openStore()
    second.claim(() => 'unused')
    foldAll(second)
    expect(() => foldAll(first)).toThrow(code('FENCED'))
    expect(storedRows(second, 1)).toEqual(
      folded([
        deltaOf([
          { key: 1, value: 'a' },
          { key: 2, value: 'b' },
        ]),
      ]),
    )
  })

  test('stops at a damaged chunk, and says which', async () => {
    const first = claimed()
    completeWith(first, 1, [deltaOf([{ key: 1, value: 1 }]), deltaOf([{ key: 2, value: 2 }])])
    await first.release(false)
    await underneath('job', (table) => table('deltas').putSync([1, 1], Buffer.from('damaged')))
    const store = claimed()
    expect(() => foldAll(store)).toThrow(code('CHECKPOINT_UNREADABLE'))
    expect(() => foldAll(store)).toThrow('chunk 1 is corrupt')
    expect(store.foldedThrough).toBe(-1)
  })
})

let jobs = 0

/** A checkpoint as a restore finds it: the base, and the chunks that the base does not hold. */
function storedRows(store: CheckpointStore, checkpoint: number): readonly string[] {
  const base = new MemoryOperatorBase()
  base.apply(deltaOf(changesOf(store)).bytes)
  for (const delta of store.unfolded(store.manifest(checkpoint))) base.apply(store.readDelta(delta))
  return rowsOf(base)
}

/** What the stored base holds, as changes. */
function changesOf(store: CheckpointStore): readonly Change[] {
  return rowsOf(store.base(OPERATOR)).map((row) => JSON.parse(row) as Change)
}

describe('going back', () => {
  test('to a retained checkpoint makes it the latest one, and what came after it is gone', async () => {
    const store = claimed()
    for (const checkpoint of [1, 2, 3]) completeWith(store, checkpoint, [deltaOf([{ key: 1, value: checkpoint }])])
    store.committed(3, 3)
    foldAll(store)
    expect(store.foldedThrough).toBe(1)
    store.goBackTo(2)
    expect(store.latestCheckpoint).toBe(2)
    expect(store.retained()).toEqual([1, 2])
    expect(store.committedThrough).toBe(2)
    expect(() => store.manifest(3)).toThrow(code('CHECKPOINT_UNREADABLE'))
    expect(storedRows(store, 2)).toEqual(folded([deltaOf([{ key: 1, value: 2 }])]))
    store.sweep()
    store.nextAttempt()
    completeWith(store, 20, [deltaOf([{ key: 2, value: 20 }])])
    store.committed(20, 1)
    foldAll(store)
    expect(rowsOf(store.base(OPERATOR))).toEqual(
      folded([
        deltaOf([
          { key: 1, value: 2 },
          { key: 2, value: 20 },
        ]),
      ]),
    )
    await store.release(false)
    await underneath('job', (table) => expect([...table('deltas').getKeys()]).toEqual([]))
  })

  test('makes a finished job one that goes on', async () => {
    const first = claimed()
    completeWith(first, 1, [])
    completeWith(first, 2, [])
    await first.release(true)
    const store = openStore()
    store.claim(() => 'unused')
    store.goBackTo(1)
    expect(store.finished).toBe(false)
  })

  test('to one that is not there changes nothing', () => {
    const store = claimed()
    completeWith(store, 5, [])
    expect(() => store.goBackTo(4)).toThrow(code('CHECKPOINT_UNREADABLE'))
    expect([store.retained(), store.latestCheckpoint]).toEqual([[5], 5])
  })
})

describe('a state that the job no longer has', () => {
  const OLD: StateIdentity = { kind: 'table', name: 'old' }
  const gone: DroppedState = { operator: OPERATOR, ...OLD, through: 1 }
  const before = deltaOf([
    { key: 'a', value: 1, table: 'old' },
    { key: 'a', value: 1 },
  ])

  /** A job that had it at checkpoint 1, and at 2 no longer. */
  function withDropped(): CheckpointStore {
    const store = claimed()
    completeWith(store, 1, [before])
    foldAll(store)
    store.nextAttempt()
    completeWith(store, 20, [deltaOf([{ key: 'b', value: 2 }])], { dropped: [gone] })
    return store
  }

  test('is there until a checkpoint is complete that does not know it', () => {
    const store = claimed()
    completeWith(store, 1, [before])
    foldAll(store)
    expect(store.registry()).toEqual([
      { operator: OPERATOR, kind: 'table', name: 'old' },
      { operator: OPERATOR, kind: 'table', name: 't' },
    ])
    expect(rowsOf(store.base(OPERATOR))).toHaveLength(2)
  })

  test('loses its number and then its rows, and the others keep theirs', () => {
    const store = withDropped()
    expect(store.registry()).toEqual([undefined, { operator: OPERATOR, kind: 'table', name: 't' }])
    expect(store.retained()).toEqual([20])
    foldAll(store)
    expect(store.sizes().baseEntries).toBe(3)
    while (store.purgeStep()) {}
    expect(store.sizes().baseEntries).toBe(2)
    expect(rowsOf(store.base(OPERATOR))).toEqual(
      folded([
        deltaOf([
          { key: 'a', value: 1 },
          { key: 'b', value: 2 },
        ]),
      ]),
    )
  })

  test('does not rise again when a state of that name comes back, before its rows are gone or after', () => {
    for (const purges of [false, true]) {
      rmSync(join(directory, 'job'), { recursive: true, force: true })
      const store = withDropped()
      if (purges) while (store.purgeStep()) {}
      store.nextAttempt()
      completeWith(store, 40, [deltaOf([{ key: 'c', value: 3, table: 'old' }])])
      store.committed(40, 1)
      foldAll(store)
      const expected = [
        { key: 'a', value: 1 },
        { key: 'b', value: 2 },
        { key: 'c', value: 3, table: 'old' },
      ]
      expect(rowsOf(store.base(OPERATOR))).toEqual(folded([deltaOf(expected)]))
      while (store.purgeStep()) {}
      expect(rowsOf(store.base(OPERATOR))).toEqual(folded([deltaOf(expected)]))
      expect(store.sizes().baseEntries).toBe(3)
    }
  })

  test('is passed over in chunks that are folded later', () => {
    const store = claimed()
    const [delta] = completeWith(store, 1, [before])
    store.nextAttempt()
    const own = store.addDeltas(20, OPERATOR, [deltaOf([{ key: 'b', value: 2 }])])
    store.complete(sampleManifest(20, { deltas: [delta!, ...own], dropped: [gone] }))
    store.committed(20, 1)
    foldAll(store)
    expect(rowsOf(store.base(OPERATOR))).toEqual(
      folded([
        deltaOf([
          { key: 'a', value: 1 },
          { key: 'b', value: 2 },
        ]),
      ]),
    )
  })
})

describe('the history', () => {
  test('holds the last hundred checkpoints, oldest first, failed ones too', () => {
    const store = claimed()
    for (let checkpoint = 1; checkpoint <= 130; checkpoint++) {
      if (checkpoint % 3 === 0) store.failed(recordOf(checkpoint, 1_000 + checkpoint))
      else store.complete(sampleManifest(checkpoint), { ...recordOf(checkpoint, 1_000 + checkpoint), status: 'completed' })
    }
    const history = store.history()
    expect(history.map(({ checkpoint }) => checkpoint)).toEqual(Array.from({ length: 100 }, (_, index) => 31 + index))
    expect(history.filter(({ status }) => status === 'failed').every(({ checkpoint }) => checkpoint % 3 === 0)).toBe(true)
    expect(history.at(-1)).toEqual({ ...recordOf(130, 1_130), status: 'completed' })
  })
})

describe('the sizes', () => {
  test('are those of what is there', () => {
    const store = claimed()
    expect(store.sizes()).toMatchObject({ baseBytes: 0, baseEntries: 0, deltaBytes: 0 })
    const parts = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    const partOf = (part: number) =>
      Array.from({ length: 100 }, (_, index) => ({ key: 100 * part + index, value: 'x'.repeat(200) }))
    completeWith(
      store,
      1,
      parts.map((part) => deltaOf(partOf(part))),
    )
    const { deltaBytes, fileBytes } = store.sizes()
    expect(deltaBytes).toBeGreaterThan(100_000)
    expect(fileBytes).toBeGreaterThanOrEqual(deltaBytes)
    expect(fileBytes).toBeLessThanOrEqual(statSync(store.path).size)
    foldAll(store)
    expect(store.sizes().baseEntries).toBe(1_000)
    expect(store.sizes().baseBytes).toBeGreaterThan(100_000)
    expect(store.sizes().deltaBytes).toBe(0)
  })
})

describe('a reader', () => {
  test('in another process sees complete checkpoints, and folds as a whole when it looks anew', async () => {
    const child = await startChild('fold for ever')
    const reader = StoredCheckpoints.openForReading(join(directory, 'job'))
    let seen = -1
    for (const end = Date.now() + 1_500; Date.now() < end; ) {
      const base = reader.base(OPERATOR)
      base.refresh()
      const { foldedThrough } = reader
      expect(foldedThrough).toBeGreaterThanOrEqual(seen)
      seen = foldedThrough
      // Every checkpoint gives all keys its own number; in the middle of a fold some have the next one.
      const values = new Set(rowsOf(base).map((row) => (JSON.parse(row) as { readonly value: number }).value))
      for (const value of values) expect(value).toBeGreaterThanOrEqual(foldedThrough)
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    expect(seen).toBeGreaterThan(2)
    expect(child.exitCode).toBeNull()
    await reader.close()
  })

  test('in another thread sees what was folded before it is told, and may end at any moment', async () => {
    const store = claimed()
    const url = new URL('fixtures/base-reader.ts', import.meta.url)
    for (let round = 1; round <= 3; round++) {
      const worker = new Worker(url, { workerData: { path: store.path, operator: OPERATOR } })
      try {
        for (let step = 1; step <= 20; step++) {
          const checkpoint = 100 * round + step
          completeWith(store, checkpoint, [deltaOf(Array.from({ length: 50 }, (_, key) => ({ key, value: checkpoint })))])
          store.committed(checkpoint, 1)
          foldAll(store)
          worker.postMessage(store.registry())
          const [values] = (await once(worker, 'message')) as [readonly number[]]
          expect(values).toEqual(new Array(50).fill(checkpoint))
        }
      } finally {
        await worker.terminate()
      }
    }
    completeWith(store, 999, [deltaOf([{ key: 'last', value: 1 }])])
    store.committed(999, 1)
    foldAll(store)
    expect(store.sizes().baseEntries).toBe(51)
  })

  test('is told when there is nothing to read', () => {
    expect(() => StoredCheckpoints.openForReading(join(directory, 'nothing'))).toThrow(code('JOB_UNKNOWN'))
  })
})

describe('a full disk', () => {
  test('is told apart from other trouble by the room that is left', async () => {
    const store = claimed()
    completeWith(store, 1, [])
    // Any error of the table will do: a closed one has one.
    await store.close()
    disk.isFull = true
    expect(() => store.committed(1, 1)).toThrow(code('DISK_FULL'))
    disk.isFull = false
    expect(() => store.committed(1, 1)).toThrow(code('STORE_FAILED'))
  })

  test('is nothing that the smallest change comes upon: it takes its room beforehand, too', () => {
    const store = claimed()
    completeWith(store, 1, [])
    disk.isFull = true
    store.raiseAttempt()
    expect(statSync(store.path).size).toBeGreaterThan(store.sizes().fileBytes)
  })

  test('fails the checkpoint and nothing else: what was complete stays, and with room the same chunks go on', async () => {
    const small = join(directory, 'small')
    mkdirSync(small)
    if (!mounted(small)) return expectInjected()
    try {
      const store = CheckpointStore.open(small, 'job')
      store.claim(() => 'run-1')
      const first = completeWith(store, 1, [deltaOf([{ key: 'a', value: 1 }])])
      const filler = join(small, 'filler')
      fill(filler)
      const chunks = Array.from({ length: 20 }, (_, key) => deltaOf([{ key, value: 'x'.repeat(50_000) }]))
      const later = store.addDeltas(2, OPERATOR, chunks)
      const manifest = sampleManifest(2, { deltas: [...first, ...later] })
      expect(() => store.complete(manifest)).toThrow(code('DISK_FULL'))
      expect(store.latestCheckpoint).toBe(1)
      rmSync(filler)
      store.complete(manifest)
      expect(store.latestCheckpoint).toBe(2)
      expect(store.manifest(2).deltas.map((delta) => store.readDelta(delta).byteLength)).toEqual(
        manifest.deltas.map(({ length }) => length),
      )
      await store.release(false)
    } finally {
      execFileSync('umount', [small])
    }
  })
})

describe('a write that fails when it is committed', () => {
  test.each([
    ['of the next attempt', (store: CheckpointStore) => store.nextAttempt()],
    ['of the attempt of a part', (store: CheckpointStore) => store.raiseAttempt()],
  ])('%s leaves the one before, which is no foreign one', (_, begin) => {
    const { store, failNext } = failing()
    completeWith(store, 1, [])
    failNext()
    expect(() => begin(store)).toThrow(code('STORE_FAILED'))
    store.committed(1, 1)
    expect(store.committedThrough).toBe(1)
    expect(store.nextAttempt().attempt).toBe(2)
  })

  test('of reserved ids leaves them unused', () => {
    const { store, failNext } = failing()
    failNext()
    expect(() => store.begin(500)).toThrow(code('STORE_FAILED'))
    store.begin(500)
    expect(store.nextAttempt().lastCheckpoint).toBeGreaterThanOrEqual(500)
  })
})

/** A store whose next transaction, when it is asked for, does what it is to do and then cannot be committed. */
function failing(): { readonly store: CheckpointStore; failNext(): void } {
  const folder = join(directory, 'job')
  const tables = openForWriting(folder)
  const store = CheckpointStore.over(folder, tables, thisMachine)
  opened.push(store)
  store.claim(() => 'run-1')
  const commit = tables.root.transactionSync.bind(tables.root)
  const failNext = (): void => {
    vi.spyOn(tables.root, 'transactionSync').mockImplementationOnce((action: () => unknown) =>
      commit(() => {
        action()
        throw new Error('MDB_PROBLEM: it cannot be written')
      }),
    )
  }
  return { store, failNext }
}

/** Whether this process may mount a small disk; then it is there. */
function mounted(folder: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', folder], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

function fill(file: string): void {
  try {
    execFileSync('dd', ['if=/dev/zero', `of=${file}`, 'bs=4k'], { stdio: 'ignore' })
  } catch {
    // It ends when there is no room.
  }
}

/** Where nothing may be mounted: a transaction that fails while the disk says that it is full. */
function expectInjected(): void {
  const store = claimed()
  completeWith(store, 1, [])
  disk.isFull = true
  // A manifest that cannot be written fails in the middle of its transaction.
  const hopeless = sampleManifest(2, { fingerprint: (() => 1) as unknown as string })
  expect(() => store.complete(hopeless)).toThrow()
  expect(store.latestCheckpoint).toBe(1)
  disk.isFull = false
  completeWith(store, 2, [])
  expect(store.latestCheckpoint).toBe(2)
}
