import type { ErrorCode } from './errors.ts'
import { SluiceError } from './errors.ts'
import type { Sink } from './sink.ts'

/** A record that a source could not read or a function of the job could not take, as the sink for dead letters gets it. */
export interface BadRecord {
  /** What the function was given; of a source, the text that could not be read. */
  readonly record: unknown
  /** The operator that could not take it. */
  readonly operator: string
  readonly code: ErrorCode
  readonly message: string
}

/** What becomes of a bad record; see `JobOptions.onBadRecord`. */
export type BadRecordPolicy = 'fail' | 'skip' | 'dead-letter'

/** The same, with its sink. */
export type BadRecordSettings =
  | { readonly onBadRecord: 'fail' | 'skip' }
  | { readonly onBadRecord: 'dead-letter'; readonly deadLetterSink: Sink<BadRecord> }

export const BAD_RECORD_POLICIES: readonly BadRecordPolicy[] = ['fail', 'skip', 'dead-letter']

/** The output of every operator that the sink for dead letters reads. */
export const BAD_RECORDS = 'bad-records'

/** Stands among the records of a batch for one that could not be read. */
export class UnreadRecord {
  readonly error: SluiceError

  constructor(error: SluiceError) {
    this.error = error
  }
}

/**
 * What can be the fault of one record. Anything else concerns all of them, the disk, the state or the job as written, and nobody would want a job
 * to pass over its whole input because of it.
 */
const FAULTS_OF_RECORDS: ReadonlySet<ErrorCode> = new Set([
  'OPERATOR_FAILED',
  'INVALID_KEY',
  'INVALID_TIMESTAMP',
  'MALFORMED_RECORD',
])

/** Whether the error says that this operator could not take its record. What comes from one behind it is about another record. */
export function isFaultOfRecord(error: unknown, operator: string): error is SluiceError {
  return (
    error instanceof SluiceError && error.isGeneral !== true && error.operator === operator && FAULTS_OF_RECORDS.has(error.code)
  )
}
