import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ChannelReader, ChannelWriter } from '../../src/protocol/channel.ts'
import { LocalChannel, RemoteReader, RemoteWriter } from '../../src/protocol/channel.ts'
import { Doorbells } from '../../src/protocol/doorbell.ts'
import type { Element } from '../../src/protocol/element.ts'
import { MessagePackCodec } from '../../src/protocol/message-pack-codec.ts'
import { createRing, RingReader, RingWriter } from '../../src/protocol/ring.ts'
import type { OtherThread } from './fixtures/other-thread.ts'
import { waitUntil } from './fixtures/threads.ts'

interface Ends {
  readonly writer: ChannelWriter
  readonly reader: ChannelReader
  /** How often each side was woken. */
  readonly wakes: { reader: number; writer: number }
}

function local(): Ends {
  const channel = new LocalChannel()
  return { writer: channel, reader: channel, wakes: { reader: 0, writer: 0 } }
}

function remote(capacity = 256): Ends {
  const ring = createRing(capacity)
  const wakes = { reader: 0, writer: 0 }
  const codec = new MessagePackCodec()
  return {
    writer: new RemoteWriter(new RingWriter(ring), codec, () => wakes.reader++),
    reader: new RemoteReader(new RingReader(ring), codec, () => wakes.writer++),
    wakes,
  }
}

const barrier = (checkpoint: number): Element => ({ kind: 'barrier', checkpoint })
const records = (...values: unknown[]): Element => ({ kind: 'records', values, timestamps: values.map(() => 1) })

/** Writes until the channel is full, and returns how much it took. */
function fill(writer: ChannelWriter): number {
  let count = 0
  while (!writer.full && count < 1000) writer.write(barrier(++count))
  return count
}

describe.each([
  ['local', local],
  ['remote', remote],
] as const)('a %s channel', (_, create) => {
  test('passes elements in order', () => {
    const { writer, reader } = create()
    expect(reader.readable).toBe(false)
    expect(reader.poll()).toBeUndefined()
    writer.write(records('a', { b: 1 }))
    writer.write(barrier(1))
    expect(reader.readable).toBe(true)
    expect([reader.poll(), reader.poll(), reader.poll()]).toEqual([records('a', { b: 1 }), barrier(1), undefined])
  })

  test('is full after a bounded number of elements, and has room again when the reader has taken some', () => {
    const { writer, reader } = create()
    const count = fill(writer)
    expect(count).toBeLessThan(100)
    expect(writer.full).toBe(true)
    expect(writer.flush()).toBe(false)
    for (let taken = 0; taken < count - 1; taken++) expect(reader.poll()).toEqual(barrier(taken + 1))
    expect(writer.flush()).toBe(true)
    expect(writer.full).toBe(false)
    expect(reader.poll()).toEqual(barrier(count))
    expect(reader.poll()).toBeUndefined()
  })

  test('takes elements also while it is full: those of one record cannot be given back', () => {
    const { writer, reader } = create()
    const count = fill(writer)
    for (let index = 1; index <= 50; index++) writer.write(barrier(count + index))
    const seen: Element[] = []
    for (let round = 0; seen.length < count + 50 && round < 1000; round++) {
      const element = reader.poll()
      if (element !== undefined) seen.push(element)
      writer.flush()
    }
    expect(seen).toEqual(Array.from({ length: count + 50 }, (_, index) => barrier(index + 1)))
    expect(writer.full).toBe(false)
  })

  test('a flush of a channel that has room says so', () => {
    expect(create().writer.flush()).toBe(true)
  })

  test('loses, changes and reorders nothing, however the two sides take turns', () => {
    const action = fc.oneof(
      fc.record({ type: fc.constant('write' as const), value: fc.string({ maxLength: 400 }) }),
      fc.constant({ type: 'read' as const }),
      fc.constant({ type: 'flush' as const }),
    )
    fc.assert(
      fc.property(fc.array(action, { maxLength: 80 }), (actions) => {
        const { writer, reader } = create()
        const sent: Element[] = []
        const seen: Element[] = []
        const read = (): void => {
          const element = reader.poll()
          if (element !== undefined) seen.push(element)
        }
        for (const step of actions) {
          if (step.type === 'write') {
            sent.push(records(step.value, sent.length))
            writer.write(sent.at(-1)!)
          } else if (step.type === 'read') read()
          else expect(writer.flush()).toBe(!writer.full)
        }
        for (let round = 0; round < 2000 && seen.length < sent.length; round++) {
          writer.flush()
          read()
        }
        expect(seen).toEqual(sent)
        expect(reader.readable).toBe(false)
      }),
    )
  })
})

describe('a local channel', () => {
  test('passes a batch by reference', () => {
    const { writer, reader } = local()
    const batch = records({ a: 1 })
    writer.write(batch)
    expect(reader.poll()).toBe(batch)
  })
})

describe('a remote channel', () => {
  test('encodes at once: what is changed after the write does not reach the reader', () => {
    const { writer, reader } = remote()
    fill(writer)
    const value = { a: 1 }
    writer.write(records(value))
    value.a = 2
    let last: Element | undefined
    for (let round = 0; round < 100; round++) {
      last = reader.poll() ?? last
      writer.flush()
    }
    expect(last).toEqual(records({ a: 1 }))
  })

  test('wakes the reader when something was published, and not when nothing was', () => {
    const { writer, reader, wakes } = remote()
    writer.write(barrier(1))
    expect(wakes.reader).toBe(1)
    fill(writer)
    const before = wakes.reader
    writer.write(barrier(7))
    writer.flush()
    writer.flush()
    expect(wakes.reader).toBe(before)
    reader.poll()
    writer.flush()
    expect(wakes.reader).toBe(before + 1)
  })

  test('wakes the reader for a part of a message that is larger than the ring, and the writer for the room it leaves', () => {
    const { writer, reader, wakes } = remote()
    writer.write(records('x'.repeat(2000)))
    expect(writer.full).toBe(true)
    expect(wakes.reader).toBe(1)
    let element: Element | undefined
    let rounds = 0
    while (element === undefined && rounds++ < 100) {
      expect(reader.readable).toBe(true)
      element = reader.poll()
      expect(wakes.writer).toBe(rounds)
      writer.flush()
    }
    expect(element).toEqual(records('x'.repeat(2000)))
    expect(writer.full).toBe(false)
  })

  test('does not wake the writer for a look that found nothing', () => {
    const { reader, wakes } = remote()
    reader.poll()
    expect(wakes.writer).toBe(0)
  })

  test('a record that cannot be encoded leaves the channel as it was', () => {
    const { writer, reader } = remote()
    writer.write(barrier(1))
    expect(() => writer.write(records(() => 1))).toThrow(expect.objectContaining({ code: 'VALUE_NOT_ENCODABLE' }))
    writer.write(barrier(2))
    expect([reader.poll(), reader.poll(), reader.poll()]).toEqual([barrier(1), barrier(2), undefined])
  })

  test('carries batches and watermarks between two threads through a ring that is always too small', async () => {
    const count = 5000
    const doorbells = new Doorbells(2)
    const ring = createRing(1024)
    const data: OtherThread = { role: 'send batches', doorbells: doorbells.shared, ring, count }
    const worker = new Worker(new URL('fixtures/other-thread.ts', import.meta.url), { workerData: data })
    const ended = once(worker, 'exit')
    const reader = new RemoteReader(new RingReader(ring), new MessagePackCodec(), () => doorbells.ring(1))
    const next = async (): Promise<Element> => {
      let element: Element | undefined
      await waitUntil(() => (element = reader.poll()) !== undefined, doorbells, 0)
      return element!
    }
    for (let index = 0; index < count; index++) {
      const values = Array.from({ length: index % 50 }, (_, place) => ({
        id: index,
        place,
        name: `${index}/${place}`,
        [`f${index % 300}`]: -0,
      }))
      expect(await next()).toEqual({ kind: 'records', values, timestamps: values.map(() => index) })
      expect(await next()).toEqual({ kind: 'watermark', time: index })
    }
    expect(await next()).toEqual({ kind: 'end' })
    expect(await ended).toEqual([0])
  })
})
