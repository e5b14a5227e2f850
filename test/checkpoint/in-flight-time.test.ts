import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Manifest, StoredSubtask } from '../../src/checkpoint/manifest.ts'
import { dealCheckpoint } from '../../src/checkpoint/restore.ts'
import { keyGroupOf, subtaskOfGroup } from '../../src/core/key-groups.ts'
import { decodeValue, encodeValue } from '../../src/core/value-codec.ts'
import type { ExecutionPlan } from '../../src/graph/execution-plan.ts'
import { planExecution } from '../../src/graph/execution-plan.ts'
import { describeGraph } from '../../src/graph/stream-graph.ts'
import type { InFlightBatch, SubtaskRestore } from '../../src/protocol/messages.ts'
import { WatermarkMerger } from '../../src/runtime/watermark-merger.ts'
import { graphOf, sinkBody } from '../graph/graphs.ts'
import { sampleManifest } from './manifests.ts'

/*
 * Senders give out records and watermarks; readers have handled some of them when an unaligned snapshot is taken, and the rest is dealt to another
 * number of readers. What each record then finds as its watermark is compared with what it found, or could have found, without all that.
 */

const MAX_PARALLELISM = 128
const GRAPH = graphOf([
  { kind: 'items' },
  { kind: 'count', from: [[0, 'hash']], keyOf: (value) => value },
  { kind: 'collect', name: 'out', from: [1], body: sinkBody() },
])

/** Senders and readers of another number each, as when one of them has a parallelism of its own. */
function planOf(senders: number, readers: number): ExecutionPlan {
  const nodes = GRAPH.nodes.map((node, index) => ({ ...node, parallelism: index === 0 ? senders : readers }))
  const graph = { ...GRAPH, nodes }
  return planExecution(graph, { module: 'file:///job.ts', parallelism: readers, maxParallelism: MAX_PARALLELISM, workers: 1 })
}

/** What a sender gives out: keys of records, and by how much its watermark rises. */
type Output = readonly (string | number)[]

interface Sent {
  readonly value: string
  /** What its sender had promised before it. */
  readonly watermark: number
}

/** A channel: what lies in it, from its beginning. */
interface Channel {
  readonly from: number
  readonly to: number
  readonly elements: readonly (Sent | { readonly watermark: number; readonly value?: undefined })[]
}

function groupOf(value: string): number {
  return keyGroupOf(value.split(' ')[0], MAX_PARALLELISM)
}

function channelsOf(outputs: readonly Output[], readers: number): readonly Channel[] {
  return outputs.flatMap((output, from) => {
    const elements: (Sent | { readonly watermark: number })[] = []
    let watermark = Number.NEGATIVE_INFINITY
    output.forEach((item, index) => {
      if (typeof item === 'string') elements.push({ value: `${item} ${from}/${index}`, watermark })
      else elements.push({ watermark: (watermark = (watermark === Number.NEGATIVE_INFINITY ? 0 : watermark) + item) })
    })
    return Array.from({ length: readers }, (_, to): Channel => {
      const own = elements.filter(
        (each) => !('value' in each) || subtaskOfGroup(groupOf(each.value), readers, MAX_PARALLELISM) === to,
      )
      return { from, to, elements: own }
    })
  })
}

/** The snapshot in which each channel has been read so far. */
function manifestOf(channels: readonly Channel[], cuts: readonly number[], senders: number, readers: number): Manifest {
  const cutOf = (channel: Channel): number => Math.min(channel.elements.length, cuts[channel.from * readers + channel.to]!)
  const seen = (channel: Channel): number =>
    channel.elements.slice(0, cutOf(channel)).reduce((time, { watermark }) => Math.max(time, watermark), Number.NEGATIVE_INFINITY)
  const split = (index: number) => ({ index, split: new Uint8Array([index]), done: false })
  const sources = Array.from(
    { length: senders },
    (_, subtask): StoredSubtask => ({
      task: 'items-1',
      subtask,
      parallelism: senders,
      channelWatermarks: {},
      operators: [
        {
          operator: 'items-1',
          watermark: Number.NEGATIVE_INFINITY,
          records: 0,
          splits: Array.from({ length: 9 }, (_, index) => split(index)),
        },
      ],
    }),
  )
  const counts = Array.from({ length: readers }, (_, subtask): StoredSubtask => {
    const own = channels.filter(({ to }) => to === subtask)
    const watermark = Math.min(...own.map(seen))
    return {
      task: 'count-1',
      subtask,
      parallelism: readers,
      channelWatermarks: Object.fromEntries(own.map((channel) => [nameOf(channel), seen(channel)])),
      operators: ['count-1', 'out'].map((operator) => ({ operator, watermark, records: 0 })),
      inFlight: own
        .filter((channel) => cutOf(channel) < channel.elements.length)
        .map((channel) => ({ channel: nameOf(channel), batches: batchesOf(channel.elements.slice(cutOf(channel))) })),
    }
  })
  return sampleManifest(5, { subtasks: [...sources, ...counts], committables: [], graph: describeGraph(GRAPH) })
}

function nameOf({ from, to }: Channel): string {
  return `0:${from}:${to}`
}

/** Batches of three elements. */
function batchesOf(elements: Channel['elements']): readonly InFlightBatch[] {
  const batches: InFlightBatch[] = []
  for (let first = 0; first < elements.length; first += 3) {
    const values: string[] = []
    const [after, times]: [number[], number[]] = [[], []]
    for (const { value, watermark } of elements.slice(first, first + 3)) {
      if (value !== undefined) values.push(value)
      else if (after.at(-1) === values.length) times[times.length - 1] = watermark
      else {
        after.push(values.length)
        times.push(watermark)
      }
    }
    batches.push({
      values: encodeValue(values),
      timestamps: values.map(() => 0),
      groups: values.map(groupOf),
      watermarks: { after, times },
    })
  }
  return batches
}

interface Handled {
  readonly value: string
  /** What the reader knew then. */
  readonly watermark: number
}

/** What one subtask makes of what it begins with: the records, and where its time is behind them. */
function replay(restore: SubtaskRestore): { readonly handled: readonly Handled[]; readonly watermark: number } {
  return restore.chainedInFlight?.length ? replayChained(restore) : replayChannels(restore)
}

function replayChained(restore: SubtaskRestore) {
  let { watermark } = restore.operators['count-1']!
  const handled: Handled[] = []
  for (const { batches } of restore.chainedInFlight!) {
    for (const batch of batches)
      eachOf(
        batch,
        (time) => void (watermark = Math.max(watermark, time)),
        (value) => handled.push({ value, watermark }),
      )
  }
  return { handled, watermark }
}

/** As the gate reads it: channel by channel in turn, batch by batch. */
function replayChannels({ channelWatermarks, operators, inFlight = [] }: SubtaskRestore) {
  const names = Object.keys(channelWatermarks)
  const merger = new WatermarkMerger(Object.values(channelWatermarks), operators['count-1']!.watermark)
  const handled: Handled[] = []
  const left = inFlight.map(({ channel, batches }) => ({ channel: names.indexOf(channel), batches: [...batches] }))
  for (let turn = 0; left.some(({ batches }) => batches.length > 0); turn++) {
    const { channel, batches } = left[turn % left.length]!
    const batch = batches.shift()
    if (batch === undefined) continue
    eachOf(
      batch,
      (time) => merger.raise(channel, time),
      (value) => handled.push({ value, watermark: merger.output }),
    )
  }
  return { handled, watermark: merger.output }
}

function eachOf(batch: InFlightBatch, onWatermark: (time: number) => void, onRecord: (value: string) => void): void {
  const values = decodeValue(batch.values) as readonly string[]
  for (let index = 0; index <= values.length; index++) {
    const at = batch.watermarks?.after.indexOf(index) ?? -1
    if (at >= 0) onWatermark(batch.watermarks!.times[at]!)
    if (index < values.length) onRecord(values[index]!)
  }
}

const readers = fc.integer({ min: 1, max: 5 })
const output = fc.array(fc.oneof(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g'), fc.integer({ min: 0, max: 9 })), {
  maxLength: 25,
})
const cuts = fc.array(fc.nat(12), { minLength: 25, maxLength: 25 })

function restoredOf(outputs: readonly Output[], places: readonly number[], before: number, senders: number, after: number) {
  const channels = channelsOf(outputs, before)
  const manifest = manifestOf(channels, places, outputs.length, before)
  const plan = planOf(senders, after)
  const restores = dealCheckpoint(manifest, plan, { deltas: [], read: () => new Uint8Array() })
  const reader = plan.tasks.find(({ operators }) => operators.some(({ id }) => id === 'count-1'))!
  const subtasks = Array.from({ length: after }, (_, subtask) => restores[`${reader.id}/${subtask}`]!)
  const sent = new Map(
    channels.flatMap(({ elements }) =>
      elements.flatMap((each) => (each.value === undefined ? [] : [[each.value, each.watermark]])),
    ),
  )
  const promised = Math.min(
    ...outputs.map((_, from) =>
      channels
        .find((channel) => channel.from === from)!
        .elements.reduce((time, each) => Math.max(time, each.watermark), Number.NEGATIVE_INFINITY),
    ),
  )
  const reached = manifest.subtasks.filter(({ task }) => task === 'count-1').map(({ operators }) => operators[0]!.watermark)
  const onTheWay = manifest.subtasks.flatMap(({ inFlight = [] }) =>
    inFlight.flatMap(({ batches }) => batches.flatMap(({ values }) => decodeValue(values) as string[])),
  )
  return { subtasks, sent, promised, reached, onTheWay }
}

describe('at another parallelism', () => {
  test('a record finds the watermark that one sender had sent before it: neither more nor less', () => {
    fc.assert(
      fc.property(output, cuts, readers, readers, (own, places, before, after) => {
        fc.pre(before !== after || before > 1)
        const { subtasks, sent, onTheWay } = restoredOf([own], places, before, 1, after)
        const handled = subtasks.flatMap((each) => replay(each).handled)
        expect(handled.map(({ value }) => value).sort()).toEqual(onTheWay.toSorted())
        for (const { value, watermark } of handled) expect(watermark, value).toBe(sent.get(value))
      }),
      { numRuns: 1_000 },
    )
  })

  test('no record finds a watermark that came behind it in its channel, and none the reader would not have come to', () => {
    fc.assert(
      fc.property(
        fc.array(output, { minLength: 1, maxLength: 5 }),
        cuts,
        readers,
        readers,
        readers,
        (outputs, places, before, senders, after) => {
          fc.pre(outputs.length > 1 || before > 1)
          const { subtasks, sent, promised, reached, onTheWay } = restoredOf(outputs, places, before, senders, after)
          const seen: string[] = []
          for (const restore of subtasks) {
            const { handled, watermark } = replay(restore)
            for (const each of handled) {
              expect(each.watermark, each.value).toBeLessThanOrEqual(sent.get(each.value)!)
              expect(each.watermark, each.value).toBeLessThanOrEqual(Math.max(promised, ...reached))
              seen.push(each.value)
            }
            // Behind them all it stands where its senders stood: nothing that they send comes too late for that, and nothing waits for more.
            if (handled.length > 0) expect(watermark).toBe(Math.max(promised, restore.operators['count-1']!.watermark))
            const ofChannel = (from: string) =>
              handled.map(({ value }) => value).filter((value) => value.split(' ')[1]!.startsWith(from))
            for (let from = 0; from < outputs.length; from++)
              for (const key of 'abcdefg') {
                const places = ofChannel(`${from}/`)
                  .filter((value) => value.startsWith(key))
                  .map((value) => Number(value.split('/')[1]))
                expect(places).toEqual(places.toSorted((a, b) => a - b))
              }
          }
          expect(seen.sort()).toEqual(onTheWay.toSorted())
        },
      ),
      { numRuns: 1_000 },
    )
  })
})
