import { describe, expect, test } from 'vitest'
import type { ByteSize } from '../../src/core/bytes.ts'
import { byteSize } from '../../src/core/bytes.ts'

describe('a size', () => {
  test.each<readonly [ByteSize, number]>([
    [1, 1],
    [1.5, 2],
    [65_536, 65_536],
    ['1kb', 1024],
    ['64kb', 65_536],
    ['512mb', 536_870_912],
    ['2gb', 2_147_483_648],
    ['1.5gb', 1_610_612_736],
    ['0.5kb', 512],
  ])('%j is %d bytes', (size, bytes) => {
    expect(byteSize(size, 'stateMemory')).toBe(bytes)
  })

  test.each([
    0,
    0.4,
    -1,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    2 ** 53,
    '0mb',
    '-1mb',
    '',
    'mb',
    '512',
    '512b',
    '512 mb',
    ' 512mb',
    '512MB',
    '512mib',
    '.5gb',
    '5.gb',
    '1e3mb',
    '0x10kb',
    '1gb1mb',
    `9${'0'.repeat(300)}gb`,
    undefined,
    null,
    {},
    [],
    ['512mb'],
    true,
    5n,
    Symbol('mb'),
    () => 5,
  ])('%o is none', (size) => {
    expect(() => byteSize(size as ByteSize, 'stateMemory')).toThrow(
      expect.objectContaining({
        code: 'INVALID_OPTION',
        message: expect.stringContaining('stateMemory'),
        hint: expect.stringContaining("'512mb'"),
      }),
    )
  })
})
