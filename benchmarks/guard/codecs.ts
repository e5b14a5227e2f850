import type { BatchCodec } from '../../src/protocol/batch-codec.ts'
import { ColumnarCodec } from '../../src/protocol/columnar-codec.ts'
import type { RecordBatch } from '../../src/protocol/element.ts'
import { MessagePackCodec } from '../../src/protocol/message-pack-codec.ts'
import { bids, counters, readings } from '../support/sample-batches.ts'
import type { NamedContest, Way } from './contest.ts'

const YARDSTICK = 'msgpackr'

export const codecs: readonly NamedContest[] = [
  { name: 'codec, integers', yardstick: YARDSTICK, make: () => contest(counters(), 120) },
  { name: 'codec, key, value and time', yardstick: YARDSTICK, make: () => contest(readings(), 48) },
  { name: 'codec, bids', yardstick: YARDSTICK, make: () => contest(bids(), 12) },
]

function contest(batch: RecordBatch, batchesInATurn: number): { engine: Way; yardstick: Way } {
  return {
    engine: thereAndBack(new ColumnarCodec(), batch, batchesInATurn),
    yardstick: thereAndBack(new MessagePackCodec(), batch, batchesInATurn),
  }
}

function thereAndBack(codec: BatchCodec, batch: RecordBatch, batchesInATurn: number): Way {
  let decoded: unknown
  return {
    turn() {
      for (let i = 0; i < batchesInATurn; i++) decoded = codec.decode(codec.encode(batch))
    },
    result: () => decoded,
  }
}
