import type { SluiceError } from '../core/errors.ts'
import type { Operator, OperatorContext, Receiver } from '../core/operator.ts'
import type { RecordKeys, RecordStep } from '../core/record-step.ts'
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
