import { hashKey, murmur, subtaskOfGroup } from '../core/key-groups.ts'
import type { Receiver, RecordCell } from '../core/operator.ts'
import type { ChannelWriter } from '../protocol/channel.ts'
import { BATCH_RECORDS } from '../protocol/channel.ts'
import type { Element, RecordBatch } from '../protocol/element.ts'
import { recordBatch } from '../protocol/element.ts'

/** One flag for all outputs of a task: checked after every record, so it must cost one load. */
export interface Backpressure {
  full: boolean
}

/** The open batch of one channel. */
export class OutputChannel {
  readonly #writer: ChannelWriter
  readonly #backpressure: Backpressure
  readonly #failure: (error: unknown) => Error
  #batch: RecordBatch = recordBatch()
  #batchRecords = BATCH_RECORDS
  /** Records sent so far. */
  records = 0

  /** @param failure says where a record came from that cannot be sent */
  constructor(writer: ChannelWriter, backpressure: Backpressure, failure: (error: unknown) => Error) {
    this.#writer = writer
    this.#backpressure = backpressure
    this.#failure = failure
  }

  add(value: unknown, timestamp: number): void {
    const batch = this.#batch
    batch.values.push(value)
    batch.timestamps.push(timestamp)
    if (batch.values.length >= this.#batchRecords) this.sendBatch()
  }

  /** Sends what the open batch holds. True when it held anything. */
  sendBatch(): boolean {
    const batch = this.#batch
    if (batch.values.length === 0) return false
    this.#batch = recordBatch()
    this.records += batch.values.length
    this.#batchRecords = this.#writer.batchRecords
    this.#write(batch)
    return true
  }

  /** Sends control behind all records so far. */
  sendControl(element: Element): void {
    this.sendBatch()
    this.#write(element)
  }

  #write(element: Element): void {
    try {
      this.#writer.write(element)
    } catch (error) {
      throw this.#failure(error)
    }
    if (this.#writer.full) this.#backpressure.full = true
  }

  /** True when nothing waits for room. */
  flush(): boolean {
    return this.#writer.flush()
  }
}

/** An exchange as its sender sees it: chooses the channel of each record. */
export abstract class Exchange implements Receiver {
  readonly channels: readonly OutputChannel[]
  protected readonly cell: RecordCell

  constructor(channels: readonly OutputChannel[], cell: RecordCell) {
    this.channels = channels
    this.cell = cell
  }

  abstract onRecord(value: unknown): void
}

export class ForwardExchange extends Exchange {
  onRecord(value: unknown): void {
    this.channels[0]!.add(value, this.cell.timestamp)
  }
}

/** How the sender of a hash exchange finds keys, and whom it blames when that fails. */
export interface KeySelection {
  readonly keyOf: (value: unknown) => unknown
  readonly failure: (error: unknown) => Error
}

/** Equal keys go to equal subtasks: key -> key group -> subtask. */
export class HashExchange extends Exchange {
  readonly #keyOf: (value: unknown) => unknown
  readonly #subtaskOfGroup: Uint16Array
  readonly #maxParallelism: number
  readonly #failure: (error: unknown) => Error

  constructor(channels: readonly OutputChannel[], cell: RecordCell, key: KeySelection, maxParallelism: number) {
    super(channels, cell)
    this.#keyOf = key.keyOf
    this.#failure = key.failure
    this.#maxParallelism = maxParallelism
    this.#subtaskOfGroup = Uint16Array.from({ length: maxParallelism }, (_, group) =>
      subtaskOfGroup(group, channels.length, maxParallelism),
    )
  }

  onRecord(value: unknown): void {
    this.channels[this.#subtaskOfGroup[this.#groupOf(value)]!]!.add(value, this.cell.timestamp)
  }

  #groupOf(value: unknown): number {
    try {
      return murmur(hashKey(this.#keyOf(value))) % this.#maxParallelism
    } catch (error) {
      throw this.#failure(error)
    }
  }
}

/** Record after record to the next channel. */
export class RebalanceExchange extends Exchange {
  #next = 0

  onRecord(value: unknown): void {
    this.channels[this.#next]!.add(value, this.cell.timestamp)
    this.#next = this.#next + 1 === this.channels.length ? 0 : this.#next + 1
  }
}

/** Every record to every channel. */
export class BroadcastExchange extends Exchange {
  onRecord(value: unknown): void {
    for (const channel of this.channels) channel.add(value, this.cell.timestamp)
  }
}

/** Several readers of one output, called one after the other. */
export class FanOut implements Receiver {
  readonly #receivers: readonly Receiver[]

  constructor(receivers: readonly Receiver[]) {
    this.#receivers = receivers
  }

  onRecord(value: unknown): void {
    for (const receiver of this.#receivers) receiver.onRecord(value)
  }
}

/** The output that nobody reads. */
export const NOWHERE: Receiver = { onRecord: () => {} }
