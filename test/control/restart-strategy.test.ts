import { describe, expect, test } from 'vitest'
import type { RestartOptions } from '../../src/control/restart-strategy.ts'
import { restartStrategy } from '../../src/control/restart-strategy.ts'

const HOUR = 3_600_000

/** The answers to failures at these times. */
function delays(options: RestartOptions, times: readonly number[], random = () => 0.5): readonly (number | undefined)[] {
  const strategy = restartStrategy(options, random)
  return times.map((time) => strategy.onFailure(time))
}

describe('a job that fails', () => {
  test('is not tried again when it shall not be', () => {
    expect(delays({ strategy: 'none' }, [0])).toEqual([undefined])
  })

  test('is tried again a fixed number of times', () => {
    expect(delays({ strategy: 'fixed', delay: '2s', attempts: 2 }, [0, 1, 2, 3])).toEqual([2000, 2000, undefined, undefined])
    expect(delays({ strategy: 'fixed' }, [0, 1, 2, 3])).toEqual([1000, 1000, 1000, undefined])
    expect(delays({ strategy: 'fixed', attempts: 0 }, [0])).toEqual([undefined])
  })

  test('waits longer and longer, up to a bound', () => {
    const options: RestartOptions = { strategy: 'exponential', initial: '1s', max: '5s', factor: 2, jitter: 0 }
    expect(delays(options, [0, 1, 2, 3, 4])).toEqual([1000, 2000, 4000, 5000, 5000])
  })

  test('is given up after so many attempts', () => {
    expect(
      delays(
        { strategy: 'exponential' },
        Array.from({ length: 11 }, (_, index) => index),
      ).at(-1),
    ).toBeUndefined()
    expect(
      delays(
        { strategy: 'exponential' },
        Array.from({ length: 10 }, (_, index) => index),
      ).at(-1),
    ).toBeTypeOf('number')
    expect(delays({ strategy: 'exponential', attempts: 1 }, [0, 1])).toEqual([1000, undefined])
  })

  test('after a quiet hour begins with the first pause again', () => {
    const options: RestartOptions = { strategy: 'exponential', factor: 2, jitter: 0, attempts: 2 }
    expect(delays(options, [0, 1, 2 + HOUR, 3 + HOUR, 4 + HOUR])).toEqual([1000, 2000, 1000, 2000, undefined])
  })

  test('never waits endlessly, however often it has failed', () => {
    const options: RestartOptions = { strategy: 'exponential', max: '1m', factor: 1000, jitter: 0, attempts: 1000 }
    expect(delays(options, new Array<number>(500).fill(0)).at(-1)).toBe(60_000)
  })

  test('does not wait when the first pause is none', () => {
    const options: RestartOptions = { strategy: 'exponential', initial: 0, factor: 1000, jitter: 0, attempts: 1000 }
    expect(new Set(delays(options, new Array<number>(500).fill(0)))).toEqual(new Set([0]))
  })

  test('waits a little more or less than others, so that not all come back at once', () => {
    const options: RestartOptions = { strategy: 'exponential', jitter: 0.1 }
    expect(delays(options, [0], () => 0)).toEqual([900])
    expect(delays(options, [0], () => 1)).toEqual([1100])
  })

  test('is given up when it fails too often within a time', () => {
    const options: RestartOptions = { strategy: 'rate', failures: 2, interval: '10s', delay: '1s' }
    expect(delays(options, [0, 4_000, 9_999])).toEqual([1000, 1000, undefined])
    expect(delays(options, [0, 4_000, 10_000, 14_000, 20_000])).toEqual([1000, 1000, 1000, 1000, 1000])
    expect(delays({ strategy: 'rate' }, [0, 60_000, 60_001])).toEqual([1000, 1000, undefined])
  })

  test('the time in which failures are counted slides: it begins anew with each of them', () => {
    const options: RestartOptions = { strategy: 'rate', failures: 3, interval: '10s', delay: 0 }
    // Four within ten seconds, on both sides of the tenth second.
    expect(delays(options, [8_000, 9_000, 11_000, 12_000])).toEqual([0, 0, 0, undefined])
    // Never more than three within ten seconds, although there are always three.
    const steady = Array.from({ length: 50 }, (_, index) => index * 3_400)
    expect(delays(options, steady)).toEqual(steady.map(() => 0))
    expect(delays(options, [0, 1, 2, 10_001, 10_002, 10_003, 10_004])).toEqual([0, 0, 0, 0, 0, 0, undefined])
  })

  test('a rate of no failures is never tried again', () => {
    expect(delays({ strategy: 'rate', failures: 0 }, [0])).toEqual([undefined])
  })

  test.each<readonly [unknown, string]>([
    [{ strategy: 'sometimes' }, 'INVALID_OPTION'],
    [{}, 'INVALID_OPTION'],
    [{ strategy: 'fixed', attempts: -1 }, 'INVALID_OPTION'],
    [{ strategy: 'fixed', attempts: 1.5 }, 'INVALID_OPTION'],
    [{ strategy: 'fixed', delay: 'soon' }, 'INVALID_DURATION'],
    [{ strategy: 'exponential', factor: 0.5 }, 'INVALID_OPTION'],
    [{ strategy: 'exponential', factor: Number.NaN }, 'INVALID_OPTION'],
    [{ strategy: 'exponential', jitter: 2 }, 'INVALID_OPTION'],
    [{ strategy: 'exponential', jitter: -0.1 }, 'INVALID_OPTION'],
    [{ strategy: 'exponential', initial: -1 }, 'INVALID_DURATION'],
    [{ strategy: 'rate', failures: Number.NaN }, 'INVALID_OPTION'],
    [{ strategy: 'rate', interval: '' }, 'INVALID_DURATION'],
  ])('%j is refused', (options, code) => {
    expect(() => restartStrategy(options as RestartOptions)).toThrow(expect.objectContaining({ code }))
  })
})
