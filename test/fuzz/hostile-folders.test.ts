import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CheckpointStore } from '../../src/checkpoint/checkpoint-store.ts'
import { decodeManifest, encodeManifest } from '../../src/checkpoint/manifest.ts'
import { writeSavepoint } from '../../src/checkpoint/savepoint.ts'
import { encodeIndex } from '../../src/checkpoint/savepoint-index.ts'
import { changedBytes } from './bytes.ts'
import type { ContentDamage } from './content-damage.ts'
import { changedContent, contentDamages, damageContent } from './content-damage.ts'
import { makeFolder } from './folder-job.ts'
import type { Outcomes } from './folder-runner.ts'
import { FolderRunner, isAllowed } from './folder-runner.ts'
import { runsOf, SEED, timeoutOf } from './runs.ts'

/*
 * State folders and savepoints that are whole by their checksums and say what no job has written, and such in which files are something else.
 */

const OF_STATE = ['status', 'check', 'ls', 'verify', 'read', 'run', 'read again']
const BRIEFLY = ['status', 'verify', 'read', 'run']
const OF_SAVEPOINT = ['verify a savepoint', 'read a savepoint', 'run from a savepoint']
const FILE = 'state/hostile/checkpoints.mdb'

let folder: string
let savepoint: string
const runner = new FolderRunner()

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-fuzz-'))
  await makeFolder(join(folder, 'whole'))
  const store = CheckpointStore.open(join(folder, 'whole/state'), 'hostile')
  savepoint = (await writeSavepoint(store, store.latest()!, folder)).path
  await store.close()
})

afterAll(() => {
  runner.close()
  rmSync(folder, { recursive: true, force: true })
})

/** Tries a copy, which is then removed. Returns what may not be. */
async function problemsOf(source: string, change: (copy: string) => unknown, actions: readonly string[]) {
  const copy = join(folder, 'copy')
  cpSync(source, copy, { recursive: true })
  try {
    const what = await change(copy)
    return notAllowed(await runner.try(copy, actions)).map((problem) => `${String(what)}: ${problem}`)
  } finally {
    rmSync(copy, { recursive: true })
    rmSync(`${copy}-run`, { recursive: true, force: true })
  }
}

function notAllowed(outcomes: Outcomes): readonly string[] {
  return [...outcomes].filter(([, outcome]) => !isAllowed(outcome)).map(([action, outcome]) => `${action}: ${outcome}`)
}

const TIMEOUT_MS = timeoutOf(120_000)

test('a state folder that says what no job has written', { timeout: TIMEOUT_MS }, async () => {
  for (const damage of fc.sample(contentDamages, { numRuns: runsOf(12), seed: SEED })) {
    const change = (copy: string) => damageContent(join(copy, FILE), damage)
    expect(await problemsOf(join(folder, 'whole'), change, OF_STATE), JSON.stringify(damage)).toEqual([])
  }
})

/** Something else in the place of a file, and what is done with it. */
const STRANGE: Readonly<Record<string, (path: string) => void>> = {
  'a folder': (path) => mkdirSync(path),
  'a pipe': (path) => void execFileSync('mkfifo', [path]),
  'a link to nothing': (path) => symlinkSync('nowhere', path),
  'a link to itself': (path) => symlinkSync(path, path),
  'a device': (path) => symlinkSync('/dev/zero', path),
  nothing: () => undefined,
  'an empty file': (path) => writeFileSync(path, ''),
  'a text': (path) => writeFileSync(path, 'text '.repeat(5_000)),
}

test.each(['checkpoints.mdb', 'checkpoints.mdb-lock', 'finished'])(
  'a state folder in which %s is something else',
  { timeout: TIMEOUT_MS },
  async (name) => {
    for (const [kind, make] of Object.entries(STRANGE)) {
      const change = (copy: string): void => {
        const path = join(copy, 'state/hostile', name)
        rmSync(path, { force: true })
        make(path)
      }
      expect(await problemsOf(join(folder, 'whole'), change, BRIEFLY), kind).toEqual([])
    }
  },
)

test('a savepoint in which a file is something else', { timeout: TIMEOUT_MS }, async () => {
  for (const [place, [kind, make]] of Object.entries(STRANGE).entries()) {
    const names = readdirSync(savepoint)
    const change = (copy: string): void => {
      const path = join(copy, names[place % names.length]!)
      rmSync(path)
      make(path)
    }
    expect(await problemsOf(savepoint, change, OF_SAVEPOINT), kind).toEqual([])
  }
})

test('a savepoint with changed bytes', { timeout: TIMEOUT_MS }, async () => {
  const names = readdirSync(savepoint)
  const changes = fc.tuple(fc.constantFrom(...names), fc.boolean()).chain(([name, isProved]) => {
    const sound = readFileSync(join(savepoint, name))
    return changedBytes(fc.constant(sound)).map((bytes) => ({ name, bytes, isProved }))
  })
  for (const { name, bytes, isProved } of fc.sample(changes, { numRuns: runsOf(12), seed: SEED })) {
    const change = (copy: string): void => {
      writeFileSync(join(copy, name), bytes)
      if (isProved && name !== 'savepoint.json') proveAgain(copy)
    }
    expect(await problemsOf(savepoint, change, OF_SAVEPOINT), name).toEqual([])
  }
})

/** Writes lengths and checksums of the files into the index, as somebody would who wants to be believed. */
function proveAgain(path: string, changed: (index: object) => object = (index) => index): void {
  const { crc32: _, ...index } = JSON.parse(readFileSync(join(path, 'savepoint.json'), 'utf8'))
  const files = (index.files as { name: string }[]).map(({ name }) => {
    const bytes = readFileSync(join(path, name))
    return { name, length: bytes.length, crc32: crc32(bytes) }
  })
  writeFileSync(join(path, 'savepoint.json'), encodeIndex(changed({ ...index, files }) as never))
}

test('a savepoint that says what no job has written', { timeout: TIMEOUT_MS }, async () => {
  for (const damage of fc.sample(contentDamages, { numRuns: runsOf(12), seed: SEED })) {
    const change = (copy: string): void => damageSavepoint(copy, damage)
    expect(await problemsOf(savepoint, change, OF_SAVEPOINT), JSON.stringify(damage)).toEqual([])
  }
})

function damageSavepoint(path: string, damage: ContentDamage): void {
  if (damage.row % 3 === 0) return proveAgain(path, (index) => changedContent(index, damage) as object)
  const { checkpoint } = JSON.parse(readFileSync(join(path, 'savepoint.json'), 'utf8')) as { readonly checkpoint: number }
  const manifest = decodeManifest(readFileSync(join(path, 'manifest')), checkpoint)
  writeFileSync(join(path, 'manifest'), encodeManifest(changedContent(manifest, damage) as typeof manifest))
  proveAgain(path)
}
