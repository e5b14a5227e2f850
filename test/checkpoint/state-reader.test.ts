import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { StateTime } from '../../operators/keyed/state/state-time.ts'
import { aggregatingState, listState, mapState, reducingState, valueState } from '../../operators/keyed/state.ts'
import { CheckpointStore } from '../../src/checkpoint/checkpoint-store.ts'
import type { Manifest } from '../../src/checkpoint/manifest.ts'
import { writeSavepoint } from '../../src/checkpoint/savepoint.ts'
import { diffStates } from '../../src/checkpoint/state-diff.ts'
import { exportState } from '../../src/checkpoint/state-export.ts'
import type { StateReader } from '../../src/checkpoint/state-reader.ts'
import { openState } from '../../src/checkpoint/state-reader.ts'
import type { OperatorContext } from '../../src/core/operator.ts'
import { encodeValue } from '../../src/core/value-codec.ts'
import { KeyedBackend } from '../../src/state/keyed-backend.ts'
import type { Change } from './deltas.ts'
import { contentOf, GROUPS, history, Told } from './histories.ts'
import { sampleManifest } from './manifests.ts'

let directory: string
let opened: CheckpointStore[]
let readers: StateReader[]

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sluice-reader-'))
  opened = []
  readers = []
})

afterEach(async () => {
  for (const reader of readers) await reader.close()
  for (const store of opened) await store.close().catch(() => undefined)
  rmSync(directory, { recursive: true, force: true })
})

function claimed(job = 'job'): CheckpointStore {
  const store = CheckpointStore.open(directory, job)
  opened.push(store)
  store.claim(() => 'run')
  return store
}

async function read(...args: Parameters<typeof openState>): Promise<StateReader> {
  const reader = await openState(...args)
  readers.push(reader)
  return reader
}

/** A job that has completed checkpoints with these changes of its operator 'first'. */
function told(...checkpoints: readonly (readonly Change[])[]): Told {
  const job = new Told(claimed())
  for (const changes of checkpoints) job.checkpoint({ first: changes })
  return job
}

async function all<T>(items: AsyncIterable<T>): Promise<readonly T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}

const code = (expected: string) => expect.objectContaining({ code: expected })

describe('every checkpoint that is kept', () => {
  test('reads as it was, in the middle of a fold too, for any history', async () => {
    let run = 0
    await fc.assert(
      fc.asyncProperty(history, async (steps) => {
        const job = new Told(claimed(`job-${++run}`))
        job.checkpoint({})
        for (const step of steps) {
          job.follow(step)
          for (const checkpoint of job.store.retained()) {
            const reader = await openState(job.store.directory, { checkpoint })
            expect(await contentOf(reader)).toEqual(job.contents.get(checkpoint))
            await reader.close()
          }
        }
        await job.store.close()
      }),
      { numRuns: 60 },
    )
  })

  test('stays as it was for a reader, whatever the job writes and folds meanwhile', async () => {
    const job = told([
      { key: 1, value: 'before' },
      { key: 2, value: 'before' },
    ])
    while (job.store.foldStep()) {}
    job.checkpoint({ first: [{ key: 1, value: 'changed' }] })
    const reader = await read(job.store.directory)
    for (let round = 0; round < 5; round++) {
      job.checkpoint({ first: [{ key: 2 }, { key: 1, value: round }, { key: round + 10, value: 'new' }] })
      job.store.committed(round + 3, 1)
      while (job.store.foldStep()) {}
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    expect(await contentOf(reader)).toEqual(job.contents.get(2))
    expect(await reader.get('first', 't', 2)).toBe('before')
    expect(await contentOf(await read(job.store.directory))).toEqual(job.contents.get(7))
  })
})

describe('what is read', () => {
  const changes: readonly Change[] = [
    ...Array.from({ length: 30 }, (_, key) => ({ key, value: key * key })),
    { key: 'long'.repeat(400), value: 'under a long key' },
    { key: 1, value: 'one at 10', window: 10 },
    { key: 2, value: 'two at 10', window: 10 },
    { key: 1, value: 'one at 20', window: 20 },
    { key: 1, value: true, timer: 70 },
  ]

  async function everywhere(): Promise<readonly StateReader[]> {
    const job = told(changes.slice(0, 20), changes.slice(20))
    const unfolded = await read(job.store.directory)
    const { path } = await writeSavepoint(job.store, job.store.latest()!, join(directory, 'savepoints'))
    job.store.committed(2, 1)
    while (job.store.foldStep()) {}
    const folded = await writeSavepoint(job.store, job.store.latest()!, join(directory, 'savepoints'))
    const paths = [path, folded.path, job.store.directory, relative(process.cwd(), path)]
    return [
      unfolded,
      ...(await Promise.all(paths.map((each) => read(each)))),
      await read({ job: 'job', stateDirectory: directory }),
    ]
  }

  test('is the same from the store, folded or not, and from a savepoint', async () => {
    for (const reader of await everywhere()) {
      expect(reader.states()).toEqual([
        { operator: 'first', state: 'event-timer:', kind: 'event-timer' },
        { operator: 'first', state: 't', kind: 'table' },
        { operator: 'first', state: 'w', kind: 'pane' },
      ])
      expect(await reader.get('first', 't', 5)).toBe(25)
      expect(await reader.get('first', 't', 'long'.repeat(400))).toBe('under a long key')
      expect(await reader.get('first', 't', 'long'.repeat(401))).toBeUndefined()
      expect(await reader.get('first', 't', '5')).toBeUndefined()
      expect(await reader.get('first', 'w', 1, 20)).toBe('one at 20')
      expect(await reader.get('first', 'w', 2, 20)).toBeUndefined()
      expect(await reader.count('first', 't')).toBe(31)
      expect(await all(reader.entries('first', 'event-timer:'))).toEqual([{ key: 1, time: 70, value: undefined }])
    }
  })

  test('can be a window, a key group, or so many', async () => {
    for (const reader of await everywhere()) {
      const windows = await all(reader.entries('first', 'w', { window: 10 }))
      expect(new Set(windows)).toEqual(
        new Set([
          { key: 1, window: 10, value: 'one at 10' },
          { key: 2, window: 10, value: 'two at 10' },
        ]),
      )
      const groups = await Promise.all([0, 1, 2, 3].map((keyGroup) => all(reader.entries('first', 't', { keyGroup }))))
      expect(groups.flat()).toEqual(await all(reader.entries('first', 't')))
      expect(groups.every((group) => group.length > 0)).toBe(true)
      expect(await all(reader.entries('first', 't', { limit: 3 }))).toEqual(groups.flat().slice(0, 3))
      expect(await all(reader.entries('first', 't', { limit: 0 }))).toEqual([])
    }
  })

  test('is refused under names that there are not', async () => {
    const [reader] = await everywhere()
    await expect(reader!.get('second', 't', 1)).rejects.toMatchObject({ code: 'INVALID_OPTION', hint: 'there are: first' })
    await expect(reader!.get('first', 'x', 1)).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      hint: 'there are: event-timer:, t, w',
    })
    await expect(reader!.get('first', 'w', 1)).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    await expect(reader!.get('first', 't', 1, 10)).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    await expect(reader!.get('first', 't', null)).rejects.toEqual(code('INVALID_KEY'))
    await expect(all(reader!.entries('first', 't', { window: 10 }))).rejects.toEqual(code('INVALID_OPTION'))
  })

  test('tells of the checkpoint, its operators and its sources', async () => {
    const job = told()
    const operators = [
      {
        operator: 'items-1',
        watermark: 7,
        records: 3,
        state: encodeValue(['a', 1n]),
        splits: [
          { index: 0, split: encodeValue({ path: 'a.txt' }), position: encodeValue(12), reading: true, done: false },
          { index: 1, split: encodeValue({ path: 'b.txt' }), done: false },
        ],
      },
    ]
    job.checkpoint({}, { subtasks: [{ task: 'items-1', subtask: 0, parallelism: 1, channelWatermarks: {}, operators }] })
    const reader = await read(job.store.directory)
    expect(reader.summary).toEqual({
      checkpoint: 1,
      completedAtMs: 1_700_000_000_000,
      initial: false,
      attempt: 1,
      fingerprint: '0123456789abcdef',
      maxParallelism: GROUPS,
      operators: [{ id: 'items-1', kind: 'items' }],
    })
    expect(reader.operatorState('items-1')).toEqual([{ task: 'items-1', subtask: 0, state: ['a', 1n] }])
    expect(reader.operatorState('other')).toEqual([])
    expect(reader.sources()).toEqual([
      { operator: 'items-1', subtask: 0, index: 0, split: { path: 'a.txt' }, position: 12, reading: true, done: false },
      { operator: 'items-1', subtask: 0, index: 1, split: { path: 'b.txt' }, position: undefined, reading: false, done: false },
    ])
  })
})

describe('declared states', () => {
  const states = {
    last: valueState<string>(),
    lastFor: valueState<string>({ ttl: '1h' }),
    seen: listState<number>(),
    seenFor: listState<number>({ ttl: '1h' }),
    counts: mapState<string, number>(),
    countsFor: mapState<string, number>({ ttl: '1h' }),
    most: reducingState<number>(Math.max, { ttl: '1h' }),
    mean: aggregatingState({ create: () => [0, 0], add: ([sum, count], value: number) => [sum! + value, count! + 1] }),
    never: valueState(),
  }

  function processed(): CheckpointStore {
    const store = claimed()
    const backend = new KeyedBackend({ groups: { first: 0, last: GROUPS - 1 }, maxParallelism: GROUPS })
    const context = {
      operatorId: 'process-1',
      subtask: 0,
      watermark: 0,
      timed: true,
      cell: { timestamp: 5 },
      clock: { now: () => 9 },
    }
    const time = new StateTime(context as Partial<OperatorContext> as OperatorContext, backend)
    backend.setKey('ann')
    states.last.open(backend, 'last', time).set('x')
    states.lastFor.open(backend, 'lastFor', time).set('y')
    states.seen.open(backend, 'seen', time).addAll([1, 2])
    states.seenFor.open(backend, 'seenFor', time).addAll([1, 2])
    for (const name of ['counts', 'countsFor'] as const) {
      const counts = states[name].open(backend, name, time)
      counts.set('tea', 1)
      counts.set('milk', 2)
    }
    for (const value of [1, 5, 3]) {
      states.most.open(backend, 'most', time).add(value)
      states.mean.open(backend, 'mean', time).add(value)
    }
    backend.freeze(1)
    backend.encode(() => false)
    const deltas = store.addDeltas(1, 'process-1', backend.takeChunks())
    const settings = { states: Object.entries(states).map(([name, { kind }]) => ({ name, kind, version: 1 })) }
    const graph: Manifest['graph'] = [{ id: 'process-1', kind: 'process', settings, inputs: [] }]
    store.complete(sampleManifest(1, { maxParallelism: GROUPS, graph, deltas, committables: [] }))
    return store
  }

  test('read as what users know of them, with a ttl as without', async () => {
    const reader = await read(processed().directory)
    const get = (state: string): Promise<unknown> => reader.get('process-1', state, 'ann')
    expect(await get('last')).toBe('x')
    expect(await get('lastFor')).toBe('y')
    expect(await get('seen')).toEqual([1, 2])
    expect(await get('seenFor')).toEqual([1, 2])
    const counts = new Map([
      ['tea', 1],
      ['milk', 2],
    ])
    expect(await get('counts')).toEqual(counts)
    expect(await get('countsFor')).toEqual(counts)
    expect(await get('most')).toBe(5)
    expect(await get('mean')).toEqual([9, 3])
    expect(await get('never')).toBeUndefined()
    expect(await all(reader.entries('process-1', 'lastFor', { raw: true }))).toEqual([{ key: 'ann', value: ['y', 5, 3_600_005] }])
  })

  test('are listed with their kinds, and their clean-up timers beside them', async () => {
    const reader = await read(processed().directory)
    const kinds = Object.fromEntries(reader.states().map(({ state, kind }) => [state, kind]))
    expect(kinds).toEqual({
      ...Object.fromEntries(Object.entries(states).map(([name, { kind }]) => [name, kind])),
      'event-timer:ttl:lastFor': 'event-timer',
      'event-timer:ttl:seenFor': 'event-timer',
      'event-timer:ttl:countsFor': 'event-timer',
      'event-timer:ttl:most': 'event-timer',
    })
  })
})

describe('opening', () => {
  test('says what is not there', async () => {
    await expect(openState(join(directory, 'nowhere'))).rejects.toEqual(code('JOB_UNKNOWN'))
    await expect(openState({ job: 'nobody', stateDirectory: directory })).rejects.toEqual(code('JOB_UNKNOWN'))
    const store = claimed()
    await expect(openState(store.directory)).rejects.toEqual(code('JOB_UNKNOWN'))
    store.complete(sampleManifest(3))
    await expect(openState(store.directory, { checkpoint: 4 })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      hint: 'kept are: 3',
    })
    const { path } = await writeSavepoint(store, store.latest()!, directory)
    await expect(openState(path, { checkpoint: 4 })).rejects.toEqual(code('INVALID_OPTION'))
    expect((await read(path, { checkpoint: 3 })).checkpoint).toBe(3)
  })

  test('ends twice, and nothing can be read after that', async () => {
    const job = told([{ key: 1, value: 1 }])
    while (job.store.foldStep()) {}
    const reader = await read(job.store.directory)
    await reader.close()
    await reader.close()
    await expect(contentOf(reader)).rejects.toEqual(code('STORE_FAILED'))
  })
})

describe('the difference', () => {
  test('of two states is what has come, gone and changed, for any two checkpoints', async () => {
    let run = 0
    await fc.assert(
      fc.asyncProperty(history, history, async (before, after) => {
        const job = new Told(claimed(`job-${++run}`))
        job.checkpoint({})
        for (const step of before) job.follow(step)
        const a = await openState((await writeSavepoint(job.store, job.store.latest()!, directory)).path)
        for (const step of after) job.follow(step)
        const b = await openState(job.store.directory)
        const [was, is] = [await contentOf(a), await contentOf(b)]
        const expected = [...new Set([...was.keys(), ...is.keys()])].flatMap((id) => {
          if (!was.has(id)) return [`added ${id}`]
          if (!is.has(id)) return [`removed ${id}`]
          return Object.is(was.get(id), is.get(id)) ? [] : [`changed ${id}`]
        })
        const found = await all(diffStates(a, b))
        const ids = found.map(({ change, operator, state, window, time, key }) => {
          return `${change} ${JSON.stringify([operator, state, window ?? time ?? 0, key])}`
        })
        expect(ids.sort()).toEqual(expected.sort())
        expect(await all(diffStates(b, b))).toEqual([])
        for (const each of [a, b]) await each.close()
        await job.store.close()
      }),
      { numRuns: 40 },
    )
  })

  test('has the values, in the order of the entries', async () => {
    const job = told(
      [
        { key: 1, value: 'a' },
        { key: 2, value: 'b' },
      ],
      [{ key: 1, value: 'c' }, { key: 2 }, { key: 3, value: 'd', window: 10 }],
    )
    const [a, b] = [await read(job.store.directory, { checkpoint: 1 }), await read(job.store.directory)]
    const found = await all(diffStates(a, b))
    expect(found).toHaveLength(3)
    expect(found).toEqual(
      expect.arrayContaining([
        { operator: 'first', state: 't', key: 1, change: 'changed', before: 'a', after: 'c' },
        { operator: 'first', state: 't', key: 2, change: 'removed', before: 'b' },
        { operator: 'first', state: 'w', key: 3, window: 10, change: 'added', after: 'd' },
      ]),
    )
  })

  test('is refused where key groups are others', async () => {
    const [a, b] = [told([{ key: 1, value: 1 }]), new Told(claimed('other'))]
    b.checkpoint({}, { maxParallelism: 8 })
    const readersOfBoth = [await read(a.store.directory), await read(b.store.directory)] as const
    await expect(all(diffStates(...readersOfBoth))).rejects.toEqual(code('INVALID_OPTION'))
  })
})

describe('an export', () => {
  test('writes what JSON does not have as objects of their own', async () => {
    const odd = {
      big: 1n,
      none: undefined,
      numbers: [Number.NaN, -0, Number.NEGATIVE_INFINITY, 1.5],
      at: new Date(0),
      never: new Date(Number.NaN),
      map: new Map([[1, new Set(['a'])]]),
      bytes: new Uint8Array([1, 2]),
      words: new Uint16Array([1]),
      buffer: new Uint8Array([3]).buffer,
      $tagged: 1,
      ['__proto__']: 2,
    }
    const job = told([
      { key: 1, value: odd },
      { key: 'w', value: null, window: 10 },
      { key: 't', value: true, timer: 20 },
    ])
    const lines: string[] = []
    expect(await exportState(await read(job.store.directory), (line) => void lines.push(line))).toBe(3)
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      { operator: 'first', state: 'event-timer:', key: 't', time: 20 },
      {
        operator: 'first',
        state: 't',
        key: 1,
        value: {
          $object: [
            ['big', { $bigint: '1' }],
            ['none', { $undefined: true }],
            ['numbers', [{ $number: 'NaN' }, { $number: '-0' }, { $number: '-Infinity' }, 1.5]],
            ['at', { $date: '1970-01-01T00:00:00.000Z' }],
            ['never', { $date: null }],
            ['map', { $map: [[1, { $set: ['a'] }]] }],
            ['bytes', { $bytes: 'AQI=', type: 'Uint8Array' }],
            ['words', { $bytes: 'AQA=', type: 'Uint16Array' }],
            ['buffer', { $bytes: 'Aw==', type: 'ArrayBuffer' }],
            ['$tagged', 1],
            ['__proto__', 2],
          ],
        },
      },
      { operator: 'first', state: 'w', key: 'w', window: 10, value: null },
    ])
  })

  test('can be of one operator or state, and waits for whoever writes', async () => {
    const job = told([
      { key: 1, value: 1 },
      { key: 2, value: 2, table: 'other' },
    ])
    const reader = await read(job.store.directory)
    let writing = 0
    const write = async (): Promise<void> => {
      expect(++writing).toBe(1)
      await new Promise((resolve) => setImmediate(resolve))
      writing--
    }
    expect(await exportState(reader, write)).toBe(2)
    expect(await exportState(reader, write, { state: 'other' })).toBe(1)
    expect(await exportState(reader, write, { operator: 'second' })).toBe(0)
  })
})
