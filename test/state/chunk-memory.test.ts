import { describe, expect, test } from 'vitest'
import { chunkBytes, reuse } from '../../src/state/chunk-memory.ts'

const LARGE = 100_000

describe('the memory of chunks', () => {
  test('is as long as the chunk, whatever lies behind it', () => {
    for (const length of [1, 300, 32_767, 32_768, 65_000, 65_536, 65_537, LARGE]) {
      const bytes = chunkBytes(length)
      expect([bytes.byteLength, bytes.byteOffset]).toEqual([length, 0])
      expect(bytes.buffer.byteLength - length).toBeLessThan(Math.min(1 << 14, Math.max(1, length)))
    }
  })

  test('comes back for the next chunk of about the same length, once', () => {
    const { buffer } = chunkBytes(LARGE)
    reuse([buffer])
    expect(chunkBytes(2 * LARGE).buffer).not.toBe(buffer)
    const again = chunkBytes(LARGE - 100)
    expect(again.buffer).toBe(buffer)
    expect(again.byteLength).toBe(LARGE - 100)
    expect(chunkBytes(LARGE).buffer).not.toBe(buffer)
  })

  test('is let go beyond a limit', () => {
    const pieces = Array.from({ length: 5 }, () => chunkBytes(10 << 20).buffer)
    reuse(pieces)
    const got = Array.from({ length: 5 }, () => chunkBytes(10 << 20).buffer)
    expect(got.filter((buffer) => pieces.includes(buffer)).length).toBe(3)
  })
})
