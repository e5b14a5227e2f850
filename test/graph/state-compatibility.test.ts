import { describe, expect, test } from 'vitest'
import type { Json } from '../../src/core/json.ts'
import { compareStates } from '../../src/graph/state-compatibility.ts'

interface State {
  readonly name: string
  readonly kind: string
  readonly version?: number
  readonly migrates?: boolean
  readonly ttlMs?: number | null
  readonly ttlTime?: string | null
}

function settings(...states: readonly State[]): Json {
  return { states: states as unknown as Json }
}

const value = (more: Partial<State> = {}): State => ({ name: 'last', kind: 'value', version: 1, migrates: false, ...more })

describe('what changes nothing about stored values', () => {
  const kept: readonly (readonly [string, State, State])[] = [
    ['nothing', value(), value()],
    ['a migrate that is no longer needed, or not yet', value({ migrates: true }), value()],
    ['another ttl', value({ ttlMs: 5, ttlTime: 'event' }), value({ ttlMs: 9, ttlTime: 'processing' })],
    ['a ttl switched on', value({ ttlMs: null }), value({ ttlMs: 9 })],
    ['a ttl switched off', value({ ttlMs: 9 }), value({ ttlMs: null })],
    ['a version that was not stored, because there was none', { name: 'last', kind: 'value' }, value()],
  ]
  test.each(kept)('%s', (_, before, after) => {
    expect(compareStates(settings(before), settings(after))).toEqual([{ state: 'last', verdict: 'kept' }])
  })

  test('another order', () => {
    const [a, b] = [value({ name: 'a' }), value({ name: 'b' })]
    expect(compareStates(settings(a, b), settings(b, a)).map(({ verdict }) => verdict)).toEqual(['kept', 'kept'])
  })

  test.each([
    ['a new state', settings(), settings({ name: 'seen', kind: 'list' })],
    ['the first state of an operator that had no settings', null, settings({ name: 'seen', kind: 'operator-list' })],
    ['the first state of an operator that had others', { gapMs: 1 }, settings({ name: 'seen', kind: 'map' })],
  ])('%s', (_, before, after) => {
    expect(compareStates(before, after)).toEqual([{ state: 'seen', verdict: 'new' }])
  })

  test('an operator that never had any', () => {
    expect(compareStates(null, null)).toEqual([])
    expect(compareStates([], 'text')).toEqual([])
  })
})

test('a newer version is migrated', () => {
  expect(compareStates(settings(value()), settings(value({ version: 3, migrates: true })))).toEqual([
    { state: 'last', verdict: 'migrated', detail: 'goes from version 1 to version 3 by migrate' },
  ])
})

describe('what is told, with a reason and what to write instead', () => {
  const told: readonly (readonly [string, State, readonly State[], string, string, string])[] = [
    [
      'a newer version without migrate',
      value(),
      [value({ version: 2 })],
      'incompatible',
      'in version 1 and is now declared in version 2',
      'add migrate: (old, version)',
    ],
    [
      'an older version',
      value({ version: 3, migrates: true }),
      [value({ version: 2, migrates: true })],
      'incompatible',
      'written by a newer version of the job',
      'run the newer job again',
    ],
    [
      'another kind',
      value(),
      [value({ kind: 'list' })],
      'incompatible',
      'stored as value state and is now declared as list state',
      'another name',
    ],
    [
      'a state that is gone',
      value(),
      [],
      'dropped',
      'is no longer declared, and what it holds would be dropped',
      'keep last: valueState(...) declared',
    ],
    [
      'a list of a plain process that is gone',
      value({ kind: 'operator-list' }),
      [],
      'dropped',
      'is no longer declared',
      'operatorListState(...)',
    ],
  ]
  test.each(told)('%s', (_, before, after, verdict, detail, hint) => {
    expect(compareStates(settings(before), settings(...after))).toEqual([
      { state: 'last', verdict, detail: expect.stringContaining(detail), hint: expect.stringContaining(hint) },
    ])
  })

  test('the last state of an operator that now has no settings', () => {
    expect(compareStates(settings(value()), null)).toMatchObject([{ state: 'last', verdict: 'dropped' }])
  })

  test('each of several, the stored ones first', () => {
    const before = settings(value(), value({ name: 'b' }), value({ name: 'c' }))
    const after = settings(value({ name: 'd' }), value({ version: 2 }), value({ name: 'c' }))
    expect(compareStates(before, after).map(({ state, verdict }) => `${state} ${verdict}`)).toEqual([
      'last incompatible',
      'b dropped',
      'c kept',
      'd new',
    ])
  })
})
