import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BadRecord, JobOptions, JobResult, Sink, Source } from 'sluice'
import {
  collect,
  countWindow,
  generate,
  items,
  job,
  readCsv,
  readJsonLines,
  readParquet,
  SluiceError,
  sessionWindow,
  tumblingWindow,
} from 'sluice'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parquetFile } from '../operators/sources/parquet-writer.ts'
import { runJob } from './run-job.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-bad-records-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

type Jobs = ReturnType<typeof job>

/** Runs a job in this thread. Returns how it ended, and its dead letters. */
async function run(
  build: (own: Jobs) => void,
  options: JobOptions = {},
): Promise<{ readonly result: JobResult; readonly letters: readonly BadRecord[] }> {
  const letters: BadRecord[] = []
  const own = job('mishaps', {
    workers: 0,
    parallelism: 1,
    checkpoint: { every: 'off' },
    stateDirectory: folder,
    restart: { strategy: 'none' },
    onBadRecord: 'dead-letter',
    deadLetterSink: collect(letters),
    ...options,
  })
  build(own)
  return { result: await own.run({ quiet: true, fresh: true }), letters }
}

const skipping: JobOptions = { onBadRecord: 'skip' }

/** Without the sink for dead letters, which belongs to one policy only. */
async function runWith({ onBadRecord }: JobOptions, build: (own: Jobs) => void): Promise<JobResult> {
  const own = job('mishaps', {
    workers: 0,
    parallelism: 1,
    checkpoint: { every: 'off' },
    stateDirectory: folder,
    restart: { strategy: 'none' },
    ...(onBadRecord === undefined ? {} : { onBadRecord }),
  })
  build(own)
  return await own.run({ quiet: true, fresh: true })
}

function refuse(rest: number): (n: number) => number {
  return (n) => {
    if (n % 10 === rest) throw new RangeError(`no ${n}`)
    return n
  }
}

const nowhere = <T>(): Sink<T> => collect<T>([]) as Sink<T>
const numbers = (own: Jobs) => own.from(generate({ count: 20, at: (n) => n }))

describe('a record that a function of the job cannot take', () => {
  test('fails the job, unless it says something else', async () => {
    const out: number[] = []
    const failing = runWith({}, (own) => void numbers(own).map(refuse(3)).to(collect(out)))
    await expect(failing).rejects.toMatchObject({ code: 'OPERATOR_FAILED', operator: 'map-1' })
  })

  test('is passed over and counted, and the others are handled', async () => {
    const out: number[] = []
    const result = await runWith(
      skipping,
      (own) =>
        void numbers(own)
          .map(refuse(3))
          .filter((n) => refuse(4)(n) >= 0)
          .to(collect(out)),
    )
    expect(out).toEqual([0, 1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 15, 16, 17, 18, 19])
    expect(result).toMatchObject({ status: 'finished', recordsIn: 20, recordsOut: 16, badRecords: 4 })
  })

  test('goes to the dead letters with what is wrong with it', async () => {
    const { result, letters } = await run((own) => void numbers(own).map(refuse(3)).to(nowhere()))
    const message = (n: number): string => `'map-1' failed: RangeError: no ${n}`
    expect(letters).toEqual([3, 13].map((n) => ({ record: n, operator: 'map-1', code: 'OPERATOR_FAILED', message: message(n) })))
    expect(result.badRecords).toBe(2)
  })

  test.each<[string, string, (own: Jobs, out: unknown[]) => void]>([
    [
      'filter',
      'filter-1',
      (own, out) =>
        void numbers(own)
          .filter((n) => refuse(3)(n) >= 0)
          .to(collect(out)),
    ],
    [
      'flatMap',
      'flat-map-1',
      (own, out) =>
        void numbers(own)
          .flatMap((n) => [refuse(3)(n)])
          .to(collect(out)),
    ],
    [
      'split',
      'split-1',
      (own, out) => {
        const { rest } = numbers(own).split({ none: (n) => refuse(3)(n) < 0 })
        rest.to(collect(out))
      },
    ],
    [
      'process',
      'process-1',
      (own, out) =>
        void numbers(own)
          .process({ onRecord: (n: number) => [refuse(3)(n)] })
          .to(collect(out)),
    ],
    [
      'reduce',
      'reduce-1',
      (own, out) =>
        void numbers(own)
          .flatMap((n) => [n, n])
          .keyBy((n) => n)
          .reduce((_, n) => refuse(3)(n))
          .filter((_, { subtask }) => subtask === 0)
          .to(collect(out)),
    ],
    [
      'aggregate',
      'aggregate-1',
      (own, out) =>
        void numbers(own)
          .keyBy((n) => n)
          .aggregate({ create: () => 0, add: (_, n: number) => refuse(3)(n) })
          .to(collect(out)),
    ],
    [
      'a window',
      'tumbling-window-aggregate-1',
      (own, out) =>
        void numbers(own)
          .withTimestamps((n) => n)
          .keyBy((n) => n)
          .window(tumblingWindow(5))
          .aggregate({ create: () => 0, add: (_, n: number) => refuse(3)(n) })
          .to(collect(out)),
    ],
    [
      'asyncMap',
      'async-map-1',
      (own, out) =>
        void numbers(own)
          .asyncMap(async (n) => refuse(3)(n))
          .to(collect(out)),
    ],
    [
      'asyncMap of a key',
      'async-map-1',
      (own, out) =>
        void numbers(own)
          .keyBy((n) => n % 2)
          .asyncMap(async (n) => refuse(3)(n))
          .to(collect(out)),
    ],
    [
      'connect',
      'connect-1',
      (own, out) => {
        const right = own.from(items(['a'])).keyBy(() => 0)
        numbers(own)
          .keyBy(() => 0)
          .connect(right)
          .process({
            state: {},
            onLeft: (n: number) => [refuse(3)(n)],
            onRight: () => {
              throw new Error('no')
            },
          })
          .to(collect(out))
      },
    ],
  ])('of %s', async (verb, _id, build) => {
    const out: unknown[] = []
    const { letters } = await run((own) => build(own, out))
    const expected = verb === 'connect' ? [3, 13, 'a'] : [3, 13]
    expect(letters.map(({ record }) => record).sort()).toEqual(expected.sort())
    expect(out).toHaveLength(verb === 'reduce' ? 38 : 18)
  })

  test.each([
    [1, 'in one task'],
    [2, 'through an exchange'],
  ])('has no key (parallelism %i: %s)', async (parallelism) => {
    const out: unknown[] = []
    const build = (own: Jobs): void =>
      void numbers(own)
        .keyBy((n) => (n % 10 === 3 ? (undefined as unknown as number) : n))
        .count()
        .to(collect(out))
    const { letters } = await run(build, { parallelism })
    expect(letters.map(({ record, operator, code }) => [record, operator, code]).sort()).toEqual([
      [13, 'count-1', 'INVALID_KEY'],
      [3, 'count-1', 'INVALID_KEY'],
    ])
    expect(out).toHaveLength(18)
  })

  test('has no time', async () => {
    const out: number[] = []
    const build = (own: Jobs): void =>
      void numbers(own)
        .withTimestamps((n) => (n % 10 === 3 ? Number.NaN : n))
        .to(collect(out))
    const { letters } = await run(build)
    expect(letters.map(({ record, code }) => [record, code])).toEqual([3, 13].map((n) => [n, 'INVALID_TIMESTAMP']))
    expect(out).toHaveLength(18)
  })

  test('leaves what the function had emitted before it threw', async () => {
    const out: number[] = []
    const build = (own: Jobs): void =>
      void own
        .from(items([1, 2]))
        .flatMap(function* (n) {
          yield n * 10
          if (n === 1) throw new Error('no more')
          yield n * 10 + 1
        })
        .to(collect(out))
    const { letters } = await run(build)
    expect(out).toEqual([10, 20, 21])
    expect(letters.map(({ record }) => record)).toEqual([1])
  })

  test('may be one of several results, and the others go on', async () => {
    const out: unknown[] = []
    const build = (own: Jobs): void =>
      void own
        .from(items([1, 2]))
        .flatMap((n) => [n, n + 10, n + 20])
        .keyBy((n) => (n === 12 ? (undefined as unknown as number) : n))
        .count()
        .to(collect(out))
    const { letters } = await run(build, { parallelism: 2 })
    expect(letters.map(({ record }) => record)).toEqual([12])
    expect(out).toHaveLength(5)
  })

  test('is tried again by asyncMap before it is given up', async () => {
    const calls = new Map<number, number>()
    const out: number[] = []
    const look = async (n: number): Promise<number> => {
      const attempt = (calls.get(n) ?? 0) + 1
      calls.set(n, attempt)
      if (n === 4 && attempt < 3) throw new Error('not yet')
      return refuse(3)(n)
    }
    const { letters } = await run(
      (own) =>
        void numbers(own)
          .asyncMap(look, { retry: { attempts: 3, delay: 1 } })
          .to(collect(out)),
    )
    expect(letters.map(({ record }) => record)).toEqual([3, 13])
    expect([calls.get(3), calls.get(4), calls.get(5)]).toEqual([3, 3, 1])
    expect(out).toEqual(Array.from({ length: 20 }, (_, n) => n).filter((n) => n % 10 !== 3))
  })
})

describe('a session', () => {
  interface Row {
    readonly from: number
    readonly to: number
    readonly all: readonly number[]
  }

  /** Sessions with a gap of 10; the functions throw at a record as they are told. */
  async function sessions(records: readonly number[], merge: boolean, bad: number): Promise<{ rows: Row[]; letters: unknown[] }> {
    const rows: Row[] = []
    const build = (own: Jobs): void =>
      void own
        .from(items(records))
        .withTimestamps((n) => n, { maxOutOfOrderness: 100 })
        .keyBy(() => 'all')
        .window(sessionWindow(10))
        .aggregate({
          create: (): number[] => [],
          add: (all, n: number) => {
            if (n === bad && !merge) throw new Error('no')
            all.push(n)
            return all
          },
          merge: (one, other) => {
            one.push(...other)
            if (merge) throw new Error('no')
            return one
          },
          result: (all, { window }) => ({ from: window.start, to: window.end, all }),
        })
        .to(collect(rows))
    const { letters } = await run(build)
    return { rows, letters: letters.map(({ record }) => record) }
  }

  test('keeps what is in those that cannot be merged', async () => {
    const { rows, letters } = await sessions([1, 20, 11], true, 11)
    expect(letters).toEqual([11])
    expect(rows).toEqual([
      { from: 1, to: 11, all: [1] },
      { from: 20, to: 30, all: [20] },
    ])
  })

  test.each([
    ['does not grow', [1, 8], [{ from: 1, to: 11, all: [1] }]],
    [
      'joins no others',
      [1, 20, 11],
      [
        { from: 1, to: 11, all: [1] },
        { from: 20, to: 30, all: [20] },
      ],
    ],
    ['leaves no session', [30, 25], [{ from: 25, to: 35, all: [25] }]],
  ])('%s by a record that is passed over', async (_, records, expected) => {
    const bad = records.length === 3 ? 11 : records[0] === 30 ? 30 : 8
    const { rows, letters } = await sessions(records, false, bad)
    expect(letters).toEqual([bad])
    expect(rows).toEqual(expected)
  })
})

describe('what is no fault of a record fails the job all the same', () => {
  /** Takes the first records, and then none. */
  function refusingSink(): Sink<number> {
    return {
      kind: 'refusing',
      createWriter: () => ({ write: refuse(3), prepareCommit: () => [], close() {} }) as never,
      createCommitter: () => ({ open() {}, commit() {} }),
    }
  }

  test.each<[string, string, (own: Jobs) => void]>([
    [
      'a sink that cannot write',
      'OPERATOR_FAILED',
      (own) =>
        void numbers(own)
          .map((n) => n)
          .to(refusingSink()),
    ],
    [
      'the result of a window',
      'OPERATOR_FAILED',
      (own) =>
        void numbers(own)
          .withTimestamps((n) => n)
          .keyBy((n) => n)
          .window(tumblingWindow(5))
          .aggregate({ create: () => 0, add: (sum) => sum, result: () => refuse(0)(0) })
          .to(nowhere()),
    ],
    [
      'a timer',
      'OPERATOR_FAILED',
      (own) =>
        void numbers(own)
          .withTimestamps((n) => n)
          .keyBy((n) => n)
          .process({
            state: {},
            onRecord: (_, { timers }) => timers.eventTime(1),
            onTimer: () => {
              throw new Error('no')
            },
          })
          .to(nowhere()),
    ],
    [
      'the result of a window that fires on a record',
      'OPERATOR_FAILED',
      (own) =>
        void numbers(own)
          .keyBy(() => 0)
          .window(countWindow(2))
          .process(() => {
            throw new Error('no')
          })
          .to(nowhere()),
    ],
    [
      'what a window yields that fires on a record',
      'OPERATOR_FAILED',
      (own) =>
        void numbers(own)
          .keyBy(() => 0)
          .window(countWindow(2))
          .process(function* ([first]) {
            yield refuse(2)(first!)
          })
          .to(nowhere()),
    ],
    [
      'the result of a window that fires again for a late record',
      'OPERATOR_FAILED',
      (own) => {
        let fired = 0
        void own
          .from(items([1, 20, 2]))
          .withTimestamps((n) => n)
          .keyBy(() => 0)
          .window(tumblingWindow(5), { allowedLateness: 100 })
          .aggregate({ create: () => 0, add: (sum) => sum + 1, result: () => refuse(2)(++fired) })
          .to(nowhere())
      },
    ],
    [
      'a map that returns promises',
      'OPERATOR_FAILED',
      (own) =>
        void numbers(own)
          .map(async (n) => n)
          .to(nowhere()),
    ],
    [
      'a flatMap that returns nothing',
      'OPERATOR_FAILED',
      (own) =>
        void numbers(own)
          .flatMap(() => undefined as never)
          .to(nowhere()),
    ],
    [
      'a side output that nobody declared',
      'INVALID_OPTION',
      (own) =>
        void numbers(own)
          .process({
            side: {},
            onRecord: (_, context) => (context as { emitTo: (name: string, n: number) => void }).emitTo('nowhere', 1),
          })
          .to(nowhere()),
    ],
    [
      'no answer in time',
      'ASYNC_TIMEOUT',
      (own) =>
        void numbers(own)
          .asyncMap(() => new Promise<number>(() => {}), { timeout: 1 })
          .to(nowhere()),
    ],
  ])('%s', async (_, code, build) => {
    await expect(run(build)).rejects.toMatchObject({ code })
  })
})

test('a record whose asyncMap has no answer in time, and nothing to supply it, is bad', async () => {
  const out: number[] = []
  const late = (n: number): Promise<number> => (n % 10 === 3 ? new Promise(() => {}) : Promise.resolve(n))
  const build = (own: Jobs): void =>
    void numbers(own)
      .asyncMap(late, { timeout: 5, onTimeout: (n) => refuse(3)(n) })
      .to(collect(out))
  const { letters } = await run(build)
  expect(letters.map(({ record }) => record)).toEqual([3, 13])
  expect(out).toHaveLength(18)
})

describe('a record that cannot be read', () => {
  function input(name: string, lines: readonly string[]): string {
    const path = join(folder, name)
    writeFileSync(path, `${lines.join('\n')}\n`)
    return path
  }

  test('of JSON lines is its text, with its place', async () => {
    const path = input('a.jsonl', ['{"n":1}', '{"n":', '', '{"n":2}', 'nonsense', '{"n":3}'])
    const out: unknown[] = []
    const { result, letters } = await run((own) => void own.from(readJsonLines(path)).to(collect(out)))
    expect(out).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }])
    expect(letters.map(({ record, operator, code }) => [record, operator, code])).toEqual([
      ['{"n":', 'read-json-lines-1', 'MALFORMED_RECORD'],
      ['nonsense', 'read-json-lines-1', 'MALFORMED_RECORD'],
    ])
    expect(letters.map(({ message }) => message.slice(0, message.indexOf(')') + 1))).toEqual([
      `${path}, line 2 (byte 8)`,
      `${path}, line 5 (byte 23)`,
    ])
    expect(result).toMatchObject({ recordsIn: 5, badRecords: 2 })
  })

  test('of CSV likewise', async () => {
    const path = input('a.csv', ['a,b', '1,2', '3', '4,5,6', '7,8'])
    const out: unknown[] = []
    const { letters } = await run((own) => void own.from(readCsv(path, { cast: true })).to(collect(out)))
    expect(out).toEqual([
      { a: 1, b: 2 },
      { a: 7, b: 8 },
    ])
    expect(letters.map(({ record, code }) => [record, code])).toEqual([
      ['3', 'MALFORMED_RECORD'],
      ['4,5,6', 'MALFORMED_RECORD'],
    ])
  })

  test('fails the job when it is the names of the columns', async () => {
    const path = input('a.csv', ['a,a', '1,2'])
    await expect(run((own) => void own.from(readCsv(path)).to(nowhere()))).rejects.toMatchObject({ code: 'MALFORMED_RECORD' })
  })

  test('may be no line at all, and those before it are not lost', async () => {
    const path = input('long.jsonl', ['1', '2', `"${'x'.repeat(64 * 1024 * 1024)}"`, '3'])
    const out: unknown[] = []
    const { letters } = await run((own) => void own.from(readJsonLines(path, { splitBytes: 1e9 })).to(collect(out)))
    expect(out).toEqual([1, 2, 3])
    expect(letters.map(({ message }) => message)).toEqual([`${path}, line 3 (byte 4): longer than 64 MiB without an end`])
  })

  test('of Parquet fails the job: its columns are read together', async () => {
    const path = join(folder, 'a.parquet')
    const column = (name: string, values: readonly bigint[]) => ({ name, type: 'INT64' as const, pages: [{ values }] })
    const wide = Array.from({ length: 4000 }, (_, n) => (n === 500 ? 2n ** 60n : BigInt(n)))
    writeFileSync(
      path,
      parquetFile([
        column(
          'a',
          wide.map((_, n) => BigInt(n)),
        ),
        column('b', wide),
      ]),
    )
    await expect(run((own) => void own.from(readParquet(path)).to(nowhere()))).rejects.toMatchObject({ code: 'MALFORMED_RECORD' })
  })

  /** Records 0 to 9 one by one, of which `bad` cannot be read. */
  function source({ isAsync = false, moves = true, bad = 5 } = {}): Source<number, object, number> {
    return {
      kind: 'mine',
      enumerate: () => [{}],
      open(_, position = 0) {
        let next = position
        const poll = (): number[] | null => {
          if (next === 10) return null
          if (next === bad) {
            if (moves) next++
            throw new SluiceError('MALFORMED_RECORD', 'five', { record: 'V' })
          }
          return [next++]
        }
        return { poll: isAsync ? async () => poll() : poll, position: () => next }
      },
    }
  }

  test.each([false, true])('of a source of your own is passed over (asynchronous: %s)', async (isAsync) => {
    const out: number[] = []
    const { letters } = await run((own) => void own.from(source({ isAsync })).to(collect(out)))
    expect(out).toEqual([0, 1, 2, 3, 4, 6, 7, 8, 9])
    expect(letters).toEqual([{ record: 'V', operator: 'mine-1', code: 'MALFORMED_RECORD', message: 'five' }])
  })

  test.each([0, 5])('fails the job where the reader does not go on (record %i)', async (bad) => {
    await expect(run((own) => void own.from(source({ moves: false, bad })).to(nowhere()))).rejects.toMatchObject({
      code: 'MALFORMED_RECORD',
      operator: 'mine-1',
    })
  })
})

describe('the options', () => {
  const build = (options: object): void => {
    const own = job('mishaps', options)
    numbers(own).to(nowhere())
  }
  const running = async (options: object): Promise<unknown> => {
    const own = job('mishaps', { workers: 0, stateDirectory: folder, ...options })
    numbers(own).to(nowhere())
    return await own.run({ quiet: true })
  }

  test.each([
    ['a policy that does not exist', { onBadRecord: 'ignore' }, 'onBadRecord'],
    ['dead letters without a sink', { onBadRecord: 'dead-letter' }, 'deadLetterSink'],
    ['dead letters into what is no sink', { onBadRecord: 'dead-letter', deadLetterSink: 'out' }, 'deadLetterSink'],
    ['a sink without dead letters', { onBadRecord: 'skip', deadLetterSink: collect([]) }, 'deadLetterSink'],
  ])('%s', async (_, options, named) => {
    expect(() => build(options)).not.toThrow()
    await expect(running(options)).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining(named) as string,
    })
  })
})

describe('after a restart', () => {
  test('every bad record is counted once', async () => {
    let failed = false
    const shown = new Set<unknown>()
    const sink: Sink<number> = {
      kind: 'failing-once',
      createWriter: () => ({
        write(n) {
          if (n === 1500 && !failed) {
            failed = true
            throw new Error('just once')
          }
        },
        prepareCommit: () => [],
        close() {},
      }),
      createCommitter: () => ({ open() {}, commit() {} }),
    }
    const own = job('mishaps', {
      workers: 0,
      parallelism: 1,
      checkpoint: { every: '1ms' },
      stateDirectory: folder,
      restart: { strategy: 'fixed', delay: 1, attempts: 3 },
      onBadRecord: 'dead-letter',
      deadLetterSink: {
        ...sink,
        createWriter: () => ({ write: (bad: BadRecord) => void shown.add(bad.record), prepareCommit: () => [], close() {} }),
      } as Sink<BadRecord>,
    })
    own
      .from(generate({ count: 2000, rate: 20_000, at: (n) => n }))
      .map(refuse(3))
      .to(sink)
    const result = await own.run({ quiet: true, fresh: true })
    expect(result).toMatchObject({ restarts: 1, recordsIn: 2000, badRecords: 200 })
    expect(shown.size).toBe(200)
  })

  test('what cannot be sent to another thread is not taken for the fault of the record at hand', async () => {
    const { code, stderr } = await runJob('mishaps.ts', [], { FOLDER: folder, UNSENDABLE: 'yes' })
    expect(code).not.toBe(0)
    expect(stderr).toContain('a field that cannot be read')
  })

  test('and with threads each of them is in the output once', async () => {
    mkdirSync(join(folder, 'in'))
    for (const name of ['a', 'b']) {
      const lines = Array.from({ length: 2000 }, (_, n) => (n % 10 === 5 ? `{${name} ${n}` : JSON.stringify({ n })))
      writeFileSync(join(folder, 'in', `${name}.jsonl`), `${lines.join('\n')}\n`)
    }
    const { code, stdout, stderr } = await runJob('mishaps.ts', [], { FOLDER: folder })
    expect([code, stderr]).toEqual([0, ''])
    expect(JSON.parse(stdout)).toMatchObject({ status: 'finished', recordsIn: 4000, badRecords: 1200 })
    const lines = (name: string): unknown[] =>
      readdirSync(join(folder, name))
        .filter((file) => !file.startsWith('.'))
        .flatMap((file) =>
          readFileSync(join(folder, name, file), 'utf8')
            .trimEnd()
            .split('\n'),
        )
        .map((line) => JSON.parse(line) as unknown)
    const letters = lines('dead') as BadRecord[]
    const counted = Map.groupBy(letters, ({ code: each }) => each)
    expect([...counted].map(([each, own]) => [each, own.length]).sort()).toEqual([
      ['INVALID_KEY', 400],
      ['MALFORMED_RECORD', 400],
      ['OPERATOR_FAILED', 400],
    ])
    expect(lines('out')).toHaveLength(2800)
  })
})
