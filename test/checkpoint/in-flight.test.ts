import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { dealInFlight } from '../../src/checkpoint/in-flight.ts'
import type { Manifest } from '../../src/checkpoint/manifest.ts'
import { keyGroupOf, subtaskOfGroup } from '../../src/core/key-groups.ts'
import { decodeValue, encodeValue } from '../../src/core/value-codec.ts'
import type { ExecutionPlan } from '../../src/graph/execution-plan.ts'
import { channelsOfEdge, planExecution } from '../../src/graph/execution-plan.ts'
import type { PartitioningKind } from '../../src/graph/stream-graph.ts'
import type { InFlight, InFlightBatch } from '../../src/protocol/messages.ts'
import { graphOf } from '../graph/graphs.ts'
import { sampleManifest } from './manifests.ts'

const MAX_PARALLELISM = 128

/** items-1 -> work-1, over an exchange of this kind. */
function planOf(parallelism: number, partitioning: PartitioningKind): ExecutionPlan {
  const keyed = partitioning === 'hash' ? { keyOf: (value: unknown) => value } : {}
  const graph = graphOf([{ kind: 'items' }, { kind: 'work', from: [[0, partitioning]], ...keyed }])
  return planExecution(graph, { module: 'file:///job.ts', parallelism, maxParallelism: MAX_PARALLELISM, workers: 1 })
}

function batchOf(values: readonly string[], keyed: boolean, watermarks?: InFlightBatch['watermarks']): InFlightBatch {
  return {
    values: encodeValue(values),
    timestamps: values.map((_, index) => index),
    ...(keyed ? { groups: values.map((value) => keyGroupOf(value, MAX_PARALLELISM)) } : {}),
    ...(watermarks === undefined ? {} : { watermarks }),
  }
}

/** A checkpoint of the plan; in each channel is what `fill` says. */
function manifestOf(
  plan: ExecutionPlan,
  fill: (channel: string, from: number, to: number) => readonly InFlightBatch[],
): Manifest {
  const [edge] = plan.edges
  const channels = channelsOfEdge(plan, edge!)
  const subtasks = Array.from({ length: plan.tasks.at(-1)!.parallelism }, (_, subtask) => {
    const own = channels.filter(({ to }) => to === subtask)
    const inFlight = own
      .map(({ id, from, to }): InFlight => ({ channel: id, batches: fill(id, from, to) }))
      .filter(({ batches }) => batches.length > 0)
    return {
      task: 'work-1',
      subtask,
      parallelism: plan.tasks.at(-1)!.parallelism,
      channelWatermarks: Object.fromEntries(own.map(({ id }) => [id, 0])),
      operators: [],
      inFlight,
    }
  })
  return sampleManifest(5, { subtasks })
}

function valuesOf(inFlight: readonly InFlight[] | undefined): readonly string[] {
  return (inFlight ?? []).flatMap(({ batches }) => batches.flatMap(({ values }) => decodeValue(values) as readonly string[]))
}

const parallelism = fc.integer({ min: 2, max: 6 })
const batches = fc.array(fc.array(fc.string({ maxLength: 4 }), { minLength: 1, maxLength: 5 }), { maxLength: 3 })

describe('what was on its way', () => {
  test('is nothing where nothing was recorded', () => {
    const plan = planOf(3, 'hash')
    expect(
      dealInFlight(
        manifestOf(plan, () => []),
        plan,
      ).size,
    ).toBe(0)
    expect(dealInFlight(sampleManifest(1, { subtasks: [] }), plan).size).toBe(0)
  })

  test.each<PartitioningKind>(['hash', 'rebalance', 'broadcast'])(
    'stays in its channel when the channels are the same, watermarks and all (%s)',
    (partitioning) => {
      fc.assert(
        fc.property(parallelism, batches, (subtasks, all) => {
          const plan = planOf(subtasks, partitioning)
          const fill = (channel: string) =>
            all.map((values) =>
              batchOf(
                values.map((value) => `${channel} ${value}`),
                partitioning === 'hash',
                { after: [1], times: [7] },
              ),
            )
          const manifest = manifestOf(plan, fill)
          const dealt = dealInFlight(manifest, plan)
          manifest.subtasks.forEach(({ inFlight }, subtask) => {
            expect(dealt.get(`work-1/${subtask}`)?.channels ?? []).toEqual(inFlight)
          })
        }),
      )
    },
  )

  test('goes to the owner of its key group when the number of subtasks has changed, each record once, in the order of its channel', () => {
    fc.assert(
      fc.property(parallelism, parallelism, batches, (before, after, all) => {
        fc.pre(before !== after)
        let count = 0
        const manifest = manifestOf(planOf(before, 'hash'), (channel, _from, to) =>
          all.map((values) => {
            const own = values.map((value) => `${channel} ${value} ${count++}`)
            const inChannel = own.filter(
              (value) => subtaskOfGroup(keyGroupOf(value, MAX_PARALLELISM), before, MAX_PARALLELISM) === to,
            )
            return batchOf(inChannel, true, { after: [0], times: [9] })
          }),
        )
        const sent = manifest.subtasks.flatMap(({ inFlight }) => valuesOf(inFlight))
        const plan = planOf(after, 'hash')
        const dealt = dealInFlight(manifest, plan)
        const seen: string[] = []
        for (let subtask = 0; subtask < after; subtask++) {
          const own = dealt.get(`work-1/${subtask}`)?.channels
          const channels = channelsOfEdge(plan, plan.edges[0]!)
            .filter(({ to }) => to === subtask)
            .map(({ id }) => id)
          for (const { channel, batches: dealtBatches } of own ?? []) {
            expect(channels).toContain(channel)
            for (const batch of dealtBatches) {
              expect(batch.watermarks).toBeUndefined()
              expect(batch.timestamps).toHaveLength((decodeValue(batch.values) as unknown[]).length)
              expect(batch.groups).toEqual(
                (decodeValue(batch.values) as string[]).map((value) => keyGroupOf(value, MAX_PARALLELISM)),
              )
            }
          }
          const values = valuesOf(own)
          for (const value of values)
            expect(subtaskOfGroup(keyGroupOf(value, MAX_PARALLELISM), after, MAX_PARALLELISM)).toBe(subtask)
          expect(values).toEqual(sent.filter((value) => values.includes(value)))
          seen.push(...values)
        }
        expect(seen.sort()).toEqual(sent.toSorted())
      }),
    )
  })

  test('without keys is dealt in turn when the number of subtasks has changed, each record once', () => {
    fc.assert(
      fc.property(parallelism, parallelism, batches, (before, after, all) => {
        fc.pre(before !== after)
        let count = 0
        const manifest = manifestOf(planOf(before, 'rebalance'), () =>
          all.map((values) =>
            batchOf(
              values.map((value) => `${value} ${count++}`),
              false,
            ),
          ),
        )
        const dealt = dealInFlight(manifest, planOf(after, 'rebalance'))
        const shares = Array.from({ length: after }, (_, subtask) => valuesOf(dealt.get(`work-1/${subtask}`)?.channels))
        expect(shares.flat().sort()).toEqual(manifest.subtasks.flatMap(({ inFlight }) => valuesOf(inFlight)).sort())
        const lengths = shares.map((share) => share.length)
        expect(Math.max(...lengths) - Math.min(...lengths)).toBeLessThanOrEqual(1)
      }),
    )
  })

  test('of a broadcast goes to everybody once: each takes the copy of one former reader', () => {
    fc.assert(
      fc.property(parallelism, parallelism, batches, (before, after, all) => {
        fc.pre(before !== after)
        // Every reader has the same from a sender, as far as it has not handled it.
        const manifest = manifestOf(planOf(before, 'broadcast'), (_, from, to) =>
          all.slice(to % 2).map((values) =>
            batchOf(
              values.map((value) => `${from} ${value}`),
              false,
            ),
          ),
        )
        const dealt = dealInFlight(manifest, planOf(after, 'broadcast'))
        for (let subtask = 0; subtask < after; subtask++) {
          expect(valuesOf(dealt.get(`work-1/${subtask}`)?.channels)).toEqual(
            valuesOf(manifest.subtasks[subtask % before]!.inFlight),
          )
        }
      }),
    )
  })

  test.each<PartitioningKind>(['hash', 'rebalance', 'broadcast'])(
    'to a task that is part of another one now goes to it inside of the chain, each record once (%s)',
    (partitioning) => {
      const manifest = manifestOf(planOf(3, partitioning), (_, from, to) => [batchOf([`${from}>${to}`], partitioning === 'hash')])
      const graph = [{ id: 'work-1', kind: 'work', settings: null, inputs: [{ from: 'items-1', output: 'main', partitioning }] }]
      const dealt = dealInFlight({ ...manifest, graph }, planOf(1, partitioning))
      expect([...dealt.keys()]).toEqual(['items-1/0'])
      const { channels, chained } = dealt.get('items-1/0')!
      expect(channels).toEqual([])
      expect(chained.map(({ operator }) => operator)).toEqual(['work-1'])
      const values = valuesOf(chained.map(({ batches: own }) => ({ channel: '', batches: own })))
      const senders = ['0>0', '1>0', '2>0']
      const all = [...senders, '0>1', '1>1', '2>1', '0>2', '1>2', '2>2']
      expect(values).toEqual(partitioning === 'broadcast' ? senders : all)
    },
  )

  test('to a task whose exchanges have other numbers now comes over the exchange of the same input', () => {
    const two = (withOther: boolean) =>
      planExecution(
        graphOf([
          { kind: 'items' },
          ...(withOther ? [{ kind: 'other', from: [[0, 'rebalance']] as const }] : []),
          { kind: 'work', from: [[0, 'rebalance']] as const },
        ]),
        { module: 'file:///job.ts', parallelism: 2, maxParallelism: MAX_PARALLELISM, workers: 1 },
      )
    const manifest = manifestOf(two(false), () => [batchOf(['a'], false)])
    expect(dealInFlight(manifest, two(false)).size).toBe(2)
    const dealt = dealInFlight(manifest, two(true))
    expect([...dealt.keys()]).toEqual(['work-1/0', 'work-1/1'])
    const edge = two(true).edges.find(({ toTask }) => toTask === 'work-1')!
    for (const { channels } of dealt.values())
      for (const { channel } of channels) expect(channel.split(':')[0]).toBe(`${edge.index}`)
  })

  test('to an operator that is gone is refused, because nobody would take it', () => {
    const manifest = manifestOf(planOf(3, 'hash'), () => [batchOf(['a'], true)])
    const without = planExecution(graphOf([{ kind: 'items' }]), {
      module: 'file:///job.ts',
      parallelism: 3,
      maxParallelism: MAX_PARALLELISM,
      workers: 1,
    })
    expect(() => dealInFlight(manifest, without)).toThrow(
      expect.objectContaining({
        code: 'STATE_OF_ANOTHER_GRAPH',
        operator: 'work-1',
        hint: expect.stringContaining('job of before'),
      }),
    )
    const nothing = manifestOf(planOf(3, 'hash'), () => [])
    expect(dealInFlight(nothing, without).size).toBe(0)
  })
})
