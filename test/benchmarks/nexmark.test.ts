import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { QUERIES } from '../../benchmarks/nexmark/catalogue.ts'
import { constantRate } from '../../benchmarks/nexmark/generator/options.ts'
import type { NexmarkResult } from '../../benchmarks/nexmark/result.ts'
import { eventsInOrder } from '../../benchmarks/nexmark/source.ts'
import { queryNamed, runInterruptedQuery, runQuery, sorted } from './nexmark-harness.ts'

// Twenty seconds of event time, so that windows and sessions come to an end before the stream does.
const STREAM = constantRate(20_000, 2, 500)

const expected = new Map(QUERIES.map(({ name, model }) => [name, sorted(model(eventsInOrder(STREAM)))]))

describe.each(QUERIES)('$name, $meaning', (query) => {
  test.each([1, 2])('gives the rows of its model, at parallelism %d', async (parallelism) => {
    const { rows } = await runQuery(query, STREAM, parallelism)
    expect(rows).toEqual(expected.get(query.name))
  })
})

describe('a query that fails and goes on from a checkpoint', () => {
  test.each(['q3', 'q4', 'q5', 'q8', 'q9', 'q11', 'q17', 'q18', 'q19', 'q20'])(
    'gives the rows of its model: %s',
    async (name) => {
      const { rows, result } = await runInterruptedQuery(queryNamed(name), STREAM, 2)
      expect(result.restarts).toBe(1)
      expect(rows).toEqual(expected.get(name))
    },
  )
})

test('the benchmark runs in processes and threads, verifies, and writes what can be read', () => {
  const out = mkdtempSync(join(tmpdir(), 'sluice-bench-test-'))
  try {
    const args = ['nexmark', '--quick', '--queries', 'q5,q9', '--records', '20000', '--out', out]
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ['--conditions=@sluice/source', join(import.meta.dirname, '../../benchmarks/run.ts'), ...args],
      { encoding: 'utf8' },
    )
    expect(stderr).toMatch(/1\/1 q9, parallelism 2, checkpoints 1s: .*verified/)
    expect(status).toBe(0)
    expect(stdout).toContain('the output of all 4 runs was verified against the models')
    const result = JSON.parse(readFileSync(join(out, 'nexmark.json'), 'utf8')) as NexmarkResult
    expect(result.queries.map(({ query }) => query)).toEqual(['q5', 'q9'])
    expect(result.queries[0]).toMatchObject({ eventTimeSeconds: 0.1, stream: { events: 20_000, generators: 2 } })
    expect(result.runs.map(({ parallelism, every }) => [parallelism, every])).toEqual([
      [1, 'off'],
      [2, '1s'],
      [1, 'off'],
      [2, '1s'],
    ])
    for (const run of result.runs) expect(run).toMatchObject({ events: 20_000, engine: 'src/index.ts' })
    expect(result.generator.eventsPerSecond.median).toBeGreaterThan(0)
    const svg = readFileSync(join(out, 'nexmark.svg'), 'utf8')
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"[\s\S]*<\/svg>\n$/)
    expect(svg).not.toMatch(/NaN|undefined|Infinity/)
    for (const words of ['q5, hot items', 'q9, winning bids', '2 subtasks, checkpoints every 1 s']) expect(svg).toContain(words)
    expect(readdirSync(out).sort()).toEqual(['nexmark.json', 'nexmark.svg'])
  } finally {
    rmSync(out, { recursive: true, force: true })
  }
})
