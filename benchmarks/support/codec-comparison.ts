import { isDeepStrictEqual } from 'node:util'
import type { BatchCodec } from '../../src/protocol/batch-codec.ts'
import { ColumnarCodec } from '../../src/protocol/columnar-codec.ts'
import type { RecordBatch } from '../../src/protocol/element.ts'
import { MessagePackCodec } from '../../src/protocol/message-pack-codec.ts'
import { BATCH, bareBids, bids, counters, readings } from './sample-batches.ts'
import { spreadOf } from './statistics.ts'
import { renderTable } from './table.ts'

/*
 * The codec of the channels against msgpackr. Only their ratio counts, so both take turns within one run, and the median of many short rounds is told, of the
 * processor time that the process took: neighbours on the machine disturb it less than the clock.
 */

/** Nanoseconds that a record takes. */
export interface CodecTimes {
  readonly encode: number
  readonly decode: number
}

export interface CodecComparison {
  readonly records: string
  readonly columnar: CodecTimes
  readonly msgpackr: CodecTimes
}

const RECORDS: readonly (readonly [name: string, batch: () => RecordBatch])[] = [
  ['{key,value,count} of integers', counters],
  ['{key,value,time}', readings],
  ['bids without their texts', bareBids],
  ['bids', bids],
]

export function compareCodecs(quick: boolean): readonly CodecComparison[] {
  return RECORDS.map(([records, batch]) => {
    const [columnar, msgpackr] = [new Turns(new ColumnarCodec(), batch()), new Turns(new MessagePackCodec(), batch())]
    for (let round = 0; round < (quick ? 3 : 21); round++) for (const turns of [columnar, msgpackr]) turns.take(quick ? 5 : 40)
    return { records, columnar: columnar.times, msgpackr: msgpackr.times }
  })
}

export function renderCodecs(comparisons: readonly CodecComparison[]): string {
  const rows = comparisons.map(({ records, columnar, msgpackr }) => [
    records,
    ...(['encode', 'decode'] as const).flatMap((way) => [
      `${columnar[way].toFixed(0)} ns`,
      `${msgpackr[way].toFixed(0)} ns`,
      (msgpackr[way] / columnar[way]).toFixed(1),
    ]),
    ((msgpackr.encode + msgpackr.decode) / (columnar.encode + columnar.decode)).toFixed(1),
  ])
  const header = ['records', 'encode, columnar', 'msgpackr', 'ratio', 'decode, columnar', 'msgpackr', 'ratio', 'both']
  return renderTable(header, rows)
}

/** One codec, in turns of some milliseconds each. */
class Turns {
  readonly #codec: BatchCodec
  readonly #batch: RecordBatch
  readonly #bytes: Uint8Array
  readonly #encode: number[] = []
  readonly #decode: number[] = []

  constructor(codec: BatchCodec, batch: RecordBatch) {
    this.#codec = codec
    this.#batch = batch
    this.#bytes = codec.encode(batch).slice()
    if (!isDeepStrictEqual(codec.decode(this.#bytes), batch)) throw new Error(`the codec ${codec.name} changed a batch`)
  }

  take(turnMs: number): void {
    this.#encode.push(nanosecondsPerRecord(() => this.#codec.encode(this.#batch), turnMs))
    this.#decode.push(nanosecondsPerRecord(() => this.#codec.decode(this.#bytes), turnMs))
  }

  /** Medians. */
  get times(): CodecTimes {
    return { encode: spreadOf(this.#encode).median, decode: spreadOf(this.#decode).median }
  }
}

function nanosecondsPerRecord(call: () => unknown, turnMs: number): number {
  const endsAt = performance.now() + turnMs
  const before = process.cpuUsage()
  let calls = 0
  do {
    for (let i = 0; i < 8; i++) call()
    calls += 8
  } while (performance.now() < endsAt)
  const { user, system } = process.cpuUsage(before)
  return (1000 * (user + system)) / (calls * BATCH)
}
