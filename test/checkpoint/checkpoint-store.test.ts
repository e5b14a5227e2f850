import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { open } from 'lmdb'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CheckpointStore } from '../../src/checkpoint/checkpoint-store.ts'
import type { StoredChunk } from '../../src/checkpoint/manifest.ts'
import { sampleManifest } from './manifests.ts'

const CHILD = fileURLToPath(new URL('fixtures/store-child.ts', import.meta.url))

let directory: string
let opened: CheckpointStore[]
let children: ChildProcess[]

beforeEach(() => {
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
async function startChild(what: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, [CHILD, directory, 'job', what], { stdio: ['ignore', 'pipe', 'inherit'] })
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

function chunkOf(text: string, firstGroup = 0, lastGroup = 127) {
  return { firstGroup, lastGroup, bytes: new Uint8Array(Buffer.from(text)) }
}

/** Completes a checkpoint with these chunks, and returns where they are. */
function completeWith(store: CheckpointStore, checkpoint: number, texts: readonly string[]): readonly StoredChunk[] {
  const chunks = store.addChunks(
    checkpoint,
    texts.map((text) => chunkOf(text)),
  )
  const [subtask] = sampleManifest(checkpoint).subtasks
  const operators = [{ operator: 'items-1', watermark: 0, records: 0, chunks }]
  store.complete(sampleManifest(checkpoint, { subtasks: [{ ...subtask!, operators }] }))
  return chunks
}

function textOf(store: CheckpointStore, checkpoint: number, chunk: StoredChunk): string {
  return Buffer.from(store.readChunk(checkpoint, chunk)).toString()
}

function chunksOf(store: CheckpointStore, checkpoint: number): readonly StoredChunk[] {
  return store.manifest(checkpoint).subtasks.flatMap((subtask) => subtask.operators.flatMap((operator) => operator.chunks))
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
      first.addChunks(checkpoint, [chunkOf('aborted')])
      first.discard(checkpoint)
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
    expect([...store.readChunk(11, chunksOf(store, 11)[0]!)]).toEqual(new Array(100).fill(11))
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
    expect(chunksOf(second, 1).map((chunk) => textOf(second, 1, chunk))).toEqual(['of the first'])
  })
})

describe('a complete checkpoint', () => {
  test('is the latest one, with its manifest and its chunks', () => {
    const store = claimed()
    completeWith(store, 1, ['a', 'b'])
    const chunks = completeWith(store, 2, ['c', 'd'])
    expect(store.latestCheckpoint).toBe(2)
    expect(store.latest()).toEqual(store.manifest(2))
    expect(chunks.map((chunk) => chunk.sequence)).toEqual([0, 1])
    expect(chunks.map((chunk) => textOf(store, 2, chunk))).toEqual(['c', 'd'])
    expect(chunksOf(store, 1).map((chunk) => textOf(store, 1, chunk))).toEqual(['a', 'b'])
  })

  test('is there for the next process, from the first byte to the last', async () => {
    const first = claimed()
    completeWith(first, 1, ['a'.repeat(100_000), ''])
    await first.release(false)
    const second = openStore()
    expect(chunksOf(second, 1).map((chunk) => textOf(second, 1, chunk))).toEqual(['a'.repeat(100_000), ''])
  })

  test('there is none in a new state', () => {
    const store = claimed()
    expect(store.latest()).toBeUndefined()
    expect(store.retained()).toEqual([])
    expect(() => store.manifest(1)).toThrow(code('CHECKPOINT_UNREADABLE'))
  })

  test('goes when newer ones are committed, and takes its chunks with it', async () => {
    const store = claimed()
    for (let checkpoint = 1; checkpoint <= 4; checkpoint++) {
      completeWith(store, checkpoint, [`state ${checkpoint}`])
      store.committed(checkpoint, 2)
    }
    expect(store.committedThrough).toBe(4)
    expect(store.retained()).toEqual([3, 4])
    await store.release(false)
    await underneath('job', (table) =>
      expect([...table('chunks').getKeys()]).toEqual([
        [3, 0],
        [4, 0],
      ]),
    )
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
        const damaged = change(Buffer.from(table('chunks').get([checkpoint, 1])!))
        if (damaged === undefined) table('chunks').removeSync([checkpoint, 1])
        else table('chunks').putSync([checkpoint, 1], damaged)
      })
    })
    const store = openStore()
    changes.forEach(([what], checkpoint) => {
      const [good, victim] = chunksOf(store, checkpoint)
      expect(textOf(store, checkpoint, good!)).toBe('good')
      expect(() => store.readChunk(checkpoint, victim!)).toThrow(code('CHECKPOINT_UNREADABLE'))
      expect(() => store.readChunk(checkpoint, victim!)).toThrow(`chunk 1 is ${what}`)
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
    expect([...store.readChunk(10, chunksOf(store, 10)[0]!)]).toEqual(new Array(100).fill(10))
    await store.release(false)
    await underneath('job', (table) => expect([...table('chunks').getKeys()]).toEqual([[10, 0]]))
  })

  test('loses its chunks when it is discarded, those in memory and those on disk', async () => {
    const store = claimed()
    store.addChunks(1, [chunkOf('x'.repeat(5 << 20)), chunkOf('y')])
    store.addChunks(1, [chunkOf('in memory')])
    store.discard(1)
    completeWith(store, 2, ['good'])
    expect(chunksOf(store, 2).map((chunk) => textOf(store, 2, chunk))).toEqual(['good'])
    await store.release(false)
    await underneath('job', (table) => expect([...table('chunks').getKeys()]).toEqual([[2, 0]]))
  })

  test('does not leave its chunks in the next attempt', async () => {
    const store = claimed()
    store.addChunks(1, [chunkOf('of an attempt that failed')])
    store.nextAttempt()
    completeWith(store, 20, ['good'])
    await store.release(false)
    await underneath('job', (table) => expect([...table('chunks').getKeys()]).toEqual([[20, 0]]))
  })

  test('the sweep removes what no manifest names and nothing else', async () => {
    const store = claimed()
    completeWith(store, 1, ['keep'])
    store.addChunks(2, [chunkOf('x'.repeat(5 << 20))])
    store.sweep()
    expect(chunksOf(store, 1).map((chunk) => textOf(store, 1, chunk))).toEqual(['keep'])
    await store.release(false)
    await underneath('job', (table) => expect([...table('chunks').getKeys()]).toEqual([[1, 0]]))
  })

  test('more chunks than one transaction removes are all removed', async () => {
    const store = claimed()
    completeWith(
      store,
      1,
      Array.from({ length: 1000 }, (_, index) => `chunk ${index}`),
    )
    completeWith(store, 2, ['keep'])
    store.committed(2, 1)
    await store.release(false)
    await underneath('job', (table) => expect([...table('chunks').getKeys()]).toEqual([[2, 0]]))
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
    await underneath('job', (table) => expect([...table('chunks').getKeys()]).toEqual([[before.lastCheckpoint + 1, 0]]))
  })
})
