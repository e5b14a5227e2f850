import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { JobRun } from '../campaigns/job-run.ts'

let folder: string

beforeEach((context) => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-containers-'))
  if (!JobRun.canIsolate()) context.skip()
})

afterEach(() => {
  JobRun.killAll()
  rmSync(folder, { recursive: true, force: true })
})

function start(): JobRun {
  const input = { seed: 1, records: 20_000, weight: 1, bound: 'tight' } as const
  return new JobRun({ folder, input, options: { parallelism: 2, workers: 2, checkpoint: { every: 100 } }, isolated: true })
}

test('two processes that do not see each other and have one number: the second is refused, and the first goes on', async () => {
  const first = start()
  await first.until('checkpoint', 1)
  // Halted, so that it does not come to its end before the second asks.
  first.signal('SIGSTOP')
  const second = start()
  await second.ended
  expect(second.outcome).toMatchObject({ code: 'JOB_ALREADY_RUNNING', message: expect.stringContaining('another container') })
  first.signal('SIGCONT')
  await first.until('checkpoint', first.count('checkpoint') + 2)
  expect(first.outcome?.code).toBeUndefined()
}, 120_000)
