import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { JobProcess, runJob } from './run-job.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-guarantee-'))
  mkdirSync(join(folder, 'out'))
})

afterEach(() => rmSync(folder, { recursive: true, force: true }))

function lines(names: (name: string) => boolean, where = folder): string[] {
  return readdirSync(where)
    .filter(names)
    .flatMap((name) => readFileSync(join(where, name), 'utf8').trimEnd().split('\n'))
    .filter((line) => line !== '')
}

const seen = (): number[] => lines((name) => name.startsWith('seen-')).map(Number)

/** Kills the job a few times while it runs, and lets it come to its end. */
async function throughKills(guarantee: string): Promise<void> {
  const env = { ONCE_FOLDER: folder, ONCE_GUARANTEE: guarantee }
  for (const afterMs of [600, 700, 800]) {
    const running = new JobProcess('once.ts', [], env)
    await Promise.race([delay(afterMs), running.ended])
    running.process.kill('SIGKILL')
    const { stderr } = await running.ended
    expect(stderr).toBe('')
  }
  const last = await runJob('once.ts', [], env)
  expect(last.stderr).toBe('')
  expect(JSON.parse(last.stdout)).toMatchObject({ status: 'finished' })
}

describe('a record that a killed process had read', () => {
  test('is never read again at most once, and what was lost is little', async () => {
    await throughKills('at-most-once')
    const ids = seen()
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids.length).toBeGreaterThan(10_000)
    const written = lines((name) => name.endsWith('.jsonl'), join(folder, 'out'))
    expect(new Set(written).size).toBe(written.length)
  })

  test.each(['at-least-once', 'exactly-once'])('is seen again as often as it takes %s', async (guarantee) => {
    await throughKills(guarantee)
    expect(new Set(seen()).size).toBe(20_000)
  })
})

test('nothing is lost at most once by a job that is stopped in order and goes on', async () => {
  const env = { ONCE_FOLDER: folder, ONCE_GUARANTEE: 'at-most-once' }
  const running = new JobProcess('once.ts', [], env)
  while (seen().length < 1_000) await delay(20)
  running.process.kill('SIGINT')
  const stopped = await running.ended
  expect(stopped.stderr).toBe('')
  expect(JSON.parse(stopped.stdout)).toMatchObject({ status: 'stopped' })
  await runJob('once.ts', [], env)
  expect(seen().sort((a, b) => a - b)).toEqual(Array.from({ length: 20_000 }, (_, id) => id))
})
