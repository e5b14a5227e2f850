import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { IntervalResult } from '../../benchmarks/interval.ts'

// Nothing here looks at a time: the benchmarks must run, verify what they ran, and write what can be read.

const root = join(import.meta.dirname, '..', '..')
let out: string

beforeAll(() => {
  out = mkdtempSync(join(tmpdir(), 'sluice-bench-test-'))
})

afterAll(() => {
  rmSync(out, { recursive: true, force: true })
})

function bench(...args: readonly string[]) {
  return spawnSync(process.execPath, ['--conditions=@sluice/source', 'benchmarks/run.ts', ...args], {
    cwd: root,
    encoding: 'utf8',
  })
}

describe('the command line', () => {
  test('lists the benchmarks when none is named', () => {
    const { status, stdout } = bench()
    expect(status).toBe(0)
    expect(stdout).toMatch(/^ {2}interval /m)
    expect(stdout).toMatch(/^ {2}micro /m)
  })

  test.each([
    { args: ['intervall'], says: "there is no benchmark 'intervall'" },
    { args: ['interval', 'micro'], says: 'one benchmark at a time' },
    { args: ['interval', '--fast'], says: '--fast' },
    { args: ['interval', '--repetitions', '0'], says: '--repetitions takes a whole number of 1 or more' },
    { args: ['interval', '--records', '1001', '--keys', '1000'], says: 'must be a multiple of the 1000 keys' },
  ])('refuses $args', ({ args, says }) => {
    const { status, stderr } = bench(...args)
    expect(stderr).toContain(says)
    expect(status).toBe(2)
  })
})

describe('interval', () => {
  let printed: ReturnType<typeof bench>

  beforeAll(() => {
    printed = bench('interval', '--quick', '--records', '200000', '--keys', '1000', '--repetitions', '1', '--out', out)
  })

  test('runs every setting and verifies its output', () => {
    expect(printed.stderr).toMatch(/1\/1 100ms: .*verified/)
    expect(printed.status).toBe(0)
    expect(printed.stdout).toContain('the output of all 4 runs was verified')
  })

  test('writes each run with its parameters and totals', () => {
    const result = JSON.parse(readFileSync(join(out, 'interval.json'), 'utf8')) as IntervalResult
    expect(result.parameters).toMatchObject({ quick: true, records: 200_000, keys: 1000, parallelism: 2, repetitions: 1 })
    expect(result.environment).toMatchObject({ node: process.version, command: expect.stringContaining('interval --quick') })
    expect(result.settings.map((setting) => setting.every)).toEqual(['off', '10s', '1s', '100ms'])
    expect(result.runs).toHaveLength(4)
    for (const run of result.runs) {
      // Each of 1000 keys has the counts 1 to 200.
      expect(run).toMatchObject({ records: 200_000, sum: 20_100_000, verified: true, discarded: false, engine: 'src/index.ts' })
      expect(run.checkpointMs).toHaveLength(run.checkpoints)
      expect(run.seconds).toBeGreaterThan(0)
    }
    for (const figure of [result.fit.aSeconds, result.fit.b, ...result.settings.map((setting) => setting.ratio)]) {
      expect(figure).toSatisfy(Number.isFinite)
    }
  })

  test('draws every setting', () => {
    const svg = readFileSync(join(out, 'interval.svg'), 'utf8')
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"/)
    expect(svg.trimEnd()).toMatch(/<\/svg>$/)
    expect(svg).not.toMatch(/NaN|undefined|Infinity/)
    for (const name of ['100 ms', '1 s', '10 s', 'off']) expect(svg).toContain(`>${name}</text>`)
    expect(svg.match(/<circle /g)).toHaveLength(4)
  })

  test('leaves nothing else behind', () => {
    expect(readdirSync(out).sort()).toEqual(['interval.json', 'interval.svg'])
  })
})

test('micro measures every piece', () => {
  const folder = join(out, 'micro')
  expect(bench('micro', '--quick', '--out', folder).status).toBe(0)
  const { pieces } = JSON.parse(readFileSync(join(folder, 'micro.json'), 'utf8')) as { pieces: { recordsPerSecond: number }[] }
  expect(pieces.length).toBeGreaterThanOrEqual(12)
  for (const piece of pieces) expect(piece.recordsPerSecond).toBeGreaterThan(0)
})
