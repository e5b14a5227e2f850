import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { StoredCheckpoints } from '../../src/checkpoint/stored-checkpoints.ts'
import { FaultFolder } from './fault-folder.ts'

let folder: FaultFolder

beforeEach(() => {
  folder = new FaultFolder()
})

afterEach(() => {
  folder.remove()
})

const FINISHED = { status: 'finished', recordsIn: 20_000, recordsOut: 40_200 }

describe('a commit', () => {
  test('that fails at first, or has succeeded and says that it failed, is tried again', async () => {
    const faults = { 'sink-commit': 'fail', 'other-committed': 'fail' }
    expect(await folder.run(faults)).toMatchObject({ ...FINISHED, restarts: 0 })
    folder.expectUndisturbed()
  })

  test('that never succeeds stops the job, not the other sinks, and is made when that is mended', async () => {
    const failed = await folder.run({ 'sink-commit': 'fail!' }, { commitTimeout: 500, restart: { strategy: 'none' } })
    expect(failed).toMatchObject({ code: 'COMMIT_FAILED', operator: 'write-json-lines-1', cause: 'Error: no answer' })
    expect(failed['hint']).toContain('commitTimeout')
    expect(folder.lines('out')).toEqual([])
    expect(folder.lines('others').length).toBeGreaterThan(0)
    expect(await folder.run({})).toMatchObject(FINISHED)
    folder.expectUndisturbed()
  })
})

test('a sink that never prepares is named with its phase, as often as is tolerated, and in the history', async () => {
  const checkpoint = { every: 20, timeout: 2_000, tolerableFailures: 1 }
  const failed = await folder.run({ 'sink-prepare': 'hang' }, { checkpoint, restart: { strategy: 'none' } })
  expect(failed).toMatchObject({ code: 'CHECKPOINT_FAILED', hint: expect.stringContaining('checkpoint.timeout') })
  expect(failed['message']).toMatch(/timed out after 2000 ms; process-2\/\d \(writing its snapshot\)/)
  const stored = StoredCheckpoints.openForReading(join(folder.path, 'state/stumbling'))
  const failures = stored.history().filter(({ status }) => status === 'failed')
  await stored.close()
  expect(failures.map(({ failure }) => failure?.phase)).toEqual(['timeout', 'timeout'])
  expect(failures[0]!.failure?.message).toContain('process-2/')
  expect(await folder.run({})).toMatchObject(FINISHED)
  folder.expectUndisturbed()
})

test('a process that is killed between any two steps of a commit gives the output of an undisturbed run', async () => {
  const faults = {
    'sink-prepared': 'kill@2',
    'sink-commit': 'kill@2',
    'sink-committed': 'kill',
    'sink-opened': 'kill',
    'other-committed': 'kill',
  }
  let kills = 0
  for (;;) {
    const { signal, stdout } = await folder.start(faults).ended
    if (signal === null) {
      expect(JSON.parse(stdout)).toMatchObject(FINISHED)
      break
    }
    expect(signal).toBe('SIGKILL')
    kills++
  }
  // Places that are left behind before their turn comes are not all met; most are.
  expect(kills).toBeGreaterThan(2)
  folder.expectUndisturbed()
})
