import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { crc32 } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CheckpointStore } from '../../src/checkpoint/checkpoint-store.ts'
import { importSavepoint, openSavepoint, writeSavepoint } from '../../src/checkpoint/savepoint.ts'
import { encodeIndex } from '../../src/checkpoint/savepoint-index.ts'
import { openState } from '../../src/checkpoint/state-reader.ts'
import { StoredCheckpoints } from '../../src/checkpoint/stored-checkpoints.ts'
import { taggedJson } from '../../src/checkpoint/tagged-json.ts'
import { verifySavepoint, verifyStore } from '../../src/checkpoint/verification.ts'
import { KeyedBackend } from '../../src/state/keyed-backend.ts'
import { contentOfSavepoint, contentOfState, contentOfStore } from './content.ts'

/*
 * What released versions of the format have written is read as it was meant (docs/format.md, "Changing it"). The files are never written anew: a version
 * of the format that changes gets a folder of its own, by `scripts/make-golden.ts`.
 */

const FOLDER = fileURLToPath(new URL('.', import.meta.url))
const VERSIONS = readdirSync(FOLDER).filter((name) => /^v\d+$/.test(name))

interface Entry {
  readonly key: unknown
  readonly window?: number
  readonly time?: number
  readonly value: unknown
}

interface State {
  readonly states: readonly { readonly state: string; readonly entries: readonly Entry[] }[]
}

interface Expected {
  readonly state: {
    readonly checkpoints: readonly { readonly manifest: { readonly checkpoint: number }; readonly state: State }[]
  }
  readonly savepoint: { readonly state: State }
}

describe.each(VERSIONS)('%s', (version) => {
  const expected = JSON.parse(readFileSync(join(FOLDER, version, 'expected.json'), 'utf8')) as Expected
  let folder: string
  let state: string
  let savepoint: string

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sluice-golden-'))
    state = join(folder, 'state')
    savepoint = join(folder, 'savepoint')
    // Whoever opens a store, also to read it, writes beside it.
    for (const name of ['state', 'savepoint']) cpSync(join(FOLDER, version, name), join(folder, name), { recursive: true })
  })

  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  const readState = async (): Promise<unknown> => {
    const store = StoredCheckpoints.openForReading(state)
    const content = await contentOfStore(store, (checkpoint) => openState(state, { checkpoint }))
    await store.close()
    return content
  }

  const stateOf = async (path: string): Promise<unknown> => {
    const reader = await openState(path)
    const content = await contentOfState(reader)
    await reader.close()
    return content
  }

  test('the state folder says what it said', async () => {
    expect(await readState()).toEqual(expected.state)
    expect((await verifyStore(state)).damage).toEqual([])
  })

  test('the savepoint says what it said', async () => {
    expect(await contentOfSavepoint(openSavepoint(savepoint), await openState(savepoint))).toEqual(expected.savepoint)
    expect((await verifySavepoint(openSavepoint(savepoint))).damage).toEqual([])
  })

  test.each([7, 12, 15])('a mark in the unused byte %i of a file is refused, as it may mean something', async (at) => {
    const { index } = openSavepoint(savepoint)
    const { name } = index.files[1]!
    const bytes = readFileSync(join(savepoint, name))
    bytes[at] = 1
    writeFileSync(join(savepoint, name), bytes)
    const files = index.files.map((file) => (file.name === name ? { ...file, crc32: crc32(bytes) } : file))
    writeFileSync(join(savepoint, 'savepoint.json'), encodeIndex({ ...index, files }))
    const { damage } = await verifySavepoint(openSavepoint(savepoint))
    expect(damage).toMatchObject([{ problem: expect.stringContaining('marks that this program does not know') }])
  })

  test('the savepoint can be imported, and then says the same', async () => {
    const store = CheckpointStore.open(folder, 'imported')
    store.claim(() => 'another-run')
    await importSavepoint(store, openSavepoint(savepoint))
    expect(await stateOf(store.directory)).toEqual(expected.savepoint.state)
    await store.release(false)
  })

  test('a job goes on: what is not folded yet can be, and the newest checkpoint stays as it was', async () => {
    const newest = expected.state.checkpoints.at(-1)!
    const store = CheckpointStore.open(folder, 'state')
    expect(store.claim(() => 'another-run').run).toBe('golden-run')
    store.sweep()
    expect(taggedJson(store.latest())).toEqual(newest.manifest)
    store.committed(newest.manifest.checkpoint, 1)
    while (store.foldStep()) {}
    while (store.purgeStep()) {}
    expect((await verifyStore(state)).rows).toBe(newest.state.states.reduce((sum, { entries }) => sum + entries.length, 0))
    expect(await stateOf(state)).toEqual(newest.state)
    const { path } = await writeSavepoint(store, store.latest()!, folder)
    expect(await stateOf(path)).toEqual(newest.state)
    await store.release(false)
  })

  test('keyed state is restored from the base and the changes beside it', async () => {
    const store = StoredCheckpoints.openForReading(state)
    const manifest = store.latest()!
    const groups = { first: 0, last: manifest.maxParallelism - 1 }
    const base = store.base('count')
    const backend = new KeyedBackend({ groups, maxParallelism: manifest.maxParallelism, base, restored: manifest.checkpoint })
    backend.onFolded(store.foldedThrough)
    for (const delta of store.unfolded(manifest)) backend.apply(store.readDelta(delta))
    const reader = await openState(state)
    const held = { plain: 0, visits: 0, windows: 0 }
    for (const { state: name } of reader.states()) {
      for await (const { key, window, value } of reader.entries('count', name, { raw: true })) {
        if (!Object.hasOwn(held, name)) continue
        backend.setKey(key)
        const found = window === undefined ? backend.table(name).get() : backend.panes(name).get(window)
        expect(found).toEqual(value)
        held[name as keyof typeof held]++
      }
    }
    await reader.close()
    const entriesOf = (name: string): readonly Entry[] =>
      expected.state.checkpoints.at(-1)!.state.states.find((each) => each.state === name)!.entries
    for (const [name, count] of Object.entries(held)) expect([name, count]).toEqual([name, entriesOf(name).length])
    const fired = { event: firedBy(backend, 'event'), processing: firedBy(backend, 'processing') }
    expect(fired.event).toEqual(timesOf(entriesOf('event-timer:')))
    expect(fired.processing).toEqual(timesOf(entriesOf('processing-timer:ttl:visits')))
    await store.close()
  })
})

test('there is a folder for each version of the format that can be read', () => expect(VERSIONS).toEqual(['v2', 'v3']))

/** Times and keys of all timers, as text, in one order. */
function firedBy(backend: KeyedBackend, clock: 'event' | 'processing'): readonly string[] {
  const fired: string[] = []
  const fire = (time: number): void => {
    fired.push(JSON.stringify([time, taggedJson(backend.key)]))
  }
  if (clock === 'event') backend.timers().fireEventTime(Number.MAX_VALUE, fire, () => true)
  else backend.timers('ttl:visits').fireProcessingTime(Number.MAX_VALUE, fire, () => true)
  return fired.sort()
}

function timesOf(entries: readonly Entry[]): readonly string[] {
  return entries.map(({ time, key }) => JSON.stringify([time, key])).sort()
}
