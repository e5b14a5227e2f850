import type { SubtaskSnapshot, SubtaskTiming } from '../protocol/messages.ts'
import type { DeltaChunk } from '../state/delta-chunk.ts'
import type { PreparedSink } from './chain-link.ts'
import { heapUse } from './thread-heap.ts'

/**
 * A slice of writing is followed by so many times its own length without one. Records that come at half of what the thread can take do not pile up
 * meanwhile, and whatever else wants the processors, the main thread above all, does not have to take them from a thread that never rests. A snapshot
 * that takes long gets more of the thread, and all that nobody else wants. In a thread that has hardly rested since the last one, records wait anyway, and each
 * that changes what is still to be written costs more: there a snapshot is over soon.
 */
interface SnapshotPace {
  readonly sliceMs: number
  /** Times the length of a slice. */
  readonly othersShare: number
}
const UNHURRIED: SnapshotPace = { sliceMs: 0.2, othersShare: 4 }
const LATE: SnapshotPace = { sliceMs: 0.2, othersShare: 2 }
const LATE_FROM_MS = 200
const SATURATED: SnapshotPace = { sliceMs: 1, othersShare: 0.5 }
const REST_SHARE_MIN = 0.15
/** Chunks that wait to be sent; beyond it they go without waiting for the rest. */
const SEND_BYTES = 1 << 19

/** The keyed state of a task, as the writer of its snapshots sees it. */
export interface WrittenState {
  encode(expired: () => boolean): boolean
  takeChunks(): readonly { readonly operator: string; readonly chunks: readonly DeltaChunk[] }[]
}

/** Where a snapshot goes. */
export interface SnapshotReceiver {
  deltas(checkpoint: number, operator: string, chunks: readonly DeltaChunk[]): void
  acknowledge(checkpoint: number, snapshot: SubtaskSnapshot, timing: SubtaskTiming): void
  fail(error: unknown): void
}

/** A snapshot that has been cut and is not written yet. */
export interface CutSnapshot {
  readonly checkpoint: number
  readonly snapshot: SubtaskSnapshot
  readonly prepared: readonly Promise<PreparedSink>[]
  /** What was on its way; settles when every channel has delivered its barrier. `undefined` when there was nothing to wait for. */
  readonly inFlight: Promise<SubtaskSnapshot['inFlight']> | undefined
  readonly alignmentMs: number
  readonly pauseMs: number
  readonly inFlightRecords: () => number
}

/**
 * Writes snapshots beside the records: keyed state in slices between batches, what sinks prepare in promises. What always holds:
 *
 * 1. All chunks of a snapshot are sent before its acknowledgement, and acknowledgements leave in the order of their checkpoints.
 * 2. The chunks of one snapshot are all sent before the next one is cut.
 * 3. After `close` nothing is sent any more.
 */
export class SnapshotWriter {
  readonly #state: WrittenState
  readonly #receiver: SnapshotReceiver
  readonly #now: () => number
  #writing:
    | {
        readonly cut: CutSnapshot
        readonly cutAtMs: number
        readonly isSaturated: boolean
        readonly done: () => void
        bytes: number
      }
    | undefined
  /** Since the last cut. */
  #restedMs = 0
  #lastCutMs = Number.NEGATIVE_INFINITY
  #unsent = new Map<string, DeltaChunk[]>()
  #unsentBytes = 0
  #lastAcknowledgement: Promise<void> = Promise.resolve()
  #closed = false
  #sliceEndMs = 0
  /** Until then the thread is for others. */
  #othersUntilMs = 0
  readonly #expired = (): boolean => this.#now() >= this.#sliceEndMs

  /** @param now measures time; where it stands still, a slice is everything */
  constructor(state: WrittenState, receiver: SnapshotReceiver, now: () => number) {
    this.#state = state
    this.#receiver = receiver
    this.#now = now
  }

  /** Takes a snapshot right after its cut. */
  begin(cut: CutSnapshot): void {
    const written = Promise.withResolvers<void>()
    const cutAtMs = this.#now()
    // The first has nobody to be compared with.
    const isSaturated = Number.isFinite(this.#lastCutMs) && this.#restedMs < REST_SHARE_MIN * (cutAtMs - this.#lastCutMs)
    const writing = { cut, cutAtMs, isSaturated, done: written.resolve, bytes: 0 }
    this.#restedMs = 0
    this.#lastCutMs = cutAtMs
    this.#writing = writing
    const before = this.#lastAcknowledgement
    this.#lastAcknowledgement = Promise.all([before, written.promise, cut.inFlight, ...cut.prepared])
      .then(([, , inFlight, ...sinks]) => {
        if (this.#closed) return
        const { checkpoint, snapshot } = cut
        const whole = inFlight === undefined || inFlight.length === 0 ? snapshot : { ...snapshot, inFlight }
        this.#receiver.acknowledge(checkpoint, withCommittables(whole, sinks), this.#timing(cut, writing.cutAtMs, writing.bytes))
      })
      .catch((error: unknown) => {
        if (!this.#closed) this.#receiver.fail(error)
      })
  }

  #timing(cut: CutSnapshot, cutAtMs: number, bytes: number): SubtaskTiming {
    const heap = heapUse()
    return {
      alignmentMs: cut.alignmentMs,
      pauseMs: cut.pauseMs,
      writingMs: this.#now() - cutAtMs,
      bytes,
      inFlightRecords: cut.inFlightRecords(),
      heapBytes: heap.usedBytes,
      heapLimitBytes: heap.limitBytes,
    }
  }

  /** Writes a slice, when it is time for one. @param idle the task has nothing else to do. True when anything was written */
  write(idle: boolean): boolean {
    if (this.#writing === undefined) return false
    const nowMs = this.#now()
    const { cutAtMs, isSaturated } = this.#writing
    const isLate = nowMs - cutAtMs >= LATE_FROM_MS
    if (nowMs < this.#othersUntilMs && !(idle && isLate)) return false
    const pace = isSaturated ? SATURATED : isLate ? LATE : UNHURRIED
    this.#sliceEndMs = nowMs + pace.sliceMs
    this.#proceed(this.#expired)
    const endMs = this.#now()
    this.#othersUntilMs = endMs + pace.othersShare * (endMs - nowMs)
    return true
  }

  /** The thread had nothing to do for so long. */
  rest(ms: number): void {
    this.#restedMs += ms
  }

  /** In how many milliseconds it is time for a slice; `Infinity` when there is none to write. */
  get waitMs(): number {
    return this.#writing === undefined ? Number.POSITIVE_INFINITY : Math.max(0, this.#othersUntilMs - this.#now())
  }

  /** Writes the rest at once. */
  finish(): void {
    if (this.#writing !== undefined) this.#proceed(never)
  }

  #proceed(expired: () => boolean): void {
    const writing = this.#writing!
    const done = this.#state.encode(expired)
    this.#collect()
    if (done || this.#unsentBytes >= SEND_BYTES) this.#send()
    if (!done) return
    this.#writing = undefined
    writing.done()
  }

  #collect(): void {
    for (const { operator, chunks } of this.#state.takeChunks()) {
      const unsent = this.#unsent.get(operator)
      if (unsent === undefined) this.#unsent.set(operator, [...chunks])
      else unsent.push(...chunks)
      for (const { bytes } of chunks) {
        this.#unsentBytes += bytes.byteLength
        this.#writing!.bytes += bytes.byteLength
      }
    }
  }

  #send(): void {
    const { checkpoint } = this.#writing!.cut
    if (!this.#closed) for (const [operator, chunks] of this.#unsent) this.#receiver.deltas(checkpoint, operator, chunks)
    this.#unsent = new Map()
    this.#unsentBytes = 0
  }

  close(): void {
    this.#closed = true
  }
}

function never(): boolean {
  return false
}

function withCommittables(snapshot: SubtaskSnapshot, sinks: readonly PreparedSink[]): SubtaskSnapshot {
  const staged = new Map(sinks.map((sink) => [sink.operator, sink.committables]))
  const operators = snapshot.operators.map((operator) => {
    const committables = staged.get(operator.operator)
    return committables === undefined ? operator : { ...operator, committables }
  })
  return { ...snapshot, operators }
}
