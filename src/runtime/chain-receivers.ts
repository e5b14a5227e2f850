import { UnreadRecord } from '../core/bad-record.ts'
import type { SluiceError } from '../core/errors.ts'
import type { Operator, OperatorContext, Receiver, RecordCell } from '../core/operator.ts'
import type { RecordKeys, RecordStep, RefuseRecord } from '../core/record-step.ts'
import type { SinkWriter } from '../core/sink.ts'

/** What counts the records of a sink, and says where one failed. */
export interface SinkLink {
  records: number
  failure(error: unknown): SluiceError
}

/** The head of a source task: hands on what was read. */
export class PassOn implements Operator {
  readonly step: RecordStep
  readonly #output: Receiver

  constructor(output: Receiver) {
    this.#output = output
    this.step = { kind: 'pass', output }
  }

  onRecord(value: unknown): void {
    this.#output.onRecord(value)
  }
}

/** The end of a chain at a sink. */
export class WriteTo implements Operator {
  readonly step: RecordStep
  readonly #writer: SinkWriter<unknown>
  readonly #link: SinkLink

  constructor(writer: SinkWriter<unknown>, link: SinkLink) {
    this.#writer = writer
    this.#link = link
    this.step = { kind: 'write', writer, counter: link, failure: (error) => link.failure(error) }
  }

  onRecord(value: unknown): void {
    try {
      this.#writer.write(value)
    } catch (error) {
      throw this.#link.failure(error)
    }
    this.#link.records++
  }
}

/** The head of a source task of a job that passes over bad records: hands on what was read, and not what could not be. */
export class PassOnRead implements Operator {
  readonly step: RecordStep
  readonly #output: Receiver
  readonly #isRead: (value: unknown) => boolean

  constructor(output: Receiver, context: Pick<OperatorContext, 'failure' | 'refuse'>) {
    this.#output = output
    this.#isRead = (value) => {
      if (!(value instanceof UnreadRecord)) return true
      context.refuse(value.error.record, value.error)
      return false
    }
    this.step = { kind: 'filter', fn: this.#isRead, context: undefined, failure: (error) => context.failure(error), output }
  }

  onRecord(value: unknown): void {
    if (this.#isRead(value)) this.#output.onRecord(value)
  }
}

/**
 * A receiver in a job that passes over bad records. Those that a function cannot take end here; whoever gave it the record hears of nothing and goes on
 * with the next one.
 */
export class TolerantReceiver implements Receiver {
  readonly step: RecordStep | undefined
  readonly #receiver: Receiver
  readonly #cell: RecordCell
  readonly #refuse: RefuseRecord

  constructor(receiver: Receiver, cell: RecordCell, refuse: RefuseRecord) {
    const { step } = receiver
    this.step = step === undefined || !callsTheJob(step) ? step : { ...step, refuse }
    this.#receiver = receiver
    this.#cell = cell
    this.#refuse = refuse
  }

  onRecord(value: unknown): void {
    const { timestamp } = this.#cell
    try {
      this.#receiver.onRecord(value)
    } catch (error) {
      this.#refuse(value, error)
      this.#cell.timestamp = timestamp
    }
  }
}

function callsTheJob(step: RecordStep): step is Extract<RecordStep, { readonly refuse?: RefuseRecord }> {
  switch (step.kind) {
    case 'pass':
    case 'send':
    case 'write':
    case 'fan-out':
      return false
    default:
      return true
  }
}

/** Makes a record's key the current one before its operator sees it. */
export class KeyingReceiver implements Receiver {
  readonly step: RecordStep
  readonly #keyed: RecordKeys
  readonly #keyOf: (value: unknown) => unknown
  readonly #receiver: Receiver
  readonly #context: Pick<OperatorContext, 'failure'>

  constructor(
    keyed: RecordKeys,
    keyOf: (value: unknown) => unknown,
    receiver: Receiver,
    context: Pick<OperatorContext, 'failure'>,
  ) {
    this.#keyed = keyed
    this.#keyOf = keyOf
    this.#receiver = receiver
    this.#context = context
    this.step = { kind: 'key', keys: keyed, fn: keyOf, failure: (error) => context.failure(error), output: receiver }
  }

  onRecord(value: unknown): void {
    try {
      this.#keyed.setKey(this.#keyOf(value))
    } catch (error) {
      throw this.#context.failure(error)
    }
    this.#receiver.onRecord(value)
  }
}
