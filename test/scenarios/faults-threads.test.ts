import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { sluice } from '../cli/command-line.ts'
import { FaultFolder } from './fault-folder.ts'

let folder: FaultFolder

beforeEach(() => {
  folder = new FaultFolder()
})

afterEach(() => {
  folder.remove()
})

const FINISHED = { status: 'finished', restarts: 1, recordsIn: 20_000, recordsOut: 40_200 }

describe('a thread that exits', () => {
  test('before its first record is replaced, and every record counts once', async () => {
    expect(await folder.run({ open: 'exit' })).toMatchObject(FINISHED)
    folder.expectUndisturbed()
  })

  test('again and again is named, and what to look for', async () => {
    const failed = await folder.run({ map: 'exit!' }, { restart: { strategy: 'none' } })
    expect(failed).toMatchObject({ code: 'WORKER_LOST', message: expect.stringMatching(/^worker thread \d is gone: .*code: 3/) })
    expect(failed['hint']).toContain('process.exit()')
  })
})

describe('a thread that hangs', () => {
  test.each([
    ['in a function of an operator', { map: 'loop' }],
    ['before its first record', { open: 'wait' }],
    ['in a callback, between two steps', { 'sink-prepared': 'loop' }],
  ])('%s is replaced, and every record counts once', async (_, faults) => {
    expect(await folder.run(faults, { watchdog: '1s' })).toMatchObject(FINISHED)
    folder.expectUndisturbed()
  })

  test('is named when it does so again', async () => {
    const failed = await folder.run({ timer: 'wait!' }, { watchdog: '1s', restart: { strategy: 'none' } })
    expect(failed).toMatchObject({ code: 'TASK_STUCK', operator: 'process-2', hint: expect.stringContaining('watchdog') })
    expect(failed['message']).toContain("'process-2/")
  })

  test('is not one that is slow, nor one of a process that was halted', async () => {
    writeFileSync(join(folder.path, 'wait'), '')
    // Each of the first batches takes longer than the watchdog allows for a record.
    const running = folder.start({ each: 'slow!' }, { watchdog: 800 })
    while (folder.lines('out').length === 0 && running.process.exitCode === null) await delay(20)
    running.process.kill('SIGSTOP')
    await delay(1_500)
    running.process.kill('SIGCONT')
    rmSync(join(folder.path, 'wait'))
    expect(JSON.parse((await running.ended).stdout)).toMatchObject({ ...FINISHED, restarts: 0 })
  })
})

describe('a heap that is full', () => {
  const HEAP = { NODE_OPTIONS: '--max-old-space-size=200' }

  test('ends the thread or the process, and the output is the same', async () => {
    // Which of the two it is, is the engine's of JavaScript to say.
    const env = folder.environment({ map: 'map' }, {}, HEAP)
    const { code, stdout } = await sluice(['run', '--restart-delay', '10ms', folder.job], { cwd: folder.path, env })
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ status: 'finished', recordsIn: 20_000, recordsOut: 40_200 })
    folder.expectUndisturbed()
  })

  test('is noticed before that, when it fills little by little', async () => {
    const options = { restart: { strategy: 'none' }, checkpoint: { every: 20 } } as const
    const more = { ...HEAP, FAULTS_LEAK_MB: '175', FAULTS_RECORDS: '60000' }
    const env = folder.environment({ map: 'leak!' }, options, more)
    const { stdout } = await sluice(['run', folder.job], { cwd: folder.path, env })
    const failed = JSON.parse(stdout) as Record<string, unknown>
    expect(failed).toMatchObject({ code: 'OUT_OF_MEMORY', hint: expect.stringContaining('--max-old-space-size') })
    expect(failed['message']).toMatch(/of the 200 MB of its heap|its heap is full/)
  })
})
