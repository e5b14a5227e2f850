import { locateError, SluiceError } from '../core/errors.ts'
import { groupsOfSubtask } from '../core/key-groups.ts'
import type { Operator, OperatorContext, Receiver, RecordCell, SourceSplits, WatermarkGroup } from '../core/operator.ts'
import type { SinkWriter } from '../core/sink.ts'
import type { Clock } from '../core/time.ts'
import { WATERMARK_NONE } from '../core/time.ts'
import { decodeValue, encodeValue } from '../core/value-codec.ts'
import type { OperatorPlan, TaskPlan } from '../graph/execution-plan.ts'
import type { GraphNode, InputSide } from '../graph/stream-graph.ts'
import type { OperatorRestore, OperatorSnapshot } from '../protocol/messages.ts'
import type { DeltaChunk } from '../state/delta-chunk.ts'
import { KeyedBackend } from '../state/keyed-backend.ts'
import type { OperatorBase } from '../state/state-base.ts'
import { BadRecords } from './bad-records.ts'
import { KeyingReceiver, PassOn, PassOnRead, WriteTo } from './chain-receivers.ts'
import { fusedReceiver } from './fused-chain.ts'
import type { Backpressure, Exchange, OutputChannel } from './output.ts'
import { FanOut, NOWHERE } from './output.ts'

/** What a chain needs to know about the subtask it belongs to. */
export interface ChainEnvironment {
  readonly task: TaskPlan
  readonly subtask: number
  readonly maxParallelism: number
  readonly nodes: readonly GraphNode[]
  readonly clock: Clock
  readonly job: string
  readonly run: string
  readonly attempt: number
  readonly backpressure: Backpressure
  /** The splits of the task's source. */
  readonly splits?: SourceSplits | undefined
  /** The alignment group of the task, if an operator of it belongs to one. */
  readonly watermarkGroup?: WatermarkGroup | undefined
  /** What is stored of an operator's keyed state. */
  readonly base: (operator: string) => OperatorBase | undefined
  /** The checkpoint that the subtask begins with, and whether the base holds all of it. */
  readonly restored: number
  /** Counts a record that came too late. */
  readonly late: () => void
  /** Is told of each record that was passed over. Absent where a bad record fails the job. */
  readonly onBadRecord?: ((error: SluiceError) => void) | undefined
  /** Asks for a step soon. */
  readonly wake: () => void
  /** Operators call each other, and no code is made of the chain (`fused-chain.ts`). For comparison. */
  readonly plain?: boolean
}

/** What carries the records of an output to a task, by the names of both. */
export interface NamedExchange {
  readonly output: string
  readonly toTask: string
  readonly exchange: Exchange
}

/** What a sink has staged for a checkpoint. */
export interface PreparedSink {
  readonly operator: string
  readonly committables: readonly Uint8Array<ArrayBuffer>[]
}

/**
 * One operator in its chain, and the world as the operator sees it. What always holds:
 *
 * - A watermark goes on to the operators behind and to the channels only after everything that it makes due here is out.
 * - Between two of these, and only there, a snapshot is taken: nothing is half fired in it.
 * - What an operator has given out never goes back, also not after a restore.
 */
export class ChainLink implements OperatorContext {
  readonly plan: OperatorPlan
  readonly operator: Operator
  readonly receiver: Receiver
  readonly second: Receiver | undefined
  readonly writer: SinkWriter<unknown> | undefined
  readonly cell: RecordCell
  readonly output: Receiver
  readonly subtask: number
  readonly parallelism: number
  readonly clock: Clock
  readonly keyed: KeyedBackend | undefined
  readonly timed: boolean
  readonly splits: SourceSplits | undefined
  readonly watermarkGroup: WatermarkGroup | undefined
  records: number
  readonly #badRecords: BadRecords
  readonly #environment: ChainEnvironment
  readonly #readers: readonly ChainLink[]
  /** The operators behind this one, however far, that may be full. */
  readonly #holding: readonly ChainLink[]
  readonly #exchanges: readonly NamedExchange[]
  readonly #sides = new Map<string, Receiver>()
  /** True for operators that act on watermarks. The others are passed over, and look at the watermark of the one before when they are asked. */
  readonly #actsOnTime: boolean
  /** Who gets the watermarks: the next operators behind that act on them, and all channels on the way. */
  readonly #timeReaders: readonly ChainLink[]
  readonly #timeChannels: readonly OutputChannel[]
  /** The operator before this one in the chain, once it is open. */
  #before: ChainLink | undefined
  #watermark: number
  #pendingWatermark: number
  #emittedWatermark: number
  /** The current watermark has not been passed on yet: something due waits for room. */
  #firing = false
  #idle = false
  #pendingIdle = false

  constructor(
    environment: ChainEnvironment,
    plan: OperatorPlan,
    cell: RecordCell,
    readers: readonly ChainLink[],
    exchanges: readonly NamedExchange[],
    restore: OperatorRestore | undefined,
  ) {
    this.#environment = environment
    this.#badRecords = new BadRecords(restore?.badRecords ?? 0, environment.onBadRecord, (output) => this.#receiverOf(output))
    this.plan = plan
    this.cell = cell
    this.#readers = readers
    this.#holding = readers.flatMap((reader) => [...(reader.operator.deliver ? [reader] : []), ...reader.#holding])
    this.#exchanges = exchanges
    this.subtask = environment.subtask
    this.parallelism = environment.task.parallelism
    this.clock = environment.clock
    this.output = this.#receiverOf('main')
    this.#timeReaders = readers.flatMap((reader) => (reader.#actsOnTime ? [reader] : reader.#timeReaders))
    this.#timeChannels = [
      ...exchanges.flatMap(({ exchange }) => exchange.channels),
      ...readers.flatMap((reader) => (reader.#actsOnTime ? [] : reader.#timeChannels)),
    ]
    this.#watermark = restore?.watermark ?? WATERMARK_NONE
    this.#pendingWatermark = this.#watermark
    this.#emittedWatermark = WATERMARK_NONE
    this.records = restore?.records ?? 0
    this.timed = plan.timed
    this.splits = environment.splits
    this.watermarkGroup = plan.alignmentGroup === undefined ? undefined : environment.watermarkGroup
    const node = environment.nodes[plan.node]!
    if (plan.keyed) {
      const { maxParallelism, restored } = environment
      const groups = groupsOfSubtask(this.subtask, this.parallelism, maxParallelism)
      this.keyed = new KeyedBackend({ groups, maxParallelism, base: environment.base(this.operatorId), restored })
    }
    const made = this.#make(node)
    this.operator = made.operator
    this.writer = made.writer
    const { onWatermark, makesWatermarks, delaysWatermarks } = this.operator
    this.#actsOnTime = onWatermark !== undefined || makesWatermarks === true || delaysWatermarks === true
    for (const { first, last, watermark } of restore?.watermarkFloors ?? []) this.keyed?.setWatermarkFloor(first, last, watermark)
    this.#restoreKeys(restore?.deltas ?? [])
    if (restore !== undefined && restore.states.length > 0) {
      this.operator.restore?.(restore.states.map(decodeValue), restore.rescaled)
    }
    this.receiver = this.#keying(node, 'first', this.operator)
    const { operator } = this
    this.second = operator.onSecond && this.#keying(node, 'second', { onRecord: (value) => operator.onSecond!(value) })
  }

  #restoreKeys(deltas: readonly Uint8Array[]): void {
    const { keyed } = this
    if (keyed === undefined) return
    try {
      for (const chunk of deltas) keyed.apply(chunk)
      if (deltas.length === 0) keyed.onFolded(this.#environment.restored)
      keyed.settleForms()
    } catch (error) {
      throw this.failure(error)
    }
  }

  /** The receiver of one side; behind `keyBy` it sets the key first. */
  #keying(node: GraphNode, side: InputSide, receiver: Receiver): Receiver {
    const input = node.inputs.find((each) => (each.side ?? 'first') === side)
    const own = this.#tolerant(receiver)
    return this.keyed && input?.keyOf ? this.#tolerant(new KeyingReceiver(this.keyed, input.keyOf, own, this)) : own
  }

  #make(node: GraphNode): { operator: Operator; writer: SinkWriter<unknown> | undefined } {
    switch (node.body.type) {
      case 'source':
        return {
          operator: this.passesOverBadRecords ? new PassOnRead(this.output, this) : new PassOn(this.output),
          writer: undefined,
        }
      case 'operator':
        return { operator: node.body.create(this), writer: undefined }
      case 'sink': {
        const { job, run, attempt } = this.#environment
        const writer = node.body.sink.createWriter({ job, run, attempt, operator: this.operatorId, subtask: this.subtask })
        return { operator: new WriteTo(writer, this), writer }
      }
    }
  }

  #receiverOf(output: string): Receiver {
    const receivers: Receiver[] = this.#readers
      .filter((reader) => reader.plan.chainedTo!.output === output)
      .map((reader) => reader.receiver)
    for (const { output: name, toTask, exchange } of this.#exchanges) {
      if (name === output) receivers.push(this.#tolerant(exchange, toTask))
    }
    if (receivers.length === 0) return NOWHERE
    const receiver = receivers.length === 1 ? receivers[0]! : new FanOut(receivers)
    return this.#environment.plain ? receiver : fusedReceiver(receiver)
  }

  // The operator's context

  get hasRoom(): boolean {
    if (this.#environment.backpressure.full) return false
    // Between two results of one delivery, as between two records of a batch, what rose on the way is carried out.
    if (this.operator.deliver !== undefined && !this.#open) return false
    for (const link of this.#holding) if (link.operator.full) return false
    return true
  }

  get operatorId(): string {
    return this.plan.id
  }

  side(tag: string): Receiver {
    let receiver = this.#sides.get(tag)
    if (receiver === undefined) this.#sides.set(tag, (receiver = this.#receiverOf(this.#declared(tag))))
    return receiver
  }

  /** A name that nobody declared would swallow its records. */
  #declared(tag: string): string {
    const { sides } = this.#environment.nodes[this.plan.node]!
    if (sides === undefined || sides.some((name) => tag === `side:${name}`)) return tag
    throw new SluiceError('INVALID_OPTION', `there is no side output ${JSON.stringify(tag.replace('side:', ''))}`, {
      hint: sides.length === 0 ? 'declare it: side: { name: output<Type>() }' : `declared are: ${sides.join(', ')}`,
    })
  }

  emitWatermark(watermark: number): void {
    if (watermark <= this.#emittedWatermark) return
    this.#emittedWatermark = watermark
    const readers = this.#timeReaders
    for (let index = 0; index < readers.length; index++) readers[index]!.receiveWatermark(watermark)
    const channels = this.#timeChannels
    for (let index = 0; index < channels.length; index++) channels[index]!.addWatermark(watermark)
  }

  get watermark(): number {
    if (this.#actsOnTime || this.#before === undefined) return this.#watermark
    return Math.max(this.#watermark, this.#before.outputWatermark)
  }

  emitIdle(idle: boolean): void {
    if (idle === this.#idle) return
    this.#idle = idle
    for (const reader of this.#readers) reader.receiveIdle(idle)
    for (const { exchange } of this.#exchanges) {
      for (const channel of exchange.channels) channel.sendControl({ kind: idle ? 'idle' : 'active' })
    }
  }

  get outputWatermark(): number {
    return this.#actsOnTime ? this.#emittedWatermark : this.watermark
  }

  hold(): void {
    this.#environment.backpressure.full = true
  }

  wake(): void {
    this.#environment.wake()
  }

  late(): void {
    this.#environment.late()
  }

  failure(error: unknown, isGeneral = false): SluiceError {
    return locateError(error, { operator: this.operatorId, subtask: this.subtask, isGeneral })
  }

  get passesOverBadRecords(): boolean {
    return this.#badRecords.arePassedOver
  }

  refuse(value: unknown, error: unknown): void {
    this.#badRecords.refuse(value, this.failure(error), this.operatorId)
  }

  /** What a sink throws is no fault of a record: it may well be that it can take none. */
  #tolerant(receiver: Receiver, operator = this.operatorId): Receiver {
    return this.writer === undefined ? this.#badRecords.tolerant(receiver, this.cell, operator) : receiver
  }

  // Its life in the chain

  /** From now on the operators behind it hear of it. */
  open(): void {
    for (const reader of this.#readers) reader.#before = this
    this.operator.open?.()
  }

  /**
   * Says the restored watermark again: a reader over an exchange whose parallelism has changed does not know it, and one in the chain may have been
   * behind an exchange in which it was on its way. Both would wait for the next one, and behind the end of time there is none. Who makes or delays
   * watermarks says by itself what it has given out, but the end of time goes through those who make them.
   */
  announce(): void {
    const { makesWatermarks, delaysWatermarks } = this.operator
    const { watermark } = this
    if (watermark === WATERMARK_NONE || delaysWatermarks || (makesWatermarks && watermark !== Number.POSITIVE_INFINITY)) return
    this.emitWatermark(watermark)
  }

  receiveWatermark(watermark: number): void {
    if (watermark <= this.#pendingWatermark) return
    this.#pendingWatermark = watermark
    if (this.#firing || this.#makesDue(watermark)) {
      this.#environment.backpressure.behind = true
      return
    }
    // It may come with every record, and nearly always makes nothing due: then it goes on at once.
    this.#watermark = watermark
    this.keyed?.onWatermark(watermark)
    if (this.#passesWatermark) this.emitWatermark(watermark)
  }

  #makesDue(watermark: number): boolean {
    const { operator } = this
    if (operator.onWatermark === undefined) return false
    return operator.nextEventTime === undefined || operator.nextEventTime() <= watermark || watermark === Number.POSITIVE_INFINITY
  }

  /** Idleness waits for the watermarks before it; activity goes on at once, before the record that it announces. */
  receiveIdle(idle: boolean): void {
    if (this.operator.makesWatermarks) return
    this.#pendingIdle = idle && this.#behind
    if (!this.#pendingIdle) this.emitIdle(idle)
  }

  get #behind(): boolean {
    return this.#catchingUp || this.operator.pending === true
  }

  get #catchingUp(): boolean {
    return this.#firing || this.#pendingWatermark > this.#watermark
  }

  /** True when every operator behind this one has carried out the watermarks that it was given. */
  get #open(): boolean {
    for (const reader of this.#readers) if (reader.#catchingUp || !reader.#open) return false
    return true
  }

  /** Emits results that have come in from outside. To the operators behind they are a batch. */
  deliver(): boolean {
    if (!this.#open || !this.operator.deliver!()) return false
    this.#endBatch()
    return true
  }

  #endBatch(): void {
    for (const reader of this.#readers) {
      reader.operator.onBatchEnd?.()
      reader.#endBatch()
    }
  }

  advance(): boolean {
    if (this.#pendingWatermark > this.#watermark) {
      // Timers and windows see the new watermark while they fire; it goes on only when all of them are done.
      this.#watermark = this.#pendingWatermark
      this.#firing = true
    }
    if (this.#firing) {
      if (this.operator.onWatermark?.(this.#watermark) === false) return false
      this.#firing = false
      this.keyed?.onWatermark(this.#watermark)
      if (this.#passesWatermark) this.emitWatermark(this.#watermark)
    }
    if (this.#pendingIdle && this.operator.pending !== true) {
      this.#pendingIdle = false
      this.emitIdle(true)
    }
    return true
  }

  get #passesWatermark(): boolean {
    if (this.operator.delaysWatermarks) return false
    return !this.operator.makesWatermarks || this.#watermark === Number.POSITIVE_INFINITY
  }

  async prepareCommit(checkpoint: number, writer: SinkWriter<unknown>): Promise<PreparedSink> {
    try {
      const prepared = writer.prepareCommit(checkpoint)
      // What is there at once is encoded at once: later records may change what a committable refers to.
      const committables = Array.isArray(prepared) ? prepared.map(encodeValue) : (await prepared).map(encodeValue)
      return { operator: this.operatorId, committables }
    } catch (error) {
      throw this.failure(error)
    }
  }

  /** The cut: everything but the rows of keyed state, which `encode` writes beside the next records. */
  snapshot(checkpoint: number): OperatorSnapshot {
    const watermarkFloors = this.keyed?.watermarkFloors() ?? []
    return {
      operator: this.operatorId,
      watermark: this.watermark,
      ...(watermarkFloors.length === 0 ? {} : { watermarkFloors }),
      records: this.records,
      ...(this.#badRecords.count === 0 ? {} : { badRecords: this.#badRecords.count }),
      ...(this.operator.pending === true ? { pending: true } : {}),
      ...this.#cutState(checkpoint),
    }
  }

  #cutState(checkpoint: number): Pick<OperatorSnapshot, 'state' | 'holdsKeys'> {
    try {
      // In this order: an operator may write into its keyed state what it kept beside it.
      const state = this.operator.snapshot?.()
      this.keyed?.freeze(checkpoint)
      const holdsKeys = this.keyed?.holdsAny === true
      return { ...(state === undefined ? {} : { state: encodeValue(state) }), ...(holdsKeys ? { holdsKeys } : {}) }
    } catch (error) {
      throw this.failure(error)
    }
  }

  /** Writes rows of the cut until `expired` says stop. True when all are written. */
  encode(expired: () => boolean): boolean {
    try {
      return this.keyed?.encode(expired) ?? true
    } catch (error) {
      throw this.failure(error)
    }
  }

  /** Chunks that are ready, each given once. */
  takeChunks(): readonly DeltaChunk[] {
    return this.keyed?.takeChunks() ?? []
  }

  close(): void {
    closeAll([() => this.operator.close?.(), () => this.writer?.close()])
  }
}

/** Closes all, also when one of them throws; the first error is thrown in the end. */
export function closeAll(closings: readonly (() => void)[]): void {
  const errors: unknown[] = []
  for (const close of closings) {
    try {
      close()
    } catch (error) {
      errors.push(error)
    }
  }
  if (errors.length > 0) throw errors[0]
}
