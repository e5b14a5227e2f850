import { describe, expect, test } from 'vitest'
import type { StreamGraph } from '../../src/graph/stream-graph.ts'
import { describeGraph, fingerprintOf, graphDifference, nodeIds, validateGraph } from '../../src/graph/stream-graph.ts'
import type { NodeSketch } from './graphs.ts'
import { graphOf, operatorBody, sinkBody, sourceBody } from './graphs.ts'

const fingerprint = (graph: StreamGraph) => fingerprintOf(describeGraph(graph))

/** items -> map -> count by key -> out */
const PIPELINE: readonly NodeSketch[] = [
  { kind: 'items', settings: { items: 3 } },
  { kind: 'map', from: [0] },
  { kind: 'count', from: [[1, 'hash']], keyOf: (value) => value },
  { kind: 'collect', name: 'out', from: [2], body: sinkBody() },
]

function changed(index: number, change: Partial<NodeSketch>): StreamGraph {
  return graphOf(PIPELINE.map((sketch, at) => (at === index ? { ...sketch, ...change } : sketch)))
}

describe('the ids of operators', () => {
  test('are the kind and its number among its like, or the name', () => {
    const graph = graphOf([
      { kind: 'items' },
      { kind: 'map', from: [0] },
      { kind: 'filter', from: [1] },
      { kind: 'map', from: [2] },
      { kind: 'map', from: [3], name: 'clean' },
    ])
    expect(nodeIds(graph)).toEqual(['items-1', 'map-1', 'filter-1', 'map-2', 'clean'])
  })

  test('a name changes no other id', () => {
    expect(nodeIds(graphOf([{ kind: 'map', name: 'first' }, { kind: 'map' }]))).toEqual(['first', 'map-2'])
  })

  test.each([
    [
      'two equal names',
      [
        { kind: 'items', name: 'a' },
        { kind: 'map', name: 'a' },
      ],
      'a',
    ],
    ['a name that is the id of another operator', [{ kind: 'map', name: 'map-2' }, { kind: 'map' }], 'map-2'],
  ])('refuse %s', (_, sketches, id) => {
    expect(() => nodeIds(graphOf(sketches))).toThrow(expect.objectContaining({ code: 'DUPLICATE_OPERATOR_ID', operator: id }))
  })
})

describe('the fingerprint of a graph', () => {
  test('is the same for the same graph, also with other code and another parallelism', () => {
    const same = PIPELINE.map((sketch, index) => ({
      ...sketch,
      parallelism: index + 1,
      ...(sketch.keyOf ? { keyOf: () => 'another function' } : {}),
      body: index === 0 ? sourceBody() : index === 3 ? sinkBody() : operatorBody({ onRecord: () => {} }),
    }))
    expect(fingerprint(graphOf(same))).toBe(fingerprint(graphOf(PIPELINE)))
  })

  test.each([
    ['a kind', changed(1, { kind: 'filter' })],
    ['a name', changed(3, { name: 'other' })],
    ['a setting', changed(0, { settings: { items: 4 } })],
    ['an exchange', changed(2, { from: [[1, 'rebalance']] })],
    ['an input', changed(2, { from: [[0, 'hash']] })],
    ['the output that is read', changed(1, { from: [[0, 'forward', 'side:late']] })],
    [
      'one more input',
      changed(2, {
        from: [
          [1, 'hash'],
          [0, 'hash'],
        ],
      }),
    ],
    ['one more operator', graphOf([...PIPELINE, { kind: 'map', from: [2] }])],
    ['one operator less', graphOf(PIPELINE.slice(0, 3))],
  ])('changes with %s', (_, graph) => {
    expect(fingerprint(graph)).not.toBe(fingerprint(graphOf(PIPELINE)))
  })

  test('is a short text', () => {
    expect(fingerprint(graphOf(PIPELINE))).toMatch(/^[0-9a-f]{32}$/)
  })
})

describe('how two graphs differ', () => {
  const difference = (after: StreamGraph) => graphDifference(describeGraph(graphOf(PIPELINE)), describeGraph(after))

  test.each<readonly [string, StreamGraph, string | undefined]>([
    ['not at all', graphOf(PIPELINE), undefined],
    ['a new operator', graphOf([...PIPELINE, { kind: 'print', from: [2] }]), "'print-1' is new"],
    ['one that is gone', graphOf(PIPELINE.slice(0, 3)), "'out' is gone"],
    ['another name', changed(3, { name: 'other' }), "'other' is new, 'out' is gone"],
    ['another kind under the same name', changed(3, { kind: 'writeText' }), "'out' has changed (collect is now writeText)"],
    ['another exchange', changed(2, { from: [[1, 'rebalance']] }), "'count-1' has changed (other inputs)"],
    [
      'other settings',
      changed(0, { settings: { items: 4 } }),
      `'items-1' has changed (settings {"items":3} are now {"items":4})`,
    ],
    [
      'another order',
      graphOf([PIPELINE[0]!, { kind: 'filter', from: [0] }, { kind: 'map', from: [0] }]),
      "'filter-1' is new, 'count-1' is gone, 'out' is gone",
    ],
  ])('%s', (_, after, sentence) => {
    expect(difference(after)).toBe(sentence)
  })

  test('the order alone', () => {
    const [a, b] = [
      { kind: 'items', name: 'a' },
      { kind: 'items', name: 'b' },
    ]
    expect(graphDifference(describeGraph(graphOf([a, b])), describeGraph(graphOf([b, a])))).toBe(
      'the operators come in another order',
    )
  })

  test('more than a reader wants to see', () => {
    const many = Array.from({ length: 9 }, (_, index) => ({ kind: 'items', name: `new-${index}` }))
    expect(graphDifference([], describeGraph(graphOf(many)))).toMatch(/^('new-\d' is new, ){4}'new-4' is new and 4 more$/)
  })

  test('there is a difference exactly when the fingerprints differ', () => {
    const graphs = [
      graphOf(PIPELINE),
      changed(0, { settings: null }),
      changed(1, { kind: 'filter' }),
      graphOf([...PIPELINE, { kind: 'map', from: [2] }]),
    ]
    for (const a of graphs) {
      for (const b of graphs) {
        expect(graphDifference(describeGraph(a), describeGraph(b)) === undefined).toBe(fingerprint(a) === fingerprint(b))
      }
    }
  })

  test('a description that was stored as JSON is the same as before', () => {
    const description = describeGraph(changed(0, { settings: { items: 3, absent: undefined } }))
    expect(graphDifference(JSON.parse(JSON.stringify(description)), description)).toBeUndefined()
  })
})

describe('a graph that cannot run', () => {
  test('is refused when it is empty', () => {
    expect(() => validateGraph(graphOf([]))).toThrow(expect.objectContaining({ code: 'EMPTY_JOB' }))
  })

  test('is refused when an operator needs timestamps that its records do not have', () => {
    const window: NodeSketch = { kind: 'window', from: [[1, 'hash']], needsTimestamps: true }
    const graph = graphOf([{ kind: 'items' }, { kind: 'map', from: [0] }, window])
    expect(() => validateGraph(graph)).toThrow(expect.objectContaining({ code: 'NO_TIMESTAMPS', operator: 'window-1' }))
    validateGraph(graphOf([{ kind: 'items' }, { kind: 'timestamps', from: [0], assignsTimestamps: true }, window]))
  })

  test('is refused when only one of several inputs has timestamps', () => {
    const graph = graphOf([
      { kind: 'items' },
      { kind: 'items' },
      { kind: 'timestamps', from: [0], assignsTimestamps: true },
      { kind: 'union', from: [2, 1] },
      { kind: 'window', from: [3], needsTimestamps: true },
    ])
    expect(() => validateGraph(graph)).toThrow(expect.objectContaining({ code: 'NO_TIMESTAMPS' }))
  })
})
