import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Doorbells } from '../../src/protocol/doorbell.ts'
import { createRing, RingReader, RingWriter } from '../../src/protocol/ring.ts'
import { messages } from './fixtures/messages.ts'
import type { OtherThread } from './fixtures/other-thread.ts'
import { waitUntil } from './fixtures/threads.ts'

/** Both ends of a ring whose counters have come to `start`, as after that many bytes. */
function ringAt(capacity: number, start = 0): { writer: RingWriter; reader: RingReader; cells: Uint32Array } {
  const shared = createRing(capacity)
  const cells = new Uint32Array(shared, 0, 2)
  cells.fill(start)
  return { writer: new RingWriter(shared), reader: new RingReader(shared), cells }
}

function bytes(length: number, content: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => content + index)
}

describe('a ring', () => {
  test('passes a message', () => {
    const { writer, reader } = ringAt(64)
    expect(reader.readable).toBe(false)
    expect(reader.read()).toBeUndefined()
    expect(writer.write(bytes(5, 1), 0)).toBe(5)
    expect(reader.readable).toBe(true)
    expect(reader.read()).toEqual(bytes(5, 1))
    expect(reader.readable).toBe(false)
  })

  test('takes only a power of two as its size', () => {
    for (const capacity of [0, 32, 63, 65, 96, 100]) expect(() => createRing(capacity)).toThrow('broken invariant')
  })

  test('takes no more than it has room for, and goes on where it stopped', () => {
    const { writer, reader } = ringAt(64)
    const message = bytes(200, 3)
    const written = writer.write(message, 0)
    expect(written).toBeGreaterThan(0)
    expect(written).toBeLessThan(64)
    expect(writer.write(message, written)).toBe(written)
    expect(reader.read()).toBeUndefined()
    expect(writer.write(message, written)).toBeGreaterThan(written)
  })

  test('keeps the order and content of messages of any size, also larger than itself, wherever its counters are', () => {
    const wrap = 2 ** 32
    const start = fc.oneof(
      fc.constant(0),
      fc.nat(64).map((words) => wrap - 4 * words),
      fc.nat(2 ** 30).map((words) => (4 * words) % wrap),
    )
    const action = fc.oneof(
      fc.record({ type: fc.constant('write' as const), size: fc.integer({ min: 1, max: 700 }) }),
      fc.record({ type: fc.constant('write' as const), size: fc.integer({ min: 1, max: 30 }) }),
      fc.record({ type: fc.constant('read' as const), times: fc.integer({ min: 1, max: 4 }) }),
    )
    fc.assert(
      fc.property(fc.constantFrom(64, 128, 256, 1024), start, fc.array(action, { maxLength: 150 }), (capacity, at, actions) => {
        const { writer, reader, cells } = ringAt(capacity, at)
        const sent: Uint8Array[] = []
        const received: Uint8Array[] = []
        let current: Uint8Array | undefined
        let written = 0
        const proceed = (): void => {
          written = writer.write(current!, written)
          const used = (cells[1]! - cells[0]!) >>> 0
          expect(used).toBeLessThanOrEqual(capacity)
          if (written === current!.byteLength) current = undefined
        }
        const read = (): void => {
          const message = reader.read()
          if (message !== undefined) received.push(message.slice())
        }
        for (const step of actions) {
          if (step.type === 'read') for (let time = 0; time < step.times; time++) read()
          else if (current !== undefined) proceed()
          else {
            current = bytes(step.size, sent.length)
            sent.push(current)
            written = 0
            proceed()
          }
        }
        for (let left = 2000; left > 0 && (current !== undefined || reader.readable); left--) {
          if (current !== undefined) proceed()
          read()
        }
        expect(received).toEqual(sent)
        expect(cells[0]).toBe(cells[1])
      }),
      { numRuns: 1000 },
    )
  })

  test('a writer always gets on once the reader has taken everything, whatever the place in the buffer', () => {
    for (let place = 0; place < 256; place += 4) {
      for (let size = 1; size <= 256; size++) {
        const { writer, reader } = ringAt(256, place)
        const message = bytes(size, size)
        let written = 0
        for (let rounds = 0; written < size; rounds++) {
          expect(rounds).toBeLessThan(20)
          const before = written
          written = writer.write(message, written)
          expect(written).toBeGreaterThan(before)
          if (written < size) expect(reader.read()).toBeUndefined()
        }
        expect(reader.read()).toEqual(message)
      }
    }
  })

  test('carries 100,000 messages of all sizes from one thread to another, in order and unharmed', async () => {
    const [count, ringBytes, seed] = [100_000, 4096, 42]
    const doorbells = new Doorbells(2)
    const ring = createRing(ringBytes)
    new Uint32Array(ring, 0, 2).fill(2 ** 32 - (1 << 20))
    const data: OtherThread = { role: 'write messages', doorbells: doorbells.shared, ring, seed, count, ringBytes }
    const worker = new Worker(new URL('fixtures/other-thread.ts', import.meta.url), { workerData: data })
    const ended = once(worker, 'exit')
    const reader = new RingReader(ring)
    let index = 0
    for (const expected of messages(seed, count, ringBytes)) {
      let message: Uint8Array | undefined
      await waitUntil(
        () => {
          message = reader.read()
          // Also after a part of a message: taking it made the room that the rest needs.
          doorbells.ring(1)
          return message !== undefined
        },
        doorbells,
        0,
      )
      if (Buffer.compare(message!, expected) !== 0) expect(message, `message ${index}`).toEqual(expected)
      index++
    }
    expect(index).toBe(count)
    expect(reader.read()).toBeUndefined()
    expect(await ended).toEqual([0])
  })
})
