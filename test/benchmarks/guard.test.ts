import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { bytesVerdict, CEILINGS, complaint, FLOORS, pairsOf, ratioVerdict } from '../../benchmarks/guard/bounds.ts'
import { ratioOf } from '../../benchmarks/guard/contest.ts'

/** How long it may take where other programs have nearly all of the machine; nothing is decided by it. */
const PATIENCE_MS = 600_000

test('no hot path has fallen below its bound', { timeout: PATIENCE_MS }, () => {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--conditions=@sluice/source', 'benchmarks/run.ts', 'guard', '--quick'],
    { cwd: join(import.meta.dirname, '..', '..'), encoding: 'utf8' },
  )
  expect(status, `${stderr}${stdout}`).toBe(0)
  expect(stdout.match(/ holds$/gm)).toHaveLength(FLOORS.length + CEILINGS.length)
})

describe('what is measured against what is asked for', () => {
  const floor = { name: 'codec', yardstick: 'msgpackr', floor: 2.5 }
  const ceiling = { name: 'window, bytes', ceiling: 24 }

  test('a ratio holds down to its floor', () => {
    expect(ratioVerdict(floor, 2.5)).toEqual({
      what: 'codec / msgpackr',
      figure: 2.5,
      bound: 2.5,
      kind: 'at least',
      holds: true,
    })
    expect(ratioVerdict(floor, 2.49).holds).toBe(false)
    expect(ratioVerdict(floor, Number.NaN).holds).toBe(false)
  })

  test('bytes hold up to their ceiling', () => {
    expect(bytesVerdict(ceiling, 24)).toMatchObject({ what: 'window, bytes', kind: 'at most', holds: true })
    expect(bytesVerdict(ceiling, 24.01).holds).toBe(false)
    expect(bytesVerdict(ceiling, Number.NaN).holds).toBe(false)
  })

  test('what is broken is told in one line', () => {
    expect(complaint(ratioVerdict(floor, 1))).toBe('codec / msgpackr: 1.00, and it has to be at least 2.5')
    expect(complaint(bytesVerdict(ceiling, 30.126))).toBe('window, bytes: 30.13, and it has to be at most 24')
  })

  test('nothing is measured without a bound, and nothing is asked for that is not measured', () => {
    const nameOf = ({ name }: { readonly name: string }): string => name
    const [a, b] = [{ name: 'a' }, { name: 'b' }]
    expect(pairsOf([a, b], [b, a], nameOf)).toEqual([
      [a, a],
      [b, b],
    ])
    expect(() => pairsOf([a], [a, b], nameOf)).toThrow("no bound for 'b'")
    expect(() => pairsOf([a, b], [a], nameOf)).toThrow("nothing for 'b'")
  })

  test('bounds have names of their own', () => {
    expect(new Set(FLOORS.map(({ name, yardstick }) => `${name} / ${yardstick}`)).size).toBe(FLOORS.length)
    expect(new Set(CEILINGS.map(({ name }) => name)).size).toBe(CEILINGS.length)
  })
})

test('ways that come to different results are not compared', async () => {
  const way = (sum: number) => ({ turn: () => {}, result: () => ({ sum }) })
  const contest = (engine: number, yardstick: number) => ({
    name: 'sums',
    yardstick: 'sums',
    make: () => ({ engine: way(engine), yardstick: way(yardstick) }),
  })
  await expect(ratioOf(contest(1, 1), 3)).resolves.toBeGreaterThan(0)
  await expect(ratioOf(contest(1, 2), 3)).rejects.toThrow('sums: engine and yardstick differ in their results')
})
