import { hashKey, murmur, subtaskOfGroup } from '../core/key-groups.ts'
import type { Receiver, RecordCell } from '../core/operator.ts'
import type { RecordStep } from '../core/record-step.ts'
import type { ChannelWriter } from '../protocol/channel.ts'
import { BATCH_RECORDS } from '../protocol/channel.ts'
import type { BatchWatermarks, Element } from '../protocol/element.ts'
import { noTimestamps } from '../protocol/element.ts'

/** Flags of a task that are looked at after every record, so each must cost one load. */
export interface Backpressure {
  /** An output is full, or an operator can take no more. */
  full: boolean
  /** A watermark rose inside the chain: what it makes due comes before the next record. */
  behind: boolean
}

/** The open batch of one channel. */
export class OutputChannel {
  readonly #writer: ChannelWriter
  readonly #backpressure: Backpressure
  readonly #failure: (error: unknown) => Error
  /** The open batch. */
  #values: unknown[] = []
  /** Absent as long as none of its records has one. */
  #timestamps: number[] | undefined
  #watermarks: BatchWatermarks | undefined
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
    const records = this.#values.push(value)
    if (!Number.isNaN(timestamp) || this.#timestamps !== undefined) this.#stamp(timestamp, records)
    if (records >= this.#batchRecords) this.sendBatch()
  }

  #stamp(timestamp: number, records: number): void {
    this.#timestamps ??= noTimestamps(records - 1).slice()
    this.#timestamps.push(timestamp)
  }

  /** A watermark, behind all records so far. It travels with the open batch, or at the latest when that would be sent. */
  addWatermark(time: number): void {
    const after = this.#values.length
    const watermarks = (this.#watermarks ??= { after: [], times: [] })
    const last = watermarks.after.length - 1
    if (last >= 0 && watermarks.after[last] === after) watermarks.times[last] = time
    else {
      watermarks.after.push(after)
      watermarks.times.push(time)
    }
  }

  /** Sends what the open batch holds. True when it held anything. */
  sendBatch(): boolean {
    const values = this.#values
    const watermarks = this.#watermarks
    const { length } = values
    if (length === 0 && watermarks === undefined) return false
    this.#watermarks = undefined
    if (length === 0) {
      this.#write({ kind: 'watermark', time: watermarks!.times[0]! })
      return true
    }
    const timestamps = this.#timestamps ?? noTimestamps(length)
    this.#values = []
    this.#timestamps = undefined
    this.records += length
    this.#batchRecords = this.#writer.batchRecords
    this.#write({ kind: 'records', values, timestamps, ...(watermarks === undefined ? {} : { watermarks }) })
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

  /** Elements that were sent and that nobody has taken. */
  get waiting(): number {
    return this.#writer.waiting
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

  get step(): RecordStep | undefined {
    return undefined
  }

  abstract onRecord(value: unknown): void
}

export class ForwardExchange extends Exchange {
  override get step(): RecordStep {
    return { kind: 'send', channel: this.channels[0]!, cell: this.cell }
  }

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
  /** The places of the channels of records that are still to come. */
  readonly #prepared = new Uint16Array(BATCH_RECORDS)
  /** Keys that are to be hashed; empty of others. */
  #texts: string[] = []
  #preparedOf: readonly unknown[] = []
  #preparedFrom = 0
  #preparedTo = 0
  /** Of no meaning; what is read only to be near must be used for something. */
  protected looked = 0

  constructor(channels: readonly OutputChannel[], cell: RecordCell, key: KeySelection, maxParallelism: number) {
    super(channels, cell)
    this.#keyOf = key.keyOf
    this.#failure = key.failure
    this.#maxParallelism = maxParallelism
    this.#subtaskOfGroup = Uint16Array.from({ length: maxParallelism }, (_, group) =>
      subtaskOfGroup(group, channels.length, maxParallelism),
    )
  }

  override get step(): RecordStep {
    return { kind: 'hash', fn: this.#keyOf, failure: this.#failure, exchange: this, cell: this.cell }
  }

  onRecord(value: unknown): void {
    let channel: OutputChannel
    try {
      channel = this.channelOf(this.#keyOf(value))
    } catch (error) {
      throw this.#failure(error)
    }
    channel.add(value, this.cell.timestamp)
  }

  /** @throws SluiceError `INVALID_KEY` */
  channelOf(key: unknown): OutputChannel {
    return this.channels[this.#placeOf(key)]!
  }

  #placeOf(key: unknown): number {
    return this.#subtaskOfGroup[murmur(hashKey(key)) % this.#maxParallelism]!
  }

  /**
   * In a row and with nothing between them, because keys that were made long ago lie far off, and many can be fetched at once: text is looked at first
   * and hashed when all of it is near.
   */
  prepareChannels(values: readonly unknown[], from: number): number {
    if (from > 0 && values === this.#preparedOf && from < this.#preparedTo) return this.#preparedTo
    this.#preparedOf = values
    this.#preparedFrom = this.#preparedTo = from
    if (values.length < PREPARED_RECORDS) return from
    const end = Math.min(values.length, from + BATCH_RECORDS)
    // A new one for each batch: into an old one the garbage collector would have to follow each new key.
    this.#texts = new Array(end - from)
    try {
      while (this.#preparedTo < end) {
        this.#look(this.#preparedTo - from, this.#keyOf(values[this.#preparedTo]))
        this.#preparedTo++
      }
    } catch {
      // Its turn comes, and with it the same error, once the records before it have been sent.
    }
    for (let place = 0; place < this.#preparedTo - from; place++) {
      if (this.#texts[place] !== '') this.#prepared[place] = this.#placeOf(this.#texts[place])
    }
    return this.#preparedTo
  }

  /** Text never changes; another key may be one object that the function fills anew for each record. */
  #look(place: number, key: unknown): void {
    if (typeof key === 'string' && key !== '') {
      this.#texts[place] = key
      this.looked ^= key.charCodeAt(key.length - 1)
    } else {
      this.#texts[place] = ''
      this.#prepared[place] = this.#placeOf(key)
    }
  }

  preparedChannel(place: number): OutputChannel {
    return this.channels[this.#prepared[place - this.#preparedFrom]!]!
  }
}

/** Fewer records are sent sooner than looked through. */
const PREPARED_RECORDS = 32

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
  readonly step: RecordStep
  readonly #receivers: readonly Receiver[]

  constructor(receivers: readonly Receiver[]) {
    this.#receivers = receivers
    this.step = { kind: 'fan-out', outputs: receivers }
  }

  onRecord(value: unknown): void {
    for (const receiver of this.#receivers) receiver.onRecord(value)
  }
}

/** The output that nobody reads. */
export const NOWHERE: Receiver = { step: { kind: 'fan-out', outputs: [] }, onRecord: () => {} }
