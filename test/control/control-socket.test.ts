import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { askJob } from '../../src/control/control-client.ts'
import type { ControlServer } from '../../src/control/control-server.ts'
import { startControlServer } from '../../src/control/control-server.ts'
import { controlSocketPath } from '../../src/control/control-socket.ts'
import type { JobControl } from '../../src/control/job-control.ts'
import { SluiceError } from '../../src/core/errors.ts'
import { STATUS } from './job-status.ts'

let folder: string
let server: ControlServer | undefined

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-control-'))
})

afterEach(async () => {
  await server?.close()
  server = undefined
  rmSync(folder, { recursive: true, force: true })
})

async function serve(change: Partial<JobControl> = {}): Promise<void> {
  server = await startControlServer(folder, {
    status: () => STATUS,
    checkpoint: async () => ({ checkpoint: 8 }),
    savepoint: async ({ directory = 'default' }) => ({ path: `${directory}/savepoint-8`, checkpoint: 8 }),
    stop: async (options) => ({ status: 'stopped', checkpoint: 9, ...(options.savepoint ? { savepoint: '/s' } : {}) }),
    ...change,
  })
}

/** Sends bytes and returns all answers until the job or we end the connection. */
async function send(bytes: string): Promise<readonly Record<string, unknown>[]> {
  const socket = connect(controlSocketPath(folder))
  socket.end(bytes)
  const lines = (await text(socket)).split('\n').filter((line) => line !== '')
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>)
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
  } catch (error) {
    return (error as SluiceError).code
  }
  return 'no error'
}

describe('a job that runs', () => {
  test('answers every command', async () => {
    await serve()
    expect(await askJob(folder, 'status', {}, 10_000)).toEqual(STATUS)
    expect(await askJob(folder, 'checkpoint', {}, 10_000)).toEqual({ checkpoint: 8 })
    expect(await askJob(folder, 'savepoint', { directory: '/x' }, 10_000)).toEqual({ path: '/x/savepoint-8', checkpoint: 8 })
    expect(await askJob(folder, 'stop', { savepoint: true, drain: false }, 10_000)).toMatchObject({ savepoint: '/s' })
  })

  test('gives its errors with code, place and hint', async () => {
    const failure = new SluiceError('SAVEPOINT_FAILED', 'no room', { operator: 'count-1', subtask: 2, hint: 'make room' })
    await serve({ savepoint: () => Promise.reject(failure), checkpoint: () => Promise.reject(new Error('plain')) })
    await expect(askJob(folder, 'savepoint', {}, 10_000)).rejects.toMatchObject({
      code: 'SAVEPOINT_FAILED',
      message: 'no room',
      operator: 'count-1',
      subtask: 2,
      hint: 'make room',
    })
    expect(await codeOf(askJob(folder, 'checkpoint', {}, 10_000))).toBe('CONTROL_FAILED')
  })

  test('has a socket for its owner alone, and takes it away', async () => {
    await serve()
    const path = controlSocketPath(folder)
    expect(dirname(path)).toBe(folder)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    await server!.close()
    expect(existsSync(path)).toBe(false)
    expect(await codeOf(askJob(folder, 'status', {}, 10_000))).toBe('JOB_NOT_RUNNING')
  })

  test('does not let a second process answer in its place', async () => {
    await serve()
    const second = startControlServer(folder, {} as JobControl)
    expect(await codeOf(second)).toBe('CONTROL_FAILED')
    expect(await askJob(folder, 'status', {}, 10_000)).toEqual(STATUS)
  })

  test('answers requests of one connection by their ids, in whatever order they are done', async () => {
    let release = (): void => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    await serve({
      checkpoint: () => held.then(() => ({ checkpoint: 8 })),
      status: () => {
        release()
        return STATUS
      },
    })
    const answers = await send('{"id":"a","command":"checkpoint"}\n\n{"id":"b","command":"status"}\n')
    expect(answers.map(({ id }) => id)).toEqual(['b', 'a'])
  })
})

describe('what comes in', () => {
  const bad: readonly (readonly [string, string, unknown])[] = [
    ['no JSON', 'hello\n', null],
    ['JSON that is no object', '[1]\n', null],
    ['null', 'null\n', null],
    ['no id', '{"command":"status"}\n', null],
    ['no command', '{"id":4}\n', 4],
    ['an unknown command', '{"id":4,"command":"explode"}\n', 4],
    ['a name of Object', '{"id":4,"command":"constructor"}\n', 4],
    ['a directory that is none', '{"id":4,"command":"savepoint","directory":7}\n', 4],
    ['a flag that is none', '{"id":4,"command":"stop","drain":"yes"}\n', 4],
    ['what is too long', `{"id":4,"command":"${'x'.repeat(70_000)}"}\n`, null],
    ['what is too long and never ends', 'x'.repeat(70_000), null],
    ['bytes', '\u0000\u0001\uffff\n', null],
  ]
  test.each(bad)('%s is refused with a code, and the job goes on', async (_, bytes, id) => {
    await serve()
    const [answer] = await send(bytes)
    expect(answer).toMatchObject({ id, ok: false, error: { code: 'CONTROL_FAILED', message: expect.any(String) } })
    expect(await askJob(folder, 'status', {}, 10_000)).toEqual(STATUS)
  })

  test('may be cut anywhere', async () => {
    await serve()
    const socket = connect(controlSocketPath(folder))
    await once(socket, 'connect')
    for (const character of '{"id":1,"command":"status"}\n') socket.write(character)
    const [line] = (await once(socket, 'data')) as [Buffer]
    expect(JSON.parse(line.toString())).toMatchObject({ id: 1, ok: true })
    socket.destroy()
  })

  test('is bounded in number', async () => {
    await serve({ checkpoint: () => new Promise(() => {}) })
    const socket = connect(controlSocketPath(folder))
    for (let id = 0; id < 17; id++) socket.write(`{"id":${id},"command":"checkpoint"}\n`)
    const [line] = (await once(socket, 'data')) as [Buffer]
    expect(JSON.parse(line.toString())).toMatchObject({ id: 16, ok: false })
    socket.destroy()
  })

  test('a control that throws, or answers what is no JSON, hurts nobody else', async () => {
    const circular: { self?: unknown } = {}
    circular.self = circular
    await serve({
      status: () => {
        throw new Error('broken')
      },
      checkpoint: async () => circular as never,
    })
    expect(await codeOf(askJob(folder, 'status', {}, 10_000))).toBe('CONTROL_FAILED')
    expect(await codeOf(askJob(folder, 'checkpoint', {}, 10_000))).toBe('CONTROL_FAILED')
    expect(await askJob(folder, 'savepoint', {}, 10_000)).toMatchObject({ checkpoint: 8 })
  })
})

describe('the end of a job', () => {
  test('waits for answers that are known, and tells the others', async () => {
    await serve({ checkpoint: () => new Promise(() => {}) })
    const pending = codeOf(askJob(folder, 'checkpoint', {}, 60_000))
    // An answer to another connection that was opened later shows that the first request is there.
    await askJob(folder, 'status', {}, 10_000)
    const stopped = askJob(folder, 'stop', { savepoint: false, drain: false }, 60_000, { untilEnd: true })
    await askJob(folder, 'status', {}, 10_000)
    await server!.close()
    expect(await stopped).toEqual({ status: 'stopped', checkpoint: 9 })
    expect(await pending).toBe('JOB_NOT_RUNNING')
  })

  test('is not held up by a client that hangs', async () => {
    await serve()
    const socket = connect(controlSocketPath(folder))
    await once(socket, 'connect')
    const ended = once(socket, 'close')
    socket.resume()
    await server!.close()
    await ended
  })
})

describe('nobody there', () => {
  test('without a folder the job is unknown', async () => {
    expect(await codeOf(askJob(join(folder, 'none'), 'status', {}, 10_000))).toBe('JOB_UNKNOWN')
  })

  test('a file where the socket belongs is no job', async () => {
    writeFileSync(join(folder, 'control.sock'), '')
    expect(await codeOf(askJob(folder, 'status', {}, 10_000))).toBe('JOB_NOT_RUNNING')
  })

  test('the socket of a killed process is replaced', async () => {
    const path = JSON.stringify(controlSocketPath(folder))
    const script = `require('net').createServer().listen(${path}, () => process.kill(process.pid, 'SIGKILL'))`
    expect(spawnSync(process.execPath, ['-e', script]).signal).toBe('SIGKILL')
    expect(existsSync(controlSocketPath(folder))).toBe(true)
    expect(await codeOf(askJob(folder, 'status', {}, 10_000))).toBe('JOB_NOT_RUNNING')
    await serve()
    expect(await askJob(folder, 'status', {}, 10_000)).toEqual(STATUS)
  })

  test('an answer that does not come is given up', async () => {
    await serve({ checkpoint: () => new Promise(() => {}) })
    expect(await codeOf(askJob(folder, 'checkpoint', {}, 5))).toBe('CONTROL_FAILED')
  })
})

describe('a path too long for a socket', () => {
  let long: string

  beforeEach(() => {
    long = join(folder, 'x'.repeat(120))
    mkdirSync(long)
    folder = long
  })

  afterEach(() => {
    rmSync(dirname(controlSocketPathOf(long)), { recursive: true, force: true })
    rmSync(dirname(long), { recursive: true, force: true })
  })

  /** Also when the folder is gone. */
  function controlSocketPathOf(path: string): string {
    mkdirSync(path, { recursive: true })
    return controlSocketPath(path)
  }

  test('lies in a folder of its own, for the owner alone', async () => {
    await serve()
    const path = controlSocketPath(long)
    expect(Buffer.byteLength(path)).toBeLessThan(104)
    expect(statSync(dirname(path)).mode & 0o777).toBe(0o700)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(await askJob(long, 'status', {}, 10_000)).toEqual(STATUS)
  })

  test('is not used when the folder is open to others', async () => {
    const path = controlSocketPath(long)
    mkdirSync(dirname(path), { recursive: true })
    chmodSync(dirname(path), 0o777)
    expect(await codeOf(startControlServer(long, {} as JobControl))).toBe('CONTROL_FAILED')
    expect(await codeOf(askJob(long, 'status', {}, 10_000))).toBe('CONTROL_FAILED')
  })
})
