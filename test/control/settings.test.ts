import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { flagsOf } from '../../src/control/flags.ts'
import type { JobOptions, RunOptions } from '../../src/control/settings.ts'
import { resolveSettings } from '../../src/control/settings.ts'

const CPUS = availableParallelism()

describe('the settings of a job', () => {
  test('have a default for everything', () => {
    expect(resolveSettings({}, {}, {})).toEqual({
      parallelism: CPUS,
      maxParallelism: 128,
      workers: CPUS,
      checkpoint: { intervalMs: 10_000, timeoutMs: 600_000, minPauseMs: 0, tolerableFailures: 0, retain: 1 },
      stateDirectory: resolve('.sluice'),
      restart: { strategy: 'exponential' },
      module: undefined,
      fresh: false,
      overwrite: false,
      progress: 'human',
    })
  })

  test('are those of the job, over them those of the run, over them the flags', () => {
    const job: JobOptions = {
      parallelism: 2,
      workers: 1,
      stateDirectory: 'a',
      checkpoint: { every: '1s', timeout: '2s', minPause: '3s' },
    }
    const run: RunOptions = { workers: 2, stateDirectory: 'b', checkpoint: { timeout: '20s' } }
    const flags: RunOptions = { stateDirectory: 'c', checkpoint: { every: '5s' } }
    expect(resolveSettings(job, run, flags)).toMatchObject({
      parallelism: 2,
      workers: 2,
      stateDirectory: resolve('c'),
      checkpoint: { intervalMs: 5_000, timeoutMs: 20_000, minPauseMs: 3_000 },
    })
  })

  test('periodic checkpoints can be off', () => {
    expect(resolveSettings({ checkpoint: { every: 'off' } }, {}, {}).checkpoint.intervalMs).toBe(Number.POSITIVE_INFINITY)
  })

  test('start no more workers than there are subtasks or CPUs, unless told to', () => {
    expect(resolveSettings({ parallelism: 1 }, {}, {}).workers).toBe(1)
    expect(resolveSettings({ parallelism: 100 }, {}, {}).workers).toBe(CPUS)
    expect(resolveSettings({ parallelism: 1, workers: 7 }, {}, {}).workers).toBe(7)
    expect(resolveSettings({ workers: 0 }, {}, {}).workers).toBe(0)
  })

  test('a few key groups bound the parallelism', () => {
    expect(resolveSettings({ maxParallelism: 1 }, {}, {}).parallelism).toBe(1)
    expect(() => resolveSettings({ maxParallelism: 4, parallelism: 5 }, {}, {})).toThrow(
      'parallelism must be a whole number from 1 to 4',
    )
  })

  test('progress is for people, for machines or for nobody', () => {
    expect(resolveSettings({}, { json: true }, {}).progress).toBe('json')
    expect(resolveSettings({}, { json: true, quiet: true }, {}).progress).toBe('quiet')
  })

  test.each<readonly [unknown, string]>([
    [{ parallelism: 0 }, 'INVALID_OPTION'],
    [{ parallelism: 1.5 }, 'INVALID_OPTION'],
    [{ parallelism: '4' }, 'INVALID_OPTION'],
    [{ parallelism: Number.NaN }, 'INVALID_OPTION'],
    [{ parallelism: Number.POSITIVE_INFINITY }, 'INVALID_OPTION'],
    [{ maxParallelism: 32_769 }, 'INVALID_OPTION'],
    [{ maxParallelism: 0 }, 'INVALID_OPTION'],
    [{ workers: -1 }, 'INVALID_OPTION'],
    [{ guarantee: 'at-most-once' }, 'INVALID_OPTION'],
    [{ guarantee: 'hopefully' }, 'INVALID_OPTION'],
    [{ checkpoint: { mode: 'unaligned' } }, 'INVALID_OPTION'],
    [{ checkpoint: { every: 0 } }, 'INVALID_DURATION'],
    [{ checkpoint: { every: '0s' } }, 'INVALID_DURATION'],
    [{ checkpoint: { every: 'never' } }, 'INVALID_DURATION'],
    [{ checkpoint: { timeout: -1 } }, 'INVALID_DURATION'],
    [{ checkpoint: { minPause: 'x' } }, 'INVALID_DURATION'],
    [{ checkpoint: { tolerableFailures: -1 } }, 'INVALID_OPTION'],
    [{ checkpoint: { retain: 0 } }, 'INVALID_OPTION'],
    [{ restart: { strategy: 'sometimes' } }, 'INVALID_OPTION'],
    [{ restart: { strategy: 'fixed', delay: 'soon' } }, 'INVALID_DURATION'],
  ])('refuse %j', (options, code) => {
    expect(() => resolveSettings(options as JobOptions, {}, {})).toThrow(expect.objectContaining({ code }))
  })

  test.each([
    [{ parallelism: 0 }, 'parallelism'],
    [{ checkpoint: { every: 'never' } }, 'checkpoint.every'],
    [{ checkpoint: { timeout: -1 } }, 'checkpoint.timeout'],
    [{ restart: { strategy: 'fixed', delay: 'soon' } }, 'restart.delay'],
  ])('name the option in the refusal of %j', (options, name) => {
    expect(() => resolveSettings(options as JobOptions, {}, {})).toThrow(name)
  })
})

describe('the flags behind the job file', () => {
  test.each<readonly [string, RunOptions]>([
    ['', {}],
    ['--fresh', { fresh: true }],
    ['--overwrite --quiet --json', { overwrite: true, quiet: true, json: true }],
    ['--parallelism 4 --workers=2', { parallelism: 4, workers: 2 }],
    ['--state-directory some/folder', { stateDirectory: 'some/folder' }],
    ['--state-directory=a=b', { stateDirectory: 'a=b' }],
    ['--checkpoint-every 5s', { checkpoint: { every: '5s' } }],
    ['--checkpoint-every 500', { checkpoint: { every: 500 } }],
    ['--checkpoint-every off', { checkpoint: { every: 'off' } }],
    ['input.csv --mine --fresh other', { fresh: true }],
    ['-- --fresh', {}],
    ['constructor __proto__ toString --constructor', {}],
  ])('%s', (line, options) => {
    expect(flagsOf(line.split(' ').filter((arg) => arg !== ''))).toEqual(options)
  })

  test.each([
    '--parallelism',
    '--parallelism x',
    '--parallelism=',
    '--workers -1',
    '--workers 1.5',
    '--state-directory',
    '--checkpoint-every',
  ])('%s is refused', (line) => {
    expect(() => flagsOf(line.split(' '))).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
  })

  test.each(['--fresh', '--overwrite', '--quiet', '--json'])('%s=false does not switch it on', (flag) => {
    // To forget the state because somebody said not to would be the worst of all answers.
    const given = (): RunOptions => flagsOf([`${flag}=false`])
    let options: RunOptions = {}
    try {
      options = given()
    } catch (error) {
      expect(error).toMatchObject({ code: 'INVALID_OPTION' })
    }
    expect(Object.values(options)).not.toContain(true)
  })
})
