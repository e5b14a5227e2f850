import { expect, test } from 'vitest'
import { LocalChannel, RemoteReader, RemoteWriter } from '../../src/protocol/channel.ts'
import type { RecordBatch } from '../../src/protocol/element.ts'
import { MessagePackCodec } from '../../src/protocol/message-pack-codec.ts'
import { createRing, RingReader, RingWriter } from '../../src/protocol/ring.ts'

function batch(records: number): RecordBatch {
  return { kind: 'records', values: new Array<number>(records).fill(7), timestamps: new Array<number>(records).fill(Number.NaN) }
}

function remote() {
  const ring = createRing()
  const codec = new MessagePackCodec()
  return {
    writer: new RemoteWriter(new RingWriter(ring), codec, () => undefined),
    reader: new RemoteReader(new RingReader(ring), codec, () => undefined),
  }
}

function local() {
  const channel = new LocalChannel()
  return { writer: channel, reader: channel }
}

test.each([
  ['between threads', remote],
  ['inside a worker', local],
])('a slow reader has few records on their way: %s', (_, make) => {
  const { writer, reader } = make()
  expect(writer.batchRecords).toBe(512)
  reader.setBudget(10)
  expect(writer.batchRecords).toBe(5)
  writer.write(batch(5))
  expect(writer.full).toBe(false)
  writer.write(batch(5))
  expect(writer.full).toBe(true)
  expect(writer.flush()).toBe(false)
  reader.poll()
  expect(writer.flush()).toBe(true)
  // Control is not counted: a barrier never waits for room of its own.
  writer.write({ kind: 'barrier', checkpoint: 1 })
  expect(writer.full).toBe(false)
})

test('a reader that wants next to nothing still gets one record at a time', () => {
  const { writer, reader } = remote()
  reader.setBudget(1)
  expect(writer.batchRecords).toBe(1)
  writer.write(batch(1))
  expect(writer.full).toBe(true)
  expect(reader.poll()).toMatchObject({ values: [7] })
  expect(writer.full).toBe(false)
})
