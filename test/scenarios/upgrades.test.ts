import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RunOptions, Source } from 'sluice'
import { collect, job, valueState } from 'sluice'
import { openState } from 'sluice/state'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

/*
 * Jobs that are stopped, changed and run again: from their own state, from a savepoint, from an older checkpoint.
 */

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-upgrade-'))
})

afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** Where the source stops the job; `NaN` lets it come to its end. */
let stopAt = Number.NaN

/** The numbers 1 to `count`. */
function numbers(count: number, kind = 'numbers'): Source<number, object, number> {
  return {
    kind,
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
          return next === count ? null : [++next]
        },
        position: () => next,
      }
    },
  }
}

type Own = ReturnType<typeof newJob>

function newJob(state: string, parallelism: number) {
  return job('upgraded', {
    stateDirectory: join(folder, state),
    parallelism,
    checkpoint: { every: 'off', retain: 5 },
    restart: { strategy: 'none' },
  })
}

interface Run extends RunOptions {
  readonly stop?: number
  readonly state?: string
}

async function run(
  build: (own: Own, results: unknown[]) => void,
  { stop, state = 'state', parallelism = 1, ...options }: Run = {},
) {
  stopAt = stop ?? Number.NaN
  const results: unknown[] = []
  const own = newJob(state, parallelism)
  build(own, results)
  const result = await own.run({ quiet: true, workers: 0, ...options })
  return { ...result, results }
}

const byParity = (n: number): number => n % 2

function sums(own: Own, results: unknown[]): void {
  own
    .from(numbers(10))
    .keyBy(byParity)
    .reduce((a, b) => a + b)
    .named('sum')
    .to(collect<unknown>(results))
}

/** What the sums are after the numbers from `first` to 10. */
function sumsFrom(first: number): readonly number[] {
  const sum = [0, 0]
  return Array.from({ length: 10 }, (_, index) => index + 1).flatMap((n) => {
    sum[n % 2]! += n
    return n < first ? [] : [sum[n % 2]!]
  })
}

describe('a savepoint', () => {
  test('is left by a stop, and goes on anywhere, at any parallelism, as often as one likes', async () => {
    const { status, savepoint } = await run(sums, { stop: 4 })
    expect(status).toBe('stopped')
    for (const parallelism of [1, 2, 3]) {
      const again = await run(sums, { state: `other-${parallelism}`, parallelism, from: savepoint! })
      expect(again.status).toBe('finished')
      expect([...again.results].sort()).toEqual([...sumsFrom(5)].sort())
    }
    expect(existsSync(savepoint!)).toBe(true)
  })

  test('replaces what its own job has come to since', async () => {
    const { savepoint } = await run(sums, { stop: 4 })
    expect((await run(sums, { stop: 8 })).results).toEqual(sumsFrom(5).slice(0, 4))
    expect((await run(sums, { from: savepoint! })).results).toEqual(sumsFrom(5))
  })

  test('that is claimed goes when the job has a checkpoint of its own', async () => {
    const { savepoint } = await run(sums, { stop: 4 })
    expect((await run(sums, { state: 'other', from: savepoint!, claim: true })).status).toBe('finished')
    expect(existsSync(savepoint!)).toBe(false)
  })

  test('of a job that has changed too much is refused, and nothing is touched', async () => {
    const { savepoint } = await run(sums, { stop: 4 })
    const counted = (own: Own, results: unknown[]): void => {
      own.from(numbers(10)).keyBy(byParity).count().named('count').to(collect<unknown>(results))
    }
    await expect(run(counted, { from: savepoint! })).rejects.toMatchObject({ code: 'STATE_DROPPED', operator: 'sum' })
    expect((await run(sums)).results).toEqual(sumsFrom(5))
  })

  test('shows its state to a reader, as the state folder does', async () => {
    const { savepoint } = await run(sums, { stop: 4 })
    for (const source of [savepoint!, join(folder, 'state', 'upgraded')]) {
      const reader = await openState(source)
      const { state } = reader.states().find(({ operator }) => operator === 'sum')!
      expect([await reader.get('sum', state, 0), await reader.get('sum', state, 1), await reader.get('sum', state, 2)]).toEqual([
        6,
        4,
        undefined,
      ])
      await reader.close()
    }
  })
})

test('an older checkpoint that is kept can be gone back to', async () => {
  await run(sums, { stop: 3 })
  const reader = await openState(join(folder, 'state', 'upgraded'))
  const { checkpoint } = reader
  await reader.close()
  await run(sums, { stop: 6 })
  expect((await run(sums, { from: String(checkpoint) })).results).toEqual(sumsFrom(4))
  await expect(run(sums, { from: '987654' })).rejects.toMatchObject({ code: 'INVALID_OPTION' })
})

describe('a job that has changed', () => {
  const withLast = (own: Own, results: unknown[]): void => {
    own
      .from(numbers(10))
      .filter((n) => n > 0)
      .keyBy(byParity)
      .reduce((a, b) => a + b)
      .named('sum')
      .keyBy(() => 'all')
      .process({
        state: { seen: valueState<number>() },
        *onRecord(sum, ctx) {
          const seen = (ctx.state.seen.get() ?? 0) + 1
          ctx.state.seen.set(seen)
          yield [sum, seen]
        },
      })
      .named('last')
      .to(collect<unknown>(results))
  }

  test('goes on with operators that were added, which begin empty', async () => {
    await run(sums, { stop: 4 })
    expect((await run(withLast)).results).toEqual(sumsFrom(5).map((sum, index) => [sum, index + 1]))
  })

  test('lets go of an operator only when it is told to, and for good', async () => {
    await run(withLast, { stop: 3 })
    await expect(run(sums, { stop: 5 })).rejects.toMatchObject({ code: 'STATE_DROPPED', operator: 'last' })
    expect((await run(sums, { stop: 5, allowDroppedState: true })).results).toEqual(sumsFrom(4).slice(0, 2))
    // Under its old name it is a new one.
    expect((await run(withLast)).results).toEqual(sumsFrom(6).map((sum, index) => [sum, index + 1]))
  })

  test('reads a source that was added from its beginning', async () => {
    await run(sums, { stop: 4 })
    const two = (own: Own, results: unknown[]): void => {
      sums(own, results)
      own
        .from(numbers(3, 'others'))
        .map((n) => -n)
        .to(collect<unknown>(results))
    }
    const { results } = await run(two)
    expect([...results].sort()).toEqual([...sumsFrom(5), -1, -2, -3].sort())
  })
})
