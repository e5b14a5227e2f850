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
      exchange: 'elided',
      workers: CPUS,
      guarantee: 'exactly-once',
      checkpoint: {
        intervalMs: 10_000,
        timeoutMs: 600_000,
        minPauseMs: 0,
        tolerableFailures: 0,
        maxConcurrent: 1,
        alignmentTimeoutMs: Number.POSITIVE_INFINITY,
        retain: 1,
        mode: 'aligned',
      },
      stateDirectory: resolve('.sluice'),
      savepointDirectory: undefined,
      stateMemoryBytes: undefined,
      commitTimeoutMs: 600_000,
      watchdogMs: 60_000,
      restart: { strategy: 'exponential' },
      module: undefined,
      fresh: false,
      overwrite: false,
      from: undefined,
      claim: false,
      allowDroppedState: false,
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

  test('only the mode that waits for a while has an alignment timeout', () => {
    const timeoutOf = (checkpoint: JobOptions['checkpoint']): number =>
      resolveSettings({ checkpoint: checkpoint! }, {}, {}).checkpoint.alignmentTimeoutMs
    expect(timeoutOf({ mode: 'aligned-then-unaligned' })).toBe(1_000)
    expect(timeoutOf({ mode: 'aligned-then-unaligned', alignmentTimeout: '30s' })).toBe(30_000)
    expect(timeoutOf({ mode: 'aligned-then-unaligned', alignmentTimeout: 0 })).toBe(0)
    expect(timeoutOf({ mode: 'unaligned' })).toBe(Number.POSITIVE_INFINITY)
    expect(timeoutOf({ mode: 'stop-the-world' })).toBe(Number.POSITIVE_INFINITY)
  })

  test.each<JobOptions>([
    { guarantee: 'at-least-once' },
    { guarantee: 'at-most-once' },
    { guarantee: 'at-most-once', checkpoint: { mode: 'aligned', maxConcurrent: 2 } },
    { guarantee: 'at-least-once', checkpoint: { mode: 'stop-the-world' } },
    { checkpoint: { mode: 'unaligned', maxConcurrent: 1, minPause: '1s' } },
    { checkpoint: { maxConcurrent: 16, minPause: 0 } },
  ])('allow %j', (options) => {
    expect(resolveSettings(options, {}, {})).toMatchObject({ guarantee: options.guarantee ?? 'exactly-once' })
  })

  test('sizes and lengths are read, and the watchdog can be off', () => {
    expect(resolveSettings({ stateMemory: '512mb', commitTimeout: '1m', watchdog: '5s' }, {}, {})).toMatchObject({
      stateMemoryBytes: 512 * 1024 * 1024,
      commitTimeoutMs: 60_000,
      watchdogMs: 5_000,
    })
    expect(resolveSettings({ stateMemory: 1_000_000, commitTimeout: 0, watchdog: 'off' }, {}, {})).toMatchObject({
      stateMemoryBytes: 1_000_000,
      commitTimeoutMs: 0,
      watchdogMs: Number.POSITIVE_INFINITY,
    })
  })

  test('say what the run begins from', () => {
    const flags: RunOptions = { from: 'kept/savepoint', claim: true, allowDroppedState: true }
    expect(resolveSettings({ savepointDirectory: 'kept' }, {}, flags)).toMatchObject({
      savepointDirectory: resolve('kept'),
      from: 'kept/savepoint',
      claim: true,
      allowDroppedState: true,
    })
    expect(resolveSettings({}, { from: '42' }, {})).toMatchObject({ from: '42', claim: false })
    expect(() => resolveSettings({}, { claim: true }, {})).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
    expect(() => resolveSettings({}, { from: '' }, {})).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
    expect(() => resolveSettings({ from: '42' } as JobOptions, {}, {})).toThrow('the job has no option "from"')
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
    [{ guarantee: 'hopefully' }, 'INVALID_OPTION'],
    [{ guarantee: 'at-least-once', checkpoint: { mode: 'unaligned' } }, 'INVALID_OPTION'],
    [{ guarantee: 'at-least-once', checkpoint: { mode: 'aligned-then-unaligned' } }, 'INVALID_OPTION'],
    [{ guarantee: 'at-most-once', checkpoint: { mode: 'unaligned' } }, 'INVALID_OPTION'],
    [{ guarantee: 'at-most-once', checkpoint: { mode: 'stop-the-world' } }, 'INVALID_OPTION'],
    [{ exchange: 'always' as 'forced' }, 'INVALID_OPTION'],
    [{ checkpoint: { mode: 'sideways' } }, 'INVALID_OPTION'],
    [{ checkpoint: { alignmentTimeout: '1s' } }, 'INVALID_OPTION'],
    [{ checkpoint: { mode: 'aligned', alignmentTimeout: '1s' } }, 'INVALID_OPTION'],
    [{ checkpoint: { mode: 'unaligned', alignmentTimeout: '1s' } }, 'INVALID_OPTION'],
    [{ checkpoint: { mode: 'aligned-then-unaligned', alignmentTimeout: 'soon' } }, 'INVALID_DURATION'],
    [{ checkpoint: { maxConcurrent: 0 } }, 'INVALID_OPTION'],
    [{ checkpoint: { maxConcurrent: 17 } }, 'INVALID_OPTION'],
    [{ checkpoint: { maxConcurrent: 2, minPause: 1 } }, 'INVALID_OPTION'],
    [{ checkpoint: { maxConcurrent: 2, mode: 'unaligned' } }, 'INVALID_OPTION'],
    [{ checkpoint: { maxConcurrent: 2, mode: 'aligned-then-unaligned' } }, 'INVALID_OPTION'],
    [{ checkpoint: { maxConcurrent: 2, mode: 'stop-the-world' } }, 'INVALID_OPTION'],
    [{ stateMemory: 0 }, 'INVALID_OPTION'],
    [{ stateMemory: '512' }, 'INVALID_OPTION'],
    [{ stateMemory: '512MB' }, 'INVALID_OPTION'],
    [{ commitTimeout: -1 }, 'INVALID_DURATION'],
    [{ commitTimeout: 'off' }, 'INVALID_DURATION'],
    [{ watchdog: 0 }, 'INVALID_DURATION'],
    [{ watchdog: 'on' }, 'INVALID_DURATION'],
    [{ savepointDirectory: '' }, 'INVALID_OPTION'],
    [{ savepointDirectory: 7 }, 'INVALID_OPTION'],
    [{ stateDirectory: '' }, 'INVALID_OPTION'],
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
    [{ checkpoint: { maxConcurrent: 2, minPause: 1 } }, 'checkpoint.minPause'],
    [{ checkpoint: { alignmentTimeout: 1 } }, 'checkpoint.alignmentTimeout'],
    [{ stateMemory: 0 }, 'stateMemory'],
    [{ watchdog: 0 }, 'watchdog'],
    [{ stateDirectory: '' }, 'stateDirectory'],
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
    ['--savepoint-directory kept', { savepointDirectory: 'kept' }],
    ['--from kept/savepoint-7 --claim', { from: 'kept/savepoint-7', claim: true }],
    ['--from=42 --allow-dropped-state', { from: '42', allowDroppedState: true }],
    ['--state-memory 512mb', { stateMemory: '512mb' }],
    ['--state-memory 1000000', { stateMemory: 1_000_000 }],
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
    '--savepoint-directory',
    '--from',
    '--state-memory',
    '--checkpoint-every',
  ])('%s is refused', (line) => {
    expect(() => flagsOf(line.split(' '))).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
  })

  test.each(['--fresh', '--overwrite', '--claim', '--allow-dropped-state', '--quiet', '--json'])(
    '%s=false does not switch it on',
    (flag) => {
      // To forget the state because somebody said not to would be the worst of all answers.
      const given = (): RunOptions => flagsOf([`${flag}=false`])
      let options: RunOptions = {}
      try {
        options = given()
      } catch (error) {
        expect(error).toMatchObject({ code: 'INVALID_OPTION' })
      }
      expect(Object.values(options)).not.toContain(true)
    },
  )
})
