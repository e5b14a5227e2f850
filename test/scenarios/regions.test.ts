import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { RunOptions, Sink } from 'sluice'
import { generate, job } from 'sluice'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { generator } from './ledger.ts'
import { JobProcess } from './run-job.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-regions-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

type Trouble = Readonly<Record<string, { readonly place: string; readonly times: number }>>

const RECORDS = { a: 60_000, b: 60_000 }
const RESTARTS = { strategy: 'fixed', delay: 20, attempts: 1_000 } as const
const OPTIONS: RunOptions = { checkpoint: { every: 20 }, restart: RESTARTS }

function start(trouble: Trouble, options: RunOptions = OPTIONS, records: Readonly<Record<string, number>> = RECORDS): JobProcess {
  return new JobProcess('two-parts.ts', [], {
    PARTS_FOLDER: folder,
    PARTS_TROUBLE: JSON.stringify(trouble),
    PARTS_OPTIONS: JSON.stringify(options),
    PARTS_RECORDS: JSON.stringify(records),
  })
}

async function run(trouble: Trouble, options?: RunOptions, records?: Readonly<Record<string, number>>) {
  const { stdout, stderr } = await start(trouble, options, records).ended
  expect(stderr).toBe('')
  return JSON.parse(stdout) as Record<string, unknown>
}

/** How often readers of a part were opened. */
function opened(part: string): number {
  return readFileSync(join(folder, 'opened'), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith(part)).length
}

/** Every number of a part once, with the sum that a plain loop gives. Nothing staged is left. */
function expectExactlyOnce(part: string, records: number = RECORDS.a): void {
  const names = readdirSync(join(folder, part))
  expect(names.filter((name) => name.startsWith('.'))).toEqual([])
  const lines = names.flatMap((name) =>
    readFileSync(join(folder, part, name), 'utf8')
      .trimEnd()
      .split('\n'),
  )
  const rows = lines.map((line) => JSON.parse(line) as { n: number; key: number; sum: number })
  expect(rows.map(({ n }) => n).sort((a, b) => a - b)).toEqual(Array.from({ length: 2 * records }, (_, n) => n))
  for (const key of Array.from({ length: 10 }, (_, index) => index)) {
    const sums = rows.filter((row) => row.key === key).map(({ sum }) => sum)
    expect(sums.sort((a, b) => a - b)).toEqual(sums.map((_, index) => index + 1))
  }
}

describe('a part of a job that fails', () => {
  test('starts again by itself, and the other part runs on', async () => {
    const { status, restarts } = await run({ b: { place: 'process', times: 4 } })
    expect(status).toBe('finished')
    // Two threads can fail at a time, and that is one restart.
    expect(restarts).toBeGreaterThanOrEqual(2)
    // Two splits, opened once and never again.
    expect(opened('a')).toBe(2)
    expect(opened('b')).toBeGreaterThan(4)
    expectExactlyOnce('a')
    expectExactlyOnce('b')
  })

  test.each([
    ['in the calling thread', { workers: 0 }],
    ['with unaligned checkpoints', { checkpoint: { every: 20, mode: 'unaligned' } }],
    ['with several checkpoints in flight', { checkpoint: { every: 5, maxConcurrent: 3 } }],
    ['while all stands still for a checkpoint', { checkpoint: { every: 20, mode: 'stop-the-world' } }],
    ['at parallelism 1', { parallelism: 1 }],
  ] as const)('beside another that fails too loses and doubles nothing: %s', async (_, options) => {
    const trouble = { a: { place: 'map', times: 5 }, b: { place: 'process', times: 5 } }
    const result = await run(trouble, { ...OPTIONS, ...(options as RunOptions) })
    expect(result).toMatchObject({ status: 'finished', recordsIn: 240_000, recordsOut: 240_000 })
    expectExactlyOnce('a')
    expectExactlyOnce('b')
  })

  test('when it opens, and again and again, starts until it succeeds', async () => {
    const trouble = { a: { place: 'poll', times: 3 }, b: { place: 'open', times: 5 } }
    expect(await run(trouble)).toMatchObject({ status: 'finished' })
    expectExactlyOnce('a')
    expectExactlyOnce('b')
  })

  test('more often than the restart strategy allows ends the job, which goes on when it is started again', async () => {
    const few = { ...OPTIONS, restart: { ...RESTARTS, attempts: 2 } }
    // Two threads can fail at a time: these are three failures at least.
    const trouble = { b: { place: 'process', times: 6 } }
    expect(await run(trouble, few)).toMatchObject({ code: 'OPERATOR_FAILED' })
    expect(await run(trouble)).toMatchObject({ status: 'finished' })
    expectExactlyOnce('a')
    expectExactlyOnce('b')
  })

  test('after the other has come to its end is read to its end, and the job finishes', async () => {
    const records = { a: 100, b: 60_000 }
    expect(await run({ b: { place: 'process', times: 3 } }, OPTIONS, records)).toMatchObject({ status: 'finished' })
    expect(opened('a')).toBe(2)
    expectExactlyOnce('a', 100)
    expectExactlyOnce('b')
  })

  test('takes everything with it where nothing may be read twice', async () => {
    expect(await run({ b: { place: 'process', times: 1 } }, { ...OPTIONS, guarantee: 'at-most-once' })).toMatchObject({
      status: 'finished',
      restarts: 1,
    })
    expect([opened('a'), opened('b')]).toEqual([4, 4])
  })

  test.each([1, 2, 3])('and a process that is killed, in any order, lose and double nothing: seed %i', async (seed) => {
    const random = generator(seed)
    const trouble = { a: { place: 'map', times: 30 }, b: { place: 'process', times: 30 } }
    for (let kill = 0; kill < 5; kill++) {
      const running = start(trouble)
      // When it dies is up to chance; what the output is must not be.
      await Promise.race([delay(200 + random() * 900), running.ended])
      running.process.kill('SIGKILL')
      if ((await running.ended).signal === null) break
    }
    if (!existsSync(join(folder, 'state/two-parts/finished'))) {
      expect(await run(trouble)).toMatchObject({ status: 'finished' })
    }
    expectExactlyOnce('a')
    expectExactlyOnce('b')
  })
})

test('what a sink of a region was preparing when the region failed is not mixed with what it prepares afterwards', async () => {
  const visible: number[] = []
  const prepared = Promise.withResolvers<void>()
  let [preparing, failed, writers] = [false, false, 0]
  const slow: Sink<number, number[]> = {
    kind: 'slow',
    createWriter() {
      const isFirst = ++writers === 1
      let open: number[] = []
      return {
        write: (value) => void open.push(value),
        async prepareCommit() {
          const cut = open
          open = []
          preparing = true
          // The first writer comes back when the second one has taken its place, and is then of the past.
          if (isFirst) await prepared.promise
          return cut.length === 0 ? [] : [cut]
        },
        close: () => undefined,
      }
    },
    createCommitter: () => ({
      open: () => undefined,
      commit: (committables) => void visible.push(...committables.flat()),
    }),
  }
  const parts = job('parts', { stateDirectory: folder, checkpoint: { every: 10 }, restart: RESTARTS })
  parts.from(generate({ count: 30_000, at: (n) => n })).to({ ...slow, kind: 'other', createWriter: () => idleWriter() })
  parts
    .from(generate({ count: 30_000, rate: 60_000, at: (n) => n }))
    .map((n) => {
      if (preparing && !failed) {
        failed = true
        throw new Error('while its checkpoint is being written')
      }
      if (writers > 1) prepared.resolve()
      return n
    })
    .to(slow)
  expect(await parts.run({ quiet: true, workers: 0, parallelism: 1 })).toMatchObject({ status: 'finished', restarts: 1 })
  expect(visible).toEqual(Array.from({ length: 30_000 }, (_, n) => n))
})

function idleWriter() {
  return { write: () => undefined, prepareCommit: () => [], close: () => undefined }
}
