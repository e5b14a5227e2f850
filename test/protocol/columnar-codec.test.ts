import { describe } from 'vitest'
import { ColumnarCodec } from '../../src/protocol/columnar-codec.ts'
import { describeBatchCodec } from '../conformance/batch-codec.ts'

describe('the columnar codec', () => {
  describe('with generated code', () => describeBatchCodec(() => new ColumnarCodec('generated')))
  describe('without generated code', () => describeBatchCodec(() => new ColumnarCodec('interpreted')))
  describe('with code for schemas that come often', () => describeBatchCodec(() => new ColumnarCodec()))
})
