import { ColumnarCodec } from '../../src/protocol/columnar-codec.ts'
import { createRing, RingReader, RingWriter } from '../../src/protocol/ring.ts'
import type { DeltaChunk } from '../../src/state/delta-chunk.ts'
import { keyOf, readings } from '../support/sample-batches.ts'
import type { NamedContest, Way } from './contest.ts'
import { backend } from './parts.ts'

/* What becomes bytes and moves as such: messages between threads, and snapshots. */

export const bytesOnTheirWay: readonly NamedContest[] = [
  {
    name: 'ring, a batch in and out',
    yardstick: 'copying the bytes twice',
    make: () => ({ engine: throughRing(), yardstick: copied() }),
  },
  { name: 'snapshot of a row', yardstick: 'JSON.stringify', make: () => ({ engine: snapshotted(), yardstick: stringified() }) },
]

const MESSAGES = 2000

function throughRing(): Way {
  const message = new ColumnarCodec().encode(readings()).slice()
  const shared = createRing()
  const [writer, reader] = [new RingWriter(shared), new RingReader(shared)]
  let read: Uint8Array = message
  let length = 0
  return {
    turn() {
      for (let i = 0; i < MESSAGES; i++) {
        writer.write(message, 0)
        read = reader.read()!
        length += read.byteLength
      }
    },
    result: () => ({ length, last: Buffer.from(read) }),
  }
}

function copied(): Way {
  const message = new ColumnarCodec().encode(readings()).slice()
  const between = new Uint8Array(new SharedArrayBuffer(message.byteLength))
  const read = new Uint8Array(message.byteLength)
  let length = 0
  return {
    turn() {
      for (let i = 0; i < MESSAGES; i++) {
        between.set(message)
        read.set(between)
        length += read.byteLength
      }
    },
    result: () => ({ length, last: Buffer.from(read) }),
  }
}

const ROWS = 8192
const names = Array.from({ length: ROWS }, (_, i) => keyOf(i))

/** All keys change, then comes a barrier and the whole of its snapshot. */
function snapshotted(): Way {
  const keyed = backend()
  const values = keyed.table<number>('value')
  let checkpoint = 0
  let chunks: readonly DeltaChunk[] = []
  return {
    ready() {
      keyed.onFolded(checkpoint++)
      for (const [i, name] of names.entries()) {
        keyed.setKey(name)
        values.set(checkpoint * i)
      }
    },
    turn() {
      keyed.freeze(checkpoint)
      keyed.encode(() => false)
      chunks = keyed.takeChunks()
    },
    result: () => totalsOf(chunks),
  }
}

function totalsOf(chunks: readonly DeltaChunk[]): { readonly rows: number; readonly sum: number } {
  const copy = backend()
  for (const { bytes } of chunks) copy.apply(bytes)
  const values = copy.table<number>('value')
  let [rows, sum] = [0, 0]
  copy.forEachKey('value', () => {
    rows++
    sum += values.get()!
  })
  return { rows, sum }
}

function stringified(): Way {
  const values = new Map<string, number>()
  let turn = 0
  let texts: string[] = []
  return {
    ready() {
      turn++
      for (const [i, name] of names.entries()) values.set(name, turn * i)
    },
    turn() {
      texts = []
      for (const row of values) texts.push(JSON.stringify(row))
    },
    result: () => ({ rows: texts.length, sum: texts.reduce((sum, text) => sum + (JSON.parse(text)[1] as number), 0) }),
  }
}
