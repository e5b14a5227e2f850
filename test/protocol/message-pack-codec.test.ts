import { describe, expect, test } from 'vitest'
import { MessagePackCodec } from '../../src/protocol/message-pack-codec.ts'
import { describeBatchCodec } from '../conformance/batch-codec.ts'

describe('the MessagePack codec', () => {
  describeBatchCodec(() => new MessagePackCodec())

  test('gives bytes that its next call overwrites, so that nothing is allocated for a frame', () => {
    const codec = new MessagePackCodec()
    const first = codec.encode({ kind: 'watermark', time: 1 })
    const second = codec.encode({ kind: 'watermark', time: 2 })
    expect(second.buffer).toBe(first.buffer)
  })

  test('refuses a frame of a kind it does not know', () => {
    expect(() => new MessagePackCodec().decode(new Uint8Array([99, 0, 0, 0, 0, 0, 0, 0]))).toThrow('unknown kind 99')
  })
})
