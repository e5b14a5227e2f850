import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CheckpointStore } from '../../src/checkpoint/checkpoint-store.ts'
import { writeSavepoint } from '../../src/checkpoint/savepoint.ts'
import { runJob } from '../scenarios/run-job.ts'
import type { Said } from './command-line.ts'
import { FIXTURES, sluice } from './command-line.ts'

/*
 * A supervised job that is killed at some moment of its first start. What its flags ask for must be done exactly once, whatever the moment: a
 * second time would forget what has been done since, and never would begin at another place than the one that was asked for.
 */

const JOB = join(FIXTURES, 'reborn.ts')

let folder: string

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'sluice-beginning-')))
})

afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

function surroundings(dies?: string) {
  const env = {
    REBORN_LOG: join(folder, 'log'),
    REBORN_OUT: join(folder, 'out'),
    ...(dies === undefined ? {} : { REBORN_DIES: dies }),
  }
  writeFileSync(env.REBORN_LOG, '')
  return env
}

function states(name: string): readonly string[] {
  return ['--state-directory', join(folder, name), '--quiet']
}

/** Runs the job to its end. */
async function finish(name: string, ...args: readonly string[]): Promise<void> {
  expect(await runJob(JOB, [...states(name), ...args], surroundings())).toMatchObject({ code: 0 })
}

/** Runs it under a supervisor, and gives the flags of each start that are not about where the state is. */
async function supervised(name: string, dies: string, ...args: readonly string[]): Promise<Said & { readonly starts: unknown }> {
  const env = surroundings(dies)
  const said = await sluice(['run', '--restart-delay', '1ms', '--max-restarts', '2', JOB, ...states(name), ...args], { env })
  const starts = readFileSync(env.REBORN_LOG, 'utf8').trimEnd().split('\n')
  return { ...said, starts: starts.map((line) => (JSON.parse(line) as string[]).slice(3)) }
}

async function withStore<R>(name: string, action: (store: CheckpointStore) => R | Promise<R>): Promise<R> {
  const store = CheckpointStore.open(join(folder, name), 'reborn')
  try {
    return await action(store)
  } finally {
    await store.close()
  }
}

/** What the job left, by the name of its folder. */
async function latestOf(name: string): Promise<number | undefined> {
  return await withStore(name, (store) => store.latestCheckpoint)
}

function savepointOf(name: string): Promise<string> {
  return withStore(name, async (store) => {
    const manifest = { ...store.latest()!, committables: [] }
    return (await writeSavepoint(store, manifest, join(folder, 'savepoints'))).path
  })
}

describe('a savepoint', () => {
  test.each(['before start', 'before forget', 'after forget', 'before completeImport'])(
    'is imported by the second start when the first one dies %s',
    async (dies) => {
      await finish('elsewhere')
      const from = ['--from', await savepointOf('elsewhere'), '--claim']
      const { code, stderr, starts } = await supervised('here', dies, ...from)
      expect({ code, starts }).toEqual({ code: 0, starts: [from, from] })
      expect(stderr).toContain('it has not come to a beginning yet, and begins as it was told to')
      expect(stderr).not.toContain('the module prints')
      expect(await latestOf('here')).toBeGreaterThanOrEqual((await latestOf('elsewhere'))!)
    },
  )

  test.each(['after completeImport', 'after complete'])('is not imported again when the first start dies %s', async (dies) => {
    await finish('elsewhere')
    const from = ['--from', await savepointOf('elsewhere')]
    const { code, stderr, starts } = await supervised('here', dies, ...from)
    expect({ code, starts }).toEqual({ code: 0, starts: [from, []] })
    expect(stderr).toContain('it resumes from its last checkpoint')
  })

  test('replaces what was there once', async () => {
    await finish('elsewhere')
    const from = ['--from', await savepointOf('elsewhere')]
    await finish('here', '--fresh', '--overwrite')
    // Output of a run that is given up is in the way of another.
    rmSync(join(folder, 'out'), { recursive: true })
    expect(await supervised('here', 'before forget', ...from)).toMatchObject({ code: 0, starts: [from, from] })
    expect(await supervised('here', 'after completeImport', ...from)).toMatchObject({ code: 0, starts: [from, []] })
  })
})

describe('an older checkpoint', () => {
  /** Checkpoints of a job that was stopped before its first record, and then ran to its end. */
  async function two(): Promise<readonly string[]> {
    await finish('here')
    const [oldest, newest] = await withStore('here', (store) => store.retained())
    expect(newest).toBeGreaterThan(oldest!)
    return ['--from', String(oldest), '--overwrite']
  }

  test('is gone back to by the second start when the first one dies before', async () => {
    const from = await two()
    expect(await supervised('here', 'before goBackTo', ...from)).toMatchObject({ code: 0, starts: [from, from] })
  })

  test('is gone back to once, and outputs may be overwritten until there is a checkpoint since', async () => {
    const from = await two()
    expect(await supervised('here', 'after goBackTo', ...from)).toMatchObject({ code: 0, starts: [from, ['--overwrite']] })
  })
})

describe('--fresh', () => {
  const flags = ['--fresh', '--overwrite', '--parallelism', '1']

  test.each(['before start', 'before forget', 'after forget'])('is given again when the first start dies %s', async (dies) => {
    await finish('here')
    expect(await supervised('here', dies, ...flags)).toMatchObject({ code: 0, starts: [flags, flags] })
    expect(linesOut()).toBe(4)
  })

  test('is not given again once the job has begun', async () => {
    await finish('here')
    expect(await supervised('here', 'after complete', ...flags)).toMatchObject({
      code: 0,
      starts: [flags, ['--parallelism', '1']],
    })
    expect(linesOut()).toBe(4)
  })
})

/** Lines that are visible in the output. */
function linesOut(): number {
  const files = readdirSync(join(folder, 'out'), { withFileTypes: true }).filter(
    (entry) => entry.isFile() && !entry.name.startsWith('.'),
  )
  return files.reduce(
    (sum, { name }) =>
      sum +
      readFileSync(join(folder, 'out', name), 'utf8')
        .trimEnd()
        .split('\n').length,
    0,
  )
}
