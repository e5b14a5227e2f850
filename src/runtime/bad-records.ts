import type { BadRecord } from '../core/bad-record.ts'
import { BAD_RECORDS, isFaultOfRecord } from '../core/bad-record.ts'
import type { SluiceError } from '../core/errors.ts'
import type { Receiver, RecordCell } from '../core/operator.ts'
import { TolerantReceiver } from './chain-receivers.ts'

/**
 * What one operator of a chain does with records that it cannot take. What always holds:
 *
 * - A record is passed over only for an error that says that this very operator, or the key of this very exchange, is at odds with it; everything else
 *   goes on as it was thrown.
 * - Each record that is passed over is counted once, and given to the dead letters where there are any.
 */
export class BadRecords {
  /** Over the whole run. */
  count: number
  readonly #onBadRecord: ((error: SluiceError) => void) | undefined
  readonly #receiverOf: (output: string) => Receiver
  #deadLetters: Receiver | undefined

  /** @param onBadRecord absent where a bad record fails the job */
  constructor(count: number, onBadRecord: ((error: SluiceError) => void) | undefined, receiverOf: (output: string) => Receiver) {
    this.count = count
    this.#onBadRecord = onBadRecord
    this.#receiverOf = receiverOf
  }

  get arePassedOver(): boolean {
    return this.#onBadRecord !== undefined
  }

  /** The receiver that passes over what its functions cannot take; the same one where the job does not. */
  tolerant(receiver: Receiver, cell: RecordCell, operator: string): Receiver {
    if (!this.arePassedOver) return receiver
    return new TolerantReceiver(receiver, cell, (value, error) => this.refuse(value, error, operator))
  }

  /** @throws the error, where the job or the error does not allow to pass over the record */
  refuse(record: unknown, error: unknown, operator: string): void {
    if (this.#onBadRecord === undefined || !isFaultOfRecord(error, operator)) throw error
    this.count++
    this.#onBadRecord(error)
    const { code, message } = error
    this.#deadLetters ??= this.#receiverOf(BAD_RECORDS)
    this.#deadLetters.onRecord({ record, operator, code, message } satisfies BadRecord)
  }
}
