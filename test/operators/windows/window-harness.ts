import type { SluiceError } from '../../../src/core/errors.ts'
import { locateError } from '../../../src/core/errors.ts'
import { groupsOfSubtask } from '../../../src/core/key-groups.ts'
import type { Key } from '../../../src/core/keyed-state.ts'
import type { Operator, OperatorContext, Receiver } from '../../../src/core/operator.ts'
import { NO_TIMESTAMP, WATERMARK_END, WATERMARK_NONE } from '../../../src/core/time.ts'
import type { KeyedBackend } from '../../../src/state/keyed-backend.ts'
import { StoredState } from '../../state/stored-state.ts'

const MAX_PARALLELISM = 128

/** A result as it was when it left, and its timestamp. */
export interface Emitted<R = unknown> {
  readonly value: R
  readonly timestamp: number
}

export interface HarnessOptions {
  /** The output is full after every record, as with a ring of one slot. */
  readonly oneSlot?: boolean
  readonly subtask?: number
  readonly parallelism?: number
  /** Takes a result as its receiver does, after it was noted; may do to it what it likes. */
  readonly receive?: (value: unknown) => void
}

/**
 * One subtask of a keyed operator by itself, with as much of a task around it as it sees: keyed state, a watermark, a clock moved by hand, an
 * output, and restarts from its own snapshot between any two calls.
 */
export class WindowHarness<R = unknown> {
  /** What came out since the last `take`. */
  readonly #results: Emitted<R>[] = []
  readonly #late: unknown[] = []
  readonly #create: (context: OperatorContext) => Operator
  readonly #options: HarnessOptions
  readonly #cell = { timestamp: NO_TIMESTAMP, split: -1 }
  #keyed!: KeyedBackend
  #stored!: StoredState
  #operator!: Operator
  #watermark = WATERMARK_NONE
  #hasRoom = true
  #lateCount = 0
  /** The clock of the operator. */
  nowMs = 0

  constructor(create: (context: OperatorContext) => Operator, options: HarnessOptions = {}) {
    this.#create = create
    this.#options = options
    this.#start([], [])
  }

  /** One subtask that goes on with the state of several, as after a change of parallelism. */
  static merged<R>(
    former: readonly WindowHarness<R>[],
    create: (context: OperatorContext) => Operator,
    options: HarnessOptions = {},
  ): WindowHarness<R> {
    const merged = new WindowHarness<R>(create, options)
    merged.nowMs = Math.max(...former.map((each) => each.nowMs))
    merged.#watermark = Math.min(...former.map((each) => each.#watermark))
    const floors = former.flatMap((each) => [{ ...each.#groups, watermark: each.#watermark }, ...each.#keyed.watermarkFloors()])
    merged.#start(
      former.flatMap((each) => each.#chunks()),
      floors.filter((floor) => floor.watermark > merged.#watermark),
    )
    return merged
  }

  get #groups(): { first: number; last: number } {
    return groupsOfSubtask(this.#options.subtask ?? 0, this.#options.parallelism ?? 1, MAX_PARALLELISM)
  }

  #chunks(): Uint8Array[] {
    return [...this.#stored.save()]
  }

  #start(chunks: readonly Uint8Array[], floors: readonly { first: number; last: number; watermark: number }[]): void {
    this.#stored = new StoredState(this.#groups, MAX_PARALLELISM, chunks)
    this.#keyed = this.#stored.backend
    this.#operator = this.#create(this.#context(this.#keyed))
    this.#keyed.settleForms()
    for (const { first, last, watermark } of floors) this.#keyed.setWatermarkFloor(first, last, watermark)
    this.#operator.open?.()
  }

  #context(keyed: KeyedBackend): OperatorContext {
    const harness = this
    return {
      operatorId: 'window-1',
      subtask: this.#options.subtask ?? 0,
      parallelism: this.#options.parallelism ?? 1,
      clock: { now: () => harness.nowMs },
      cell: this.#cell,
      output: { onRecord: (value) => harness.#take(value) },
      side: (tag): Receiver => ({
        onRecord: (value) => void (tag === 'late' ? harness.#late.push(value) : harness.#take(value)),
      }),
      keyed,
      timed: true,
      get watermark() {
        return harness.#watermark
      },
      get hasRoom() {
        return harness.#hasRoom
      },
      emitWatermark: () => {},
      emitIdle: () => {},
      hold: () => {},
      wake: () => {},
      late: () => void harness.#lateCount++,
      failure: (error): SluiceError => locateError(error, { operator: 'window-1', subtask: 0 }),
      passesOverBadRecords: false,
      refuse: (_, error) => {
        throw locateError(error, { operator: 'window-1', subtask: 0 })
      },
    }
  }

  #take(value: unknown): void {
    this.#results.push({ value: structuredClone(value) as R, timestamp: this.#cell.timestamp })
    this.#options.receive?.(value)
    if (this.#options.oneSlot) this.#hasRoom = false
  }

  /** A record; its results. */
  record(key: Key, value: unknown, timestamp = NO_TIMESTAMP, side: 'first' | 'second' = 'first'): Emitted<R>[] {
    this.#keyed.setKey(key)
    this.#cell.timestamp = timestamp
    this.#hasRoom = true
    if (side === 'first') this.#operator.onRecord(value)
    else this.#operator.onSecond!(value)
    if (!Object.is(this.#cell.timestamp, timestamp)) throw new Error('the operator did not put the timestamp back')
    return this.taken()
  }

  /** A watermark, carried out to its end; its results. */
  watermark(watermark: number): Emitted<R>[] {
    if (watermark <= this.#watermark) return []
    this.#watermark = watermark
    this.#untilDone(() => this.#operator.onWatermark?.(watermark) !== false)
    this.#keyed.onWatermark(watermark)
    return this.taken()
  }

  /** The clock at a later time, with what is due then. */
  clock(nowMs: number): Emitted<R>[] {
    this.nowMs = nowMs
    return this.fireDue()
  }

  /** What is due by the clock as it stands, as a task does it: only as long as the operator asks for it. */
  fireDue(): Emitted<R>[] {
    let done = true
    while (this.nextProcessingTime <= this.nowMs) done = this.#call(() => this.#operator.onProcessingTime!(this.nowMs))
    if (!done) throw new Error('the operator stopped in the middle and asks for no call')
    return this.taken()
  }

  #untilDone(call: () => boolean): void {
    while (!this.#call(call));
  }

  /** A hook that may stop when the output is full, but not before it did anything. */
  #call(hook: () => boolean): boolean {
    this.#hasRoom = true
    const before = this.#results.length
    const done = hook()
    if (!done && (this.#hasRoom || this.#results.length === before)) throw new Error('the operator stopped though there was room')
    return done
  }

  /** The end of the input. */
  end(): Emitted<R>[] {
    return this.watermark(WATERMARK_END)
  }

  /** A fresh instance that goes on from the state of this one. */
  restart(): void {
    this.#start(this.#chunks(), this.#keyed.watermarkFloors())
  }

  get nextProcessingTime(): number {
    return this.#operator.nextProcessingTime?.() ?? Number.POSITIVE_INFINITY
  }

  /** Whether no state and no timer is left. */
  get isEmpty(): boolean {
    return this.#stored.isEmpty && this.nextProcessingTime === Number.POSITIVE_INFINITY
  }

  /** The windows, or panes, of which anything is stored. */
  cells(table: string): number[] {
    return [...this.#keyed.panes(table).windows()].sort((a, b) => a - b)
  }

  /** The late records since the last call. */
  late(): unknown[] {
    if (this.#late.length !== this.#lateCount) throw new Error('late records were not counted')
    this.#lateCount = 0
    return this.#late.splice(0)
  }

  taken(): Emitted<R>[] {
    return this.#results.splice(0)
  }
}
