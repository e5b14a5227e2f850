import { describe, expect, test } from 'vitest'
import { BarrierAligner } from '../../src/checkpoint/barrier-aligner.ts'
import { decodeValue, encodeValue } from '../../src/core/value-codec.ts'
import { BATCH_RECORDS, LocalChannel } from '../../src/protocol/channel.ts'
import { ChannelRecorder } from '../../src/runtime/channel-recorder.ts'
import { InputGate } from '../../src/runtime/input-gate.ts'
import { barrier, flat, records, watermark } from './task-harness.ts'

function gateOf(count: number) {
  const channels = Array.from({ length: count }, () => new LocalChannel())
  const aligner = new BarrierAligner(count)
  const gate = new InputGate(channels, aligner)
  const recorder = (checkpoint: number, delivered = channels.map(() => false)): ChannelRecorder =>
    new ChannelRecorder(
      checkpoint,
      channels.map((_, channel) => ({ channel: String(channel) })),
      delivered,
      128,
    )
  /** Everything that there is, with the channel that it came from. */
  const drained = (): readonly string[] => {
    const seen: string[] = []
    for (let element = gate.poll(); element !== undefined; element = gate.poll()) {
      for (const each of flat([element])) seen.push(`${gate.channel} ${String(each)}`)
    }
    return seen
  }
  return { channels, aligner, gate, recorder, drained }
}

describe('an input gate', () => {
  test('reads its channels in turn, and passes over those that are held', () => {
    const { channels, aligner, gate, drained } = gateOf(3)
    for (const [index, channel] of channels.entries()) for (const name of ['a', 'b']) channel.write(records(`${name}${index}`))
    aligner.onBarrier(1, 1)
    expect(drained()).toEqual(['0 a0', '2 a2', '0 b0', '2 b2'])
    expect(gate.readable).toBe(false)
    aligner.onAbort(1)
    expect(gate.readable).toBe(true)
    expect(drained()).toEqual(['1 a1', '1 b1'])
  })

  test('gives what was on its way at the restore before what comes in, with its watermarks', () => {
    const { channels, gate, drained } = gateOf(2)
    channels[0]!.write(records('new'))
    gate.restore(0, [
      { values: encodeValue(['a', 'b']), timestamps: [1, 2], watermarks: { after: [1], times: [1] } },
      { values: encodeValue([]), timestamps: [], watermarks: { after: [0], times: [2] } },
    ])
    expect(gate.readable).toBe(true)
    expect(drained()).toEqual(['0 a', '0 watermark 1', '0 b', '0 watermark 2', '0 new'])
  })

  test('gives what was on its way in any channel before what comes in through another, which may have the same keys now', () => {
    const { channels, gate, drained } = gateOf(2)
    for (const name of ['new', 'newer']) channels[1]!.write(records(name))
    gate.restore(
      0,
      ['a', 'b', 'c'].map((name) => ({ values: encodeValue([name]), timestamps: [1] })),
    )
    expect(drained()).toEqual(['0 a', '0 b', '0 c', '1 new', '1 newer'])
  })

  test('holds back what was on its way as it does what comes in', () => {
    const { aligner, gate, drained } = gateOf(2)
    gate.restore(0, [{ values: encodeValue(['a']), timestamps: [1] }])
    aligner.onBarrier(0, 1)
    expect([gate.readable, drained()]).toEqual([false, []])
    aligner.onBarrier(1, 1)
    expect(drained()).toEqual(['0 a'])
  })

  test('takes ahead up to the barriers that are waited for, gives it in its turn, and keeps those barriers to itself', () => {
    const { channels, gate, recorder, drained } = gateOf(2)
    channels[0]!.write(records('a'))
    channels[0]!.write(barrier(5))
    channels[0]!.write(records('behind'))
    channels[1]!.write(watermark(3))
    channels[1]!.write(barrier(4))
    const own = recorder(5)
    expect(gate.canTakeAhead(own)).toBe(true)
    expect(gate.takeAhead(own)).toBe(true)
    expect(gate.canTakeAhead(own)).toBe(false)
    expect(gate.takeAhead(own)).toBe(false)
    expect([own.waitsFor(0), own.waitsFor(1)]).toEqual([false, true])
    expect(drained()).toEqual(['0 a', '1 watermark 3', '0 behind', '1 barrier 4'])
  })

  test('hands nothing on that comes between its look ahead and its turn before the recorder has seen it', () => {
    const { channels, gate, recorder } = gateOf(1)
    const own = recorder(5)
    gate.beginRecording(own)
    const [channel] = channels
    const takeAhead = channel!.takeAhead.bind(channel)
    // The sender is another thread: it may write at any instant.
    channel!.takeAhead = () => {
      const element = takeAhead()
      if (element === undefined && own.records === 0) for (const each of [records('late'), barrier(5)]) channel!.write(each)
      return element
    }
    expect(gate.poll()).toBeUndefined()
    expect(flat([gate.poll()!])).toEqual(['late'])
    expect([own.records, own.finished]).toEqual([1, true])
  })

  test('does not touch channels whose barrier came before', () => {
    const { channels, gate, recorder } = gateOf(2)
    channels[0]!.write(records('behind'))
    const own = recorder(5, [true, false])
    expect([gate.canTakeAhead(own), gate.takeAhead(own), own.records]).toEqual([false, false, 0])
  })

  test('counts what it took ahead as on its way until it is handled, and what was restored not at all', () => {
    const { channels, gate, recorder } = gateOf(1)
    const [channel] = channels
    channel!.setBudget(4)
    channel!.write(records('a', 'b', 'c', 'd'))
    expect(channel!.full).toBe(true)
    gate.restore(0, [{ values: encodeValue(['x', 'y']), timestamps: [1, 2] }])
    gate.takeAhead(recorder(5))
    expect(channel!.full).toBe(true)
    gate.poll()
    expect(channel!.full).toBe(true)
    gate.poll()
    expect(channel!.full).toBe(false)
    channel!.setBudget(2 * BATCH_RECORDS)
    expect(channel!.batchRecords).toBe(BATCH_RECORDS)
  })

  test('shows a recorder what it holds before the barriers, and nothing behind them', async () => {
    const { channels, gate, recorder } = gateOf(2)
    gate.restore(0, [{ values: encodeValue(['restored']), timestamps: [1] }])
    for (const element of [records('a'), barrier(6), records('behind')]) channels[1]!.write(element)
    // For a checkpoint whose barrier never comes all is taken ahead.
    gate.takeAhead(recorder(5, [true, false]))
    const later = recorder(6)
    gate.beginRecording(later)
    expect([later.waitsFor(0), later.waitsFor(1)]).toEqual([true, false])
    expect(later.records).toBe(2)
    later.finish()
    expect((await later.done).map(({ channel, batches }) => [channel, batches.length])).toEqual([
      ['0', 1],
      ['1', 1],
    ])
  })

  test('shows a recorder also what comes in between two looks ahead', async () => {
    const { channels, gate, recorder, drained } = gateOf(2)
    const own = recorder(5, [true, false])
    gate.beginRecording(own)
    gate.takeAhead(own)
    // Another thread writes at any time.
    channels[1]!.write(records('a'))
    expect(drained()).toEqual(['1 a'])
    channels[1]!.write(records('b'))
    gate.takeAhead(own)
    channels[1]!.write(records('c'))
    expect(drained()).toEqual(['1 b', '1 c'])
    channels[1]!.write(barrier(5))
    channels[1]!.write(records('behind'))
    expect(drained().at(-1)).toBe('1 behind')
    expect(own.finished).toBe(true)
    const [channel] = await own.done
    expect(channel!.batches.flatMap(({ values }) => decodeValue(values) as unknown[])).toEqual(['a', 'b', 'c'])
  })
})
