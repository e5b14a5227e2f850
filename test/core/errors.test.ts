import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { ERROR_CODES, fromWireError, messageOf, SluiceError, toWireError } from '../../src/core/errors.ts'

describe('an error on its way between threads', () => {
  /** There and back, as plain data that a message can carry. */
  const roundTrip = (error: unknown): SluiceError => fromWireError(structuredClone(toWireError(error)))

  test('keeps everything it has', () => {
    const cause = new TypeError('underneath')
    const error = new SluiceError('COMMIT_FAILED', 'what happened', { operator: 'out', subtask: 3, hint: 'do this', cause })
    const arrived = roundTrip(error)
    expect(arrived).toBeInstanceOf(SluiceError)
    expect(arrived).toMatchObject({
      name: 'SluiceError',
      code: 'COMMIT_FAILED',
      message: 'what happened',
      operator: 'out',
      subtask: 3,
      hint: 'do this',
      stack: error.stack,
      cause: { name: 'TypeError', message: 'underneath', stack: cause.stack },
    })
    expect(arrived.cause).toBeInstanceOf(Error)
  })

  test('keeps the first subtask apart from none', () => {
    expect(roundTrip(new SluiceError('SOURCE_FAILED', 'x', { subtask: 0 })).subtask).toBe(0)
    const bare = roundTrip(new SluiceError('SOURCE_FAILED', 'x'))
    expect([bare.subtask, bare.operator, bare.hint, bare.cause]).toEqual([undefined, undefined, undefined, undefined])
  })

  test('twice is the same as once', () => {
    const error = new SluiceError('OPERATOR_FAILED', 'x', { cause: new RangeError('y'), operator: 'map-1' })
    expect(toWireError(roundTrip(roundTrip(error)))).toEqual(toWireError(error))
  })

  test('that is a foreign one is given a code and becomes the cause', () => {
    const thrown = new RangeError('out of range')
    expect(toWireError(thrown)).toMatchObject({
      code: 'OPERATOR_FAILED',
      message: 'out of range',
      cause: { name: 'RangeError', stack: thrown.stack },
    })
    expect(toWireError(thrown, 'MODULE_FAILED').code).toBe('MODULE_FAILED')
  })

  test.each([
    ['text', 'text'],
    [undefined, 'undefined'],
    [null, 'null'],
    [42, '42'],
    [{ reason: 'x' }, '{"reason":"x"}'],
    [Symbol('s'), 'Symbol(s)'],
    [10n, '[object BigInt]'],
  ])('may be anything that can be thrown: %o', (thrown, message) => {
    expect(roundTrip(thrown).message).toBe(message)
    expect(messageOf(thrown)).toBe(message)
  })

  test('may be an object that contains itself', () => {
    const cyclic: Record<string, unknown> = {}
    cyclic['self'] = cyclic
    expect(roundTrip(cyclic).message).toBe('[object Object]')
  })

  test('may be an error whose message is no text', () => {
    const odd = Object.assign(new Error('x'), { message: { toString: () => 'odd' } as unknown as string })
    expect(() => roundTrip(odd)).not.toThrow()
  })
})

describe('whether a restart can help', () => {
  test.each(['MALFORMED_RECORD', 'INVALID_KEY', 'FENCED', 'VALUE_NOT_ENCODABLE', 'CHECKPOINT_UNREADABLE'] as const)(
    'it cannot with %s',
    (code) => {
      expect(new SluiceError(code, 'x').canRestart).toBe(false)
    },
  )

  test.each(['OPERATOR_FAILED', 'SOURCE_FAILED', 'WORKER_LOST', 'COMMIT_FAILED', 'CHECKPOINT_FAILED'] as const)(
    'it may with %s',
    (code) => {
      expect(new SluiceError(code, 'x').canRestart).toBe(true)
    },
  )
})

describe('the page of error codes', () => {
  const page = new URL('../../docs/errors.md', import.meta.url)
  const text = existsSync(page) ? readFileSync(page, 'utf8') : ''

  test.each(ERROR_CODES)('explains %s', (code) => {
    expect(text).toContain(`\`${code}\``)
  })

  test('explains none that does not exist', () => {
    // Every code but one has an underscore; Node's own begin with ERR_.
    const named = [...text.matchAll(/`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)`/g)].map(([, code]) => code!)
    expect(named.filter((code) => !(ERROR_CODES as readonly string[]).includes(code) && !code.startsWith('ERR_'))).toEqual([])
  })
})
