import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { dealInFlight } from '../../src/checkpoint/in-flight.ts'
import type { Manifest } from '../../src/checkpoint/manifest.ts'
import { keyGroupOf, subtaskOfGroup } from '../../src/core/key-groups.ts'
import { decodeValue, encodeValue } from '../../src/core/value-codec.ts'
import type { EdgePlan, ExecutionPlan } from '../../src/graph/execution-plan.ts'
import { channelsOfEdge, planExecution } from '../../src/graph/execution-plan.ts'
import type { PartitioningKind, StreamGraph } from '../../src/graph/stream-graph.ts'
import { describeGraph } from '../../src/graph/stream-graph.ts'
import type { InFlight, InFlightBatch } from '../../src/protocol/messages.ts'
import type { NodeSketch } from '../graph/graphs.ts'
import { graphOf } from '../graph/graphs.ts'
import { sampleManifest } from './manifests.ts'

const MAX_PARALLELISM = 128

function planFor(graph: StreamGraph, parallelism: number): ExecutionPlan {
  return planExecution(graph, { module: 'file:///job.ts', parallelism, maxParallelism: MAX_PARALLELISM, workers: 1 })
}

/** items-1 -> work-1, over an exchange of this kind. */
function pairOf(partitioning: PartitioningKind): StreamGraph {
  const keyed = partitioning === 'hash' ? { keyOf: (value: unknown) => value } : {}
  return graphOf([{ kind: 'items' }, { kind: 'work', from: [[0, partitioning]], ...keyed }])
}

function batchOf(values: readonly string[], keyed: boolean, watermarks?: InFlightBatch['watermarks']): InFlightBatch {
  return {
    values: encodeValue(values),
    timestamps: values.map((_, index) => index),
    ...(keyed ? { groups: values.map((value) => keyGroupOf(value, MAX_PARALLELISM)) } : {}),
    ...(watermarks === undefined ? {} : { watermarks }),
  }
}

type Fill = (channel: { readonly id: string; readonly from: number; readonly to: number; readonly edge: EdgePlan }) => {
  readonly batches: readonly InFlightBatch[]
  readonly watermark?: number
}

/** A checkpoint of a job at this parallelism; in each channel is what `fill` says. */
function manifestOf(graph: StreamGraph, parallelism: number, fill: Fill, reached = 0): Manifest {
  const plan = planFor(graph, parallelism)
  const subtasks = plan.tasks.flatMap((task) =>
    Array.from({ length: task.parallelism }, (_, subtask) => {
      const channels = plan.edges
        .filter((edge) => edge.toTask === task.id)
        .flatMap((edge) => channelsOfEdge(plan, edge).map((channel) => ({ ...channel, edge })))
        .filter(({ to }) => to === subtask)
        .map((channel) => ({ id: channel.id, ...fill(channel) }))
      return {
        task: task.id,
        subtask,
        parallelism: task.parallelism,
        channelWatermarks: Object.fromEntries(channels.map(({ id, watermark = 0 }) => [id, watermark])),
        operators: task.operators.map(({ id }) => ({ operator: id, watermark: reached, records: 0 })),
        inFlight: channels
          .filter(({ batches }) => batches.length > 0)
          .map(({ id, batches }): InFlight => ({ channel: id, batches })),
      }
    }),
  )
  return sampleManifest(5, { subtasks, graph: describeGraph(graph) })
}

function inFlightOf(manifest: Manifest, task: string): readonly (readonly InFlight[])[] {
  return manifest.subtasks.filter((subtask) => subtask.task === task).map(({ inFlight = [] }) => inFlight)
}

function valuesOf(inFlight: readonly { readonly batches: readonly InFlightBatch[] }[] = []): readonly string[] {
  return inFlight.flatMap(({ batches }) => batches.flatMap(({ values }) => decodeValue(values) as readonly string[]))
}

/** Values and watermarks in their order: `['a', 'watermark 5']`. */
function flatOf(inFlight: readonly { readonly batches: readonly InFlightBatch[] }[] = []): readonly string[] {
  const all: string[] = []
  for (const batch of inFlight.flatMap(({ batches }) => batches)) {
    const values = decodeValue(batch.values) as readonly string[]
    for (let index = 0; index <= values.length; index++) {
      const at = batch.watermarks?.after.indexOf(index) ?? -1
      if (at >= 0) all.push(`watermark ${batch.watermarks!.times[at]}`)
      if (index < values.length) all.push(values[index]!)
    }
  }
  return all
}

/** What `work-1` gets at this parallelism, by subtask, whether it is a task of its own or in a chain. */
function sharesOf(manifest: Manifest, plan: ExecutionPlan, reader = 'work-1') {
  const dealt = dealInFlight(manifest, plan)
  const task = plan.tasks.find(({ operators }) => operators.some(({ id }) => id === reader))!
  return Array.from({ length: task.parallelism }, (_, subtask) => {
    const { channels = [], chained = [] } = dealt.get(`${task.id}/${subtask}`) ?? {}
    return [...channels, ...chained.filter(({ operator }) => operator === reader)]
  })
}

const parallelism = fc.integer({ min: 1, max: 6 })
const several = fc.integer({ min: 2, max: 6 })
const batches = fc.array(fc.array(fc.string({ maxLength: 4 }), { minLength: 1, maxLength: 5 }), { maxLength: 3 })

describe('what was on its way', () => {
  test('is nothing where nothing was recorded', () => {
    const graph = pairOf('hash')
    const manifest = manifestOf(graph, 3, () => ({ batches: [] }))
    for (const after of [1, 2, 3]) expect(dealInFlight(manifest, planFor(graph, after)).size).toBe(0)
    expect(dealInFlight(sampleManifest(1, { subtasks: [] }), planFor(graph, 3)).size).toBe(0)
  })

  test.each<PartitioningKind>(['hash', 'rebalance', 'broadcast'])(
    'stays in its channel when the channels are the same, watermarks and all (%s)',
    (partitioning) => {
      fc.assert(
        fc.property(several, batches, (subtasks, all) => {
          const graph = pairOf(partitioning)
          const manifest = manifestOf(graph, subtasks, ({ id }) => ({
            batches: all.map((values) =>
              batchOf(
                values.map((value) => `${id} ${value}`),
                partitioning === 'hash',
                { after: [1], times: [7] },
              ),
            ),
          }))
          const dealt = dealInFlight(manifest, planFor(graph, subtasks))
          inFlightOf(manifest, 'work-1').forEach((inFlight, subtask) => {
            expect(dealt.get(`work-1/${subtask}`)?.channels ?? []).toEqual(inFlight)
          })
        }),
      )
    },
  )

  test('goes to the owner of its key group when the number of subtasks has changed, each record once, in the order of its channel', () => {
    fc.assert(
      fc.property(several, parallelism, batches, (before, after, all) => {
        fc.pre(before !== after)
        const graph = pairOf('hash')
        let count = 0
        const manifest = manifestOf(graph, before, ({ id, to }) => ({
          batches: all.map((values) => {
            const own = values.map((value) => `${id} ${value} ${count++}`)
            return batchOf(
              own.filter((value) => subtaskOfGroup(keyGroupOf(value, MAX_PARALLELISM), before, MAX_PARALLELISM) === to),
              true,
            )
          }),
        }))
        const sent = inFlightOf(manifest, 'work-1').flatMap(valuesOf)
        const plan = planFor(graph, after)
        const seen: string[] = []
        sharesOf(manifest, plan).forEach((own, subtask) => {
          for (const batch of own.flatMap((each) => each.batches)) {
            const values = decodeValue(batch.values) as readonly string[]
            expect(batch.timestamps).toHaveLength(values.length)
            if (values.length > 0) expect(batch.groups).toEqual(values.map((value) => keyGroupOf(value, MAX_PARALLELISM)))
          }
          const values = valuesOf(own)
          for (const value of values)
            expect(subtaskOfGroup(keyGroupOf(value, MAX_PARALLELISM), after, MAX_PARALLELISM)).toBe(subtask)
          expect(values).toEqual(sent.filter((value) => values.includes(value)))
          seen.push(...values)
        })
        expect(seen.sort()).toEqual(sent.toSorted())
      }),
    )
  })

  test('goes into a channel of its exchange', () => {
    const graph = pairOf('hash')
    const manifest = manifestOf(graph, 3, ({ to }) => ({ batches: [batchOf([`a${to}`, `b${to}`, `c${to}`], true)] }))
    const plan = planFor(graph, 2)
    for (const [name, { channels, chained }] of dealInFlight(manifest, plan)) {
      expect(chained).toEqual([])
      for (const { channel } of channels) expect(channel).toMatch(new RegExp(`^0:\\d:${name.split('/')[1]}$`))
    }
  })

  test('without keys is dealt in turn when the number of subtasks has changed, each record once', () => {
    fc.assert(
      fc.property(several, parallelism, batches, (before, after, all) => {
        fc.pre(before !== after)
        let count = 0
        const graph = pairOf('rebalance')
        const manifest = manifestOf(graph, before, () => ({
          batches: all.map((values) =>
            batchOf(
              values.map((value) => `${value} ${count++}`),
              false,
            ),
          ),
        }))
        const shares = sharesOf(manifest, planFor(graph, after)).map(valuesOf)
        expect(shares.flat().sort()).toEqual(inFlightOf(manifest, 'work-1').flatMap(valuesOf).sort())
        const lengths = shares.map((share) => share.length)
        expect(Math.max(...lengths) - Math.min(...lengths)).toBeLessThanOrEqual(1)
      }),
    )
  })

  test('of a broadcast goes to everybody once: each takes the copy of one former reader', () => {
    fc.assert(
      fc.property(several, parallelism, batches, (before, after, all) => {
        fc.pre(before !== after)
        const graph = pairOf('broadcast')
        // Every reader has the same from a sender, as far as it has not handled it.
        const manifest = manifestOf(graph, before, ({ from, to }) => ({
          batches: all.slice(to % 2).map((values) =>
            batchOf(
              values.map((value) => `${from} ${value}`),
              false,
            ),
          ),
        }))
        const former = inFlightOf(manifest, 'work-1').map(valuesOf)
        sharesOf(manifest, planFor(graph, after)).forEach((own, subtask) => {
          expect(valuesOf(own)).toEqual(former[subtask % before])
        })
      }),
    )
  })

  test('stays with its subtask when only the number of senders has changed: what the subtasks have seen is not the same', () => {
    const graph = graphOf([{ kind: 'items' }, { kind: 'work', from: [[0, 'rebalance']], parallelism: 2 }])
    const manifest = manifestOf(graph, 3, ({ from, to }) => ({
      batches: [batchOf([`${from}>${to} a`, `${from}>${to} b`], false)],
    }))
    sharesOf(manifest, planFor(graph, 2)).forEach((own, subtask) => {
      expect(valuesOf(own)).toEqual([0, 1, 2].flatMap((from) => [`${from}>${subtask} a`, `${from}>${subtask} b`]))
    })
  })

  test('of one sender stays together where each reader had one sender, as in a union', () => {
    const graph = graphOf([{ kind: 'left' }, { kind: 'right' }, { kind: 'work', from: [0, 1] }])
    const manifest = manifestOf(graph, 3, ({ id }) => ({ batches: [batchOf([`${id} a`, `${id} b`], false)] }))
    const shares = sharesOf(manifest, planFor(graph, 2)).map(valuesOf)
    expect(shares[0]).toEqual(['0:0:0 a', '0:0:0 b', '0:2:2 a', '0:2:2 b', '1:0:0 a', '1:0:0 b', '1:2:2 a', '1:2:2 b'])
    expect(shares[1]).toEqual(['0:1:1 a', '0:1:1 b', '1:1:1 a', '1:1:1 b'])
  })
})

describe('what was on its way to an operator that is chained now', () => {
  test.each<PartitioningKind>(['hash', 'rebalance', 'broadcast'])(
    'goes to it inside of the chain, each record once (%s)',
    (partitioning) => {
      const graph = pairOf(partitioning)
      const manifest = manifestOf(graph, 3, ({ from, to }) => ({
        batches: [batchOf([`${from}>${to}`], partitioning === 'hash')],
      }))
      const dealt = dealInFlight(manifest, planFor(graph, 1))
      expect([...dealt.keys()]).toEqual(['items-1/0'])
      const { channels, chained } = dealt.get('items-1/0')!
      expect(channels).toEqual([])
      expect(chained.map(({ operator }) => operator)).toEqual(['work-1'])
      const senders = ['0>0', '1>0', '2>0']
      const all = [...senders, '0>1', '1>1', '2>1', '0>2', '1>2', '2>2']
      expect(valuesOf(chained)).toEqual(partitioning === 'broadcast' ? senders : all)
    },
  )

  test('comes to those at the end of the chain first', () => {
    const keyOf = (value: unknown): unknown => value
    const chain: readonly NodeSketch[] = [
      { kind: 'items' },
      { kind: 'first', from: [[0, 'hash']], keyOf },
      { kind: 'second', from: [[1, 'rebalance']] },
      { kind: 'third', from: [[2, 'hash']], keyOf },
      { kind: 'aside', from: [[1, 'hash']], keyOf },
    ]
    const graph = graphOf(chain)
    const manifest = manifestOf(graph, 2, ({ edge }) => ({ batches: [batchOf([edge.toTask], edge.partitioning === 'hash')] }))
    const { chained } = dealInFlight(manifest, planFor(graph, 1)).get('items-1/0')!
    expect(chained.map(({ operator }) => operator)).toEqual(['aside-1', 'third-1', 'second-1', 'first-1'])
  })

  test('comes with its watermarks, and with what all senders had sent behind all records', () => {
    const graph = pairOf('hash')
    const manifest = manifestOf(graph, 2, ({ from, to }) => ({
      batches: [batchOf([`${from}>${to} a`, `${from}>${to} b`], true, { after: [1, 2], times: [10 + from, 20 + from] })],
      watermark: 5 + to,
    }))
    const { chained } = dealInFlight(manifest, planFor(graph, 1)).get('items-1/0')!
    expect(flatOf(chained)).toEqual([
      'watermark 5',
      '0>0 a',
      '1>0 a',
      'watermark 6',
      '0>1 a',
      '1>1 a',
      'watermark 10',
      '0>0 b',
      '0>1 b',
      'watermark 11',
      '1>0 b',
      '1>1 b',
      'watermark 20',
    ])
  })

  test('is known by its group again when it is parted, also when it came over no exchange that needs one', () => {
    const keyOf = (value: unknown): unknown => value
    const graph = graphOf([
      { kind: 'left' },
      { kind: 'right' },
      {
        kind: 'work',
        from: [
          [0, 'hash'],
          [1, 'hash'],
        ],
        keyOf,
      },
    ])
    const values = Array.from({ length: 40 }, (_, index) => `key ${index}`)
    const fill =
      (keyed: boolean): Fill =>
      () => ({ batches: [batchOf(values, keyed)] })
    const shares = sharesOf(manifestOf(graph, 1, fill(true)), planFor(graph, 3)).map(valuesOf)
    shares.forEach((share, subtask) => {
      for (const value of share) expect(subtaskOfGroup(keyGroupOf(value, MAX_PARALLELISM), 3, MAX_PARALLELISM)).toBe(subtask)
    })
    expect(shares.flat().sort()).toEqual([...values, ...values].sort())
    // It cannot be said any more where it belongs.
    expect(() => dealInFlight(manifestOf(graph, 1, fill(false)), planFor(graph, 3))).toThrow(
      expect.objectContaining({ code: 'STATE_OF_ANOTHER_GRAPH', operator: 'work-1' }),
    )
  })
})

describe('what was on its way to an operator whose inputs have changed', () => {
  const two = (withOther: boolean): StreamGraph =>
    graphOf([
      { kind: 'items' },
      ...(withOther ? [{ kind: 'other', from: [[0, 'rebalance']] as const }] : []),
      { kind: 'work', from: [[0, 'rebalance']] as const },
    ])

  test('comes over the exchange of the same input, whatever its number', () => {
    const manifest = manifestOf(two(false), 2, ({ to }) => ({ batches: [batchOf([`${to}`], false)] }))
    for (const after of [2, 3]) {
      const plan = planFor(two(true), after)
      const edge = plan.edges.find(({ toTask }) => toTask === 'work-1')!
      const dealt = dealInFlight(manifest, plan)
      expect([...dealt.values()].flatMap(({ channels }) => valuesOf(channels)).sort()).toEqual(['0', '0', '1', '1'])
      for (const { channels } of dealt.values())
        for (const { channel } of channels) expect(channel.split(':')[0]).toBe(`${edge.index}`)
    }
  })

  test('comes to the side that it was sent to', () => {
    const keyOf = (value: unknown): unknown => value
    const sides = (graph: StreamGraph): StreamGraph => ({
      ...graph,
      nodes: graph.nodes.map((node) => ({
        ...node,
        inputs: node.inputs.map((input, index) => ({ ...input, ...(index === 1 ? { side: 'second' as const } : {}) })),
      })),
    })
    const joined = sides(
      graphOf([
        { kind: 'left' },
        { kind: 'right' },
        { kind: 'aside', from: [[0, 'hash']], keyOf },
        {
          kind: 'join',
          from: [
            [0, 'hash'],
            [1, 'hash'],
          ],
          keyOf,
        },
      ]),
    )
    for (const [before, after] of [
      [3, 1],
      [1, 3],
      [2, 3],
    ] as const) {
      const manifest = manifestOf(joined, before, ({ id, edge }) => ({
        batches: edge.toTask === 'join-1' ? [batchOf([`${edge.side} ${id}`], true)] : [],
      }))
      const plan = planFor(joined, after)
      for (const channels of sharesOf(manifest, plan, 'join-1') as readonly (readonly InFlight[])[]) {
        for (const each of channels) {
          const edge = plan.edges[Number(each.channel.split(':')[0])]!
          for (const value of valuesOf([each])) expect(value).toMatch(`${edge.side} `)
        }
      }
      expect(sharesOf(manifest, plan, 'join-1').flatMap(valuesOf)).toHaveLength(2 * before * before)
    }
  })

  test('is refused when the operator is gone, because nobody would take it', () => {
    const graph = pairOf('hash')
    const without = planFor(graphOf([{ kind: 'items' }]), 3)
    const manifest = manifestOf(graph, 3, () => ({ batches: [batchOf(['a'], true)] }))
    expect(() => dealInFlight(manifest, without)).toThrow(
      expect.objectContaining({
        code: 'STATE_OF_ANOTHER_GRAPH',
        operator: 'work-1',
        hint: expect.stringContaining('job of before'),
      }),
    )
    expect(
      dealInFlight(
        manifestOf(graph, 3, () => ({ batches: [] })),
        without,
      ).size,
    ).toBe(0)
  })

  test('does not mind an input that is gone when there was only a watermark on its way', () => {
    const union = graphOf([{ kind: 'left' }, { kind: 'right' }, { kind: 'work', from: [0, 1] }])
    const half = graphOf([{ kind: 'left' }, { kind: 'right' }, { kind: 'work', from: [0] }])
    const manifest = manifestOf(union, 3, ({ edge }) => ({
      batches: [batchOf(edge.index === 0 ? ['a'] : [], false, { after: [0], times: [7] })],
    }))
    expect(sharesOf(manifest, planFor(half, 2)).flatMap(valuesOf)).toEqual(['a', 'a', 'a'])
  })

  test('is refused when one of two inputs is gone', () => {
    const union = graphOf([{ kind: 'left' }, { kind: 'right' }, { kind: 'work', from: [0, 1] }])
    const half = graphOf([{ kind: 'left' }, { kind: 'right' }, { kind: 'work', from: [0] }])
    const manifest = manifestOf(union, 3, () => ({ batches: [batchOf(['a'], false)] }))
    expect(() => dealInFlight(manifest, planFor(half, 3))).toThrow(expect.objectContaining({ code: 'STATE_OF_ANOTHER_GRAPH' }))
  })
})
