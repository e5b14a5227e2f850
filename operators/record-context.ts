import type { OperatorContext } from '../src/core/operator.ts'

/** What a function of the job may ask about the record it was given. */
export interface RecordContext {
  /** Event time of the record in milliseconds since 1970; `undefined` before `withTimestamps`. */
  readonly timestamp: number | undefined
  /** No record at or before this instant is expected any more; `-Infinity` at first, `Infinity` at the end of the input. */
  readonly watermark: number
  /** Number of the subtask, from 0. */
  readonly subtask: number
}

/** One object for each operator; it reads the current record when it is asked. */
export class CurrentRecord implements RecordContext {
  readonly #context: OperatorContext

  constructor(context: OperatorContext) {
    this.#context = context
  }

  get timestamp(): number | undefined {
    const { timestamp } = this.#context.cell
    return Number.isNaN(timestamp) ? undefined : timestamp
  }

  get watermark(): number {
    return this.#context.watermark
  }

  get subtask(): number {
    return this.#context.subtask
  }
}
