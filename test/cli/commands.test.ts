import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CheckpointStore } from '../../src/checkpoint/checkpoint-store.ts'
import type { ControlServer } from '../../src/control/control-server.ts'
import { startControlServer } from '../../src/control/control-server.ts'
import { controlSocketPath } from '../../src/control/control-socket.ts'
import type { JobControl, StopOptions } from '../../src/control/job-control.ts'
import { SluiceError } from '../../src/core/errors.ts'
import { sampleManifest } from '../checkpoint/manifests.ts'
import { STATUS } from '../control/job-status.ts'
import { CommandLine, sluice } from './command-line.ts'

let folder: string
let server: ControlServer | undefined

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'sluice-commands-')))
})

afterEach(async () => {
  await server?.close()
  server = undefined
  rmSync(folder, { recursive: true, force: true })
})

/** The state of a job that has completed these checkpoints. */
async function store(job: string, ...checkpoints: readonly number[]): Promise<string> {
  const opened = CheckpointStore.open(join(folder, '.sluice'), job)
  opened.claim(() => 'a-run')
  for (const checkpoint of checkpoints) opened.complete(sampleManifest(checkpoint, { deltas: [], dropped: [] }))
  await opened.release(false)
  return join(folder, '.sluice', job)
}

/** A job that this process plays. */
async function serve(state: string, change: Partial<JobControl> = {}): Promise<void> {
  server = await startControlServer(state, {
    status: () => STATUS,
    checkpoint: async () => ({ checkpoint: 8 }),
    savepoint: async ({ directory = '/default' }) => ({ path: `${directory}/savepoint-8`, checkpoint: 8 }),
    stop: async () => ({ status: 'stopped', checkpoint: 9 }),
    ...change,
  })
}

const call = (...args: readonly string[]) => sluice(args, { cwd: folder })

async function json(...args: readonly string[]): Promise<{ readonly code: number | null; readonly document: unknown }> {
  const { code, stdout, stderr } = await call(...args, '--json')
  expect(stderr).toBe('')
  return { code, document: JSON.parse(stdout) }
}

describe('which job', () => {
  test('is the only one, unless there are others', async () => {
    await store('words', 1)
    expect(await call('status')).toMatchObject({ code: 0, stdout: expect.stringContaining("'words' is not running") })
    await store('lines')
    const { code, stderr } = await call('status')
    expect({ code, stderr }).toEqual({ code: 3, stderr: expect.stringContaining('hint: there are: lines, words') })
  })

  test('is found by its name, by its path, and in another directory', async () => {
    const path = await store('words', 1)
    await store('lines')
    const ways = [
      ['words'],
      [path],
      ['.sluice/words'],
      ['words', '--state-directory', '.sluice'],
      ['words', `--state-directory=${folder}/.sluice`],
    ]
    for (const way of ways) {
      expect(await json('status', ...way)).toMatchObject({ code: 0, document: { job: 'words', running: false } })
    }
  })

  test.each([['words'], ['./words'], []])('that is not there ends with 3: %s', async (...name) => {
    const { code, stdout, stderr } = await call('stop', ...name)
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' })
    expect(stderr).toMatch(/^sluice: there is no .+\nhint: /)
    expect(await json('stop', ...name)).toMatchObject({ code: 3, document: { error: { code: 'JOB_UNKNOWN' } } })
  })

  test('is not any folder', async () => {
    const file = join(folder, '.sluice', 'words', 'checkpoints.mdb')
    mkdirSync(join(folder, '.sluice', 'words'), { recursive: true })
    expect(await call('status', 'words')).toMatchObject({ code: 3 })
    // As a process leaves it that ended before it had written anything.
    writeFileSync(file, '')
    for (const command of [['status'], ['checkpoints', 'verify'], ['state', 'ls']]) {
      expect(await json(...command, 'words')).toMatchObject({ code: 3, document: { error: { code: 'JOB_UNKNOWN' } } })
    }
    rmSync(file)
    mkdirSync(file)
    expect(await call('status', 'words')).toMatchObject({ code: 3 })
  })

  test.each(['a-file', 'a-file/below', 'n'.repeat(5_000)])('is not looked for in what is no folder', async (directory) => {
    writeFileSync(join(folder, 'a-file'), '')
    for (const job of [[], ['words'], ['..'], ['../words'], ['n'.repeat(5_000)]]) {
      const { code, document } = await json('status', ...job, '--state-directory', directory)
      expect({ code, document }).toMatchObject({ code: 3, document: { error: { code: 'JOB_UNKNOWN' } } })
    }
  })
})

describe('a job that runs', () => {
  test('says how it is', async () => {
    await serve(await store('words'))
    expect(await json('status')).toEqual({
      code: 0,
      document: JSON.parse(JSON.stringify({ running: true, ...STATUS })) as unknown,
    })
    const { stdout } = await call('status')
    expect(stdout).toContain("'words' is running: process 4711 since 2023-11-14T22:13:20.000Z, attempt 3, 2 restarts")
    expect(stdout).toContain('checkpoint 7 completed at 2023-11-14T22:13:21.000Z, took 13 ms, 4.0 KiB')
    expect(stdout).toContain('checkpoint 8 waits for count-1/0, count-1/3')
    expect(stdout).toContain("last failure: OPERATOR_FAILED: 'map-1' failed")
    expect(stdout).toMatch(/items-1 > map-1 {2}12,345 {2}12,000 {2}42 % {2}2023-11-14T22:13:20.000Z {5}0\n/)
  })

  test('takes a checkpoint', async () => {
    await serve(await store('words'))
    expect(await json('checkpoints', 'trigger')).toEqual({ code: 0, document: { job: 'words', checkpoint: 8 } })
  })

  test('writes a savepoint, to a folder that is meant from here', async () => {
    await serve(await store('words'))
    const path = join(folder, 'kept', 'savepoint-8')
    expect(await json('savepoint', '--directory', 'kept')).toEqual({ code: 0, document: { job: 'words', checkpoint: 8, path } })
    expect((await call('savepoint', 'words')).stdout).toContain('start from it with: node <job file> --from /default/savepoint-8')
  })

  test('says why it cannot', async () => {
    const failure = new SluiceError('SAVEPOINT_FAILED', 'no room', { hint: 'make room' })
    await serve(await store('words'), { savepoint: () => Promise.reject(failure) })
    expect(await call('savepoint')).toEqual({ code: 1, signal: null, stdout: '', stderr: 'sluice: no room\nhint: make room\n' })
    expect(await json('savepoint')).toEqual({
      code: 1,
      document: { error: { code: 'SAVEPOINT_FAILED', message: 'no room', hint: 'make room' } },
    })
  })

  test('is asked for no longer than --timeout', async () => {
    await serve(await store('words'), { checkpoint: () => new Promise(() => {}) })
    const { code, stderr } = await call('checkpoints', 'trigger', '--timeout', '5ms')
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining("did not answer 'checkpoint' within 5 ms") })
  })

  test('is asked for as long as a timer can be, when --timeout is longer', async () => {
    await serve(await store('words'))
    expect(await json('status', '--timeout', '999999h')).toMatchObject({ code: 0, document: { running: true } })
  })
})

describe('stop', () => {
  const asked: StopOptions[] = []

  async function stoppable(savepoint?: string): Promise<void> {
    asked.length = 0
    await serve(await store('words'), {
      stop: async (options) => {
        asked.push(options)
        return { status: 'stopped', checkpoint: 9, ...(savepoint === undefined ? {} : { savepoint }) }
      },
    })
  }

  /** Ends the job when it has been asked to. */
  async function stop(...args: readonly string[]) {
    const running = new CommandLine(['stop', ...args], { cwd: folder })
    while (asked.length === 0) await new Promise((resolve) => setImmediate(resolve))
    // It waits for more than the answer: nothing has ended yet.
    expect(running.process.exitCode).toBeNull()
    await server!.close()
    return await running.ended
  }

  test('waits for the end, and says how to go on', async () => {
    await stoppable('/kept/savepoint-9')
    const { code, stdout } = await stop('--directory', 'kept')
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: [
        "'words' has stopped at checkpoint 9",
        'savepoint: /kept/savepoint-9',
        'go on with: node <job file>, or, also elsewhere: node <job file> --from /kept/savepoint-9',
        '',
      ].join('\n'),
    })
    expect(asked).toEqual([{ savepoint: true, drain: false, directory: join(folder, 'kept') }])
  })

  test('without a savepoint', async () => {
    await stoppable()
    expect(await stop('--no-savepoint')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('go on with: node <job file>\n'),
    })
    expect(asked).toEqual([{ savepoint: false, drain: false }])
  })

  test('with --drain', async () => {
    await stoppable('/s')
    const { code, stdout } = await stop('--drain', '--json')
    expect({ code, document: JSON.parse(stdout) as unknown }).toEqual({
      code: 0,
      document: { job: 'words', status: 'stopped', checkpoint: 9, savepoint: '/s' },
    })
    expect(asked).toEqual([{ savepoint: true, drain: true }])
  })
})

describe('a job at rest', () => {
  test.each([['stop'], ['savepoint'], ['checkpoints', 'trigger']])('cannot be asked: %s %s', async (...command) => {
    await store('words', 1)
    expect(await json(...command)).toMatchObject({ code: 4, document: { error: { code: 'JOB_NOT_RUNNING' } } })
  })

  test('says what is stored', async () => {
    await store('words', 3, 4)
    expect(await json('status')).toMatchObject({
      code: 0,
      document: { running: false, job: 'words', ownerPid: null, finished: false, lastCheckpoint: { id: 4 } },
    })
    expect((await call('status')).stdout).toContain(
      "'words' is not running; its newest checkpoint is 4, of 2023-11-14T22:13:20.000Z",
    )
    expect(await json('checkpoints', 'ls')).toMatchObject({ code: 0, document: { checkpoints: [{ id: 3 }, { id: 4 }] } })
    expect((await call('checkpoints', 'ls')).stdout).toMatch(/^checkpoint {2}completed .+ size {2}kept .+\n +3 {2}2023/)
  })

  test('may have no checkpoint', async () => {
    await store('words')
    expect((await call('status')).stdout).toBe("'words' is not running; no checkpoint is stored\n")
    expect(await json('checkpoints', 'ls')).toEqual({ code: 0, document: { job: 'words', checkpoints: [] } })
  })

  test('may have left its socket when it was killed', async () => {
    const state = await store('words', 1)
    const script = `require('net').createServer().listen(${JSON.stringify(controlSocketPath(state))}, () => console.log('up'))`
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(child.stdout, 'data')
    child.kill('SIGKILL')
    await once(child, 'close')
    expect(await json('status')).toMatchObject({ code: 0, document: { running: false } })
    expect(await json('stop')).toMatchObject({ code: 4 })
    await serve(state)
    expect(await json('status')).toMatchObject({ code: 0, document: { running: true } })
  })
})
