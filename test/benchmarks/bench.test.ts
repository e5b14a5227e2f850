import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { IntervalResult } from '../../benchmarks/interval.ts'
import type { LatencyResult } from '../../benchmarks/latency/result.ts'
import type { RecoveryResult } from '../../benchmarks/recovery.ts'
import type { ScaleResult } from '../../benchmarks/scale.ts'
import type { SizeResult } from '../../benchmarks/size.ts'

// Nothing here looks at a time: the benchmarks must run, verify what they ran, and write what can be read.

const root = join(import.meta.dirname, '..', '..')
/** How long a benchmark may take where other programs have nearly all of the machine; nothing is decided by it. */
const PATIENCE_MS = 600_000

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
    { args: ['interval', '--part', 'topologies'], says: "--part knows topology, state, empty, not 'topologies'" },
    { args: ['interval', '--intervals', '1,often'], says: '--intervals takes seconds' },
    { args: ['scale', '--modes', 'aligned'], says: '--modes' },
  ])('refuses $args', ({ args, says }) => {
    const { status, stderr } = bench(...args)
    expect(stderr).toContain(says)
    expect(status).toBe(2)
  })
})

describe('interval', () => {
  let printed: ReturnType<typeof bench>
  let result: IntervalResult

  beforeAll(() => {
    printed = bench('interval', '--quick', '--keys', '1000', '--out', join(out, 'interval'))
    result = JSON.parse(readFileSync(join(out, 'interval', 'interval.json'), 'utf8'))
  }, PATIENCE_MS)

  test('verifies every run', () => {
    expect(printed.status).toBe(0)
    expect(printed.stderr.match(/^round 1, .*: [\d,]+ records, verified/gm)).toHaveLength(5)
    expect(printed.stdout).toContain('the output of every run was verified')
  })

  test('measures all ways in which barriers pass, and both ways in which state changes', () => {
    expect(result.topology.map(({ name }) => name)).toEqual(['aligned', 'unaligned', 'stop-the-world'])
    expect(result.state.map(({ name }) => name)).toEqual(['1mb, all of the keys change', '1mb, tenth of the keys change'])
    for (const { intervals, fit, runs } of [...result.topology, ...result.state]) {
      expect(intervals.map(({ seconds }) => seconds)).toEqual([0.2])
      expect(runs).toHaveLength(1)
      for (const figure of [fit.aSeconds, fit.b, intervals[0]!.loss.median, intervals[0]!.checkpointMs.median])
        expect(figure).toSatisfy(Number.isFinite)
      expect(intervals[0]!.checkpointsPerSecond).toBeGreaterThan(0)
    }
  })

  test('takes checkpoints in which nothing has changed', () => {
    expect(result.empty).toMatchObject({ checkpoints: 8, tasks: 12 })
    expect(result.empty!.durationMs.min).toBeGreaterThan(0)
  })

  test('says where, with what and how it was measured', () => {
    expect(result.parameters).toMatchObject({ quick: true, guarantee: 'exactly-once' })
    expect(result.environment).toMatchObject({ node: process.version, command: expect.stringContaining('interval --quick') })
  })

  test('draws it', () => {
    expect(readdirSync(join(out, 'interval')).sort()).toEqual(['interval-state.svg', 'interval.json', 'interval.svg'])
    expect(drawn('interval', 'interval.svg').match(/<circle /g)).toHaveLength(3)
    expect(drawn('interval', 'interval-state.svg').match(/<circle /g)).toHaveLength(2)
  })
})

test('scale measures one thread without and with an exchange, and several', { timeout: PATIENCE_MS }, () => {
  const { status, stdout } = bench('scale', '--quick', '--kind', 'integer', '--out', join(out, 'scale'))
  expect(status).toBe(0)
  expect(stdout).toContain('the output of every run was verified')
  const { cases } = JSON.parse(readFileSync(join(out, 'scale', 'scale.json'), 'utf8')) as ScaleResult
  expect(cases.map(({ name }) => name)).toEqual(['1, exchange elided', '1, exchange forced', '2', '2, exchange forced', '4'])
  expect(cases[1]!.ofForced).toEqual({ median: 1, min: 1, max: 1 })
  for (const { recordsPerSecond, ofForced } of cases) expect(recordsPerSecond.min * ofForced.min).toBeGreaterThan(0)
  expect(drawn('scale', 'scale.svg')).toContain('parallelism 2, exchange forced')
})

test('latency counts from the schedule, to the output and to the commit', { timeout: PATIENCE_MS }, () => {
  const { status, stdout } = bench('latency', '--quick', '--keys', '1000', '--out', join(out, 'latency'))
  expect(status).toBe(0)
  expect(stdout).toContain('the output of every run was verified')
  const { cases } = JSON.parse(readFileSync(join(out, 'latency', 'latency.json'), 'utf8')) as LatencyResult
  expect(cases.map(({ load, every }) => [load, every])).toEqual([
    ['50%', 'off'],
    ['50%', '1s'],
    ['50%', '100ms'],
  ])
  for (const { output, committed, measured } of cases) {
    expect(measured).toBeGreaterThan(0)
    for (const { p50, p99, p9999, max } of [output, committed ?? output]) {
      expect(p50).toBeLessThanOrEqual(p99)
      expect(p99).toBeLessThanOrEqual(p9999)
      expect(p9999).toBeLessThanOrEqual(max)
    }
  }
  expect(cases[0]!.committed).toBeNull()
  expect(drawn('latency', 'latency.svg')).toContain('99.9 %')
})

test('recovery tells the stages of each kind of failure', { timeout: PATIENCE_MS }, () => {
  const { status, stdout } = bench('recovery', '--quick', '--out', join(out, 'recovery'))
  expect(status).toBe(0)
  expect(stdout).toContain('nothing lost, nothing twice')
  const { cases } = JSON.parse(readFileSync(join(out, 'recovery', 'recovery.json'), 'utf8')) as RecoveryResult
  expect(cases.map(({ failure }) => failure)).toEqual(['kill', 'kill-cold', 'throw'])
  for (const { samples } of cases) {
    for (const { stages } of samples) for (const ms of Object.values(stages)) expect(ms).toBeGreaterThanOrEqual(0)
  }
  drawn('recovery', 'recovery.svg')
})

test('size tells what checkpoints write and how the file grows', { timeout: PATIENCE_MS }, () => {
  const { status } = bench('size', '--quick', '--out', join(out, 'size'))
  expect(status).toBe(0)
  const { bytes, growth } = JSON.parse(readFileSync(join(out, 'size', 'size.json'), 'utf8')) as SizeResult
  expect(bytes.map(({ changed }) => changed)).toEqual([4, 40, 400, 2520, 4000])
  for (const { ofChanged } of bytes) expect(ofChanged).toBeGreaterThan(1)
  expect(bytes.at(-1)!.ofFull).toBe(1)
  expect(growth.map(({ checkpoints }) => checkpoints)).toEqual([3, 10])
  drawn('size', 'size.svg')
  drawn('size', 'size-growth.svg')
})

/** A picture that can be shown. */
function drawn(folder: string, name: string): string {
  const svg = readFileSync(join(out, folder, name), 'utf8')
  expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"/)
  expect(svg.trimEnd()).toMatch(/<\/svg>$/)
  expect(svg).not.toMatch(/NaN|undefined|Infinity/)
  return svg
}

test('micro measures every piece', () => {
  const folder = join(out, 'micro')
  expect(bench('micro', '--quick', '--out', folder).status).toBe(0)
  const { pieces, codecs } = JSON.parse(readFileSync(join(folder, 'micro.json'), 'utf8')) as {
    pieces: { recordsPerSecond: number }[]
    codecs: { columnar: object; msgpackr: object }[]
  }
  expect(pieces.length).toBeGreaterThanOrEqual(8)
  for (const piece of pieces) expect(piece.recordsPerSecond).toBeGreaterThan(0)
  expect(codecs.length).toBe(4)
  for (const { columnar, msgpackr } of codecs)
    for (const times of [columnar, msgpackr]) expect(Object.keys(times)).toEqual(['encode', 'decode'])
})
