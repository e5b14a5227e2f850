import { describe, expect, test } from 'vitest'
import type { Json } from '../../src/core/json.ts'
import { stateProblems, withoutStates } from '../../src/graph/state-compatibility.ts'
import type { NodeDescription } from '../../src/graph/stream-graph.ts'
import { graphDifference } from '../../src/graph/stream-graph.ts'

interface State {
  readonly name: string
  readonly kind: string
  readonly version?: number
  readonly migrates?: boolean
  readonly ttlMs?: number | null
  readonly ttlTime?: string | null
}

function graph(
  states: readonly State[],
  more: { readonly [name: string]: Json } = {},
  id = 'process-1',
): readonly NodeDescription[] {
  return [{ id, kind: 'process', settings: { ...more, states: states as unknown as Json }, inputs: [] }]
}

const value = (more: Partial<State> = {}): State => ({ name: 'last', kind: 'value', version: 1, migrates: false, ...more })

describe('what changes nothing about stored values', () => {
  const fine: readonly (readonly [string, readonly State[], readonly State[]])[] = [
    ['nothing', [value()], [value()]],
    ['a new state', [value()], [value(), { name: 'seen', kind: 'list' }]],
    ['the first state', [], [value()]],
    ['another order', [value(), value({ name: 'b' })], [value({ name: 'b' }), value()]],
    ['a newer version with migrate', [value()], [value({ version: 3, migrates: true })]],
    ['a migrate that is no longer needed, or not yet', [value({ migrates: true })], [value()]],
    ['another ttl', [value({ ttlMs: 5, ttlTime: 'event' })], [value({ ttlMs: 9, ttlTime: 'processing' })]],
    ['a ttl switched on', [value({ ttlMs: null })], [value({ ttlMs: 9 })]],
    ['a ttl switched off', [value({ ttlMs: 9 })], [value({ ttlMs: null })]],
    ['a version that was not stored, because there was none', [{ name: 'last', kind: 'value' }], [value()]],
  ]
  test.each(fine)('%s', (_, before, after) => {
    expect(stateProblems(graph(before), graph(after))).toEqual([])
    expect(graphDifference(withoutStates(graph(before)), withoutStates(graph(after)))).toBeUndefined()
  })

  test('the first state of an operator that had no settings', () => {
    const before = [{ id: 'process-1', kind: 'process', settings: null, inputs: [] }]
    const after = graph([{ name: 'pair', kind: 'operator-list' }])
    expect(stateProblems(before, after)).toEqual([])
    expect(graphDifference(withoutStates(before), withoutStates(after))).toBeUndefined()
  })
})

describe('what is refused', () => {
  const refused: readonly (readonly [string, readonly State[], readonly State[], string, string])[] = [
    [
      'a newer version without migrate',
      [value()],
      [value({ version: 2 })],
      'in version 1 and is now declared in version 2',
      'add migrate: (old, version)',
    ],
    [
      'an older version',
      [value({ version: 3, migrates: true })],
      [value({ version: 2, migrates: true })],
      'written by a newer version of the job',
      'run the newer job again',
    ],
    [
      'another kind',
      [value()],
      [value({ kind: 'list' })],
      'stored as value state and is now declared as list state',
      'another name',
    ],
    [
      'a state that is gone',
      [value()],
      [],
      'is no longer declared, and what it holds would be dropped',
      'keep last: valueState(...) declared, or forget the state with --fresh',
    ],
    [
      'a list of a plain process that is gone',
      [value({ kind: 'operator-list' })],
      [],
      'is no longer declared',
      'operatorListState(...)',
    ],
  ]
  test.each(refused)('%s', (_, before, after, problem, hint) => {
    expect(stateProblems(graph(before), graph(after))).toEqual([
      { operator: 'process-1', state: 'last', problem: expect.stringContaining(problem), hint: expect.stringContaining(hint) },
    ])
  })

  test('the last state of an operator that now has no settings', () => {
    const after = [{ id: 'process-1', kind: 'process', settings: null, inputs: [] }]
    expect(stateProblems(graph([value()]), after)).toHaveLength(1)
  })

  test('all of them are named, in all operators', () => {
    const before = [...graph([value(), value({ name: 'b' })]), ...graph([value()], {}, 'other')]
    const after = [...graph([value({ version: 2 })]), ...graph([value({ kind: 'map' })], {}, 'other')]
    expect(stateProblems(before, after).map(({ operator, state }) => `${operator} ${state}`)).toEqual([
      'process-1 last',
      'process-1 b',
      'other last',
    ])
  })
})

test('every other difference is one', () => {
  const difference = (before: readonly NodeDescription[], after: readonly NodeDescription[]): string | undefined =>
    graphDifference(withoutStates(before), withoutStates(after))
  expect(difference(graph([value()], { gapMs: 1 }), graph([value()], { gapMs: 2 }))).toContain("'process-1' has changed")
  expect(difference(graph([value()]), graph([value()], { gapMs: 2 }))).toContain("'process-1' has changed")
  expect(difference(graph([value()]), graph([value()], {}, 'other'))).toContain("'other' is new")
  const plain = { id: 'window-1', kind: 'window', settings: { sizeMs: 5 }, inputs: [] }
  expect(difference([plain], [{ ...plain, settings: { sizeMs: 6 } }])).toContain('{"sizeMs":5}')
})
