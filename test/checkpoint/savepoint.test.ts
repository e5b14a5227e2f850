import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { CheckpointStore } from '../../src/checkpoint/checkpoint-store.ts'
import { encodeManifest } from '../../src/checkpoint/manifest.ts'
import type { Savepoint } from '../../src/checkpoint/savepoint.ts'
import { importSavepoint, openSavepoint, removeSavepoint, writeSavepoint } from '../../src/checkpoint/savepoint.ts'
import { encodeIndex } from '../../src/checkpoint/savepoint-index.ts'
import { openState } from '../../src/checkpoint/state-reader.ts'
import { StoredCheckpoints } from '../../src/checkpoint/stored-checkpoints.ts'
import { SluiceError } from '../../src/core/errors.ts'
import { DeltaWriter } from '../../src/state/delta-writer.ts'
import { DEFAULT_FORM } from '../../src/state/row-value.ts'
import { rowsOf } from './deltas.ts'
import type { Content } from './histories.ts'
import { contentOf, GROUPS, history, OPERATORS, Told } from './histories.ts'
import { sampleManifest } from './manifests.ts'

const disk = vi.hoisted(() => ({ isFull: false }))
vi.mock('../../src/checkpoint/disk-space.ts', async (original) => {
  const real = await original<typeof import('../../src/checkpoint/disk-space.ts')>()
  return { ...real, isRoomLeft: (folder: string) => !disk.isFull && real.isRoomLeft(folder) }
})

let directory: string
let opened: CheckpointStore[]

beforeEach(() => {
  disk.isFull = false
  directory = mkdtempSync(join(tmpdir(), 'sluice-savepoint-'))
  opened = []
})

afterEach(async () => {
  for (const store of opened) await store.close().catch(() => undefined)
  rmSync(directory, { recursive: true, force: true })
})

function claimed(job: string): CheckpointStore {
  const store = CheckpointStore.open(directory, job)
  opened.push(store)
  store.claim(() => `run of ${job}`)
  return store
}

/** A store with a folded and an unfolded part, several operators and long keys. */
function filled(job = 'words'): Told {
  const told = new Told(claimed(job))
  const many = Array.from({ length: 40 }, (_, key) => ({ key, value: `value ${key}` }))
  const windows = Array.from({ length: 20 }, (_, key) => ({ key, value: key, window: 10 * (key % 3) }))
  told.checkpoint({ first: [...many, ...windows], second: [{ key: 'k'.repeat(2000), value: 'long' }] })
  told.follow({ type: 'fold', steps: 9 })
  told.checkpoint({
    first: [{ drop: 10 }, { key: 3 }, { key: 1, value: 'new', window: 10 }],
    second: [{ key: 'late', value: true, timer: 99 }],
  })
  return told
}

const savepoints = (): string => join(directory, 'savepoints')

async function written(told: Told, fileBytes?: number): Promise<string> {
  const { path } = await writeSavepoint(told.store, told.store.latest()!, savepoints(), undefined, fileBytes)
  return path
}

async function contentIn(source: string): Promise<Content> {
  const reader = await openState(source)
  try {
    return await contentOf(reader)
  } finally {
    await reader.close()
  }
}

const code = (expected: string) => expect.objectContaining({ code: expected })

describe('a savepoint', () => {
  test('is a folder of its own, which only its owner can read, and is whole when it is there', async () => {
    const told = filled()
    const progress: number[] = []
    const result = await writeSavepoint(told.store, told.store.latest()!, savepoints(), (bytes) => progress.push(bytes))
    expect(result.path).toBe(join(savepoints(), 'words-2'))
    expect(readdirSync(savepoints())).toEqual(['words-2'])
    expect(readdirSync(result.path).sort()).toEqual(['manifest', 'savepoint.json', 'state-00001.chunk', 'state-00002.chunk'])
    for (const name of readdirSync(result.path)) expect(statSync(join(result.path, name)).mode & 0o777).toBe(0o600)
    expect([savepoints(), result.path].map((folder) => statSync(folder).mode & 0o777)).toEqual([0o700, 0o700])
    const index = JSON.parse(readFileSync(join(result.path, 'savepoint.json'), 'utf8')) as Record<string, unknown>
    expect(index).toMatchObject({
      format: 1,
      job: 'words',
      run: 'run of words',
      checkpoint: 2,
      rows: result.rows,
      bytes: result.bytes,
    })
    expect(progress).toEqual([...progress].sort((a, b) => a - b))
    const { manifest } = openSavepoint(relative(process.cwd(), result.path))
    expect(manifest).toEqual({ ...told.store.latest()!, deltas: [], dropped: [] })
  })

  test('never takes the place of another', async () => {
    const told = filled()
    mkdirSync(join(savepoints(), 'words-2'), { recursive: true })
    mkdirSync(join(savepoints(), '.words-2-2.partial'))
    const paths = await Promise.all([written(told), written(told)])
    expect(paths.sort()).toEqual([join(savepoints(), 'words-2-3'), join(savepoints(), 'words-2-4')])
    expect(readdirSync(savepoints()).sort()).toEqual(['.words-2-2.partial', 'words-2', 'words-2-3', 'words-2-4'])
  })

  test('comes back equal from another store, for any history', async () => {
    let run = 0
    await fc.assert(
      fc.asyncProperty(history, fc.constantFrom(200, 5000, undefined), async (steps, fileBytes) => {
        const told = new Told(claimed(`from-${++run}`))
        told.checkpoint({})
        for (const step of steps) told.follow(step)
        const manifest = told.store.latest()!
        const path = await written(told, fileBytes)
        const expected = told.contents.get(manifest.checkpoint)!
        await openSavepoint(path).verify()
        expect(await contentIn(path)).toEqual(expected)
        const other = claimed(`to-${run}`)
        await importSavepoint(other, openSavepoint(path))
        expect(await contentIn(other.directory)).toEqual(expected)
        expect(other.latest()).toEqual({ ...manifest, deltas: [], dropped: [] })
        expect(other.foldedThrough).toBe(manifest.checkpoint)
        // Everything is in the base, as it is in that of the first one when that has folded.
        told.store.committed(manifest.checkpoint, 1)
        while (told.store.foldStep()) {}
        for (const operator of OPERATORS) expect(rowsOf(other.base(operator))).toEqual(rowsOf(told.store.base(operator)))
        for (const each of [told.store, other]) await each.close()
      }),
      { numRuns: 40 },
    )
  })

  test('holds nothing of a state that is dropped, also where that is not folded', async () => {
    const told = filled()
    told.lose('first', 't')
    const path = await written(told)
    const text = readdirSync(path).map((name) => readFileSync(join(path, name), 'latin1'))
    expect(text.join()).not.toContain('value 3')
    expect(await contentIn(path)).toEqual(told.contents.get(3))
    expect(await contentIn(told.store.directory)).toEqual(told.contents.get(3))
  })

  test('holds nothing of what unfolded changes say of a state that is dropped', async () => {
    const told = new Told(claimed('unfolded'))
    told.checkpoint({
      first: [
        { key: 1, value: 'gone' },
        { key: 2, value: 'stays', window: 10 },
      ],
      second: [{ key: 1, value: 'other' }],
    })
    told.lose('first', 't')
    const path = await written(told)
    expect(readFileSync(join(path, 'state-00001.chunk'), 'latin1')).not.toContain('gone')
    expect(await contentIn(path)).toEqual(told.contents.get(2))
    expect(told.contents.get(2)!.size).toBe(2)
  })

  test('of more than one slice lets others work meanwhile', async () => {
    const told = new Told(claimed('large'))
    for (let checkpoint = 1; checkpoint <= 20; checkpoint++) {
      told.checkpoint({ first: Array.from({ length: 300 }, (_, key) => ({ key: `${checkpoint}/${key}`, value: 'v' })) })
      told.store.committed(checkpoint, 1)
    }
    while (told.store.foldStep()) {}
    const path = await written(told, 10_000)
    expect(await contentIn(path)).toEqual(told.contents.get(20))
  })

  test('can be written from a store that is open for reading alone', async () => {
    const told = filled()
    const store = StoredCheckpoints.openForReading(told.store.directory)
    const { path } = await writeSavepoint(store, store.latest()!, savepoints())
    expect(await contentIn(path)).toEqual(told.contents.get(2))
    await store.close()
  })
})

describe('a savepoint that cannot be written', () => {
  test('leaves nothing', async () => {
    const told = filled()
    const manifest = told.store.latest()!
    const lost = { ...manifest.deltas[0]!, sequence: 77 }
    const attempt = writeSavepoint(told.store, { ...manifest, deltas: [...manifest.deltas, lost] }, savepoints())
    await expect(attempt).rejects.toMatchObject({ code: 'SAVEPOINT_FAILED', cause: code('CHECKPOINT_UNREADABLE') })
    expect(readdirSync(savepoints())).toEqual([])
  })

  test('because of a file in the way, or a full disk, says so', async () => {
    const told = filled()
    writeFileSync(savepoints(), '')
    await expect(written(told)).rejects.toEqual(code('SAVEPOINT_FAILED'))
    disk.isFull = true
    await expect(written(told)).rejects.toEqual(code('DISK_FULL'))
  })
})

describe('an import', () => {
  test('can leave states out, and give the checkpoint another id', async () => {
    const told = filled()
    const path = await written(told)
    const other = claimed('other')
    const dropped = [{ operator: 'first', kind: 'table', name: 't' }] as const
    await importSavepoint(other, openSavepoint(path), { dropped, checkpoint: 40 })
    expect(other.latestCheckpoint).toBe(40)
    const expected = [...told.contents.get(2)!].filter(([id]) => !id.startsWith('["first","t"'))
    expect(await contentIn(other.directory)).toEqual(new Map(expected))
  })

  test('that was interrupted is no state to go on with', async () => {
    const path = await written(filled())
    const store = claimed('other')
    store.beginImport(path)
    // The process ends between two steps.
    for await (const chunk of openSavepoint(path).chunks()) if (chunk.layer === 'base') store.importChunks([chunk], () => false)
    expect(store.sizes().baseEntries).toBeGreaterThan(0)
    await store.release(false)
    const next = CheckpointStore.open(directory, 'other')
    opened.push(next)
    next.claim(() => 'unused')
    expect(next.importing).toBe(path)
    expect(() => next.latest()).toThrow(code('SAVEPOINT_UNREADABLE'))
    await expect(importSavepoint(next, openSavepoint(path))).rejects.toThrow('empty store')
    next.forget('another run')
    expect(next.latest()).toBeUndefined()
    expect(next.sizes().baseEntries).toBe(0)
    await importSavepoint(next, openSavepoint(path))
    expect(next.latest()!.checkpoint).toBe(2)
  })

  test('that ended before it began leaves no store that looks new', async () => {
    const path = await written(filled())
    const store = claimed('other')
    store.forget('run-1', path)
    // The process ends between two steps.
    await store.release(false)
    const next = CheckpointStore.open(directory, 'other')
    opened.push(next)
    next.claim(() => 'unused')
    expect(() => next.latest()).toThrow(code('SAVEPOINT_UNREADABLE'))
    next.forget('run-1', path)
    await importSavepoint(next, openSavepoint(path))
    expect(next.latest()!.checkpoint).toBe(2)
  })

  test('of a damaged savepoint is not completed', async () => {
    const path = await written(filled())
    const store = claimed('other')
    const savepoint = openSavepoint(path)
    truncateSync(join(path, 'state-00002.chunk'), 50)
    await expect(importSavepoint(store, savepoint)).rejects.toEqual(code('SAVEPOINT_UNREADABLE'))
    expect(() => store.latest()).toThrow(code('SAVEPOINT_UNREADABLE'))
  })
})

describe('a savepoint that is removed', () => {
  test('is gone with its folder', async () => {
    const path = await written(filled())
    await removeSavepoint(path)
    expect(readdirSync(savepoints())).toEqual([])
  })

  test('leaves what is not its own', async () => {
    const path = await written(filled())
    writeFileSync(join(path, 'notes.txt'), 'mine')
    await removeSavepoint(path)
    expect(readdirSync(path)).toEqual(['notes.txt'])
    await expect(removeSavepoint(path)).rejects.toEqual(code('SAVEPOINT_UNREADABLE'))
  })
})

/** What reading everything comes to: the content, or the code of the error. */
async function outcome(path: string): Promise<unknown> {
  try {
    const savepoint = openSavepoint(path)
    await savepoint.verify()
    return { manifest: savepoint.manifest, content: await contentIn(path) }
  } catch (error) {
    if (error instanceof SluiceError) return error.code
    throw error
  }
}

describe('a damaged savepoint', () => {
  let path: string
  let copy: string
  let whole: unknown
  let names: readonly string[]

  beforeEach(async () => {
    path = await written(filled(), 1000)
    copy = join(directory, 'copy')
    whole = await outcome(path)
    names = readdirSync(path)
    expect(names.length).toBeGreaterThan(4)
  })

  function damaged(damage: (file: string) => void, name: string): string {
    rmSync(copy, { recursive: true, force: true })
    cpSync(path, copy, { recursive: true })
    damage(join(copy, name))
    return copy
  }

  test('is refused, or reads as it was, whatever byte is another', async () => {
    const place = fc.record({ file: fc.nat(), at: fc.nat(), flip: fc.integer({ min: 1, max: 255 }) })
    await fc.assert(
      fc.asyncProperty(place, async ({ file, at, flip }) => {
        const name = names[file % names.length]!
        const found = await outcome(
          damaged((each) => {
            const bytes = readFileSync(each)
            bytes[at % bytes.length]! ^= flip
            writeFileSync(each, bytes)
          }, name),
        )
        if (typeof found === 'string') expect(['SAVEPOINT_UNREADABLE', 'FORMAT_UNKNOWN']).toContain(found)
        else expect(found).toEqual(whole)
      }),
      { numRuns: 150 },
    )
  })

  test('is refused wherever it is cut, and when something was added', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.nat(), async (file, length) => {
        const name = names[file % names.length]!
        const found = await outcome(damaged((each) => truncateSync(each, length % (statSync(each).size - 1)), name))
        expect(found).toBe('SAVEPOINT_UNREADABLE')
      }),
      { numRuns: 60 },
    )
    for (const name of names) {
      const found = await outcome(damaged((each) => appendFileSync(each, ' '), name))
      if (name === 'savepoint.json') expect(found).toEqual(whole)
      else expect(found).toBe('SAVEPOINT_UNREADABLE')
    }
  })

  test('is refused when a file is missing or is something else, with its name', async () => {
    for (const name of names) {
      const instead: readonly ((file: string) => void)[] = [
        () => undefined,
        (file) => mkdirSync(file),
        (file) => symlinkSync(join(path, name), file),
        (file) => execFileSync('mkfifo', [file]),
      ]
      for (const put of instead) {
        damaged((file) => {
          rmSync(file)
          put(file)
        }, name)
        const read = async (): Promise<void> => openSavepoint(copy).verify()
        await expect(read()).rejects.toMatchObject({ code: 'SAVEPOINT_UNREADABLE', message: expect.stringContaining(name) })
      }
    }
    expect(await outcome(join(directory, 'nowhere'))).toBe('SAVEPOINT_UNREADABLE')
  })

  test('gives out no chunk that is not as it was written', async () => {
    const bytesOf = async (folder: string): Promise<readonly string[]> => {
      const given: string[] = []
      try {
        for await (const { bytes } of openSavepoint(folder).chunks()) given.push(Buffer.from(bytes).toString('hex'))
      } catch (error) {
        expect(error).toEqual(code('SAVEPOINT_UNREADABLE'))
      }
      return given
    }
    const expected = await bytesOf(path)
    const length = statSync(join(path, 'state-00001.chunk')).size
    for (let at = 16; at < length; at += 5) {
      damaged((file) => {
        const bytes = readFileSync(file)
        bytes[at]! ^= 1
        writeFileSync(file, bytes)
      }, 'state-00001.chunk')
      const given = await bytesOf(copy)
      expect(given).toEqual(expected.slice(0, given.length))
    }
  })

  test('of two files that changed places is refused', async () => {
    damaged(() => undefined, 'manifest')
    const [first, second] = ['state-00001.chunk', 'state-00002.chunk'].map((name) => readFileSync(join(copy, name)))
    writeFileSync(join(copy, 'state-00001.chunk'), second!)
    writeFileSync(join(copy, 'state-00002.chunk'), first!)
    expect(await outcome(copy)).toBe('SAVEPOINT_UNREADABLE')
  })
})

/** A savepoint whose checksums are all right. */
function forged(files: readonly Uint8Array[], more: Readonly<Record<string, unknown>> = {}): string {
  const path = join(directory, 'forged')
  rmSync(path, { recursive: true, force: true })
  mkdirSync(path)
  const entries = files.map((bytes, place) => {
    const name = place === 0 ? 'manifest' : `state-${String(place).padStart(5, '0')}.chunk`
    writeFileSync(join(path, name), bytes)
    return { name, length: bytes.byteLength, crc32: crc32(bytes) }
  })
  const index = { format: 1, job: 'j', run: 'r', checkpoint: 1, createdAtMs: 1, engine: '0', rows: 0, bytes: 0, files: entries }
  writeFileSync(join(path, 'savepoint.json'), encodeIndex({ ...index, ...more }))
  return path
}

function header(layer = 2): Buffer {
  const bytes = Buffer.alloc(16)
  bytes.write('SLSC')
  bytes.writeUInt16LE(1, 4)
  bytes[6] = layer
  bytes.writeUInt32LE(1, 8)
  return bytes
}

function frame(body: Uint8Array, length = body.byteLength): Buffer {
  const head = Buffer.alloc(8)
  head.writeUInt32LE(length)
  head.writeUInt32LE(crc32(body), 4)
  return Buffer.concat([head, body])
}

describe('a hostile savepoint', () => {
  const manifest = encodeManifest(sampleManifest(1, { maxParallelism: GROUPS }))
  const withChunk = (...body: readonly number[]): string =>
    forged([manifest, Buffer.concat([header(), frame(Buffer.from([1, 0, 0x61, ...body]))])])

  test('is told by what it names', async () => {
    expect(await outcome(forged([manifest]))).toMatchObject({ content: new Map() })
    expect(await outcome(forged([]))).toBe('SAVEPOINT_UNREADABLE')
    for (const name of ['../manifest', '/etc/passwd', 'savepoint.json', '__proto__']) {
      const path = forged([manifest], { files: [{ name, length: 1, crc32: 1 }] })
      expect(await outcome(path)).toBe('SAVEPOINT_UNREADABLE')
      await expect(removeSavepoint(path)).rejects.toEqual(code('SAVEPOINT_UNREADABLE'))
      expect(existsSync(path)).toBe(true)
    }
  })

  test('is told by its lengths and its counts', async () => {
    const long = Buffer.concat([header(), frame(Buffer.alloc(10), 0xffffffff)])
    expect(await outcome(forged([manifest, long]))).toBe('SAVEPOINT_UNREADABLE')
    // A section of four thousand million rows, and one of a key of as many bytes.
    expect(await outcome(withChunk(1, 0, 1, 0, 0x74, 0, 0, 0, 0, ...Array<number>(8).fill(0), 255, 255, 255, 255))).toBe(
      'SAVEPOINT_UNREADABLE',
    )
    expect(
      await outcome(withChunk(1, 0, 1, 0, 0x74, 0, 0, 0, 0, ...Array<number>(8).fill(0), 1, 0, 0, 0, 255, 255, 255, 255, 255)),
    ).toBe('SAVEPOINT_UNREADABLE')
    // A key group that there is not.
    expect(await outcome(withChunk(2, 1, 0, 0, 0, 0, 255, 255, ...Array<number>(12).fill(0)))).toBe('SAVEPOINT_UNREADABLE')
  })

  test('is told by a base that is none', async () => {
    const base = (chunk: Uint8Array): string =>
      forged([manifest, Buffer.concat([header(1), frame(Buffer.concat([Buffer.from([1, 0, 0x61]), chunk]))])])
    const state = { kind: 'table', name: 't' } as const
    const chunk = (write: (writer: DeltaWriter) => void): Uint8Array => {
      const writer = new DeltaWriter()
      write(writer)
      writer.cut()
      return writer.take()[0]!.bytes
    }
    const put = (writer: DeltaWriter, key: number, name = 't'): void =>
      writer.put({ ...state, name }, 0, 0, key, key, DEFAULT_FORM)
    const bases: readonly ((writer: DeltaWriter) => void)[] = [
      (writer) => [2, 1].forEach((key) => put(writer, key)),
      (writer) => [1, 1].forEach((key) => put(writer, key)),
      (writer) => ['t', 'u'].forEach((name) => put(writer, 1, name)),
      (writer) => writer.remove(state, 0, 0, 1),
      (writer) => writer.drop(state, 0, 0, 0),
    ]
    for (const write of bases) await expect(openState(base(chunk(write)))).rejects.toEqual(code('SAVEPOINT_UNREADABLE'))
    expect((await openState(base(chunk((writer) => [1, 2].forEach((key) => put(writer, key)))))).states()).toHaveLength(1)
  })

  test('is told by what its manifest is', async () => {
    const odd: readonly Readonly<Record<string, unknown>>[] = [
      { subtasks: null },
      { subtasks: [{}] },
      { maxParallelism: 1e9 },
      { graph: [{ id: 1 }] },
      { graph: [{ id: 'a', kind: 'b', inputs: [], settings: { states: [null] } }] },
      { graph: [{ id: 'a', kind: 'b', inputs: [], settings: new Map() }] },
      { deltas: [{}] },
      { committables: 'many' },
      { checkpoint: 2 },
    ]
    for (const fields of odd) {
      const path = forged([encodeManifest({ ...sampleManifest(1), ...fields } as never)])
      expect(await outcome(path)).toBe('SAVEPOINT_UNREADABLE')
    }
  })

  test('of any bytes never does more than be refused', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.nat(3), async (bytes, kind) => {
        const file = [bytes, Buffer.concat([header(), bytes]), Buffer.concat([header(), frame(bytes)])][kind]
        const path = file === undefined ? forged([bytes]) : forged([manifest, file])
        const found = await outcome(path)
        if (typeof found === 'string') expect(['SAVEPOINT_UNREADABLE', 'FORMAT_UNKNOWN']).toContain(found)
        expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
      }),
      { numRuns: 200 },
    )
  })

  test('that takes the name of a prototype for a field changes nothing', async () => {
    const path = forged([manifest])
    const text = readFileSync(join(path, 'savepoint.json'), 'utf8')
    writeFileSync(join(path, 'savepoint.json'), text.replace('{', '{ "__proto__": { "polluted": true },'))
    await outcome(path)
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
  })

  test('of a newer format says which one it is', async () => {
    const path = forged([manifest], { format: 9 })
    expect(() => openSavepoint(path)).toThrow(
      expect.objectContaining({ code: 'FORMAT_UNKNOWN', message: expect.stringContaining('version 9') }),
    )
  })
})

test('the type of a savepoint has what a start needs', async () => {
  const savepoint: Savepoint = openSavepoint(await written(filled()))
  expect([savepoint.job, savepoint.run, savepoint.manifest.checkpoint]).toEqual(['words', 'run of words', 2])
})
