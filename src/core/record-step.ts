import type { Receiver, RecordCell } from './operator.ts'

/**
 * What a receiver does with a record, as data: from the steps of a chain one loop is made (`runtime/fused-chain.ts`). Carrying the step out is the
 * same as `onRecord`: the same calls in the same order, the same errors. So whoever wraps a receiver leaves its step away.
 */
export type RecordStep =
  | PassStep
  | MapStep
  | FilterStep
  | FlatMapStep
  | SplitStep
  | TimestampStep
  | KeyStep
  | HashStep
  | SendStep
  | WriteStep
  | FanOutStep

/** A function of the job that is called with each record. */
interface UserStep {
  readonly fn: (value: never, context: never) => unknown
  /** The second argument of the function. */
  readonly context: unknown
  /** What is thrown in the place of what the function throws. */
  readonly failure: (error: unknown) => Error
  /** Where a job passes over bad records: told what would have been thrown, and throws it again when the record is not to blame. */
  readonly refuse?: RefuseRecord
}

/** @throws the error, when it is not the fault of this record */
export type RefuseRecord = (value: unknown, error: unknown) => void

/** Hands every record on. */
export interface PassStep {
  readonly kind: 'pass'
  readonly output: Receiver
}

/** Hands on what the function returns, which may not be a promise. */
export interface MapStep extends UserStep {
  readonly kind: 'map'
  readonly output: Receiver
}

/** Hands on what the function accepts. */
export interface FilterStep extends UserStep {
  readonly kind: 'filter'
  readonly output: Receiver
}

/** Hands on everything in what the function returns. */
export interface FlatMapStep extends UserStep {
  readonly kind: 'flat-map'
  readonly output: Receiver
  /** Hands on what an iterable holds that is not an array. */
  readonly iterate: (results: Iterable<unknown>, output: Receiver) => void
}

/** Hands each record to the output of the first predicate that accepts it, or else to `output`. */
export interface SplitStep extends Omit<UserStep, 'fn'> {
  readonly kind: 'split'
  readonly branches: readonly { readonly fn: UserStep['fn']; readonly output: Receiver }[]
  readonly output: Receiver
}

/** Gives records the time that the function returns. */
export interface TimestampStep extends UserStep {
  readonly kind: 'timestamp'
  readonly cell: RecordCell
  readonly output: Receiver
  /** The time as the function meant it; what it throws is the function's fault. */
  readonly check: (result: unknown) => number
  /** Called before the record is handed on, and behind it. */
  readonly before: (timestamp: number) => void
  readonly after: () => void
}

/** Makes the key of a record the current one before handing it on. */
export interface KeyStep extends Omit<UserStep, 'context'> {
  readonly kind: 'key'
  readonly keys: RecordKeys
  readonly output: Receiver
}

/** Sets the key of each record. */
export interface RecordKeys {
  setKey(key: unknown): void
  /**
   * Looks through the keys of the records of a batch from a place on, when that is worth while. Returns the place behind the last one; those before it
   * may be set by `useKey`.
   */
  prepareKeys(values: readonly unknown[], from: number, keyOf: (value: never) => unknown): number
  /** Makes the key of the record at this place the current one. */
  useKey(place: number): void
}

/** Sends each record where its key belongs. */
export interface HashStep extends Omit<UserStep, 'context'> {
  readonly kind: 'hash'
  readonly exchange: RecordExchange
  readonly cell: RecordCell
}

/** Knows where a key belongs. */
export interface RecordExchange {
  channelOf(key: unknown): RecordChannel
  /** Finds the channels of the records of a batch from a place on. Returns the place behind the last one. */
  prepareChannels(values: readonly unknown[], from: number): number
  /** The channel of the record at this place. */
  preparedChannel(place: number): RecordChannel
}

/** Sends every record through one channel. */
export interface SendStep {
  readonly kind: 'send'
  readonly channel: RecordChannel
  readonly cell: RecordCell
}

/** What an exchange writes to. */
export interface RecordChannel {
  add(value: unknown, timestamp: number): void
}

/** Gives every record to a sink, and counts it. */
export interface WriteStep {
  readonly kind: 'write'
  readonly writer: { write(value: unknown): void }
  readonly counter: { records: number }
  readonly failure: (error: unknown) => Error
}

/** Hands every record to several receivers, one after the other. */
export interface FanOutStep {
  readonly kind: 'fan-out'
  readonly outputs: readonly Receiver[]
}
