import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PEERS } from '../../benchmarks/peers/catalogue.ts'
import type { PeersResult } from '../../benchmarks/peers/result.ts'
import { chainTotals, countSum } from '../../benchmarks/peers/workload.ts'
import { choose } from '../../benchmarks/peers.ts'

// Nothing here looks at a time: the peers must do the same work, be verified, and have their figures written.

const root = join(import.meta.dirname, '..', '..')
/** How long a benchmark may take where other programs have nearly all of the machine; nothing is decided by it. */
const PATIENCE_MS = 600_000

let out: string

beforeAll(() => {
  out = mkdtempSync(join(tmpdir(), 'sluice-peers-test-'))
})

afterAll(() => {
  rmSync(out, { recursive: true, force: true })
})

function peers(...args: readonly string[]) {
  return spawnSync(process.execPath, ['--conditions=@sluice/source', 'benchmarks/run.ts', 'peers', ...args], {
    cwd: root,
    encoding: 'utf8',
  })
}

describe('a quick run', () => {
  let printed: ReturnType<typeof peers>
  let result: PeersResult
  const inJavaScript = PEERS.filter(({ runtime }) => runtime === 'node')

  beforeAll(() => {
    printed = peers('--quick', '--keys', '1000', '--records', '60000', '--out', out)
    expect(printed.stderr).toContain('verified')
    result = JSON.parse(readFileSync(join(out, 'peers.json'), 'utf8')) as PeersResult
  }, PATIENCE_MS)

  test('has every peer in JavaScript do its work once', () => {
    expect(printed.status).toBe(0)
    expect(result.runs.map(({ peer }) => peer)).toEqual(inJavaScript.map(({ id }) => id))
    expect(printed.stdout).toContain(`the totals of all ${inJavaScript.length} runs were verified`)
  })

  test('says that the peers in Java are left out', () => {
    expect(result.leftOut).toBe('a quick run has them only with --only')
    expect(printed.stdout).toContain('left out, the peers in Java')
  })

  test('has the totals that were known before', () => {
    const counted = { keys: 1000, warmUp: 0, kind: 'string' } as const
    for (const run of result.runs) {
      const chain = run.peer.endsWith('/chain')
      const sum = chain ? chainTotals({ ...counted, records: run.records }).sum : countSum({ ...counted, records: run.records })
      expect(run, run.peer).toMatchObject({ sum, verified: true })
      expect(run.recordsPerSecond, run.peer).toSatisfy(Number.isFinite)
    }
  })

  test('compares each peer with Sluice at the same work', () => {
    for (const peer of result.peers) expect(peer.sluiceAgainstIt.median, peer.id).toBeGreaterThan(0)
    expect(result.peers.filter(({ ours }) => ours).map(({ work }) => work)).toEqual(['count-string', 'count-integer', 'chain'])
    expect(Object.keys(result.versions)).toEqual(expect.arrayContaining(['node', 'rxjs', '@most/core', 'most']))
  })

  test('draws every peer', () => {
    const svg = readFileSync(join(out, 'peers.svg'), 'utf8')
    expect(svg).not.toMatch(/NaN|undefined|Infinity/)
    for (const { label } of inJavaScript) expect(svg).toContain(`>${label}</text>`)
  })
})

test('only the peers that are named run, and Sluice beside them', () => {
  const { taking } = choose({ quick: true, flags: { only: 'rxjs,by-hand' } })
  expect(new Set(taking.map(({ family }) => family))).toEqual(new Set(['sluice', 'rxjs', 'by-hand']))
})

test.each([
  { args: ['--only', 'spark'], says: "--only knows sluice, by-hand, rxjs, most, flink, kafka-streams, jet, not 'spark'" },
  { args: ['--keys', '1000', '--records', '1500'], says: 'must be a multiple of the 1000 keys' },
])('refuses $args', ({ args, says }) => {
  const { stderr, status } = peers(...args)
  expect(stderr).toContain(says)
  expect(status).toBe(2)
})

test('the totals of the chain are those of its definition', () => {
  // Two records of the first seven thousand by hand: 0 -> 1 -> 1 -> 3, a third, gone; 2 -> 7 -> 9 -> 19 -> 18.
  const { results, sum } = chainTotals({ records: 7_000, keys: 1, warmUp: 0, kind: 'string' })
  expect({ results, sum }).toEqual({ results: 3_000, sum: 9_018_000 })
})
