import { readFileSync } from 'node:fs'
import { collect, generate, items, job } from 'sluice'
import { simulate } from 'sluice/testing'
import { describe, expect, test } from 'vitest'
import { CHECKS, JOBS } from './jobs.ts'
import { MUTANTS } from './mutants.ts'

const ROOT = new URL('../../', import.meta.url)

describe('a simulation', () => {
  test('takes five lines', async () => {
    const counting = job('counting')
    counting
      .from(generate({ count: 50, at: (n) => n % 5 }))
      .keyBy((n) => n)
      .count()
      .to(collect<{ key: number; count: number }>([]))
    const verdict = await simulate(counting, { seed: 1 })
    expect(verdict.violations).toEqual([])
  })

  test.each(Object.keys(JOBS))('of %s comes to the same history under the same seed, byte for byte', async (name) => {
    for (let seed = 1; seed <= 5; seed++) {
      const [first, second] = [
        await simulate(JOBS[name]!, { seed, history: true }),
        await simulate(JOBS[name]!, { seed, history: true }),
      ]
      expect(second.history.join('\n')).toBe(first.history.join('\n'))
      expect(second).toEqual(first)
      expect(first.history.length).toBeGreaterThan(10)
    }
  })

  test('comes to another one under another', async () => {
    const verdicts = await Promise.all([1, 2, 3, 4].map((seed) => simulate(JOBS['count']!, { seed })))
    expect(new Set(verdicts.map(({ fingerprint }) => fingerprint)).size).toBe(4)
  })

  test.each(Object.keys(JOBS))('of %s under all faults violates nothing', async (name) => {
    const totals = { starts: 0, checkpoints: 0 }
    for (let seed = 100; seed < 130; seed++) {
      const atCheckpoint = CHECKS[name]
      const verdict = await simulate(JOBS[name]!, { seed, ...(atCheckpoint === undefined ? {} : { atCheckpoint }) })
      expect({ seed, violations: verdict.violations }).toEqual({ seed, violations: [] })
      totals.starts += verdict.starts
      totals.checkpoints += verdict.checkpoints
    }
    expect(totals.starts).toBeGreaterThan(45)
    expect(totals.checkpoints).toBeGreaterThan(60)
  })

  test.each([['shuffles', 1999, 'a clock that is set back does not stop sources that had nothing to read']])(
    'of %s violates nothing any more under seed %i: %s',
    async (name, seed) => {
      expect((await simulate(JOBS[name]!, { seed })).violations).toEqual([])
    },
  )

  test.each(['count', 'parts'])('of %s that dies at any one of its points violates nothing', async (name) => {
    const { points } = await simulate(JOBS[name]!, { seed: 10, faults: [] })
    expect(points).toBeGreaterThan(50)
    for (let crashAt = 1; crashAt <= points; crashAt++) {
      const verdict = await simulate(JOBS[name]!, { seed: 10, faults: [], crashAt })
      expect({ crashAt, violations: verdict.violations }).toEqual({ crashAt, violations: [] })
      expect(verdict.starts).toBe(2)
    }
  })

  test('finds output that depends on what was kept in a variable of the job', async () => {
    let calls = 0
    const leaking = job('leaking')
    leaking
      .from(items([1, 2, 3, 4, 5, 6]))
      .map((n) => n + (calls++ >= 6 ? 100 : 0))
      .to(collect<number>([]))
    const { ok, violations, history } = await simulate(leaking, { seed: 1, faults: [] })
    expect(ok).toBe(false)
    expect(violations[0]).toMatchObject({ invariant: 'nothing is doubled', message: expect.stringContaining('collect-1') })
    expect(history.length).toBeGreaterThan(10)
  })

  test('asks the check of the job instead where it has one', async () => {
    const verdict = await simulate(JOBS['count']!, {
      seed: 1,
      check: (outputs) => `there are ${outputs.get('collect-1')!.length}`,
    })
    expect(verdict.violations).toMatchObject([{ invariant: 'the check of the job', message: 'there are 200' }])
  })

  test('of a job that does not run at all is refused', async () => {
    const broken = job('broken', { restart: { strategy: 'none' } })
    broken
      .from(items([1]))
      .map((): number => {
        throw new TypeError('never')
      })
      .to(collect<number>([]))
    await expect(simulate(broken, { seed: 1 })).rejects.toMatchObject({
      code: 'OPERATOR_FAILED',
      message: expect.stringContaining('without any fault'),
    })
  })
})

test.each(MUTANTS.map((mutant) => [mutant.name, mutant] as const))('the mutant fits the source: %s', (_, { changes }) => {
  for (const { file, find } of changes) expect(readFileSync(new URL(file, ROOT), 'utf8').split(find)).toHaveLength(2)
})
