/*
 * Writes the golden files of a version of the on-disk format (docs/format.md): a state folder and a savepoint with something of everything in them, and
 * `expected.json` with what they say. `test/golden` reads them for ever after, so that a program that misreads what an older one has written fails there.
 *
 * Run it once, when the format has got a new version and before that is released: `node --conditions=@sluice/source scripts/make-golden.ts v3`. Never for a
 * version that has its files: whoever writes them anew proves nothing any more. It refuses to.
 */
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CheckpointStore } from '../src/checkpoint/checkpoint-store.ts'
import type { Manifest, StoredDelta } from '../src/checkpoint/manifest.ts'
import { openSavepoint, writeSavepoint } from '../src/checkpoint/savepoint.ts'
import { openState } from '../src/checkpoint/state-reader.ts'
import { StoredCheckpoints } from '../src/checkpoint/stored-checkpoints.ts'
import type { Key, TableForm } from '../src/core/keyed-state.ts'
import { encodeValue } from '../src/core/value-codec.ts'
import { KeyedBackend } from '../src/state/keyed-backend.ts'
import { contentOfSavepoint, contentOfStore } from '../test/golden/content.ts'

const VERSION = process.argv[2]
const GROUPS = 8
const STARTED_AT = 1_700_000_000_000
/** The last checkpoint of the edition of the job that had the state `old`. */
const LAST_WITH_OLD = 3

/** Keys of every type, at the ends of what they can be, and such that the base replaces by their hash. */
const KEYS: readonly Key[] = [
  false,
  true,
  0,
  -1,
  2 ** 31 - 1,
  -(2 ** 31),
  2 ** 31,
  1.5,
  -1e300,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  '',
  'the',
  'Grüße, 世界',
  '\ud800',
  new Date(STARTED_AT),
  0n,
  -(2n ** 70n),
  ['a', 1, [true, 'b']],
  'x'.repeat(1023),
  'y'.repeat(1024),
  `${'y'.repeat(1024)}z`,
]

/** Values of every type. */
const VALUES: readonly unknown[] = [
  0,
  -0,
  -7,
  2 ** 40,
  0.1,
  Number.NaN,
  Number.NEGATIVE_INFINITY,
  null,
  undefined,
  true,
  'text',
  '\udfff lone',
  12n,
  new Date(0),
  [1, 'a', [null]],
  { a: 1, b: { c: [2] } },
  Object.fromEntries([['__proto__', 1]]),
  new Map<unknown, unknown>([
    [1, 'one'],
    ['two', 2],
  ]),
  new Set([1, 'b']),
  new Uint8Array([1, 2, 3]),
  Float64Array.of(1.5),
  Buffer.from('bytes'),
]

/** A state whose values have been changed twice, and bear the time of their last write. */
const VISITS: TableForm<unknown> = {
  version: 2,
  stamps: 'event',
  store: (value) => value,
  restore: (stored) => stored,
}

const GRAPH: Manifest['graph'] = [
  { id: 'lines', kind: 'lines', settings: { path: 'in/*.txt' }, inputs: [] },
  {
    id: 'count',
    kind: 'process',
    settings: {
      states: [
        { name: 'plain', kind: 'value', version: 1 },
        { name: 'visits', kind: 'value', version: 2, ttl: 3_600_000 },
      ],
    },
    inputs: [{ from: 'lines', output: '', partitioning: 'hash' }],
  },
  { id: 'out', kind: 'files', settings: null, inputs: [{ from: 'count', output: '', partitioning: 'forward' }] },
]

/** The job that the files are of. Its sizes, times and ids are made up; everything else is written as the engine writes it. */
class GoldenJob {
  readonly store: CheckpointStore
  readonly backend = new KeyedBackend({ groups: { first: 0, last: GROUPS - 1 }, maxParallelism: GROUPS })
  #listed: readonly StoredDelta[] = []

  constructor(store: CheckpointStore) {
    this.store = store
  }

  /** Keyed state of every kind: a table without a form and one with a form, windows, and timers of both clocks. */
  begin(): void {
    KEYS.forEach((key, place) => {
      this.backend.setKey(key)
      this.backend.table('plain').set(VALUES[place % VALUES.length])
      this.backend.table('old').set(place)
      this.backend.table('visits', VISITS).set([place, STARTED_AT + place, STARTED_AT + 3_600_000 + place])
      this.backend.panes('windows').set(60_000 * (place % 3) - 60_000, { sum: place / 2 })
      this.backend.timers().setEventTime(1_000 * place - 5_000)
      this.backend.timers('ttl:visits').setProcessingTime(STARTED_AT + 0.5 + place)
    })
  }

  /** States of numbers, whose groups lie there as images: with keys that are whole, with others, and with text. */
  number(round: number): void {
    for (let key = 0; key < 100; key++) {
      this.#putNumber('whole', key - 50, key % 7 === 0 ? -0 : key / 2 + round)
      this.#putNumber('broken', key === 99 ? Number.NaN : key / 4, key * round)
      this.#putNumber('texts', 'é'.repeat(key % 17) + String(key).slice(0, 16 - (key % 17)), key === 50 ? Number.NaN : 2 ** key)
    }
  }

  /** Few of them, so that they are rows which come to an image. */
  renumber(round: number): void {
    this.#putNumber('whole', round, -round)
    this.#putNumber('broken', 'now text'.repeat(round), round)
    this.backend.setKey('1')
    this.backend.table('texts').delete()
  }

  #putNumber(table: string, key: Key, value: number): void {
    this.backend.setKey(key)
    this.backend.table(table).set(value)
  }

  /** Some of each is changed, and some of each is removed. */
  change(round: number): void {
    KEYS.forEach((key, place) => {
      if (place % 5 !== round % 5) return
      this.backend.setKey(key)
      if (place % 2 === 0) this.backend.table('plain').delete()
      else this.backend.table('plain').set({ round, place })
      this.backend.table('visits', VISITS).set([round, STARTED_AT + 1_000 * round, STARTED_AT + 3_600_000 + 1_000 * round])
      this.backend.timers().deleteEventTime(1_000 * place - 5_000)
      this.backend.timers().setEventTime(1_000_000 * round + place)
      this.backend.panes('windows').set(120_000, { round })
      if (round < LAST_WITH_OLD) this.backend.table('old').set(-round)
    })
  }

  /** The changes since the last barrier, as they come to the store. */
  cut(checkpoint: number): void {
    this.backend.freeze(checkpoint)
    this.backend.encode(() => false)
    this.#listed = [...this.#listed, ...this.store.addDeltas(checkpoint, 'count', this.backend.takeChunks())]
  }

  complete(checkpoint: number, changes: Partial<Manifest> = {}): void {
    const durationMs = 20 + checkpoint
    const record = { checkpoint, status: 'completed', triggeredAtMs: STARTED_AT + 1_000 * checkpoint, durationMs } as const
    this.store.complete(
      { ...this.#manifest(checkpoint), ...changes },
      { ...record, bytes: 1_234, attempt: 1, purpose: 'requested', subtasks: { 'count/0': TIMING } },
    )
  }

  #manifest(checkpoint: number): Manifest {
    const { attempt, foldedThrough } = this.store
    return {
      checkpoint,
      initial: false,
      attempt,
      completedAtMs: STARTED_AT + 1_000 * checkpoint + 20,
      fingerprint: '0123456789abcdef',
      graph: GRAPH,
      maxParallelism: GROUPS,
      subtasks: [sourceOf(checkpoint), counterOf(checkpoint)],
      committables: [
        { operator: 'out', subtask: 0, checkpoint: checkpoint - 1, bytes: encodeValue({ staged: `part-${checkpoint - 1}` }) },
        { operator: 'out', subtask: 0, checkpoint, bytes: encodeValue({ staged: `part-${checkpoint}` }) },
      ],
      deltas: this.#listed.filter((delta) => delta.checkpoint > foldedThrough),
      dropped: checkpoint <= LAST_WITH_OLD ? [] : [{ operator: 'count', kind: 'table', name: 'old', through: LAST_WITH_OLD }],
    }
  }
}

const TIMING = {
  alignmentMs: 1.5,
  pauseMs: 0.25,
  writingMs: 12,
  bytes: 1_234,
  inFlightRecords: 2,
  heapBytes: 1 << 20,
  heapLimitBytes: 1 << 30,
}

function sourceOf(checkpoint: number): Manifest['subtasks'][number] {
  const splits = [
    {
      index: 0,
      split: encodeValue({ path: 'in/a.txt', size: 10 }),
      position: encodeValue({ offset: 10 * checkpoint }),
      reading: true,
      done: false,
    },
    { index: 1, split: encodeValue({ path: 'in/b.txt', size: 5 }), position: encodeValue({ offset: 5 }), done: true },
    { index: 2, split: encodeValue({ path: 'in/c.txt', size: 7 }), done: false },
  ]
  const operator = { operator: 'lines', watermark: STARTED_AT, records: 100 * checkpoint, splits }
  return { task: 'lines', subtask: 0, parallelism: 1, channelWatermarks: {}, operators: [operator] }
}

function counterOf(checkpoint: number): Manifest['subtasks'][number] {
  const state = encodeValue(new Map<string, unknown>([['seen', checkpoint]]))
  const watermarkFloors = [{ first: 2, last: 3, watermark: STARTED_AT + 5 }]
  return {
    task: 'count',
    subtask: 0,
    parallelism: 1,
    channelWatermarks: { '0:0:0': Number.NEGATIVE_INFINITY },
    operators: [
      { operator: 'count', watermark: STARTED_AT - 1, watermarkFloors, records: 99 * checkpoint, state, holdsKeys: true },
      { operator: 'out', watermark: STARTED_AT - 1, records: 7 },
    ],
    inFlight: [
      {
        channel: '0:0:0',
        batches: [
          {
            values: encodeValue(['late', { word: 'the' }]),
            timestamps: [STARTED_AT, Number.NaN],
            groups: [3, 5],
            watermarks: { after: [1], times: [STARTED_AT] },
          },
        ],
      },
    ],
  }
}

/**
 * Checkpoint 1 is folded. 2 was given up, and what it brought goes with 3. The edition that wrote 4 no longer has the state `old`, whose rows wait to be
 * removed. 5 has failed. 4 and 6 are kept, and a fold of 4 has taken in its first chunk. So what is in the base and what is beside it both matter.
 */
async function write(folder: string): Promise<void> {
  const store = CheckpointStore.open(folder, 'state')
  store.claim(() => 'golden-run')
  const job = new GoldenJob(store)
  job.begin()
  job.number(1)
  job.cut(1)
  job.complete(1)
  job.change(1)
  job.cut(2)
  job.change(2)
  job.renumber(2)
  job.backend.panes('windows').drop(0)
  job.cut(3)
  job.complete(3)
  store.committed(1, 2)
  while (store.foldStep()) {}
  store.committed(3, 1)
  job.change(3)
  job.number(3)
  job.cut(4)
  job.complete(4)
  const failure = { operator: 'count', subtask: 'count/0', phase: 'timeout', message: 'it took too long' } as const
  const failed = { checkpoint: 5, status: 'failed', triggeredAtMs: STARTED_AT + 5_000, durationMs: 600_000 } as const
  store.failed({ ...failed, bytes: 0, attempt: 1, failure, subtasks: {} })
  job.change(4)
  job.renumber(4)
  job.cut(6)
  job.complete(6)
  store.foldStep()
  store.noteReads(new Map([['lines', sourceOf(6).operators[0]!.splits!]]))
  const savepoint = await writeSavepoint(store, store.latest()!, folder)
  renameSync(savepoint.path, join(folder, 'savepoint'))
  await store.release(false)
  rmSync(join(folder, 'state', 'checkpoints.mdb-lock'), { force: true })
}

async function expected(folder: string): Promise<unknown> {
  const directory = join(folder, 'state')
  const store = StoredCheckpoints.openForReading(directory)
  const state = await contentOfStore(store, (checkpoint) => openState(directory, { checkpoint }))
  await store.close()
  rmSync(join(directory, 'checkpoints.mdb-lock'), { force: true })
  const path = join(folder, 'savepoint')
  return { state, savepoint: await contentOfSavepoint(openSavepoint(path), await openState(path)) }
}

if (VERSION === undefined || !/^v\d+$/.test(VERSION)) throw new Error('say which version of the format, such as v3')
const folder = fileURLToPath(new URL(`../test/golden/${VERSION}`, import.meta.url))
if (existsSync(folder)) throw new Error(`${basename(folder)} has its golden files; they are never written again`)
mkdirSync(folder, { recursive: true })
await write(folder)
writeFileSync(join(folder, 'expected.json'), `${JSON.stringify(await expected(folder), null, 1)}\n`)
