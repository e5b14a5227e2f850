import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as after } from 'node:timers/promises'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { askJob } from '../../src/control/control-client.ts'
import type { ControlServer } from '../../src/control/control-server.ts'
import { startControlServer } from '../../src/control/control-server.ts'
import { controlSocketPath } from '../../src/control/control-socket.ts'
import { sluice } from '../cli/command-line.ts'
import { STATUS } from '../control/job-status.ts'
import { fuzzing, runsOf, SEED, timeoutOf } from './runs.ts'

/*
 * What comes from outside of the process: arguments of the command line, and messages on the control socket.
 */

let folder: string
let server: ControlServer

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-fuzz-'))
  mkdirSync(join(folder, '.sluice/none'), { recursive: true })
  writeFileSync(join(folder, 'job.ts'), 'throw new Error("not a job")')
  server = await startControlServer(folder, {
    status: () => STATUS,
    checkpoint: async () => ({ checkpoint: 8 }),
    savepoint: async () => ({ path: '/savepoint-8', checkpoint: 8 }),
    stop: async () => ({ status: 'stopped', checkpoint: 9 }),
  })
})

afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

const COMMANDS = ['run', 'status', 'checkpoints', 'savepoint', 'stop', 'state', 'check', 'help', '__proto__', 'constructor', '']
const SECOND = ['ls', 'show', 'verify', 'gc', 'trigger', 'get', 'export', 'diff', 'toString', '--json', '--']
const FLAGS = [
  '--json',
  '--timeout',
  '--timeout=-1',
  '--timeout=1e99',
  '--state-directory',
  '--state-directory=/dev/null',
  '--count',
  '--help',
  '--window=NaN',
  '--limit=-5',
  '--against=..',
  '-x',
  '--__proto__=1',
  '--constructor',
  '--max-restarts=0',
  '--output=',
]
const PLACES = [
  'none',
  '.',
  '..',
  '../..',
  '/',
  '/dev/null',
  'none@1',
  '@',
  '@99999999999999999999',
  '\u202e',
  'a b',
  '-',
  'x'.repeat(5_000),
  '{"$bigint":"x"}',
  '%00',
  '[[[',
  'nicht-da.ts',
]

const calls = fc
  .tuple(
    fc.constantFrom(...COMMANDS),
    fc.array(
      fc.oneof(fc.constantFrom(...SECOND), fc.constantFrom(...FLAGS), fc.constantFrom(...PLACES), fc.string({ maxLength: 20 })),
      { maxLength: 5 },
    ),
  )
  // The system takes no argument with such a character in it.
  .map(([command, rest]) => [command, ...rest].filter((argument) => !argument.includes('\0')))

test('arguments of the command line', { timeout: timeoutOf(120_000) }, async () => {
  for (const args of fc.sample(calls, { numRuns: runsOf(12), seed: SEED })) {
    const { code, signal, stderr, stdout } = await sluice(args, { cwd: folder })
    const call = JSON.stringify(args)
    expect(signal, call).toBe(null)
    expect([0, 1, 2, 3, 4, 5], `${call} ${stderr}`).toContain(code)
    // The job of this test throws in its module, with a trace that is its own.
    expect(stderr.replace(/not a job[\s\S]*/, ''), call).not.toMatch(/^ {4}at /m)
    expect(stdout, call).not.toMatch(/^ {4}at /m)
  }
})

/** Sends pieces, with a moment between them, and takes what comes until the end. */
async function talk(pieces: readonly Uint8Array[], endsAtOnce: boolean): Promise<string> {
  const socket = connect(controlSocketPath(folder))
  socket.on('error', () => undefined)
  let answer = ''
  socket.on('data', (data: Buffer) => {
    answer += data.toString()
  })
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  for (const piece of pieces) {
    socket.write(piece)
    if (!endsAtOnce) await after(1)
  }
  socket.end()
  await closed
  return answer
}

const REQUESTS = [
  '{"id":1,"command":"status"}\n',
  '{"id":{},"command":"stop"}\n',
  '{"id":2,"command":"__proto__"}\n',
  '[]\n',
  'null\n',
  '\n',
  '{"id":1,"command":"savepoint","directory":7}\n',
  '{"__proto__":{"polluted":1},"id":3,"command":"status"}\n',
  '{"id":1,"comm',
]
const message = fc.oneof(
  fc.constantFrom(...REQUESTS).map((text) => new Uint8Array(Buffer.from(text))),
  fc.uint8Array({ maxLength: 60 }),
  fc.string({ unit: 'binary', maxLength: 60 }).map((text) => new Uint8Array(Buffer.from(`${text}\n`))),
  fc.integer({ min: 60_000, max: 200_000 }).map((length) => new Uint8Array(length).fill(0x5b)),
)

describe('the control socket', () => {
  test('answers in JSON or not at all, and goes on answering others', { timeout: timeoutOf(60_000) }, async () => {
    const check = async (pieces: readonly Uint8Array[], endsAtOnce: boolean): Promise<void> => {
      const lines = (await talk(pieces, endsAtOnce)).split('\n').filter((line) => line !== '')
      for (const line of lines) expect(JSON.parse(line)).toMatchObject({ ok: expect.any(Boolean) })
      expect(Object.keys(Object.prototype)).toEqual([])
    }
    await fc.assert(fc.asyncProperty(fc.array(message, { maxLength: 8 }), fc.boolean(), check), fuzzing(200))
    expect(await askJob(folder, 'status', {}, 10_000)).toEqual(STATUS)
  })
})
