import { describe, expect, test } from 'vitest'
import { encodeValue } from '../../src/core/value-codec.ts'
import type { InFlight, SubtaskSnapshot } from '../../src/protocol/messages.ts'
import type { PreparedSink } from '../../src/runtime/chain-link.ts'
import type { CutSnapshot } from '../../src/runtime/snapshot-writer.ts'
import { SnapshotWriter } from '../../src/runtime/snapshot-writer.ts'
import type { DeltaChunk } from '../../src/state/delta-chunk.ts'
import { turns } from './task-harness.ts'

function chunkOf(byte: number, length = 10): DeltaChunk {
  return { firstGroup: 0, lastGroup: 0, rows: 1, bytes: new Uint8Array(length).fill(byte) }
}

const SNAPSHOT: SubtaskSnapshot = {
  task: 'count-1',
  subtask: 0,
  parallelism: 1,
  channelWatermarks: {},
  operators: [{ operator: 'out', watermark: 0, records: 0 }],
}

/** State that gives a chunk for each row, and asks the clock after each. */
class Rows {
  readonly rows: DeltaChunk[] = []
  #ready: DeltaChunk[] = []

  encode(expired: () => boolean): boolean {
    while (this.rows.length > 0) {
      this.#ready.push(this.rows.shift()!)
      if (this.rows.length > 0 && expired()) return false
    }
    return true
  }

  takeChunks() {
    const chunks = this.#ready
    this.#ready = []
    return chunks.length === 0 ? [] : [{ operator: 'count-1', chunks }]
  }
}

function writerOf() {
  const state = new Rows()
  const log: string[] = []
  const acknowledged: SubtaskSnapshot[] = []
  const clock = { ms: 0, perLook: 0.5 }
  const writer = new SnapshotWriter(
    state,
    {
      deltas: (checkpoint, operator, chunks) =>
        log.push(`${checkpoint} ${operator} ${chunks.map(({ bytes }) => bytes[0]).join(',')}`),
      acknowledge: (checkpoint, snapshot, timing) => {
        acknowledged.push(snapshot)
        log.push(`ack ${checkpoint} ${timing.bytes} bytes`)
      },
      fail: (error) => log.push(`fail ${(error as Error).message}`),
    },
    () => (clock.ms += clock.perLook),
  )
  const begin = (checkpoint: number, rows: readonly DeltaChunk[] = [], changes: Partial<CutSnapshot> = {}): void => {
    state.rows.push(...rows)
    writer.begin({
      checkpoint,
      snapshot: SNAPSHOT,
      prepared: [],
      inFlight: undefined,
      alignmentMs: 0,
      pauseMs: 0,
      inFlightRecords: () => 0,
      ...changes,
    })
  }
  /** When it is time for one. */
  const slice = (): boolean => {
    const { waitMs } = writer
    if (Number.isFinite(waitMs)) clock.ms += waitMs
    return writer.write(true)
  }
  return { writer, state, log, acknowledged, begin, clock, slice }
}

describe('the writer of snapshots', () => {
  test('acknowledges a snapshot of nothing without waiting for more than a slice', async () => {
    const { writer, log, begin } = writerOf()
    expect([writer.waitMs, writer.write(true)]).toEqual([Number.POSITIVE_INFINITY, false])
    begin(1)
    expect(writer.waitMs).toBe(0)
    expect(writer.write(true)).toBe(true)
    expect(writer.waitMs).toBe(Number.POSITIVE_INFINITY)
    await turns()
    expect(log).toEqual(['ack 1 0 bytes'])
  })

  test('writes in slices, sends all together and only then acknowledges', async () => {
    const { writer, log, begin, slice } = writerOf()
    begin(1, [chunkOf(1), chunkOf(2), chunkOf(3), chunkOf(4), chunkOf(5), chunkOf(6)])
    let slices = 0
    while (slice()) {
      slices++
      await turns()
      if (writer.waitMs !== Number.POSITIVE_INFINITY) expect(log).toEqual([])
    }
    expect(slices).toBeGreaterThan(1)
    expect(log).toEqual(['1 count-1 1,2,3,4,5,6', 'ack 1 60 bytes'])
  })

  test('sends what has come together when it is much, before the snapshot is written', async () => {
    const { writer, log, begin, clock } = writerOf()
    clock.perLook = 10
    begin(1, [chunkOf(1, 600 << 10), chunkOf(2), chunkOf(3)])
    writer.write(true)
    expect(log).toEqual(['1 count-1 1'])
    writer.finish()
    await turns()
    expect(log).toEqual(['1 count-1 1', '1 count-1 2,3', `ack 1 ${(600 << 10) + 20} bytes`])
  })

  test.each([false, true])('leaves the thread to others for four times as long as a slice took, idle: %s', (idle) => {
    const { writer, begin, clock } = writerOf()
    clock.perLook = 0
    begin(1, [chunkOf(1), chunkOf(2), chunkOf(3), chunkOf(4)])
    clock.perLook = 0.5
    // The clock is looked at before the slice, after its row, and at its end: it takes 1 ms.
    expect(writer.write(idle)).toBe(true)
    clock.perLook = 0
    expect([writer.write(idle), writer.waitMs]).toEqual([false, 4])
    clock.ms += 3.9
    expect(writer.write(idle)).toBe(false)
    clock.ms += 0.2
    expect([writer.waitMs, writer.write(idle), writer.waitMs]).toEqual([0, true, Number.POSITIVE_INFINITY])
  })

  test('takes two thirds of a thread that has hardly rested since the last snapshot', async () => {
    const { writer, begin, clock, log } = writerOf()
    begin(1)
    writer.write(true)
    clock.perLook = 0
    clock.ms += 1000
    writer.rest(100)
    begin(2, [chunkOf(1), chunkOf(2), chunkOf(3), chunkOf(4)])
    clock.ms += 50
    clock.perLook = 0.75
    expect(writer.write(false)).toBe(true)
    clock.perLook = 0
    expect(writer.waitMs).toBeCloseTo(0.5 * 2.25)
    clock.ms += 2
    clock.perLook = 0.75
    expect(writer.write(false)).toBe(true)
    await turns()
    expect(log.at(-1)).toBe('ack 2 40 bytes')
    // It rests, and the next snapshot has time.
    clock.perLook = 0
    clock.ms += 1000
    writer.rest(300)
    begin(3, [chunkOf(1), chunkOf(2)])
    clock.ms += 50
    clock.perLook = 0.5
    expect(writer.write(false)).toBe(true)
    clock.perLook = 0
    expect(writer.waitMs).toBeCloseTo(4)
  })

  test('takes a third of the thread for a snapshot that has been under way for long, and all that nobody wants', () => {
    const { writer, begin, clock } = writerOf()
    clock.perLook = 0
    begin(1, [chunkOf(1), chunkOf(2), chunkOf(3), chunkOf(4)])
    clock.ms += 300
    clock.perLook = 0.5
    expect(writer.write(false)).toBe(true)
    clock.perLook = 0
    clock.ms += 1.9
    expect(writer.write(false)).toBe(false)
    clock.ms += 0.2
    clock.perLook = 0.5
    expect(writer.write(false)).toBe(true)
    expect(writer.write(true)).toBe(true)
  })

  test('finishes a snapshot before the next one, and chunks of each are sent under its own number', async () => {
    const { writer, log, begin, clock, slice } = writerOf()
    clock.perLook = 10
    begin(1, [chunkOf(1), chunkOf(2)])
    slice()
    writer.finish()
    writer.finish()
    begin(2, [chunkOf(3)])
    slice()
    await turns()
    expect(log).toEqual(['1 count-1 1,2', '2 count-1 3', 'ack 1 20 bytes', 'ack 2 10 bytes'])
  })

  test('acknowledges in the order of checkpoints, whatever is ready first', async () => {
    const { log, begin, slice } = writerOf()
    const slow = Promise.withResolvers<PreparedSink>()
    const channels = Promise.withResolvers<readonly InFlight[]>()
    begin(1, [], { prepared: [slow.promise] })
    slice()
    begin(2, [], { inFlight: channels.promise })
    slice()
    begin(3)
    slice()
    await turns()
    expect(log).toEqual([])
    channels.resolve([])
    await turns()
    expect(log).toEqual([])
    slow.resolve({ operator: 'out', committables: [] })
    await turns()
    expect(log).toEqual(['ack 1 0 bytes', 'ack 2 0 bytes', 'ack 3 0 bytes'])
  })

  test('adds what sinks have staged and what was on its way, and leaves out what is nothing', async () => {
    const { acknowledged, begin, slice } = writerOf()
    const staged = { operator: 'out', committables: [new Uint8Array([7])] }
    const inFlight: readonly InFlight[] = [{ channel: '0:0:0', batches: [{ values: encodeValue(['a']), timestamps: [1] }] }]
    begin(1, [], { prepared: [Promise.resolve(staged)], inFlight: Promise.resolve(inFlight) })
    slice()
    begin(2, [], { inFlight: Promise.resolve([]) })
    slice()
    await turns()
    expect(acknowledged).toEqual([
      { ...SNAPSHOT, operators: [{ ...SNAPSHOT.operators[0], committables: staged.committables }], inFlight },
      SNAPSHOT,
    ])
  })

  test('tells of a sink that fails instead of acknowledging', async () => {
    const { writer, log, begin } = writerOf()
    begin(1, [], { prepared: [Promise.reject(new Error('disk full'))] })
    writer.write(true)
    await turns()
    expect(log).toEqual(['fail disk full'])
  })

  test('that is closed says nothing any more', async () => {
    const { writer, log, begin } = writerOf()
    const slow = Promise.withResolvers<PreparedSink>()
    begin(1, [chunkOf(1)], { prepared: [slow.promise] })
    writer.close()
    writer.finish()
    slow.reject(new Error('too late'))
    await turns()
    expect(log).toEqual([])
  })
})
