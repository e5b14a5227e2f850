import { describe, expect, test } from 'vitest'
import { decodeManifest, encodeManifest } from '../../src/checkpoint/manifest.ts'
import { SluiceError } from '../../src/core/errors.ts'
import { sampleManifest } from './manifests.ts'

/** What `decodeManifest` answers to these bytes: a manifest, or the code of its refusal. */
function outcome(bytes: Uint8Array): unknown {
  try {
    return decodeManifest(bytes, 3)
  } catch (error) {
    return error instanceof SluiceError ? error.code : error
  }
}

describe('a manifest', () => {
  const delta = { operator: 'count-1', checkpoint: 2, sequence: 0, firstGroup: 0, lastGroup: 9, rows: 3, length: 99, crc32: 7 }
  const dropped = { operator: 'count-1', kind: 'table' as const, name: 'old', through: 1 }
  const sample = sampleManifest(3, { deltas: [delta], dropped: [dropped] })
  const bytes = encodeManifest(sample)

  test('comes back as it was written', () => {
    expect(decodeManifest(bytes, 3)).toEqual(sample)
  })

  test('comes back from the middle of a larger buffer', () => {
    const larger = new Uint8Array(bytes.byteLength + 5)
    larger.set(bytes, 3)
    expect(decodeManifest(larger.subarray(3, 3 + bytes.byteLength), 3)).toEqual(sample)
  })

  test('is refused when it is cut off anywhere', () => {
    for (let length = 0; length < bytes.byteLength; length++) {
      expect(outcome(bytes.subarray(0, length)), `${length} bytes`).toBe('CHECKPOINT_UNREADABLE')
    }
  })

  test('is refused when anything follows it', () => {
    const longer = new Uint8Array(bytes.byteLength + 1)
    longer.set(bytes)
    expect(outcome(longer)).toBe('CHECKPOINT_UNREADABLE')
  })

  test('is refused when any of its bits has flipped', () => {
    for (let bit = 0; bit < bytes.byteLength * 8; bit++) {
      const flipped = bytes.slice()
      flipped[bit >>> 3]! ^= 1 << (bit & 7)
      // The fifth and sixth byte are the version of the format: another one is told as such, unless it could be the one before.
      const refusal = bit >>> 4 === 2 && bit !== 32 ? 'FORMAT_UNKNOWN' : 'CHECKPOINT_UNREADABLE'
      expect(outcome(flipped), `bit ${bit & 7} of byte ${bit >>> 3}`).toBe(refusal)
    }
  })

  test('is refused when it belongs to another checkpoint than the one it was found under', () => {
    expect(() => decodeManifest(bytes, 4)).toThrow(expect.objectContaining({ code: 'CHECKPOINT_UNREADABLE' }))
  })

  test('names its checkpoint and what to do when it is refused', () => {
    expect(() => decodeManifest(new Uint8Array(3), 12)).toThrow(
      expect.objectContaining({ message: expect.stringContaining('checkpoint 12'), hint: expect.stringContaining('--fresh') }),
    )
  })

  test.each([1, 4])('says so when it was written in version %s of the format', (version) => {
    const other = bytes.slice()
    other[4] = version
    expect(outcome(other)).toBe('FORMAT_UNKNOWN')
    expect(() => decodeManifest(other, 3)).toThrow(`in version ${version} of the format, this program reads versions 2 to 3`)
  })
})
