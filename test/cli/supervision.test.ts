import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import type { Beginning } from '../../src/cli/supervision.ts'
import {
  argumentsOfRestart,
  diedAbnormally,
  exitCodeAfter,
  firstStartOf,
  RestartPolicy,
  saysWhereToBegin,
} from '../../src/cli/supervision.ts'

const none = new Set<NodeJS.Signals>()
const byCode = (code: number) => ({ code, signal: null })
const bySignal = (signal: NodeJS.Signals) => ({ code: null, signal })

describe('a death', () => {
  test.each([0, 1, 2, 9, 13, 130, 143, 255])('is not exit code %i', (code) => {
    expect(diedAbnormally(byCode(code), none)).toBe(false)
    expect(exitCodeAfter(byCode(code))).toBe(code)
  })

  test.each([70, 132, 133, 134, 135, 136, 137, 139])('is exit code %i', (code) => {
    expect(diedAbnormally(byCode(code), none)).toBe(true)
  })

  test('is a signal, unless it was passed on', () => {
    expect(diedAbnormally(bySignal('SIGBUS'), none)).toBe(true)
    expect(diedAbnormally(bySignal('SIGTERM'), none)).toBe(true)
    expect(diedAbnormally(bySignal('SIGTERM'), new Set(['SIGTERM'] as const))).toBe(false)
    expect(exitCodeAfter(bySignal('SIGTERM'))).toBe(143)
    expect(exitCodeAfter(bySignal('SIGKILL'))).toBe(137)
  })
})

describe('restarts', () => {
  const policy = (maxRestarts?: number) => new RestartPolicy({ maxRestarts, firstDelayMs: 1_000 })
  const HOUR = 3_600_000

  test('wait longer each time, up to a minute', () => {
    const restarts = policy()
    const delays = Array.from({ length: 8 }, (_, index) => restarts.onDeath(index * HOUR, 20_000))
    expect(delays.map((each) => 'delayMs' in each && each.delayMs)).toEqual([
      1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000,
    ])
    expect(restarts.restarts).toBe(8)
  })

  test('begin with the short wait again after a long life', () => {
    const restarts = policy()
    for (let death = 0; death < 4; death++) restarts.onDeath(death * HOUR, 20_000)
    expect(restarts.onDeath(5 * HOUR, 60_000)).toEqual({ delayMs: 1_000 })
  })

  test('end after five early deaths within a minute', () => {
    const restarts = policy()
    for (const at of [0, 10_000, 20_000, 30_000]) expect(restarts.onDeath(at, 500)).toHaveProperty('delayMs')
    expect(restarts.onDeath(40_000, 500)).toHaveProperty('giveUp')
  })

  test('go on when the deaths are further apart, or one lived longer', () => {
    const apart = policy()
    for (let death = 0; death < 20; death++) expect(apart.onDeath(death * 16_000, 500)).toHaveProperty('delayMs')
    const longer = policy()
    for (let death = 0; death < 20; death++) {
      expect(longer.onDeath(death * 1_000, death % 4 === 3 ? 10_000 : 500)).toHaveProperty('delayMs')
    }
  })

  test('end with --max-restarts, and only then', () => {
    const restarts = policy(6)
    for (let death = 0; death < 6; death++) expect(restarts.onDeath(death, 1)).toHaveProperty('delayMs')
    expect(restarts.onDeath(6, 1)).toHaveProperty('giveUp')
    expect(policy(0).onDeath(0, 1)).toHaveProperty('giveUp')
  })
})

describe('the arguments of a restart', () => {
  const settled: Beginning = { begun: true, hasOwn: true }

  test.each([
    [
      ['--fresh', '--parallelism', '2', '--overwrite'],
      ['--parallelism', '2'],
    ],
    [
      ['--from', 'a/b', '--claim', '--allow-dropped-state', 'own'],
      ['--allow-dropped-state', 'own'],
    ],
    [
      ['--from=a/b', '--from-here', '--freshly'],
      ['--from-here', '--freshly'],
    ],
    [
      ['x', '--fresh', '--', '--fresh', '--from', 'y'],
      ['x', '--', '--fresh', '--from', 'y'],
    ],
    [['--from'], []],
  ])('%j are %j when the job has got on', (args, expected) => {
    expect(argumentsOfRestart(args, settled)).toEqual(expected)
  })

  test.each([
    [['--fresh', '--overwrite', 'own']],
    [['--from', 'a/b', '--claim', '--parallelism', '2']],
    [['--from=12', '--', '--fresh']],
  ])('%j stay as they are as long as it is not settled where the job begins', (args) => {
    expect(argumentsOfRestart(args, { begun: false, hasOwn: false })).toEqual(args)
  })

  test('say what may become of outputs until the job has a checkpoint of its own', () => {
    const args = ['--from', '1', '--claim', '--overwrite', 'own']
    expect(argumentsOfRestart(args, { begun: true, hasOwn: false })).toEqual(['--overwrite', 'own'])
  })
})

test('arguments say where a run begins, or only what may become of outputs', () => {
  expect(saysWhereToBegin(['--overwrite', '--', '--fresh'])).toBe(false)
  expect(saysWhereToBegin(['--fresh'])).toBe(true)
  expect(saysWhereToBegin(['--from=x'])).toBe(true)
})

test.each([
  [['own', '--', '--fresh'], undefined],
  [['--parallelism', '2'], undefined],
  [['--overwrite'], { from: undefined }],
  [['--fresh', 'own'], { from: undefined }],
  [['--from', 'a', '--from=b', '--', '--from', 'c'], { from: 'b' }],
])('of %j what is about the first start is %j', (args, expected) => {
  expect(firstStartOf(args)).toEqual(expected)
})

/** A crash in native code must not end the one who is to start the job again. */
test('the supervisor loads nothing but files of its own and of Node', () => {
  const root = fileURLToPath(new URL('../..', import.meta.url))
  const seen = new Set<string>()
  const packages: string[] = []
  const visit = (file: string): void => {
    if (seen.has(file)) return
    seen.add(file)
    const lines = readFileSync(join(root, file), 'utf8').matchAll(
      /^(?:import|export)(?!\s+type\b)[^'"`]*?\bfrom\s+['"]([^'"]+)['"]/gm,
    )
    for (const [, specifier] of lines) {
      if (specifier!.startsWith('.')) visit(normalize(join(dirname(file), specifier!)))
      else if (!specifier!.startsWith('node:')) packages.push(`${file}: ${specifier}`)
    }
  }
  for (const file of ['src/cli/main.ts', 'src/cli/commands/run.ts']) visit(file)
  expect(packages).toEqual([])
  expect(seen.size).toBeGreaterThan(7)
  // Nor does any other command before it opens a store.
  const commands = globSync('src/cli/**/*.ts', { cwd: root }).filter((file) => !file.endsWith('check-worker.ts'))
  for (const file of commands) visit(normalize(file))
  expect(packages).toEqual([])
})
