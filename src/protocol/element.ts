/**
 * What flows through a channel. Control travels in line with the records, so its place in their order says what it is about:
 * all records before a barrier belong to its checkpoint, all records before a watermark are older than its promise.
 */
export type Element = RecordBatch | Watermark | Barrier | ChannelStatus | EndOfInput

/**
 * Records and their timestamps, by position, and the watermarks between them. Owned by whoever holds it: a batch is never touched after it
 * was sent.
 */
export interface RecordBatch {
  readonly kind: 'records'
  readonly values: unknown[]
  /** `NaN` for a record without one. */
  readonly timestamps: readonly number[]
  /** Absent when no watermark rose on the way. */
  readonly watermarks?: BatchWatermarks
}

/**
 * Watermarks that travel inside a batch, because one may come with every record and must not cut the batch in pieces: after the first
 * `after[i]` records the watermark is `times[i]`. Both rise.
 */
export interface BatchWatermarks {
  readonly after: number[]
  readonly times: number[]
}

/** No record with a timestamp at or before `time` follows on this channel. */
export interface Watermark {
  readonly kind: 'watermark'
  readonly time: number
}

/** The border between the records of a checkpoint and those of the next. */
export interface Barrier {
  readonly kind: 'barrier'
  readonly checkpoint: number
}

/** An idle channel does not hold back the watermark of its reader until it is active again. */
export interface ChannelStatus {
  readonly kind: 'idle' | 'active'
}

/** No record follows on this channel; barriers still do, until the job is over. */
export interface EndOfInput {
  readonly kind: 'end'
}

const SHARED_MAX = 1024
const NONE: (readonly number[])[] = Array.from({ length: SHARED_MAX + 1 })

/** The timestamps of records that have none: one array for all batches of a size. */
export function noTimestamps(records: number): readonly number[] {
  if (records > SHARED_MAX) return Array.from({ length: records }, () => Number.NaN)
  return (NONE[records] ??= Array.from({ length: records }, () => Number.NaN))
}
