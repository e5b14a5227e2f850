import { describe, expect, test } from 'vitest'
import { keyGroupOf } from '../../src/core/key-groups.ts'
import { decodeValue } from '../../src/core/value-codec.ts'
import type { Element } from '../../src/protocol/element.ts'
import type { InFlight } from '../../src/protocol/messages.ts'
import type { RecordedChannel } from '../../src/runtime/channel-recorder.ts'
import { ChannelRecorder } from '../../src/runtime/channel-recorder.ts'
import { barrier, records, watermark } from './task-harness.ts'

const CHANNELS: readonly RecordedChannel[] = [{ channel: '0:0:0' }, { channel: '0:1:0', keyOf: (value) => value }]

function recorder(delivered: readonly boolean[] = [false, false]): ChannelRecorder {
  return new ChannelRecorder(5, CHANNELS, delivered, 128)
}

function valuesOf(inFlight: readonly InFlight[]): Record<string, readonly unknown[]> {
  return Object.fromEntries(
    inFlight.map(({ channel, batches }) => [channel, batches.flatMap(({ values }) => decodeValue(values) as unknown[])]),
  )
}

/** What a promise has settled with by now. */
async function soFar<T>(promise: Promise<T>): Promise<T | 'open'> {
  return await Promise.race([promise, new Promise<'open'>((resolve) => setImmediate(() => resolve('open')))])
}

describe('a recorder of channels', () => {
  test('records everything up to the barrier of each channel, and is done when the last one comes', async () => {
    const own = recorder()
    expect([own.waitsFor(0), own.waitsFor(1), own.finished]).toEqual([true, true, false])
    own.onElement(0, records('a', 'b'))
    own.onElement(1, records('c'))
    own.onElement(0, barrier(5))
    expect([own.waitsFor(0), own.finished, await soFar(own.done)]).toEqual([false, false, 'open'])
    own.onElement(1, records('d'))
    own.onElement(1, barrier(5))
    expect(own.finished).toBe(true)
    expect(valuesOf(await own.done)).toEqual({ '0:0:0': ['a', 'b'], '0:1:0': ['c', 'd'] })
    expect(own.records).toBe(4)
  })

  test('records nothing of a channel behind its barrier', async () => {
    const own = recorder()
    for (const element of [records('before'), barrier(5), records('behind')]) own.onElement(0, element)
    own.onElement(1, barrier(5))
    expect(valuesOf(await own.done)).toEqual({ '0:0:0': ['before'] })
  })

  test('waits for no channel whose barrier came before the snapshot, and for none when all did', async () => {
    const own = recorder([true, false])
    expect([own.waitsFor(0), own.waitsFor(1)]).toEqual([false, true])
    own.onElement(1, barrier(5))
    expect(await own.done).toEqual([])
    expect(recorder([true, true]).finished).toBe(true)
  })

  test('passes over barriers of other checkpoints', async () => {
    const own = recorder([true, false])
    for (const element of [barrier(4), records('a'), barrier(5)]) own.onElement(1, element)
    expect(valuesOf(await own.done)).toEqual({ '0:1:0': ['a'] })
  })

  test('keeps the key group of a record where it has a key, and its time', async () => {
    const own = recorder()
    own.onRecords(0, ['x'], [7], undefined)
    own.onRecords(1, ['x', 'y'], [8, Number.NaN], { after: [1], times: [3] })
    own.finish()
    const [first, second] = await own.done
    expect(first!.batches).toEqual([{ values: expect.anything(), timestamps: [7] }])
    expect(second!.batches).toEqual([
      {
        values: expect.anything(),
        timestamps: [8, Number.NaN],
        groups: [keyGroupOf('x', 128), keyGroupOf('y', 128)],
        watermarks: { after: [1], times: [3] },
      },
    ])
  })

  test('keeps a watermark that comes alone, and leaves out what says nothing of records', async () => {
    const own = recorder([true, false])
    const elements: readonly Element[] = [watermark(3), { kind: 'idle' }, { kind: 'active' }, { kind: 'end' }, barrier(5)]
    for (const element of elements) own.onElement(1, element)
    const [channel] = await own.done
    expect(channel!.batches).toEqual([
      { values: expect.anything(), timestamps: [], groups: [], watermarks: { after: [0], times: [3] } },
    ])
    expect(own.records).toBe(0)
  })

  test('shares nothing with the records that go on', async () => {
    const own = recorder([true, false])
    const value = { list: [1] }
    own.onRecords(0, [value], [1], undefined)
    value.list.push(2)
    own.finish()
    expect(valuesOf(await own.done)).toEqual({ '0:0:0': [{ list: [1] }] })
  })

  test('is done at once when the checkpoint is given up', async () => {
    const own = recorder()
    own.onElement(0, records('a'))
    own.finish()
    expect([own.finished, own.waitsFor(0), own.waitsFor(1)]).toEqual([true, false, false])
    expect(valuesOf(await own.done)).toEqual({ '0:0:0': ['a'] })
  })
})
