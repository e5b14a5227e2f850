import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { items, job, writeJsonLines } from 'sluice'
import { openState } from 'sluice/state'
import { describe, expect, test } from 'vitest'
import { flagsOf } from '../../src/control/flags.ts'
import { byteSize } from '../../src/core/bytes.ts'
import { SluiceError } from '../../src/core/errors.ts'
import { durationMs } from '../../src/core/time.ts'
import { fuzzing } from './runs.ts'

/*
 * What a program gives as lengths, sizes, names and flags: taken as what it says, or refused with a code.
 */

const units = fc.constantFrom('ms', 's', 'm', 'h', 'd', 'kb', 'mb', 'gb', '', 'S', ' s', 's\n', 'ks')
const amounts = fc.oneof(
  fc.double().map(String),
  fc.integer().map(String),
  fc.constantFrom('1e3', '0x10', '١', '1_000', '.5', '5.', '9'.repeat(400)),
)
const odd = fc.oneof(
  fc.anything({ withBigInt: true, withNullPrototype: true, withDate: true, withMap: true }),
  fc.constantFrom<unknown>(Symbol('s'), 10n, Object.create(null), () => 1, { toString: () => ({}) }),
)
const settings = fc.oneof(
  fc.tuple(amounts, units).map((parts) => parts.join('')),
  fc.double(),
  odd,
)

function refusal(action: () => unknown): string | undefined {
  try {
    action()
    return undefined
  } catch (error) {
    if (error instanceof SluiceError) return error.code
    throw error
  }
}

describe('settings', () => {
  test('of lengths of time', () => {
    const check = (given: unknown): void => {
      const code = refusal(() => {
        const ms = durationMs(given as never, 'it')
        expect(Number.isFinite(ms) && ms >= 0).toBe(true)
      })
      expect([undefined, 'INVALID_DURATION']).toContain(code)
    }
    fc.assert(fc.property(settings, check), fuzzing())
  })

  test('of sizes', () => {
    const check = (given: unknown): void => {
      const code = refusal(() => expect(byteSize(given as never, 'it')).toBeGreaterThan(0))
      expect([undefined, 'INVALID_OPTION']).toContain(code)
    }
    fc.assert(fc.property(settings, check), fuzzing())
  })
})

const NAMES = [
  '..',
  '.',
  '../x',
  'a/b',
  'a\\b',
  '\0',
  'a\0b',
  '__proto__',
  'constructor',
  'con',
  'NUL',
  '-',
  '--help',
  'é',
  '\u202e',
  'x'.repeat(129),
]
const names = fc.oneof(
  fc.constantFrom<unknown>(...NAMES),
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.string({ maxLength: 5_000 }),
  odd,
)

describe('names', () => {
  test('of jobs lead nowhere else', () => {
    const check = (name: unknown): void => {
      const code = refusal(() => job(name as string))
      if (code === undefined) expect(name).toMatch(/^[A-Za-z0-9_-]{1,128}$/)
      else expect(code).toBe('INVALID_JOB_NAME')
    }
    fc.assert(fc.property(names, check), fuzzing())
  })

  test('of operators are taken as they are, or refused', () => {
    const check = (name: unknown): void => {
      const code = refusal(() =>
        job('named')
          .from(items([1]))
          .map((n) => n)
          .named(name as string),
      )
      expect([undefined, 'INVALID_OPTION', 'DUPLICATE_OPERATOR_ID']).toContain(code)
      expect(Object.keys(Object.prototype)).toEqual([])
    }
    fc.assert(fc.property(names, check), fuzzing())
  })
})

test.each(['__proto__', 'constructor', 'toString', '..'])('an operator that is called %s is one like others', async (name) => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-fuzz-'))
  const named = job('named', { workers: 0, parallelism: 2, stateDirectory: folder })
  const output = named
    .from(items(['a', 'b', 'a']))
    .keyBy((text) => text)
    .count()
    .named(name)
  output.to(writeJsonLines(join(folder, 'out')))
  expect(await named.run({ quiet: true })).toMatchObject({ status: 'finished', recordsIn: 3 })
  const reader = await openState({ job: 'named', stateDirectory: folder })
  expect(await reader.get(name, 'count', 'a')).toBe(2)
  await reader.close()
  rmSync(folder, { recursive: true })
})

test('flags behind a job file', () => {
  const flags = [
    '--fresh',
    '--from',
    '--parallelism',
    '--workers',
    '--state-memory',
    '--checkpoint-every',
    '--__proto__',
    '--',
    '--json=1',
    '-5',
  ]
  const args = fc.array(
    fc.oneof(
      fc.constantFrom(...flags),
      fc.string(),
      fc.constantFrom(...flags).map((flag) => `${flag}=`),
    ),
    { maxLength: 6 },
  )
  const check = (given: readonly string[]): void => {
    const code = refusal(() => flagsOf(given))
    expect([undefined, 'INVALID_OPTION']).toContain(code)
  }
  fc.assert(fc.property(args, check), fuzzing())
})
