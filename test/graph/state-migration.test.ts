import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Source, StateOptions } from 'sluice'
import { aggregatingState, collect, job, listState, mapState, operatorListState, reducingState, valueState } from 'sluice'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

/*
 * Jobs that are stopped, changed and run again over one state folder.
 */

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-migration-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

const QUIET = { quiet: true, workers: 0 } as const

/** Where the source stops the job; `NaN` lets it come to its end. */
let stopAt = Number.NaN

/** The numbers 1 to 6. */
function sixNumbers(): Source<number, object, number> {
  return {
    kind: 'sixNumbers',
    enumerate: () => [{}],
    open(_, position = 0) {
      let next = position
      let asked = false
      return {
        poll() {
          if (next === stopAt) {
            if (!asked) process.emit('SIGINT', 'SIGINT')
            asked = true
            return []
          }
          return next === 6 ? null : [++next]
        },
        position: () => next,
      }
    },
  }
}

/** What migrate was called with. */
type Call = readonly [old: unknown, version: number]

type Build = (job: ReturnType<typeof newJob>, results: unknown[]) => void

function newJob(parallelism: number) {
  return job('migrating', { stateDirectory: folder, parallelism, checkpoint: { every: 'off' }, restart: { strategy: 'none' } })
}

interface Ways {
  readonly stop?: number
  readonly parallelism?: number
}

async function run(
  build: Build,
  { stop = Number.NaN, parallelism = 1 }: Ways = {},
): Promise<{ readonly status: string; readonly results: readonly unknown[] }> {
  stopAt = stop
  const results: unknown[] = []
  const own = newJob(parallelism)
  build(own, results)
  const { status } = await own.run(QUIET)
  return { status, results }
}

/** The state of all kinds, whose values were plain numbers in version 1 and are boxes in version 2. */
interface Box {
  readonly was: number
}

const first: Build = (own, results) => {
  own
    .from(sixNumbers())
    .keyBy(() => 'all')
    .process({
      state: {
        value: valueState<number>(),
        list: listState<number>(),
        map: mapState<Date, number>(),
        sum: reducingState((a: number, b: number) => a + b),
        most: aggregatingState({ create: () => 0, add: (most, n: number) => Math.max(most, n) }),
      },
      onRecord(n, { state }) {
        state.value.set(n)
        state.list.add(n)
        state.map.set(new Date(n), n)
        state.sum.add(n)
        state.most.add(n)
        return [n]
      },
    })
    .to(collect(results))
}

const second =
  (calls: Call[], more: object = {}): Build =>
  (own, results) => {
    const options: StateOptions<Box> = {
      version: 3,
      migrate(old, version) {
        calls.push([old, version])
        return { was: old as number }
      },
      ...more,
    }
    own
      .from(sixNumbers())
      .keyBy(() => 'all')
      .process({
        state: {
          value: valueState(options),
          list: listState(options),
          map: mapState<Date, Box>(options),
          sum: reducingState((a: Box, b: Box) => ({ was: a.was + b.was }), options),
          most: aggregatingState(
            { create: () => ({ was: 0 }), add: (most: Box, n: number) => ({ was: Math.max(most.was, n) }) },
            options,
          ),
          added: valueState<string>(),
        },
        onRecord(n, { state }) {
          const seen = [
            state.value.get(),
            state.list.get(),
            [...state.map.entries()],
            state.sum.get(),
            state.most.get(),
            state.added.get(),
          ]
          state.value.set({ was: n })
          state.list.set([])
          state.map.clear()
          return [seen]
        },
      })
      .to(collect(results))
  }

const migrated = [
  { was: 3 },
  [{ was: 1 }, { was: 2 }, { was: 3 }],
  [1, 2, 3].map((n) => [new Date(n), { was: n }]),
  { was: 6 },
  { was: 3 },
  undefined,
]

describe('a job whose states have changed', () => {
  test.each([[1], [3]])(
    'goes on with migrated values: each value, element, entry and accumulator, once (parallelism %i)',
    async (parallelism) => {
      expect(await run(first, { stop: 3 })).toEqual({ status: 'stopped', results: [1, 2, 3] })
      const calls: Call[] = []
      const { status, results } = await run(second(calls), { parallelism })
      expect(status).toBe('finished')
      expect(results[0]).toEqual(migrated)
      expect(results[1]).toEqual([{ was: 4 }, [], [], { was: 6 }, { was: 3 }, undefined])
      expect(calls.toSorted()).toEqual([1, 1, 2, 2, 3, 3, 3, 3, 6].map((old) => [old, 1]))
    },
  )

  test('goes on with a ttl that is new, and values that are migrated at the same time', async () => {
    await run(first, { stop: 3 })
    const { results } = await run(second([], { ttl: '1h' }))
    expect(results[0]).toEqual(migrated)
  })

  test('stores the new version: the next run migrates nothing', async () => {
    await run(first, { stop: 3 })
    expect(await run(second([]), { stop: 5 })).toMatchObject({ status: 'stopped' })
    const calls: Call[] = []
    const { status, results } = await run(second(calls))
    expect({ status, results, calls }).toEqual({
      status: 'finished',
      results: [[{ was: 5 }, [], [], { was: 6 }, { was: 3 }, undefined]],
      calls: [],
    })
  })

  const refuse = async (changed: Build, message: string, hint: string, code = 'STATE_INCOMPATIBLE'): Promise<void> => {
    await expect(run(changed)).rejects.toMatchObject({
      code,
      operator: expect.any(String),
      message: expect.stringContaining(message),
      hint: expect.stringContaining(hint),
    })
  }

  /** One state of the first job, changed. */
  const withValue =
    (state: object): Build =>
    (own) => {
      const others = {
        list: listState(),
        map: mapState(),
        sum: reducingState((a) => a),
        most: aggregatingState({ create: () => 0, add: (a) => a }),
      }
      own
        .from(sixNumbers())
        .keyBy(() => 'all')
        .process({ state: { ...others, ...state }, onRecord: (n) => [n] })
        .to(collect<number>([]))
    }

  test('is refused before any worker starts when it cannot read its state, and can then still be put back', async () => {
    await run(first, { stop: 3 })
    await refuse(
      withValue({ value: valueState({ version: 2 }) }),
      "the state 'value' of 'process-1' was stored in version 1",
      'add migrate: (old, version)',
    )
    await refuse(withValue({ value: listState() }), 'stored as value state and is now declared as list state', 'another name')
    await refuse(
      withValue({}),
      "the state 'value' of 'process-1' is no longer declared",
      '--allow-dropped-state',
      'STATE_DROPPED',
    )
    expect(await run(first)).toEqual({ status: 'finished', results: [4, 5, 6] })
  })

  test('is refused when a newer edition of it wrote the state', async () => {
    await run(withValue({ value: valueState({ version: 2 }) }), { stop: 3 })
    await refuse(withValue({ value: valueState() }), 'written by a newer version of the job', 'run the newer job again')
  })

  test('is refused when it would lose an operator with all its states', async () => {
    await run(first, { stop: 3 })
    await expect(
      run((own) => {
        own
          .from(sixNumbers())
          .keyBy(() => 'all')
          .count()
      }),
    ).rejects.toMatchObject({ code: 'STATE_DROPPED', operator: 'process-1' })
  })

  test('whose migrate throws fails, naming operator and state, and changes nothing', async () => {
    await run(first, { stop: 3 })
    const cause = new TypeError('not a number')
    const failing = valueState<number>({
      version: 2,
      migrate() {
        throw cause
      },
    })
    await expect(run(withValue({ value: failing }))).rejects.toMatchObject({
      code: 'STATE_INCOMPATIBLE',
      operator: 'process-1',
      message: "the state 'value' of 'process-1': migrate from version 1 to 2 failed: not a number",
      cause: { message: 'not a number' },
    })
    expect(await run(first)).toEqual({ status: 'finished', results: [4, 5, 6] })
  })
})

test('the list state of a plain process outlives a stop, and may be added later', async () => {
  const waiting =
    (state: object): Build =>
    (own, results) => {
      own
        .from(sixNumbers())
        .process({
          state: { all: operatorListState<number>(), ...state },
          onRecord(n, ctx) {
            ctx.state.all.add(n)
            return n === 6 ? [ctx.state.all.get()] : []
          },
        })
        .to(collect(results))
    }
  await run(waiting({}), { stop: 3 })
  expect(await run(waiting({ more: operatorListState() }))).toEqual({ status: 'finished', results: [[1, 2, 3, 4, 5, 6]] })
})
