import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CommandLine, FIXTURES } from './command-line.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-run-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

const JOB = join(FIXTURES, 'mortal.ts')

/** A supervised process that does at each start what the next word of the plan says. */
function start(plan: string, flags: readonly string[] = [], args: readonly string[] = []): CommandLine {
  const env = { MORTAL_LOG: join(folder, 'log'), MORTAL_PLAN: plan }
  return new CommandLine(['run', '--restart-delay', '1ms', ...flags, JOB, ...args], { env })
}

/** The arguments of each start. */
function starts(): readonly (readonly string[])[] {
  const lines = readFileSync(join(folder, 'log'), 'utf8').trimEnd().split('\n')
  return lines.map((line) => JSON.parse(line) as string[])
}

describe('a job that ends by itself', () => {
  test.each([0, 1, 7])('with %i ends its supervisor with that', async (code) => {
    expect(await start(String(code)).ended).toEqual({ code, signal: null, stdout: '', stderr: '' })
    expect(starts()).toHaveLength(1)
  })
})

describe('a job that is torn down', () => {
  test('is started again, and goes on without the flags of its first start', async () => {
    const args = ['--fresh', '--from', 'x', '--overwrite', '--parallelism', '2', 'own']
    const { code, stdout, stderr } = await start('SIGKILL,134,70,SIGBUS,0', ['--max-restarts', '9'], args).ended
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
    expect(starts()).toEqual([args, ...Array.from({ length: 4 }, () => ['--parallelism', '2', 'own'])])
    expect(stderr).toContain("sluice: the job's process ended by SIGKILL, after ")
    expect(stderr).toContain("sluice: the job's process ended with exit code 134, after ")
    expect(stderr).toContain('sluice: starting it again in 0.0 s (restart 4)')
  })

  test('ends with the code of the start that ended by itself', async () => {
    expect(await start('SIGSEGV,3').ended).toMatchObject({ code: 3 })
  })

  test('is killed from outside, and started again', async () => {
    const running = start('plain,0')
    const [, pid] = await running.until(/ready (\d+)/)
    process.kill(Number(pid), 'SIGKILL')
    expect(await running.ended).toMatchObject({ code: 0 })
    expect(starts()).toHaveLength(2)
  })

  test('is given up when it dies again and again at its start', async () => {
    const { code, stderr } = await start('SIGKILL').ended
    expect(code).toBe(1)
    expect(stderr).toContain('sluice: not starting it again: it died 5 times within a minute')
    expect(starts()).toHaveLength(5)
  })

  test('is started as often as --max-restarts says', async () => {
    const { code, stderr } = await start('SIGKILL', ['--max-restarts=2']).ended
    expect(code).toBe(1)
    expect(stderr).toContain('as many as --max-restarts allows')
    expect(starts()).toHaveLength(3)
  })

  test('is told of in lines of JSON with --json', async () => {
    const { stderr } = await start('SIGKILL', ['--json', '--max-restarts', '1']).ended
    const events = stderr
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { event: string })
    expect(events.map(({ event }) => event)).toEqual(['died', 'restart', 'died', 'gave-up'])
    expect(events[0]).toMatchObject({ how: 'by SIGKILL', code: null, signal: 'SIGKILL' })
    expect(events[1]).toMatchObject({ restarts: 1, delayMs: 1, resumes: true })
  })
})

describe('a signal', () => {
  test.each([
    ['SIGTERM', 22],
    ['SIGINT', 21],
  ] as const)('%s is passed on, and the job ends as it likes', async (signal, code) => {
    const running = start('patient')
    await running.until(/ready/)
    running.process.kill(signal)
    expect(await running.ended).toMatchObject({ code, stderr: '' })
    expect(starts()).toHaveLength(1)
  })

  test('that the job dies of does not start it again', async () => {
    const running = start('plain')
    await running.until(/ready/)
    running.process.kill('SIGTERM')
    expect(await running.ended).toMatchObject({ code: 143, stderr: '' })
    expect(starts()).toHaveLength(1)
  })

  test('that comes a second time kills the job', async () => {
    const running = start('deaf')
    await running.until(/ready/)
    running.process.kill('SIGINT')
    await running.until(/heard SIGINT/)
    running.process.kill('SIGINT')
    expect(await running.ended).toMatchObject({ code: 137 })
    expect(starts()).toHaveLength(1)
  })

  test('ends the wait before a restart', async () => {
    const env = { MORTAL_LOG: join(folder, 'log'), MORTAL_PLAN: 'SIGKILL' }
    const running = new CommandLine(['run', '--restart-delay', '1h', JOB], { env })
    await running.until(/starting it again/)
    running.process.kill('SIGTERM')
    expect(await running.ended).toMatchObject({ code: 143 })
    expect(starts()).toHaveLength(1)
  })
})
