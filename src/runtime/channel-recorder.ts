import { keyGroupOf } from '../core/key-groups.ts'
import { encodeValue } from '../core/value-codec.ts'
import type { BatchWatermarks, Element } from '../protocol/element.ts'
import type { InFlight, InFlightBatch } from '../protocol/messages.ts'

/** What the recorder knows of a channel. */
export interface RecordedChannel {
  readonly channel: string
  /** How the key of a record is found; absent where there is none. */
  readonly keyOf?: ((value: unknown) => unknown) | undefined
}

/**
 * Records what comes in on the channels of a task between its own unaligned snapshot and the barriers of that checkpoint (Chandy and Lamport,
 * Distributed Snapshots, 1985: the state of a channel is what was sent before the sender's snapshot and received after the receiver's). What
 * always holds:
 *
 * 1. A channel whose barrier came before the snapshot has no state: what follows belongs to the next checkpoint.
 * 2. Of every other channel all records up to its barrier are recorded, and nothing behind it.
 * 3. It is done when all barriers have come, or when the checkpoint is given up.
 */
export class ChannelRecorder {
  readonly checkpoint: number
  readonly #channels: readonly RecordedChannel[]
  readonly #maxParallelism: number
  readonly #batches: InFlightBatch[][]
  readonly #waiting: Set<number>
  readonly #done = Promise.withResolvers<readonly InFlight[]>()
  /** Records so far. */
  records = 0

  /** @param delivered by channel, whether its barrier came before the snapshot */
  constructor(checkpoint: number, channels: readonly RecordedChannel[], delivered: readonly boolean[], maxParallelism: number) {
    this.checkpoint = checkpoint
    this.#channels = channels
    this.#maxParallelism = maxParallelism
    this.#batches = channels.map(() => [])
    this.#waiting = new Set(channels.flatMap((_, channel) => (delivered[channel] ? [] : [channel])))
  }

  get done(): Promise<readonly InFlight[]> {
    return this.#done.promise
  }

  /** Whether the channel's barrier is still to come. */
  waitsFor(channel: number): boolean {
    return this.#waiting.has(channel)
  }

  get finished(): boolean {
    return this.#waiting.size === 0
  }

  /** An element of a channel; what comes behind its barrier says nothing. */
  onElement(channel: number, element: Element): void {
    if (!this.#waiting.has(channel)) return
    if (element.kind === 'records') this.onRecords(channel, element.values, element.timestamps, element.watermarks)
    else if (element.kind === 'watermark') this.onRecords(channel, [], [], { after: [0], times: [element.time] })
    else if (element.kind === 'barrier' && element.checkpoint === this.checkpoint) this.#onBarrier(channel)
  }

  onRecords(
    channel: number,
    values: readonly unknown[],
    timestamps: readonly number[],
    watermarks: BatchWatermarks | undefined,
  ): void {
    const { keyOf } = this.#channels[channel]!
    this.records += values.length
    this.#batches[channel]!.push({
      values: encodeValue(values),
      timestamps,
      ...(keyOf === undefined ? {} : { groups: values.map((value) => keyGroupOf(keyOf(value), this.#maxParallelism)) }),
      ...(watermarks === undefined ? {} : { watermarks }),
    })
  }

  #onBarrier(channel: number): void {
    this.#waiting.delete(channel)
    if (this.#waiting.size === 0) this.finish()
  }

  /** All barriers have come, or nobody waits for them any more. */
  finish(): void {
    this.#waiting.clear()
    this.#done.resolve(
      this.#channels.flatMap(({ channel }, index) => {
        const batches = this.#batches[index]!
        return batches.length === 0 ? [] : [{ channel, batches }]
      }),
    )
  }
}
