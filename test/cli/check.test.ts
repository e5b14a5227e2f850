import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CheckpointStore } from '../../src/checkpoint/checkpoint-store.ts'
import type { NodeDescription } from '../../src/graph/stream-graph.ts'
import { sampleManifest } from '../checkpoint/manifests.ts'
import { FIXTURES, sluice } from './command-line.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-check-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

const JOB = join(FIXTURES, 'visits.ts')

interface Checked {
  readonly code: number | null
  readonly stderr: string
  readonly document: {
    readonly fits: boolean
    readonly checkpoint: number | null
    readonly dropped: readonly string[]
    readonly incompatible: readonly string[]
    readonly operators: readonly { readonly operator: string; readonly verdict: string; readonly hint?: string }[]
    readonly error?: { readonly code: string; readonly message: string }
  }
}

async function check(edition: string, ...args: readonly string[]): Promise<Checked> {
  const { code, stdout, stderr } = await sluice(['check', JOB, '--json', ...args], { cwd: folder, env: { VISITS: edition } })
  return { code, stderr, document: JSON.parse(stdout) as Checked['document'] }
}

function describedNode(id: string, kind: string, from: string, partitioning: 'hash' | 'forward'): NodeDescription {
  return { id, kind, settings: null, inputs: [{ from, output: 'main', partitioning }] }
}

/** The graph of the job's first edition. */
const FIRST: readonly NodeDescription[] = [
  { id: 'items-1', kind: 'items', settings: { count: 3 }, inputs: [] },
  describedNode('count-1', 'count', 'items-1', 'hash'),
  describedNode('print-1', 'print', 'count-1', 'forward'),
]

async function store(checkpoint: number, { committed = true, directory = '.sluice' } = {}): Promise<void> {
  const opened = CheckpointStore.open(join(folder, directory), 'visits')
  opened.claim(() => 'a-run')
  const committables = [{ operator: 'out', subtask: 0, checkpoint, bytes: new Uint8Array([1]) }]
  opened.complete(sampleManifest(checkpoint, { graph: FIRST, committables, deltas: [], dropped: [] }))
  if (committed) opened.committed(checkpoint, 1)
  await opened.release(false)
}

describe('a job with nothing stored', () => {
  test('is checked by itself, and does not run', async () => {
    const { code, stderr, document } = await check('first')
    expect(code).toBe(0)
    // stdout is the command's alone.
    expect(stderr).toBe('the module prints\n')
    expect(document).toMatchObject({ job: 'visits', checkpoint: null, fits: true })
    expect(document.operators.map(({ operator, verdict }) => `${operator} ${verdict}`)).toEqual([
      'items-1 new',
      'count-1 new',
      'print-1 new',
    ])
    expect(existsSync(join(folder, '.sluice'))).toBe(false)
  })

  test('has nothing to be compared with by name', async () => {
    expect(await check('first', '--against', '7')).toMatchObject({ code: 3, document: { error: { code: 'JOB_UNKNOWN' } } })
  })

  test.each([
    ['broken', 'MODULE_FAILED', 'no such luck'],
    ['silent', 'JOB_NOT_REACHED', 'runs no job'],
    ['never', 'JOB_NOT_REACHED', 'runs no job'],
    ['unaligned', 'INVALID_OPTION', 'cannot hold back'],
  ])('that is %s fails with %s', async (edition, code, message) => {
    expect(await check(edition)).toMatchObject({
      code: 1,
      document: { error: { code, message: expect.stringContaining(message) } },
    })
  })

  test('is told of wrong flags of its own', async () => {
    expect(await check('first', '--', '--parallelism', '999')).toMatchObject({
      code: 1,
      document: { error: { code: 'INVALID_OPTION' } },
    })
  })
})

describe('a job with a checkpoint', () => {
  test.each([
    ['first', 0, 'kept'],
    ['mapped', 0, 'kept'],
    ['gone', 5, 'dropped'],
    ['renamed', 5, 'dropped'],
    ['reduced', 5, 'incompatible'],
    ['groups', 5, 'kept'],
  ] as const)('in the edition %s ends with %i: its count is %s', async (edition, code, verdict) => {
    await store(4)
    const found = await check(edition)
    expect(found).toMatchObject({ code, document: { checkpoint: 4, fits: code === 0 } })
    expect(found.document.operators.find(({ operator }) => operator === 'count-1')).toMatchObject({ verdict })
  })

  test('may drop state when that is allowed', async () => {
    await store(4)
    expect(await check('gone', '--allow-dropped-state')).toMatchObject({ code: 0, document: { dropped: ['count-1.count'] } })
    expect(await check('reduced', '--allow-dropped-state')).toMatchObject({
      code: 5,
      document: { incompatible: ['count-1.count'] },
    })
  })

  test('is told which name to write', async () => {
    await store(4)
    const { document } = await check('renamed')
    expect(document.operators.at(-1)!.hint).toBe("if 'per-page' is the same operator, write .named('count-1') behind it")
  })

  test('is compared with the checkpoint that is named, and finds that another is not there', async () => {
    await store(4)
    expect(await check('first', '--against', '4')).toMatchObject({ code: 0, document: { checkpoint: 4 } })
    // Not damaged: only not kept.
    expect(await check('first', '--against', '3')).toMatchObject({
      code: 1,
      document: { error: { code: 'INVALID_OPTION', hint: 'kept are: 4' } },
    })
    expect(await check('first', '--against', './nowhere')).toMatchObject({
      code: 2,
      document: { error: { code: 'INVALID_OPTION' } },
    })
  })

  test('in another state directory is found there', async () => {
    await store(4, { directory: 'elsewhere' })
    expect(await check('first', '--state-directory', 'elsewhere')).toMatchObject({ document: { checkpoint: 4 } })
    expect(await check('first', '--', '--state-directory', 'elsewhere')).toMatchObject({ document: { checkpoint: 4 } })
    expect(await check('first')).toMatchObject({ document: { checkpoint: null } })
  })

  test('does not lose output that waits for its commit without a word', async () => {
    await store(4, { committed: false })
    expect(await check('first')).toMatchObject({ code: 5, document: { orphanedSinks: ['out'] } })
    expect(await check('first', '--allow-dropped-state')).toMatchObject({ code: 0 })
  })

  test('is shown as a table', async () => {
    await store(4)
    const { stdout } = await sluice(['check', JOB], { cwd: folder, env: { VISITS: 'renamed' } })
    expect(stdout).toMatch(
      /^'visits' against checkpoint 4\n\noperator +kind +verdict +state\nitems-1 +items +kept\n +kept +positions\n/,
    )
    expect(stdout).toContain("count-1: if 'per-page' is the same operator, write .named('count-1') behind it")
    expect(stdout).toMatch(/\n\nthe job would drop count-1.count; allow it with --allow-dropped-state\n$/)
  })
})
