import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { StateSection } from '../../src/state/snapshot-chunk.ts'
import { ChunkWriter, readChunk } from '../../src/state/snapshot-chunk.ts'

const CHUNK_BYTES = 64 * 1024

function section(group: number, keys: readonly unknown[], values: readonly unknown[] = keys): StateSection {
  return { kind: 'table', name: 't', group, namespace: 0, keys, values }
}

function written(sections: readonly StateSection[]) {
  const writer = new ChunkWriter()
  for (const each of sections) writer.add(each)
  return writer.finish()
}

describe('chunks of a snapshot', () => {
  test('there are none of nothing', () => {
    expect(written([])).toEqual([])
    expect(written([section(3, [])])).toEqual([])
  })

  test('hold the sections as they were added', () => {
    const sections: readonly StateSection[] = [
      section(0, ['a', 1], [{ x: -0 }, undefined]),
      { kind: 'pane', name: 'w', group: 0, namespace: -10, keys: [['a', 1]], values: [1n] },
      { kind: 'event-timer', name: '', group: 5, namespace: 100, keys: [new Date(5)], values: [] },
      { kind: 'processing-timer', name: '', group: 5, namespace: 0.5, keys: [true], values: [] },
    ]
    const chunks = written(sections)
    expect(chunks).toHaveLength(1)
    expect(chunks[0]).toMatchObject({ firstGroup: 0, lastGroup: 5 })
    expect([...readChunk(chunks[0]!.bytes)]).toEqual(sections)
  })

  test('are cut at 64 KiB: all but the last have reached it, and none goes beyond it by more than a section', () => {
    const size = fc.integer({ min: 1, max: 5000 })
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(3), size), { maxLength: 150 }), (steps) => {
        let group = 0
        const sections = steps.map(([step, length]) => {
          group += step
          return section(group, [`${'k'.repeat(length)}`], [1])
        })
        const chunks = written(sections)
        chunks.forEach((chunk, index) => {
          if (index < chunks.length - 1) expect(chunk.bytes.byteLength).toBeGreaterThanOrEqual(CHUNK_BYTES)
          expect(chunk.bytes.byteLength).toBeLessThan(CHUNK_BYTES + 5000 + 100)
          // The bytes are transferred to another thread: the buffer must hold them and nothing else.
          expect(chunk.bytes.buffer.byteLength).toBe(chunk.bytes.byteLength)
        })
        const read = chunks.map((chunk) => [...readChunk(chunk.bytes)])
        expect(read.flat()).toEqual(sections)
        read.forEach((inChunk, index) => {
          expect(chunks[index]!.firstGroup).toBe(inChunk[0]!.group)
          expect(chunks[index]!.lastGroup).toBe(inChunk.at(-1)!.group)
        })
        const borders = chunks.flatMap((chunk) => [chunk.firstGroup, chunk.lastGroup])
        expect(borders).toEqual(borders.toSorted((a, b) => a - b))
      }),
      { numRuns: 50 },
    )
  })

  test('a section of many entries is divided, so that it may be spread over several chunks', () => {
    const keys = Array.from({ length: 10_000 }, (_, index) => `key ${index} ${'x'.repeat(100)}`)
    const chunks = written([section(7, keys)])
    expect(chunks.length).toBeGreaterThan(5)
    const read = chunks.flatMap((chunk) => [...readChunk(chunk.bytes)])
    expect(read.flatMap((each) => each.keys)).toEqual(keys)
    expect(read.flatMap((each) => each.values)).toEqual(keys)
    for (const chunk of chunks) expect([chunk.firstGroup, chunk.lastGroup]).toEqual([7, 7])
  })

  test('a value larger than a chunk is in a chunk of its own size', () => {
    const chunks = written([section(0, ['a'], ['small']), section(1, ['b'], ['x'.repeat(1 << 20)]), section(2, ['c'], ['small'])])
    expect(chunks.flatMap((chunk) => [...readChunk(chunk.bytes)]).map((each) => each.keys)).toEqual([['a'], ['b'], ['c']])
  })

  test('large values do not come together in one chunk of many times its size', () => {
    const values = Array.from({ length: 500 }, (_, index) => `${index}`.repeat(3000))
    const chunks = written([
      section(
        0,
        values.map((_, index) => index),
        values,
      ),
    ])
    expect(Math.max(...chunks.map((chunk) => chunk.bytes.byteLength))).toBeLessThan(4 * CHUNK_BYTES)
    expect(chunks.flatMap((chunk) => [...readChunk(chunk.bytes)]).flatMap((each) => each.values)).toEqual(values)
  })

  test('can be read from the middle of a larger buffer', () => {
    const [chunk] = written([section(1, ['a'])])
    const larger = new Uint8Array(chunk!.bytes.byteLength + 11)
    larger.set(chunk!.bytes, 5)
    expect([...readChunk(larger.subarray(5, 5 + chunk!.bytes.byteLength))]).toEqual([section(1, ['a'])])
  })
})
