import { subtaskOfGroup } from '../core/key-groups.ts'
import { WATERMARK_NONE } from '../core/time.ts'
import { decodeValue, encodeValue } from '../core/value-codec.ts'
import type { InFlightBatch } from '../protocol/messages.ts'
import type { FormerChannel, FormerExchange } from './former-exchanges.ts'

/*
 * What was on its way in an exchange, dealt to another number of readers. What always holds:
 *
 * 1. Each record goes to one subtask, of a broadcast to each once; those of one channel that go to the same subtask stay in their order.
 * 2. A record is handled after no watermark that came behind it in its channel, so none that was in time comes too late.
 * 3. No watermark is handled that the former reader would not have come to: it is at most the smallest that the senders had sent.
 *
 * Every channel of a sender brings the same watermarks, wherever between its own records. So records of all channels are brought into one order
 * by the watermark before them, and each is handled at that watermark, or at the smallest that all senders had sent, if that is smaller. Of one
 * sender this is what an undisturbed run comes to, record by record. Of several it is one of the things that it may come to: which of them is
 * ahead was never certain.
 */

/** Records in one batch of a share. */
const BATCH_RECORDS = 512

/** To whom and how. */
export interface RedealOptions {
  readonly parallelism: number
  readonly maxParallelism: number
  /** The watermark that all subtasks of the reader had reached; `undefined` where the input takes no part in it. */
  readonly reached: number | undefined
  /** Whether subtasks without a record are told the last watermark. */
  readonly isToldToAll: boolean
  /** The error for a record with a key and without the group of it. */
  readonly withoutGroup: () => Error
}

export interface Redealt {
  /** By subtask. */
  readonly shares: readonly (readonly InFlightBatch[])[]
  /** The watermark that every sender had sent: the one behind all records. */
  readonly sent: number
  /**
   * Whether records may be with another subtask now than what their sender goes on with: who read one sender alone has handed on what it sent in
   * one order, and there is nothing in a record that would tell where its sender is now.
   */
  readonly isParted: boolean
}

export function redeal(exchange: FormerExchange, options: RedealOptions): Redealt {
  const { parallelism, reached, isToldToAll } = options
  const channels = exchange.channels.map(stretchesOf)
  const stretches = channels.flatMap((channel) => channel.stretches)
  if (stretches.length === 0) return { shares: [], sent: WATERMARK_NONE, isParted: false }
  const sent = reached === undefined ? WATERMARK_NONE : sentByAll(channels, reached)
  const shares = Array.from({ length: parallelism }, () => new Share())
  const place = placing(exchange, shares, options)
  // A sort keeps the order of what is equal, and in a channel watermarks rise: so records stay in the order of their channel.
  for (const stretch of stretches.sort((a, b) => a.watermark - b.watermark || 0)) {
    place(stretch, reached === undefined ? WATERMARK_NONE : Math.min(stretch.watermark, sent))
  }
  for (const share of shares) if (isToldToAll || share.holdsRecords) share.tell(sent)
  return {
    shares: shares.map((share) => share.finish()),
    sent,
    isParted: parallelism > 1 && exchange.readers !== parallelism && isForward(exchange),
  }
}

/** Records of a channel without a watermark between them. */
interface Stretch {
  /** The one before them. */
  readonly watermark: number
  readonly to: number
  readonly values: readonly unknown[]
  readonly timestamps: readonly number[]
  readonly groups: readonly number[] | undefined
}

/** What of a channel lies between its watermarks, and the last of these. */
interface Stretches {
  readonly stretches: readonly Stretch[]
  readonly last: number
}

function stretchesOf({ to, watermark, batches }: FormerChannel): Stretches {
  const stretches: Stretch[] = []
  let last = watermark
  for (const batch of batches) {
    const values = decodeValue(batch.values) as readonly unknown[]
    const { after = [], times = [] } = batch.watermarks ?? {}
    let from = 0
    for (let next = 0; next <= after.length; next++) {
      const until = after[next] ?? values.length
      if (until > from) {
        stretches.push({
          watermark: last,
          to,
          values: values.slice(from, until),
          timestamps: batch.timestamps.slice(from, until),
          groups: batch.groups?.slice(from, until),
        })
      }
      from = until
      last = Math.max(last, times[next] ?? WATERMARK_NONE)
    }
  }
  return { stretches, last }
}

/**
 * A sender that is behind what the reader had reached was idle, and did not count: what it has sent since is late or not by what the others say.
 */
function sentByAll(channels: readonly Stretches[], reached: number): number {
  const counted = channels.map(({ last }) => last).filter((time) => time >= reached)
  return counted.length === 0 ? reached : Math.min(...counted)
}

type Placing = (stretch: Stretch, watermark: number) => void

/** How records find the share that they belong to. */
function placing(exchange: FormerExchange, shares: readonly Share[], options: RedealOptions): Placing {
  const { readers, input } = exchange
  // Of a broadcast every former reader had a copy; each of today takes that of one of them, as it does with broadcast state.
  if (input.partitioning === 'broadcast') {
    return (stretch, watermark) => {
      for (let subtask = stretch.to % readers; subtask < shares.length; subtask += readers)
        shares[subtask]!.addAll(stretch, watermark)
    }
  }
  // Their number is as before, and so is what each has seen.
  if (readers === shares.length) return (stretch, watermark) => shares[stretch.to]!.addAll(stretch, watermark)
  if (input.partitioning === 'hash') return byGroup(shares, options)
  // Who reads one sender alone gets all of it in one order; so does whoever takes its place.
  if (isForward(exchange)) return (stretch, watermark) => shares[stretch.to % shares.length]!.addAll(stretch, watermark)
  let turn = 0
  return (stretch, watermark) => {
    for (let index = 0; index < stretch.values.length; index++) shares[turn++ % shares.length]!.add(stretch, index, watermark)
  }
}

function isForward({ input, channels }: FormerExchange): boolean {
  return input.partitioning === 'forward' && channels.every(({ from, to }) => from === to)
}

function byGroup(shares: readonly Share[], { maxParallelism, withoutGroup }: RedealOptions): Placing {
  return (stretch, watermark) => {
    if (shares.length === 1) return shares[0]!.addAll(stretch, watermark)
    const { groups } = stretch
    if (groups === undefined) throw withoutGroup()
    groups.forEach((group, index) => {
      shares[subtaskOfGroup(group, shares.length, maxParallelism)]!.add(stretch, index, watermark)
    })
  }
}

/** What one subtask gets. */
class Share {
  readonly #batches: InFlightBatch[] = []
  #values: unknown[] = []
  #timestamps: number[] = []
  #groups: number[] = []
  #after: number[] = []
  #times: number[] = []
  #told = WATERMARK_NONE
  holdsRecords = false

  addAll(stretch: Stretch, watermark: number): void {
    for (let index = 0; index < stretch.values.length; index++) this.add(stretch, index, watermark)
  }

  /** A record, at this watermark. */
  add({ values, timestamps, groups }: Stretch, index: number, watermark: number): void {
    if (this.#values.length === BATCH_RECORDS) this.#close()
    this.tell(watermark)
    this.holdsRecords = true
    this.#values.push(values[index])
    this.#timestamps.push(timestamps[index]!)
    if (groups !== undefined) this.#groups.push(groups[index]!)
  }

  /** A watermark, behind all records so far. */
  tell(watermark: number): void {
    if (watermark <= this.#told) return
    this.#told = watermark
    this.#after.push(this.#values.length)
    this.#times.push(watermark)
  }

  finish(): readonly InFlightBatch[] {
    if (this.#values.length > 0 || this.#after.length > 0) this.#close()
    return this.#batches
  }

  #close(): void {
    this.#batches.push({
      values: encodeValue(this.#values),
      timestamps: this.#timestamps,
      ...(this.#groups.length === 0 ? {} : { groups: this.#groups }),
      ...(this.#after.length === 0 ? {} : { watermarks: { after: this.#after, times: this.#times } }),
    })
    this.#values = []
    this.#timestamps = []
    this.#groups = []
    this.#after = []
    this.#times = []
  }
}
