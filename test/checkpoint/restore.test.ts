import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Manifest, StoredDelta, StoredOperator, StoredSubtask } from '../../src/checkpoint/manifest.ts'
import type { Unfolded } from '../../src/checkpoint/restore.ts'
import { dealCheckpoint } from '../../src/checkpoint/restore.ts'
import { groupsOfSubtask } from '../../src/core/key-groups.ts'
import { encodeValue } from '../../src/core/value-codec.ts'
import type { ExecutionPlan } from '../../src/graph/execution-plan.ts'
import { channelsOfEdge, planExecution } from '../../src/graph/execution-plan.ts'
import { describeGraph } from '../../src/graph/stream-graph.ts'
import type { InFlight, OperatorRestore, SubtaskRestore } from '../../src/protocol/messages.ts'
import { graphOf, sinkBody } from '../graph/graphs.ts'
import { sampleManifest } from './manifests.ts'

const MAX_PARALLELISM = 128
const parallelism = fc.integer({ min: 1, max: 9 })

/** items-1 -> count-1 (by key) -> out */
const GRAPH = graphOf([
  { kind: 'items' },
  { kind: 'count', from: [[0, 'hash']], keyOf: (value) => value },
  { kind: 'collect', name: 'out', from: [1], body: sinkBody() },
])

function planOf(subtasks: number): ExecutionPlan {
  return planExecution(GRAPH, { module: 'file:///job.ts', parallelism: subtasks, maxParallelism: MAX_PARALLELISM, workers: 1 })
}

/** One split for each subtask of any plan. */
const UNREAD = Array.from({ length: 9 }, (_, index) => ({ index, split: new Uint8Array([index]), done: false }))

/** A manifest of the plan's subtasks, each operator with what `fill` says. */
function manifestOf(
  plan: ExecutionPlan,
  fill: (operator: string, subtask: number) => Partial<StoredOperator>,
  channelWatermark: (channel: string, subtask: number) => number = () => 0,
): Manifest {
  const subtasks = plan.tasks.flatMap((task) =>
    Array.from({ length: task.parallelism }, (_, subtask): StoredSubtask => {
      const channels = plan.edges
        .filter((edge) => edge.toTask === task.id)
        .flatMap((edge) => channelsOfEdge(plan, edge).filter((channel) => channel.to === subtask))
      return {
        task: task.id,
        subtask,
        parallelism: task.parallelism,
        channelWatermarks: Object.fromEntries(channels.map(({ id }) => [id, channelWatermark(id, subtask)])),
        operators: task.operators.map(({ id, type }) => ({
          operator: id,
          watermark: 0,
          records: 0,
          ...(type === 'source' ? { splits: UNREAD } : {}),
          ...fill(id, subtask),
        })),
      }
    }),
  )
  return sampleManifest(5, { subtasks, committables: [], graph: describeGraph(GRAPH) })
}

/** An operator's share; at parallelism 1 all operators are one task. */
function shareOf(restores: Record<string, SubtaskRestore>, operator: string, subtask: number): OperatorRestore {
  const inTask = Object.entries(restores).find(([name, restore]) => name.endsWith(`/${subtask}`) && operator in restore.operators)
  return inTask![1].operators[operator]!
}

const NOTHING: Unfolded = {
  deltas: [],
  read: () => {
    throw new Error('there is no chunk to read')
  },
}

function deltaOf(sequence: number, firstGroup: number, lastGroup: number, operator = 'count-1', checkpoint = 5): StoredDelta {
  return { operator, checkpoint, sequence, firstGroup, lastGroup, rows: 1, length: 0, crc32: 0 }
}

describe('dealing a checkpoint', () => {
  test('gives every subtask of the plan a share, also of operators the checkpoint does not know', () => {
    fc.assert(
      fc.property(parallelism, (subtasks) => {
        const plan = planOf(subtasks)
        const restores = dealCheckpoint(sampleManifest(1, { subtasks: [] }), plan, NOTHING)
        const names = plan.tasks.flatMap((task) => Array.from({ length: task.parallelism }, (_, index) => `${task.id}/${index}`))
        expect(Object.keys(restores)).toEqual(names)
        for (const restore of Object.values(restores)) {
          for (const operator of Object.values(restore.operators)) {
            expect(operator).toEqual({
              watermark: Number.NEGATIVE_INFINITY,
              rescaled: false,
              watermarkFloors: [],
              records: 0,
              states: [],
              splits: [],
              deltas: [],
            })
          }
        }
      }),
    )
  })

  test('deals every split to exactly one subtask, in turn and in order, with its position', () => {
    fc.assert(
      fc.property(parallelism, parallelism, fc.nat(30), (before, after, count) => {
        const splitOf = (index: number) => ({
          index,
          split: new Uint8Array([index]),
          done: index % 3 === 0,
          ...(index % 2 === 0 ? { position: new Uint8Array([index, index]) } : {}),
        })
        const all = Array.from({ length: count }, (_, index) => splitOf(index))
        const manifest = manifestOf(planOf(before), (operator, subtask) =>
          operator === 'items-1' ? { splits: all.filter(({ index }) => index % before === subtask) } : {},
        )
        const restores = dealCheckpoint(manifest, planOf(after), NOTHING)
        const dealt = Array.from({ length: after }, (_, subtask) => restores[`items-1/${subtask}`]!.operators['items-1']!.splits)
        dealt.forEach((splits, subtask) => {
          expect(splits).toEqual(all.filter(({ index }) => index % after === subtask))
        })
      }),
    )
  })

  test('gives every key group of the changed state to its new owner, and to nobody a chunk that holds nothing for it', () => {
    fc.assert(
      fc.property(parallelism, parallelism, fc.integer({ min: 1, max: 20 }), (before, after, groupsInChunk) => {
        const deltas: StoredDelta[] = []
        for (let subtask = 0; subtask < before; subtask++) {
          const { first, last } = groupsOfSubtask(subtask, before, MAX_PARALLELISM)
          for (let from = first; from <= last; from += groupsInChunk) {
            deltas.push(deltaOf(from, from, Math.min(last, from + groupsInChunk - 1)))
          }
        }
        const read = ({ firstGroup, lastGroup }: StoredDelta) =>
          Uint8Array.from({ length: lastGroup - firstGroup + 1 }, (_, index) => firstGroup + index)
        const restores = dealCheckpoint(
          manifestOf(planOf(before), () => ({})),
          planOf(after),
          { deltas, read },
        )
        for (let subtask = 0; subtask < after; subtask++) {
          const { first, last } = groupsOfSubtask(subtask, after, MAX_PARALLELISM)
          const own = shareOf(restores, 'count-1', subtask).deltas
          const groups = own.flatMap((bytes) => [...bytes]).filter((group) => group >= first && group <= last)
          expect(groups.sort((a, b) => a - b)).toEqual(Array.from({ length: last - first + 1 }, (_, index) => first + index))
          for (const bytes of own) expect([...bytes].some((group) => group >= first && group <= last)).toBe(true)
        }
      }),
    )
  })

  test('gives changes to keyed operators only, each its own, in their order', () => {
    const deltas = [
      deltaOf(0, 0, 127, 'items-1'),
      deltaOf(1, 0, 127, 'out'),
      deltaOf(2, 0, 127),
      deltaOf(3, 64, 127, 'count-1', 6),
      deltaOf(4, 0, 127, 'count-1', 7),
    ]
    const plan = planOf(2)
    const manifest = manifestOf(plan, () => ({}))
    const restores = dealCheckpoint(manifest, plan, { deltas, read: ({ sequence }) => new Uint8Array([sequence]) })
    expect(restores['items-1/0']!.operators['items-1']!.deltas).toEqual([])
    expect(restores['count-1/1']!.operators['out']!.deltas).toEqual([])
    expect(restores['count-1/0']!.operators['count-1']!.deltas).toEqual([[2], [4]].map((bytes) => new Uint8Array(bytes)))
    expect(restores['count-1/1']!.operators['count-1']!.deltas).toEqual([[2], [3], [4]].map((bytes) => new Uint8Array(bytes)))
  })

  test('reads a chunk that several subtasks need once, and one that nobody needs not at all', () => {
    const deltas = [deltaOf(0, 0, 127), deltaOf(1, 0, 10, 'items-1')]
    const reads: number[] = []
    dealCheckpoint(
      manifestOf(planOf(4), () => ({})),
      planOf(4),
      { deltas, read: ({ sequence }) => new Uint8Array(reads.push(sequence)) },
    )
    expect(reads).toEqual([0])
  })

  test('a state that is gone takes nothing of the others of its operator along', () => {
    const dropped = [{ operator: 'count-1', kind: 'table' as const, name: 'gone', through: 9 }]
    const manifest = { ...manifestOf(planOf(1), () => ({})), dropped }
    const restores = dealCheckpoint(manifest, planOf(1), { deltas: [deltaOf(0, 0, 127)], read: () => new Uint8Array([7]) })
    expect(shareOf(restores, 'count-1', 0).deltas).toEqual([new Uint8Array([7])])
  })

  test('gives other state back to the subtask it came from, and to all when their number has changed', () => {
    const state = (subtask: number) => new Uint8Array([subtask])
    const manifest = manifestOf(planOf(3), (operator, subtask) =>
      operator === 'out' && subtask !== 1 ? { state: state(subtask) } : {},
    )
    const statesFor = (after: number) =>
      Array.from(
        { length: after },
        (_, subtask) => dealCheckpoint(manifest, planOf(after), NOTHING)[`count-1/${subtask}`]!.operators['out']!.states,
      )
    expect(statesFor(3)).toEqual([[state(0)], [], [state(2)]])
    expect(statesFor(2)).toEqual([
      [state(0), state(2)],
      [state(0), state(2)],
    ])
  })

  test('takes the state of an operator along when the plan chains it elsewhere', () => {
    // At parallelism 1 the exchange goes, and all three operators are one task.
    const manifest = manifestOf(planOf(3), (operator, subtask) => ({ state: new Uint8Array([operator.length, subtask]) }))
    const restores = dealCheckpoint(manifest, planOf(1), NOTHING)
    expect(Object.keys(restores)).toEqual(['items-1/0'])
    expect(Object.keys(restores['items-1/0']!.operators)).toEqual(['items-1', 'count-1', 'out'])
    expect(restores['items-1/0']!.operators['out']!.states).toEqual([0, 1, 2].map((subtask) => new Uint8Array([3, subtask])))
  })

  test('takes the smallest watermark when the number of subtasks has changed, else each its own', () => {
    fc.assert(
      fc.property(parallelism, parallelism, fc.array(fc.integer(), { minLength: 9, maxLength: 9 }), (before, after, times) => {
        const manifest = manifestOf(planOf(before), (_, subtask) => ({ watermark: times[subtask]! }))
        const restores = dealCheckpoint(manifest, planOf(after), NOTHING)
        const smallest = Math.min(...times.slice(0, before))
        for (let subtask = 0; subtask < after; subtask++) {
          for (const task of planOf(after).tasks) {
            for (const operator of task.operators) {
              const { watermark } = restores[`${task.id}/${subtask}`]!.operators[operator.id]!
              expect(watermark).toBe(before === after ? times[subtask] : smallest)
            }
          }
        }
      }),
    )
  })

  test('remembers for each key group what it had seen, through any number of changes', () => {
    const seen = (subtask: number, restored: OperatorRestore): readonly number[] => {
      const watermarks = Array.from({ length: MAX_PARALLELISM }, () => restored.watermark)
      for (const { first, last, watermark } of restored.watermarkFloors) {
        for (let group = first; group <= last; group++) watermarks[group] = Math.max(watermarks[group]!, watermark)
      }
      const parallelism = Number(subtask >> 8)
      const { first, last } = groupsOfSubtask(subtask & 255, parallelism, MAX_PARALLELISM)
      return watermarks.slice(first, last + 1)
    }
    fc.assert(
      fc.property(
        fc.array(parallelism, { minLength: 2, maxLength: 4 }),
        fc.array(fc.nat(9), { minLength: 9, maxLength: 9 }),
        (path, times) => {
          let manifest = manifestOf(planOf(path[0]!), (_, subtask) => ({ watermark: times[subtask]! }))
          const expected = Array.from({ length: path[0]! }, (_, subtask) => {
            const { first, last } = groupsOfSubtask(subtask, path[0]!, MAX_PARALLELISM)
            return Array.from({ length: last - first + 1 }, () => times[subtask]!)
          }).flat()
          for (const after of path.slice(1)) {
            const restores = dealCheckpoint(manifest, planOf(after), NOTHING)
            const shares = Array.from({ length: after }, (_, subtask) => shareOf(restores, 'count-1', subtask))
            expect(shares.flatMap((share, subtask) => seen((after << 8) | subtask, share))).toEqual(expected)
            manifest = manifestOf(planOf(after), (operator, subtask) =>
              operator === 'count-1'
                ? { watermark: shares[subtask]!.watermark, watermarkFloors: shares[subtask]!.watermarkFloors }
                : {},
            )
          }
        },
      ),
    )
  })

  test('keeps the watermark of each channel when the channels are the same', () => {
    const plan = planOf(3)
    const manifest = manifestOf(
      plan,
      () => ({ watermark: 1 }),
      (channel) => Number(channel.split(':')[1]) * 100,
    )
    const restores = dealCheckpoint(manifest, plan, NOTHING)
    expect(restores['count-1/2']!.channelWatermarks).toEqual({ '0:0:2': 0, '0:1:2': 100, '0:2:2': 200 })
  })

  test('begins all channels of a changed exchange with the smallest watermark of their readers, never ahead of them', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 9 }),
        fc.integer({ min: 2, max: 9 }),
        fc.array(fc.integer(), { minLength: 9, maxLength: 9 }),
        (before, after, times) => {
          fc.pre(before !== after)
          const manifest = manifestOf(
            planOf(before),
            (_, subtask) => ({ watermark: times[subtask]! }),
            () => 1e9,
          )
          const restores = dealCheckpoint(manifest, planOf(after), NOTHING)
          const smallest = Math.min(...times.slice(0, before))
          for (let subtask = 0; subtask < after; subtask++) {
            const channels = restores[`count-1/${subtask}`]!.channelWatermarks
            expect(Object.keys(channels)).toHaveLength(after)
            for (const watermark of Object.values(channels)) expect(watermark).toBe(smallest)
          }
        },
      ),
    )
  })

  test('keeps the sum of the counted records', () => {
    fc.assert(
      fc.property(parallelism, parallelism, fc.array(fc.nat(), { minLength: 9, maxLength: 9 }), (before, after, counts) => {
        const manifest = manifestOf(planOf(before), (_, subtask) => ({ records: counts[subtask]! }))
        const restores = dealCheckpoint(manifest, planOf(after), NOTHING)
        const total = Object.values(restores).reduce((sum, restore) => sum + (restore.operators['out']?.records ?? 0), 0)
        expect(total).toBe(counts.slice(0, before).reduce((sum, count) => sum + count, 0))
      }),
    )
  })

  test('gives what was on its way to whom it was on its way, and nothing to the others', () => {
    const plan = planOf(2)
    const inFlight = [{ channel: '0:1:0', batches: [{ values: encodeValue(['a']), timestamps: [1], groups: [3] }] }]
    const manifest = manifestOf(plan, () => ({}))
    const subtasks = manifest.subtasks.map((each) =>
      each.task === 'count-1' && each.subtask === 0 ? { ...each, inFlight } : each,
    )
    const restores = dealCheckpoint({ ...manifest, subtasks }, plan, NOTHING)
    expect(Object.entries(restores).filter(([, restore]) => restore.inFlight !== undefined)).toEqual([
      ['count-1/0', expect.objectContaining({ inFlight })],
    ])
  })

  test('a subtask with records on their way to it is not silent, though its sources are read to their end', () => {
    const plan = planOf(2)
    const done = [0, 1].map((index) => ({ index, split: new Uint8Array([index]), done: true }))
    const manifest = manifestOf(plan, (operator) => (operator === 'items-1' ? { splits: done } : { watermark: 3 }))
    const restoresOf = (inFlight: readonly InFlight[]) => {
      const subtasks = manifest.subtasks.map((each) =>
        each.task === 'count-1' && each.subtask === 0 ? { ...each, inFlight } : each,
      )
      return dealCheckpoint({ ...manifest, subtasks }, plan, NOTHING)
    }
    expect(Object.values(restoresOf([])['count-1/0']!.channelWatermarks)).toEqual([
      Number.POSITIVE_INFINITY,
      Number.POSITIVE_INFINITY,
    ])
    const restores = restoresOf([{ channel: '0:0:0', batches: [{ values: encodeValue(['a']), timestamps: [1] }] }])
    expect(restores['count-1/0']!.inFlight).toHaveLength(1)
  })

  test.each([true, false])('a subtask at the end of its input is silent unless it has results under way: %s', (pending) => {
    const graph = graphOf([
      { kind: 'items' },
      { kind: 'async-map', from: [[0, 'rebalance']] },
      { kind: 'count', from: [[1, 'hash']], keyOf: (value) => value },
    ])
    const plan = planExecution(graph, {
      module: 'file:///job.ts',
      parallelism: 2,
      maxParallelism: MAX_PARALLELISM,
      workers: 1,
    })
    const end = { watermark: Number.POSITIVE_INFINITY }
    const manifest = manifestOf(
      plan,
      (operator, subtask) => {
        if (operator === 'items-1') return { ...end, splits: UNREAD.map((split) => ({ ...split, done: true })) }
        const asking = { ...end, state: encodeValue([]), ...(pending && subtask === 1 ? { pending } : {}) }
        return operator === 'async-map-1' ? asking : { watermark: 3 }
      },
      (channel) => (channel === '1:1:0' ? 3 : Number.POSITIVE_INFINITY),
    )
    const { channelWatermarks } = dealCheckpoint({ ...manifest, graph: describeGraph(graph) }, plan, NOTHING)['count-1/0']!
    expect(channelWatermarks).toEqual({ '1:0:0': Number.POSITIVE_INFINITY, '1:1:0': pending ? 3 : Number.POSITIVE_INFINITY })
  })
})
