import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { DeltaChunk, StateIdentity } from '../../src/state/delta-chunk.ts'
import { readDelta } from '../../src/state/delta-reader.ts'
import { DeltaWriter } from '../../src/state/delta-writer.ts'
import { keyFromBytes } from '../../src/state/key-bytes.ts'
import { DEFAULT_FORM, valueFromBytes } from '../../src/state/row-value.ts'

const CHUNK_BYTES = 64 * 1024

const TABLE: StateIdentity = { kind: 'table', name: 't' }
const PANES: StateIdentity = { kind: 'pane', name: 'Fenster ü' }
const EVENT: StateIdentity = { kind: 'event-timer', name: '' }
const PROCESSING: StateIdentity = { kind: 'processing-timer', name: '' }

type Said =
  | {
      readonly type: 'put'
      readonly state: StateIdentity
      readonly group: number
      readonly namespace: number
      readonly key: unknown
      readonly value: unknown
    }
  | {
      readonly type: 'remove'
      readonly state: StateIdentity
      readonly group: number
      readonly namespace: number
      readonly key: unknown
    }
  | {
      readonly type: 'drop'
      readonly state: StateIdentity
      readonly first: number
      readonly last: number
      readonly namespace: number
    }

function put(group: number, key: unknown, value: unknown, state: StateIdentity = TABLE, namespace = 0): Said {
  return { type: 'put', state, group, namespace, key, value }
}

function isTimer({ kind }: StateIdentity): boolean {
  return kind === 'event-timer' || kind === 'processing-timer'
}

function written(all: readonly Said[]): readonly DeltaChunk[] {
  const writer = new DeltaWriter()
  for (const said of all) {
    if (said.type === 'drop') writer.drop(said.state, said.first, said.last, said.namespace)
    else if (said.type === 'remove') writer.remove(said.state, said.group, said.namespace, said.key)
    else if (isTimer(said.state)) writer.putKey(said.state, said.group, said.namespace, said.key)
    else writer.put(said.state, said.group, said.namespace, said.key, said.value, DEFAULT_FORM)
  }
  writer.cut()
  return writer.take()
}

function read(bytes: Uint8Array): readonly Said[] {
  const all: Said[] = []
  readDelta(bytes, {
    row: (state, group, namespace, keyBytes, value) => {
      const key = keyFromBytes(keyBytes)
      if (value === undefined) all.push({ type: 'remove', state, group, namespace, key })
      else all.push({ type: 'put', state, group, namespace, key, value: valueFromBytes(value).value })
    },
    drop: (state, first, last, namespace) => all.push({ type: 'drop', state, first, last, namespace }),
  })
  return all
}

const said = fc
  .oneof(
    { weight: 6, arbitrary: fc.tuple(fc.constantFrom(TABLE, PANES), fc.nat(5), fc.integer(), fc.string(), fc.json()) },
    {
      weight: 2,
      arbitrary: fc.tuple(fc.constantFrom(EVENT, PROCESSING), fc.nat(5), fc.integer(), fc.string(), fc.constant(undefined)),
    },
  )
  .map(([state, group, namespace, key, value]) => put(group, key, value, state, state.kind === 'table' ? 0 : namespace))
const anything = fc.oneof(
  { weight: 6, arbitrary: said },
  { weight: 2, arbitrary: said.map((each) => (each.type === 'put' ? ({ ...each, type: 'remove' } as const) : each)) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.nat(5), fc.nat(5), fc.integer())
      .map(([first, more, namespace]): Said => ({ type: 'drop', state: PANES, first, last: first + more, namespace })),
  },
)

/** A removal has no value to compare. */
function comparable(all: readonly Said[]): readonly unknown[] {
  return all.map((each) => (each.type === 'remove' ? { ...each, value: undefined } : each))
}

describe('chunks of changes', () => {
  test('there are none of nothing', () => {
    expect(written([])).toEqual([])
  })

  test('hold what was said in its order', () => {
    const all: readonly Said[] = [
      put(0, 'a', { x: -0 }),
      put(0, 1, undefined),
      { type: 'drop', state: PANES, first: 0, last: 127, namespace: -10 },
      put(0, ['a', 1], 1n, PANES, -10),
      { type: 'remove', state: TABLE, group: 3, namespace: 0, key: 'gone' },
      put(5, new Date(5), undefined, EVENT, 100),
      put(5, true, undefined, PROCESSING, 0.5),
      put(5, '', undefined, PROCESSING, Number.POSITIVE_INFINITY),
    ]
    const chunks = written(all)
    expect(chunks).toHaveLength(1)
    expect(chunks[0]).toMatchObject({ firstGroup: 0, lastGroup: 127, rows: 8 })
    expect(read(chunks[0]!.bytes)).toEqual(all)
  })

  test('hold anything in its order', () => {
    fc.assert(
      fc.property(fc.array(anything, { maxLength: 60 }), (all) => {
        const chunks = written(all)
        expect(comparable(chunks.flatMap(({ bytes }) => read(bytes)))).toEqual(comparable(all))
        expect(chunks.reduce((sum, { rows }) => sum + rows, 0)).toBe(all.length)
      }),
    )
  })

  test('are cut at 64 KiB: all but the last have reached it, and none goes beyond it by more than a row', () => {
    const size = fc.integer({ min: 1, max: 5000 })
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(3), size), { maxLength: 150 }), (steps) => {
        let group = 0
        const all = steps.map(([step, length]) => {
          group += step
          return put(group, 'k'.repeat(length), 1)
        })
        const chunks = written(all)
        chunks.forEach((chunk, index) => {
          if (index < chunks.length - 1) expect(chunk.bytes.byteLength).toBeGreaterThanOrEqual(CHUNK_BYTES)
          expect(chunk.bytes.byteLength).toBeLessThan(CHUNK_BYTES + 5000 + 100)
          // The buffer is transferred to another thread: it must not be much larger than they are.
          expect(chunk.bytes.byteOffset).toBe(0)
          expect(chunk.bytes.buffer.byteLength - chunk.bytes.byteLength).toBeLessThan(1 << 14)
        })
        const inChunks = chunks.map((chunk) => read(chunk.bytes))
        expect(inChunks.flat()).toEqual(all)
        inChunks.forEach((rows, index) => {
          const groups = rows.map((row) => (row as { readonly group: number }).group)
          expect([chunks[index]!.firstGroup, chunks[index]!.lastGroup]).toEqual([groups[0], groups.at(-1)])
        })
        const borders = chunks.flatMap((chunk) => [chunk.firstGroup, chunk.lastGroup])
        expect(borders).toEqual(borders.toSorted((a, b) => a - b))
      }),
      { numRuns: 50 },
    )
  })

  test('many rows of one group are spread over several chunks, each of which says what it is about', () => {
    const all = Array.from({ length: 10_000 }, (_, index) => put(7, `key ${index} ${'x'.repeat(100)}`, index))
    const chunks = written(all)
    expect(chunks.length).toBeGreaterThan(5)
    expect(chunks.flatMap((chunk) => read(chunk.bytes))).toEqual(all)
    for (const chunk of chunks) expect([chunk.firstGroup, chunk.lastGroup]).toEqual([7, 7])
  })

  test('a value larger than a chunk is in a chunk of its own size', () => {
    const all = [put(0, 'a', 'small'), put(1, 'b', 'x'.repeat(1 << 20)), put(2, 'c', 'small')]
    const chunks = written(all)
    expect(chunks).toHaveLength(2)
    expect(chunks.flatMap((chunk) => read(chunk.bytes))).toEqual(all)
  })

  test('large values do not come together in one chunk of many times its size', () => {
    const all = Array.from({ length: 500 }, (_, index) => put(0, index, `${index}`.repeat(3000)))
    const chunks = written(all)
    expect(Math.max(...chunks.map((chunk) => chunk.bytes.byteLength))).toBeLessThan(4 * CHUNK_BYTES)
    expect(chunks.flatMap((chunk) => read(chunk.bytes))).toEqual(all)
  })

  test('are the writer’s no longer: what is written later does not touch them', () => {
    const writer = new DeltaWriter()
    writer.put(TABLE, 0, 0, 'a', 1, DEFAULT_FORM)
    writer.cut()
    const [chunk] = writer.take()
    writer.put(TABLE, 0, 0, 'b', 2, DEFAULT_FORM)
    writer.cut()
    expect(read(chunk!.bytes)).toEqual([put(0, 'a', 1)])
    expect(writer.take()).toHaveLength(1)
    expect(writer.take()).toEqual([])
    expect(writer.averageBytes()).toBeGreaterThan(0)
  })

  test('can be read from the middle of a larger buffer', () => {
    const [chunk] = written([put(1, 'a', 'a')])
    const larger = new Uint8Array(chunk!.bytes.byteLength + 11)
    larger.set(chunk!.bytes, 5)
    expect(read(larger.subarray(5, 5 + chunk!.bytes.byteLength))).toEqual([put(1, 'a', 'a')])
  })

  test('keys and values of every length come back, also at the borders between short and long ones', () => {
    const lengths = [0, 1, 252, 253, 254, 255, 256, 1023, 1024, 1025, 65_534, 65_535, 65_536]
    const all = lengths.flatMap((length) => [put(0, 'k'.repeat(length), 'v'), put(0, `v${length}`, 'v'.repeat(length))])
    expect(written(all).flatMap((chunk) => read(chunk.bytes))).toEqual(all)
  })
})

describe('a damaged chunk', () => {
  const [chunk] = written([
    put(0, 'a', { x: 'text' }),
    { type: 'drop', state: PANES, first: 0, last: 3, namespace: 10 },
    put(1, ['b', 7n], [1, 2, 3], PANES, 10),
    { type: 'remove', state: PANES, group: 2, namespace: 20, key: 'gone' },
    put(2, 'long'.repeat(100), undefined, EVENT, 30),
  ])
  const { bytes } = chunk!
  const whole = read(bytes).length

  /** Reads rows without looking into them; what is given out must lie inside the chunk. */
  function outcome(damaged: Uint8Array): number | Error {
    let rows = 0
    const isInside = (view: Uint8Array): boolean =>
      view.buffer === damaged.buffer &&
      view.byteOffset >= damaged.byteOffset &&
      view.byteOffset + view.byteLength <= damaged.byteOffset + damaged.byteLength
    try {
      readDelta(damaged, {
        row: (_state, _group, _namespace, key, value) => {
          rows++
          expect(isInside(key) && (value === undefined || isInside(value))).toBe(true)
        },
        drop: () => rows++,
      })
      return rows
    } catch (error) {
      return error as Error
    }
  }

  test('that was cut off is an error, or what came before the cut', () => {
    for (let length = 0; length < bytes.byteLength; length++) {
      const result = outcome(bytes.slice(0, length))
      if (typeof result === 'number') expect(result, `${length} bytes`).toBeLessThan(whole)
      else expect(result).toBeInstanceOf(Error)
    }
  })

  test('with any byte changed ends, with an error or not, and gives out nothing that lies outside', () => {
    for (let at = 0; at < bytes.byteLength; at++) {
      for (const byte of [0, 1, 0x7f, 0x80, 0xff, bytes[at]! ^ 1, bytes[at]! ^ 0x80]) {
        // A reader that looked outside would find rows there.
        const larger = new Uint8Array(3 * bytes.byteLength)
        for (const copy of [0, 1, 2]) larger.set(bytes, copy * bytes.byteLength)
        const damaged = larger.subarray(bytes.byteLength, 2 * bytes.byteLength)
        damaged[at] = byte
        const result = outcome(damaged)
        expect(typeof result === 'number' || result instanceof Error).toBe(true)
      }
    }
  })

  test('of any bytes ends', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (any) => {
        const result = outcome(any)
        expect(typeof result === 'number' || result instanceof Error).toBe(true)
      }),
      { numRuns: 2000 },
    )
  })
})
