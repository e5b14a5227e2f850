import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createRings } from '../../src/control/deployments.ts'
import type { ExecutionPlan } from '../../src/graph/execution-plan.ts'
import { channelsOfEdge, planExecution, subtaskNames, workerOfSubtask } from '../../src/graph/execution-plan.ts'
import type { PartitioningKind } from '../../src/graph/stream-graph.ts'
import type { NodeSketch } from './graphs.ts'
import { graphOf, sinkBody } from './graphs.ts'

function plan(sketches: readonly NodeSketch[], parallelism = 2, workers = 1): ExecutionPlan {
  return planExecution(graphOf(sketches), { module: 'file:///job.ts', parallelism, maxParallelism: 128, workers })
}

/** Tasks as `items-1 > map-1`, exchanges as `items-1 -hash-> count-1`. */
function sketchOf({ tasks, edges }: ExecutionPlan): readonly string[] {
  return [
    ...tasks.map((task) => `${task.operators.map((operator) => operator.id).join(' > ')} x${task.parallelism}`),
    ...edges.map((edge) => `${edge.fromOperator} -${edge.partitioning}-> ${edge.toTask}`),
  ]
}

const OUT: Pick<NodeSketch, 'kind' | 'name' | 'body'> = { kind: 'collect', name: 'out', body: sinkBody() }
const COUNT: Pick<NodeSketch, 'kind' | 'keyOf'> = { kind: 'count', keyOf: (value) => value }

describe('a plan', () => {
  test('fuses operators that need no exchange', () => {
    expect(sketchOf(plan([{ kind: 'items' }, { kind: 'map', from: [0] }, { ...OUT, from: [1] }]))).toEqual([
      'items-1 > map-1 > out x2',
    ])
  })

  test('exchanges bytes also between single subtasks when it is forced to, and fuses as before', () => {
    const graph = graphOf([
      { kind: 'items' },
      { kind: 'map', from: [0] },
      { ...COUNT, from: [[1, 'hash']] },
      { ...OUT, from: [2] },
    ])
    const options = { module: 'file:///job.ts', parallelism: 1, maxParallelism: 128, workers: 1 }
    expect(sketchOf(planExecution(graph, options))).toEqual(['items-1 > map-1 > count-1 > out x1'])
    const forced = planExecution(graph, { ...options, exchange: 'forced' })
    expect(sketchOf(forced)).toEqual(['items-1 > map-1 x1', 'count-1 > out x1', 'map-1 -hash-> count-1'])
    expect(Object.keys(createRings(forced, forced.edges))).toEqual(['0:0:0'])
  })

  test('begins a new task behind a hash exchange', () => {
    const { tasks, edges } = plan([{ kind: 'items' }, { ...COUNT, from: [[0, 'hash']] }, { ...OUT, from: [1] }])
    expect(sketchOf({ tasks, edges } as ExecutionPlan)).toEqual(['items-1 x2', 'count-1 > out x2', 'items-1 -hash-> count-1'])
    expect(edges).toEqual([
      {
        index: 0,
        fromTask: 'items-1',
        fromOperator: 'items-1',
        output: 'main',
        toTask: 'count-1',
        partitioning: 'hash',
        input: 0,
        side: 'first',
        timeless: false,
      },
    ])
    expect(tasks[1]!.operators.map(({ keyed, type, chainedTo }) => ({ keyed, type, chainedTo }))).toEqual([
      { keyed: true, type: 'operator', chainedTo: null },
      { keyed: false, type: 'sink', chainedTo: { operator: 'count-1', output: 'main' } },
    ])
  })

  test('needs no exchange at all between single subtasks', () => {
    const sketches: readonly NodeSketch[] = [
      { kind: 'items' },
      { ...COUNT, from: [[0, 'hash']] },
      { ...OUT, from: [[1, 'rebalance']] },
    ]
    expect(sketchOf(plan(sketches, 1))).toEqual(['items-1 > count-1 > out x1'])
    expect(plan(sketches, 1).tasks[0]!.operators[1]!.keyed).toBe(true)
  })

  test('turns a forward exchange between different numbers of subtasks into a rebalance', () => {
    const sketches: readonly NodeSketch[] = [
      { kind: 'items', parallelism: 1 },
      { kind: 'map', from: [0] },
      { ...OUT, from: [1], parallelism: 3 },
    ]
    expect(sketchOf(plan(sketches, 2))).toEqual([
      'items-1 x1',
      'map-1 x2',
      'out x3',
      'items-1 -rebalance-> map-1',
      'map-1 -rebalance-> out',
    ])
  })

  test('keeps a hash exchange when only one side is single', () => {
    expect(
      sketchOf(
        plan(
          [
            { kind: 'items', parallelism: 1 },
            { ...COUNT, from: [[0, 'hash']] },
          ],
          4,
        ),
      ),
    ).toEqual(['items-1 x1', 'count-1 x4', 'items-1 -hash-> count-1'])
  })

  test('does not fuse an operator with several inputs to one of them', () => {
    expect(
      sketchOf(plan([{ kind: 'items' }, { kind: 'items' }, { kind: 'union', from: [0, 1] }, { ...OUT, from: [2] }])),
    ).toEqual(['items-1 x2', 'items-2 x2', 'union-1 > out x2', 'items-1 -forward-> union-1', 'items-2 -forward-> union-1'])
  })

  test('takes the same stream twice as two inputs', () => {
    expect(sketchOf(plan([{ kind: 'items' }, { kind: 'union', from: [0, 0] }]))).toEqual([
      'items-1 x2',
      'union-1 x2',
      'items-1 -forward-> union-1',
      'items-1 -forward-> union-1',
    ])
  })

  test('fuses every reader of a stream that needs no exchange, in the order of the job', () => {
    const { tasks } = plan([
      { kind: 'items' },
      { kind: 'map', from: [0] },
      { kind: 'filter', from: [[0, 'forward', 'side:late']] },
      { ...OUT, from: [1] },
    ])
    expect(tasks).toHaveLength(1)
    expect(tasks[0]!.operators.map(({ id, chainedTo }) => [id, chainedTo])).toEqual([
      ['items-1', null],
      ['map-1', { operator: 'items-1', output: 'main' }],
      ['filter-1', { operator: 'items-1', output: 'side:late' }],
      ['out', { operator: 'map-1', output: 'main' }],
    ])
  })

  test('an exchange names the operator in the middle of a task that it reads', () => {
    const { edges } = plan([{ kind: 'items' }, { kind: 'map', from: [0] }, { ...COUNT, from: [[1, 'hash', 'side:x']] }])
    expect(edges).toEqual([
      {
        index: 0,
        fromTask: 'items-1',
        fromOperator: 'map-1',
        output: 'side:x',
        toTask: 'count-1',
        partitioning: 'hash',
        input: 0,
        side: 'first',
        timeless: false,
      },
    ])
  })

  test('names all its subtasks', () => {
    expect(subtaskNames(plan([{ kind: 'items' }, { ...COUNT, from: [[0, 'hash']], parallelism: 3 }]))).toEqual([
      'items-1/0',
      'items-1/1',
      'count-1/0',
      'count-1/1',
      'count-1/2',
    ])
  })

  test('puts equal subtasks of all tasks on one worker', () => {
    const own = plan([{ kind: 'items' }], 5, 2)
    expect([0, 1, 2, 3, 4].map((subtask) => workerOfSubtask(own, subtask))).toEqual([0, 1, 0, 1, 0])
    expect([0, 1, 2].map((subtask) => workerOfSubtask(plan([{ kind: 'items' }], 3, 0), subtask))).toEqual([0, 0, 0])
  })
})

describe('the channels of an exchange', () => {
  test.each<readonly [PartitioningKind, number]>([
    ['hash', 6],
    ['rebalance', 6],
    ['broadcast', 6],
  ])('of %s lead from everyone to everyone', (partitioning, count) => {
    const own = plan([{ kind: 'items' }, { kind: 'map', from: [[0, partitioning]], parallelism: 3 }])
    const channels = channelsOfEdge(own, own.edges[0]!)
    expect(channels).toHaveLength(count)
    expect(new Set(channels.map(({ id }) => id)).size).toBe(count)
    expect(channels[4]).toEqual({ id: '0:1:1', edge: 0, from: 1, to: 1 })
  })

  test('of forward lead from each to its like', () => {
    const own = plan([{ kind: 'items' }, { kind: 'items' }, { kind: 'union', from: [0, 1] }], 3)
    expect(own.edges.flatMap((edge) => channelsOfEdge(own, edge)).map(({ id }) => id)).toEqual([
      '0:0:0',
      '0:1:1',
      '0:2:2',
      '1:0:0',
      '1:1:1',
      '1:2:2',
    ])
  })
})

describe('any plan', () => {
  const partitioning = fc.constantFrom<PartitioningKind>('forward', 'forward', 'hash', 'rebalance', 'broadcast')
  const sketches = fc
    .array(
      fc.record({
        inputs: fc.array(fc.tuple(fc.nat(), partitioning), { minLength: 0, maxLength: 3 }),
        parallelism: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
      }),
      { minLength: 1, maxLength: 12 },
    )
    .map((nodes) =>
      nodes.map(
        ({ inputs, parallelism }, index): NodeSketch => ({
          kind: index === 0 || inputs.length === 0 ? 'items' : 'map',
          from: index === 0 ? [] : inputs.map(([node, kind]) => [node % index, kind] as const),
          settings: { index },
          ...(parallelism === undefined ? {} : { parallelism }),
        }),
      ),
    )

  test('survives JSON unchanged', () => {
    fc.assert(
      fc.property(sketches, fc.integer({ min: 1, max: 4 }), (nodes, parallelism) => {
        const own = plan(nodes, parallelism)
        expect(JSON.parse(JSON.stringify(own))).toStrictEqual(own)
        expect(structuredClone(own)).toStrictEqual(own)
      }),
    )
  })

  test('runs every operator once, after what it is chained to, and joins all tasks by the exchanges of the job', () => {
    fc.assert(
      fc.property(sketches, fc.integer({ min: 1, max: 4 }), (nodes, parallelism) => {
        const { tasks, edges } = plan(nodes, parallelism)
        const operators = tasks.flatMap((task) => task.operators)
        expect(operators.map(({ node }) => node).toSorted((a, b) => a - b)).toEqual(nodes.map((_, index) => index))
        for (const task of tasks) {
          expect(task.id).toBe(task.operators[0]!.id)
          expect(task.operators[0]!.chainedTo).toBeNull()
          task.operators.forEach(({ chainedTo, node }, index) => {
            expect(nodes[node]!.parallelism ?? parallelism).toBe(task.parallelism)
            if (index > 0) expect(task.operators.slice(0, index).map(({ id }) => id)).toContain(chainedTo!.operator)
          })
        }
        const inputs = nodes.reduce((sum, node) => sum + node.from!.length, 0)
        expect(edges.length + operators.filter(({ chainedTo }) => chainedTo !== null).length).toBe(inputs)
        expect(edges.map(({ index }) => index)).toEqual(edges.map((_, index) => index))
        for (const edge of edges) {
          const [from, to] = [edge.fromTask, edge.toTask].map((id) => tasks.find((task) => task.id === id)!.parallelism)
          if (edge.partitioning === 'forward') expect(from).toBe(to)
        }
      }),
    )
  })
})
