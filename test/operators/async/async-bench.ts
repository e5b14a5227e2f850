import { locateError } from '../../../src/core/errors.ts'
import { groupsOfSubtask } from '../../../src/core/key-groups.ts'
import type { Operator, OperatorContext } from '../../../src/core/operator.ts'
import { NO_TIMESTAMP, WATERMARK_NONE } from '../../../src/core/time.ts'
import { decodeValue, encodeValue } from '../../../src/core/value-codec.ts'
import type { KeyedBackend } from '../../../src/state/keyed-backend.ts'
import { StoredState } from '../../state/stored-state.ts'

/** A call that a test answers by hand. */
export interface HandCall {
  readonly value: unknown
  readonly attempt: number
  readonly watermark: number
  readonly timestamp: number | undefined
  readonly key: unknown
  readonly signal: AbortSignal
  readonly resolve: (result: unknown) => void
  readonly reject: (error: unknown) => void
}

/** A function for `asyncMap` whose promises a test settles in the order that it likes. */
export class Calls {
  /** Those that nobody has answered yet, in the order in which they were made. */
  readonly open: HandCall[] = []
  made = 0

  readonly fn = (value: unknown, context: { attempt: number; watermark: number } & Partial<HandCall>): Promise<unknown> => {
    this.made++
    return new Promise((resolve, reject) => {
      const { attempt, watermark, timestamp, key, signal } = context
      this.open.push({ value, attempt, watermark, timestamp, key, signal: signal!, resolve, reject })
    })
  }

  get values(): readonly unknown[] {
    return this.open.map(({ value }) => value)
  }

  /** Takes the call for a value out of the open ones. */
  of(value: unknown): HandCall {
    const index = this.open.findIndex((call) => call.value === value)
    if (index < 0) throw new Error(`no open call for ${String(value)}`)
    return this.open.splice(index, 1)[0]!
  }

  /** Answers the call for a value with the value behind a prime. */
  async answer(...values: readonly unknown[]): Promise<void> {
    for (const value of values) this.of(value).resolve(`${String(value)}'`)
    await settled()
  }
}

/** Lets the callbacks of promises run; no timer and no other event comes between. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await Promise.resolve()
}

/** What a checkpoint stores for an operator. */
export interface BenchSnapshot {
  readonly watermark: number
  readonly state: Uint8Array<ArrayBuffer> | undefined
  readonly chunks: readonly Uint8Array[]
}

export interface BenchOptions {
  readonly create: (context: OperatorContext) => Operator
  readonly keyOf?: (value: unknown) => unknown
  readonly subtask?: number
  readonly parallelism?: number
  /** What it begins with: as many snapshots as there were subtasks. */
  readonly from?: readonly BenchSnapshot[]
  readonly now?: number
}

/** One operator without a task: every hook is called by hand, and its output has as many slots as the test wants. */
export class Bench {
  readonly operator: Operator
  /** Records and watermarks that went out: `["a'", 'watermark 5']`. */
  out: unknown[] = []
  readonly timestamps: number[] = []
  slots = Number.POSITIVE_INFINITY
  now: number
  wakes = 0
  held = 0
  watermark = WATERMARK_NONE
  readonly cell = { timestamp: NO_TIMESTAMP, split: -1 }
  readonly #keyed: KeyedBackend | undefined
  readonly #stored: StoredState | undefined
  readonly #keyOf: ((value: unknown) => unknown) | undefined

  constructor({ create, keyOf, subtask = 0, parallelism = 1, from = [], now = 0 }: BenchOptions) {
    this.now = now
    this.#keyOf = keyOf
    const chunks = from.flatMap((snapshot) => snapshot.chunks)
    this.#stored = keyOf && new StoredState(groupsOfSubtask(subtask, parallelism, 128), 128, chunks)
    this.#keyed = this.#stored?.backend
    if (from.length > 0) this.watermark = Math.min(...from.map((snapshot) => snapshot.watermark))
    this.operator = create(this.#context(subtask, parallelism))
    const states = from.flatMap(({ state }) => (state === undefined ? [] : [decodeValue(state)]))
    if (states.length > 0) this.operator.restore?.(states, from.length !== parallelism)
    this.operator.open?.()
  }

  #context(subtask: number, parallelism: number): OperatorContext {
    const bench = this
    const place = { operator: 'async-map-1', subtask }
    const output = {
      onRecord: (value: unknown) => {
        this.slots--
        this.out.push(value)
        this.timestamps.push(this.cell.timestamp)
      },
    }
    return {
      operatorId: place.operator,
      subtask,
      parallelism,
      clock: { now: () => this.now },
      cell: this.cell,
      output,
      side: () => output,
      keyed: this.#keyed,
      timed: true,
      splits: undefined,
      watermarkGroup: undefined,
      get watermark() {
        return bench.watermark
      },
      emitWatermark: (time) => void this.out.push(`watermark ${time}`),
      emitIdle: () => {},
      get hasRoom() {
        return bench.slots > 0
      },
      hold: () => void this.held++,
      wake: () => void this.wakes++,
      late: () => {},
      failure: (error) => locateError(error, place),
      passesOverBadRecords: false,
      refuse: (_, error) => {
        throw locateError(error, place)
      },
    }
  }

  /** A record; the next one comes only when the operator is not full. */
  record(value: unknown, timestamp: number = NO_TIMESTAMP): void {
    if (this.operator.full) throw new Error('the operator asked for no more records')
    if (this.#keyOf !== undefined) this.#keyed!.setKey(this.#keyOf(value))
    this.cell.timestamp = timestamp
    this.operator.onRecord(value)
  }

  advance(watermark: number): void {
    this.watermark = watermark
    this.operator.onWatermark!(watermark)
  }

  /** What a task does when there is no input: timers, then results, as long as there is anything. */
  step(): void {
    if (this.operator.nextProcessingTime!() <= this.now) this.operator.onProcessingTime!(this.now)
    for (let steps = 0; this.operator.deliver!(); steps++) if (steps > 10_000) throw new Error('deliver never ends')
  }

  /** Steps with one free slot at a time. */
  stepSlotBySlot(): void {
    for (let before = -1; before !== this.out.length; ) {
      before = this.out.length
      this.slots = 1
      this.step()
    }
  }

  /** Takes what has gone out so far. */
  take(): unknown[] {
    return this.out.splice(0)
  }

  snapshot(): BenchSnapshot {
    const state = this.operator.snapshot?.()
    return {
      watermark: this.watermark,
      state: state === undefined ? undefined : encodeValue(state),
      chunks: this.#stored?.save() ?? [],
    }
  }
}
