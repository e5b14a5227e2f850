import { describe, expect, test } from 'vitest'
import type { Duration } from '../../src/core/time.ts'
import { durationMs } from '../../src/core/time.ts'

describe('a duration', () => {
  test.each<readonly [Duration, number]>([
    [0, 0],
    [250, 250],
    [1.4, 1],
    [1.5, 2],
    ['0ms', 0],
    ['250ms', 250],
    ['5s', 5_000],
    ['1.5s', 1_500],
    ['10m', 600_000],
    ['1h', 3_600_000],
    ['1d', 86_400_000],
    ['365d', 31_536_000_000],
  ])('%j is %d ms', (duration, ms) => {
    expect(durationMs(duration, 'interval')).toBe(ms)
  })

  test.each([
    -1,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    '-1s',
    '',
    's',
    '5',
    '5 s',
    ' 5s',
    '5s ',
    '5S',
    '5sec',
    '.5s',
    '5.s',
    '1e3ms',
    '0x10ms',
    '5s5s',
    undefined,
    null,
    {},
    [],
    ['5s'],
    true,
    5n,
    new Date(5),
    Symbol('s'),
    () => 5,
  ])('%o is none', (duration) => {
    expect(() => durationMs(duration as Duration, 'checkpoint.every')).toThrow(
      expect.objectContaining({
        code: 'INVALID_DURATION',
        message: expect.stringContaining('checkpoint.every'),
        hint: expect.stringContaining("'5s'"),
      }),
    )
  })
})
