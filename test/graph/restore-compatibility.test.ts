import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import type { Json } from '../../src/core/json.ts'
import type { OperatorReport, RestoreReport } from '../../src/graph/restore-compatibility.ts'
import { compareForRestore, droppedStates, incompatibleStates, STATES_OF_VERBS } from '../../src/graph/restore-compatibility.ts'
import type { NodeDescription, PartitioningKind } from '../../src/graph/stream-graph.ts'

function node(id: string, kind: string, settings: Json = null, from = 'items-1', partitioning: PartitioningKind = 'forward') {
  return { id, kind, settings, inputs: [{ from, output: 'main', partitioning }] } satisfies NodeDescription
}

function keyed(id: string, kind: string, settings: Json = null, from = 'items-1'): NodeDescription {
  return node(id, kind, settings, from, 'hash')
}

function source(id: string, kind = 'items', settings: Json = null): NodeDescription {
  return { id, kind, settings, inputs: [] }
}

const value = (more: object = {}): Json => ({ name: 'last', kind: 'value', version: 1, migrates: false, ...more })
const states = (...declared: readonly Json[]): Json => ({ states: declared })

function compare(stored: readonly NodeDescription[], job: readonly NodeDescription[]): RestoreReport {
  return compareForRestore(stored, job, 128, 128)
}

function verdictOf(stored: readonly NodeDescription[], job: readonly NodeDescription[], id: string): OperatorReport {
  return compare(stored, job).operators.find(({ operator }) => operator === id)!
}

/** What nobody has to agree to. */
function expectFree(stored: readonly NodeDescription[], job: readonly NodeDescription[]): void {
  const report = compare(stored, job)
  expect(incompatibleStates(report)).toEqual([])
  expect(droppedStates(report)).toEqual([])
}

describe('what may change freely', () => {
  const items = source('items-1')
  const free: readonly (readonly [string, readonly NodeDescription[], readonly NodeDescription[]])[] = [
    ['nothing', [items, keyed('count-1', 'count')], [items, keyed('count-1', 'count')]],
    ['a map that is new', [items], [items, node('map-1', 'map')]],
    ['a map that is gone', [items, node('map-1', 'map')], [items]],
    ['a sink that is gone', [items, node('out', 'write-text', { folder: 'a' })], [items]],
    ['a sink of an own kind that is gone', [items, node('out', 'toString')], [items]],
    ['a sink that writes elsewhere', [items, node('out', 'print')], [items, node('out', 'write-text', { folder: 'b' })]],
    ['other branches', [items, node('s', 'split', { branches: ['a'] })], [items, node('s', 'split', { branches: ['b'] })]],
    ['a stateless operator of another kind', [items, node('x', 'map')], [items, keyed('x', 'count')]],
    ['a process without state that gets a key', [items, node('p', 'process')], [items, keyed('p', 'process', states())]],
    ['a plain process without state that is gone', [items, node('p', 'process')], [items]],
    ['a stateful operator that is new', [items], [items, keyed('count-1', 'count')]],
    [
      'what a keyed operator reads',
      [items, keyed('c', 'count')],
      [items, node('map-1', 'map'), keyed('c', 'count', null, 'map-1')],
    ],
    [
      'rebalance before an operator',
      [items, node('a', 'async-map')],
      [items, node('a', 'async-map', null, 'items-1', 'rebalance')],
    ],
    ['the order of settings', [source('s', 'items', { a: 1, b: 2 })], [source('s', 'items', { b: 2, a: 1 })]],
    ['the first state of an operator', [items, keyed('p', 'process')], [items, keyed('p', 'process', states(value()))]],
  ]
  test.each(free)('%s', (_, stored, job) => expectFree(stored, job))

  test('is told all the same', () => {
    const stored = [items, node('map-1', 'map')]
    expect(verdictOf(stored, [items], 'map-1')).toEqual({ operator: 'map-1', kind: 'map', verdict: 'removed', states: [] })
    expect(verdictOf([items], stored, 'map-1').verdict).toBe('new')
    const tightened = node('t', 'with-timestamps', { maxOutOfOrdernessMs: 5 })
    expect(verdictOf([items, node('t', 'with-timestamps', { maxOutOfOrdernessMs: 9 })], [items, tightened], 't')).toEqual({
      operator: 't',
      kind: 'with-timestamps',
      verdict: 'kept',
      states: [{ state: 'time', verdict: 'kept' }],
      detail: 'maxOutOfOrdernessMs was 9 and is now 5',
    })
  })
})

describe('what holds state and is gone', () => {
  const holders: readonly (readonly [NodeDescription, readonly string[]])[] = [
    [keyed('x', 'count'), ['x.count']],
    [keyed('x', 'reduce'), ['x.value']],
    [keyed('x', 'aggregate'), ['x.accumulator']],
    [keyed('x', 'distinct', states(value({ name: 'seen' }))), ['x.seen']],
    [keyed('x', 'process', states(value())), ['x.last', 'x.timers']],
    [keyed('x', 'process', states()), ['x.timers']],
    [node('x', 'process', states({ name: 'waiting', kind: 'operator-list' })), ['x.waiting']],
    [keyed('x', 'connect', states(value())), ['x.last', 'x.timers']],
    [node('x', 'connect-broadcast', states(value({ name: 'broadcast:rules' }))), ['x.broadcast:rules']],
    [node('x', 'async-map'), ['x.calls under way']],
    [keyed('x', 'async-map'), ['x.calls under way']],
    [node('x', 'with-timestamps'), ['x.time']],
    [keyed('x', 'window-count'), ['x.windows']],
    [keyed('x', 'window-join'), ['x.windows']],
    [keyed('x', 'interval-join'), ['x.records of both sides']],
    [source('x', 'read-csv'), ['x.positions']],
  ]
  test.each(holders)('%j is dropped', (holder, names) => {
    const report = compare([source('s'), holder], [source('s')])
    expect(report.operators.at(-1)).toMatchObject({ operator: 'x', verdict: 'dropped' })
    expect(droppedStates(report)).toEqual(names)
    expect(incompatibleStates(report)).toEqual([])
  })

  test('is incompatible when another kind has its id', () => {
    for (const [holder] of holders) {
      const report = compare([holder], [keyed('x', 'something-else')])
      expect(report.operators[0]).toMatchObject({ verdict: 'incompatible', detail: expect.stringContaining(holder.kind) })
      expect(incompatibleStates(report).length).toBeGreaterThan(0)
    }
  })

  test('every verb is in the table', () => {
    const files = globSync('src/dsl/*.ts', { cwd: fileURLToPath(new URL('../..', import.meta.url)) })
    const text = files.map((file) => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')).join('\n')
    const found = [...text.matchAll(/(?:#add(?:<\w+>)?|#draft|windowDraft)\('([\w-]+)'|kind: '([\w-]+)'/g)].map(
      (match) => (match[1] ?? match[2])!,
    )
    const kinds = new Set(found.map((kind) => kind.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)))
    expect([...kinds].sort()).toEqual(Object.keys(STATES_OF_VERBS).sort())
  })
})

describe('declared states', () => {
  const compared = (before: Json, after: Json) => verdictOf([keyed('p', 'process', before)], [keyed('p', 'process', after)], 'p')

  test('of an equal version are kept, beside new ones', () => {
    const report = compared(states(value()), states(value(), value({ name: 'other' })))
    expect(report.verdict).toBe('kept')
    expect(report.states).toEqual([
      { state: 'last', verdict: 'kept' },
      { state: 'other', verdict: 'new' },
      { state: 'timers', verdict: 'kept' },
    ])
  })

  test('of a newer version are migrated', () => {
    const report = compared(states(value()), states(value({ version: 3, migrates: true })))
    expect(report.verdict).toBe('migrated')
    expect(report.states[0]).toEqual({
      state: 'last',
      verdict: 'migrated',
      detail: 'goes from version 1 to version 3 by migrate',
    })
  })

  test('that are gone are dropped, and the others kept', () => {
    const report = compare(
      [keyed('p', 'process', states(value(), value({ name: 'b' })))],
      [keyed('p', 'process', states(value({ name: 'b' })))],
    )
    expect(report.operators[0]!.verdict).toBe('dropped')
    expect(droppedStates(report)).toEqual(['p.last'])
  })

  test.each([
    ['a newer version without migrate', value({ version: 2 }), 'without a migrate function'],
    ['another kind', value({ kind: 'map' }), 'is now declared as map state'],
  ])('of %s are incompatible, with a reason and a hint', (_, declared, reason) => {
    const report = compare([keyed('p', 'process', states(value()))], [keyed('p', 'process', states(declared))])
    expect(report.operators[0]!.verdict).toBe('incompatible')
    expect(report.operators[0]!.states[0]).toMatchObject({ detail: expect.stringContaining(reason), hint: expect.any(String) })
    expect(incompatibleStates(report)).toEqual(['p.last'])
  })

  test('the worst of several decides about the operator', () => {
    const report = compared(states(value(), value({ name: 'b' })), states(value({ version: 2 })))
    expect(report.verdict).toBe('incompatible')
    expect(report.states.map(({ verdict }) => verdict)).toEqual(['incompatible', 'dropped', 'kept'])
  })

  test.each([
    ['process', 'process', states(value())],
    ['async-map', 'async-map', null],
  ])('of a %s that gets or loses its key are incompatible', (_, kind, settings) => {
    expect(verdictOf([node('x', kind, settings)], [keyed('x', kind, settings)], 'x').verdict).toBe('incompatible')
    expect(verdictOf([keyed('x', kind, settings)], [node('x', kind, settings)], 'x')).toMatchObject({
      verdict: 'incompatible',
      detail: expect.stringContaining('was behind keyBy and is now without a key'),
    })
  })
})

describe('windows', () => {
  const watermark = { kind: 'watermark', purge: false }
  const tumbling = { kind: 'tumbling', time: 'event', sizeMs: 10, offsetMs: 0 }
  const sliding = { kind: 'sliding', time: 'event', sizeMs: 10, slideMs: 5, offsetMs: 0 }
  const session = { kind: 'session', time: 'event', gapMs: 5 }
  const windowed = (window: Json, trigger: Json = watermark, allowedLatenessMs = 0): readonly NodeDescription[] => [
    keyed('w', 'window-count', { window, trigger, allowedLatenessMs }),
  ]

  const changed: readonly (readonly [string, Json, Json])[] = [
    ['size', tumbling, { ...tumbling, sizeMs: 20 }],
    ['offset', tumbling, { ...tumbling, offsetMs: 3 }],
    ['slide', sliding, { ...sliding, slideMs: 2 }],
    ['gap', session, { ...session, gapMs: 6 }],
    ['count', { kind: 'count', count: 2 }, { kind: 'count', count: 3 }],
    ['kind', tumbling, sliding],
    ['time', tumbling, { ...tumbling, time: 'processing' }],
  ]
  test.each(changed)('of another %s are incompatible', (_, before, after) => {
    expect(verdictOf(windowed(before), windowed(after), 'w')).toMatchObject({
      verdict: 'incompatible',
      states: [{ state: 'windows', verdict: 'incompatible' }],
      hint: expect.stringContaining('named('),
    })
  })

  test('are named in the reason', () => {
    expect(verdictOf(windowed(tumbling), windowed(session), 'w').detail).toBe(
      'was stored with tumbling windows (event time, sizeMs 10, offsetMs 0) and now has session windows (event time, gapMs 5)',
    )
    expect(verdictOf(windowed({ kind: 'global' }), windowed({ kind: 'count', count: 3 }), 'w').detail).toBe(
      'was stored with global windows and now has count windows (count 3)',
    )
  })

  test('may be late for longer or shorter', () => {
    expect(verdictOf(windowed(tumbling), windowed(tumbling, watermark, 60), 'w')).toMatchObject({
      verdict: 'kept',
      detail: 'allowedLatenessMs was 0 and is now 60',
    })
  })

  test('may fire otherwise when they are stored in the same form', () => {
    const early = { kind: 'early', everyMs: 5, purge: false }
    expect(verdictOf(windowed(session), windowed(session, early), 'w').verdict).toBe('kept')
    expect(verdictOf(windowed(tumbling, early), windowed(tumbling, { ...early, everyMs: 9 }), 'w').verdict).toBe('kept')
    expect(verdictOf(windowed(tumbling), windowed(tumbling, early), 'w')).toMatchObject({
      verdict: 'incompatible',
      detail: expect.stringContaining('window by window'),
    })
    expect(verdictOf(windowed(tumbling, { ...watermark, purge: true }), windowed(tumbling), 'w').verdict).toBe('incompatible')
  })

  test('with another fold are another kind', () => {
    const reduced = [keyed('w', 'window-reduce', { window: tumbling, trigger: watermark, allowedLatenessMs: 0 })]
    expect(verdictOf(windowed(tumbling), reduced, 'w').verdict).toBe('incompatible')
  })
})

test('the bounds of an interval join are in its timers', () => {
  const join = (upperMs: number) => [keyed('j', 'interval-join', { lowerMs: 0, upperMs })]
  expect(verdictOf(join(5), join(5), 'j').verdict).toBe('kept')
  expect(verdictOf(join(5), join(6), 'j')).toMatchObject({ verdict: 'incompatible', detail: expect.stringContaining('bounds') })
})

describe('sources', () => {
  test('with other settings go on where they were', () => {
    const [before, after] = [source('in', 'read-csv', { paths: ['a'] }), source('in', 'read-csv', { paths: ['b'] })]
    expect(verdictOf([before], [after], 'in')).toMatchObject({
      verdict: 'kept',
      detail: 'paths was ["a"] and is now ["b"]; it goes on with the splits and positions that are stored',
    })
  })

  test('that are new begin at their start', () => {
    expect(verdictOf([source('a')], [source('a'), source('b')], 'b')).toMatchObject({
      verdict: 'new',
      detail: expect.any(String),
    })
  })

  test('of another kind cannot use the positions', () => {
    expect(verdictOf([source('in', 'read-csv')], [source('in', 'read-parquet')], 'in').verdict).toBe('incompatible')
    expect(verdictOf([source('in', 'map')], [node('in', 'map')], 'in').verdict).toBe('incompatible')
  })
})

describe('names', () => {
  test('a missing operator and a new one of its kind may be the same', () => {
    const report = compare([source('s'), keyed('count-1', 'count')], [source('s'), keyed('visits', 'count')])
    const [, fresh, gone] = report.operators
    expect(fresh).toMatchObject({ operator: 'visits', verdict: 'new', hint: expect.stringContaining(".named('count-1')") })
    expect(gone).toMatchObject({
      operator: 'count-1',
      verdict: 'dropped',
      hint: "if 'visits' is the same operator, write .named('count-1') behind it",
    })
  })

  test('one of another kind is not', () => {
    const report = compare([source('s'), keyed('count-1', 'count')], [source('s'), keyed('reduce-1', 'reduce')])
    expect(report.operators.map(({ hint }) => hint)).toEqual([undefined, undefined, undefined])
  })

  test('an operator that took over a generated id is told by what it reads', () => {
    const stored = [source('s'), source('t'), keyed('count-1', 'count', null, 's')]
    const job = [source('s'), source('t'), keyed('count-1', 'count', null, 't'), keyed('count-2', 'count', null, 's')]
    const report = compare(stored, job)
    expect(report.operators[2]).toMatchObject({
      verdict: 'kept',
      hint: expect.stringContaining("'count-2' reads what 'count-1' read"),
    })
    expect(verdictOf(stored, [...stored, keyed('count-2', 'count', null, 's')], 'count-1').hint).toBeUndefined()
  })
})

test('another number of key groups is incompatible with everything', () => {
  const report = compareForRestore([source('s')], [source('s')], 128, 64)
  expect(report.maxParallelism).toMatchObject({ stored: 128, job: 64, hint: expect.stringContaining('128') })
  expect(incompatibleStates(report)).toEqual(['maxParallelism'])
})

test('nothing stored makes everything new', () => {
  const report = compare([], [source('s'), node('map-1', 'map')])
  expect(report.operators.map(({ verdict }) => verdict)).toEqual(['new', 'new'])
})
