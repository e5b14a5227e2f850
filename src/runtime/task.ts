import { BarrierAligner } from '../checkpoint/barrier-aligner.ts'
import { unreachable } from '../core/assert.ts'
import type { SluiceError } from '../core/errors.ts'
import { locateError } from '../core/errors.ts'
import type { Receiver } from '../core/operator.ts'
import { WATERMARK_END } from '../core/time.ts'
import { subtaskName } from '../graph/execution-plan.ts'
import { BATCH_RECORDS } from '../protocol/channel.ts'
import type { Element, RecordBatch } from '../protocol/element.ts'
import type { OperatorSnapshot, SubtaskSnapshot } from '../protocol/messages.ts'
import type { KeyedBackend } from '../state/keyed-backend.ts'
import { closeAll } from './chain-link.ts'
import { ChainReplay } from './chain-replay.ts'
import { ChannelRecorder } from './channel-recorder.ts'
import { InputGate } from './input-gate.ts'
import type { OperatorChain } from './operator-chain.ts'
import { Pace } from './pace.ts'
import type { RecordLoop } from './record-loop.ts'
import { SnapshotWriter } from './snapshot-writer.ts'
import type { SourceReading } from './split-reading.ts'
import type { TaskBatch, TaskParts } from './task-parts.ts'
import type { MergedTime } from './watermark-merger.ts'
import { WatermarkMerger } from './watermark-merger.ts'

/**
 * The life of a task:
 *
 *   running   takes records, watermarks and barriers
 *   draining  the input has ended; windows and timers still fire
 *   ended     everything is sent; only barriers pass, until the job is over
 *   closed    files and readers are released
 */
export type TaskState = 'running' | 'draining' | 'ended' | 'closed'

/**
 * One subtask: input gate or source, operator chain, outputs. A step does a bounded piece of work and returns whether it did anything;
 * it never waits. What always holds:
 *
 * - Nothing is taken from the input while an output is full or a watermark is still firing, so what waits in the outputs is bounded by the
 *   results of one record.
 * - A barrier is met only between two batches with everything before it carried out. Cut of the sinks, barrier downstream and snapshot
 *   are one synchronous step: nothing is emitted between them. What takes time is done beside the next records (`snapshot-writer.ts`).
 * - What a restored snapshot holds for operators in the middle of the chain comes before everything else, barriers included: it is in no channel
 *   (`chain-replay.ts`).
 * - Where what was on its way to any task comes first in all of them (`replaysFirst`), a barrier of its own is the border: a source sends it before
 *   its first record, any other task when it has come through all channels, and until then a channel that has brought it is held.
 * - An unaligned snapshot is taken between two records, whatever waits; what had come in and was not handled is part of it
 *   (`channel-recorder.ts`). Only these two, and what a watermark has made due, are carried out first.
 */
export class Task {
  readonly name: string
  readonly #parts: TaskParts
  readonly #chain: OperatorChain
  readonly #aligner: BarrierAligner
  readonly #merger: WatermarkMerger
  readonly #gate: InputGate
  readonly #pace: Pace
  #state: TaskState = 'running'
  #batch: TaskBatch | undefined
  /** How many watermarks of the batch have been met, and before which record the next one comes. */
  #batchWatermarks = 0
  #nextWatermarkAt = NEVER
  #channel = 0
  #loop: RecordLoop
  readonly #loops = new Map<Receiver, RecordLoop>()
  #batchIndex = 0
  /** What comes before everything else. */
  readonly #replay: ChainReplay
  /** What was on its way to any task before this one has not come through yet. */
  #isReplaying: boolean
  #recordsIn = 0
  #recordsRead: number
  /** Checkpoints whose barrier the coordinator wants this source to send, oldest first. */
  #triggers: readonly number[] = []
  /** The checkpoint behind whose barrier nothing more is read: it would be in no checkpoint. */
  #finalTrigger = Number.POSITIVE_INFINITY
  #caughtUp = true
  #idle = false
  /** The last step found an operator that waits for the world outside, and room in the outputs. */
  #held = false
  readonly #snapshots: SnapshotWriter
  /** Records what is on its way, from an unaligned snapshot to the last barrier. */
  #recorder: ChannelRecorder | undefined
  /** The newest checkpoint that this task has taken its snapshot for. */
  #lastSnapshot: number
  /** The newest checkpoint that was given up. */
  #givenUp = 0
  /** The first barrier of the checkpoint that is being aligned came then. */
  #alignment: { readonly checkpoint: number; readonly sinceMs: number } | undefined
  /** The checkpoint for which the task stands still; 0 for none. */
  #stoppedFor = 0
  /** A source is to end its input here. */
  #draining = false
  readonly #now: () => number

  constructor(parts: TaskParts) {
    this.name = subtaskName(parts.plan.id, parts.subtask)
    this.#parts = parts
    const { clock } = parts
    this.#now = clock.elapsed ? () => clock.elapsed!() : () => performance.now()
    this.#pace = new Pace(this.#now)
    this.#snapshots = new SnapshotWriter(parts.chain, parts.reports, this.#now)
    this.#lastSnapshot = parts.lastCheckpoint
    this.#chain = parts.chain
    this.#loop = this.#loopOver(parts.chain.head)
    this.#recordsRead = parts.recordsRead
    const mode = parts.mode.holdsChannels ? 'exactly-once' : 'at-least-once'
    this.#aligner = new BarrierAligner(parts.inputs.length, parts.lastCheckpoint, mode)
    this.#merger = new WatermarkMerger(
      // A channel at the end of time holds nobody back.
      parts.inputs.map((input) => (input.timeless ? WATERMARK_END : input.watermark)),
      parts.watermark,
    )
    this.#gate = new InputGate(
      parts.inputs.map((input) => input.reader),
      this.#aligner,
    )
    this.#replay = new ChainReplay(parts.chain, parts.chainedInFlight)
    this.#isReplaying = parts.replaysFirst === true
    if (this.#isReplaying) this.#gate.holdNew()
    for (const { channel, batches } of parts.inFlight) {
      this.#gate.restore(
        parts.inputs.findIndex((input) => input.channel === channel),
        batches,
      )
    }
  }

  /** Of the task of the plan that it is a subtask of. */
  get id(): string {
    return this.#parts.plan.id
  }

  get state(): TaskState {
    return this.#state
  }

  open(): void {
    this.#stepReplay()
  }

  /** Nothing that was on its way comes behind this any more. */
  #endReplay(): void {
    if (!this.#isReplaying) return
    this.#isReplaying = false
    for (const output of this.#parts.outputs) output.sendControl({ kind: 'barrier', checkpoint: END_OF_REPLAY })
  }

  /** Does a piece of work. False when there was none to do. */
  step(): boolean {
    this.#wroteOnly = false
    if (this.#state === 'closed') return false
    if (this.#stoppedFor !== 0) return this.#standStill()
    if (this.#isUrgent && this.#takeUrgentSnapshot()) return true
    const recorded = this.#recorder !== undefined && this.#record(this.#recorder)
    const worked = this.#work()
    const wrote = this.#snapshots.write(!worked)
    this.#wroteOnly = wrote && !worked && !recorded
    return worked || wrote || recorded
  }

  /** The thread had nothing to do for so long, and slept. */
  rest(ms: number): void {
    this.#snapshots.rest(ms)
  }

  /** The last step wrote a part of a snapshot, because there was nothing else to do. */
  get wroteOnly(): boolean {
    return this.#wroteOnly
  }

  #work(): boolean {
    this.#held = false
    if (this.#parts.backpressure.full && !this.#flushFull()) return false
    if (this.#chain.full) return this.#stepHeld()
    this.#unblock()
    if (!this.#caughtUp) return this.#catchUp()
    // A timer that is due does not take the turn of the input, or one that is always due would stop it for ever.
    if (this.#timerDue && !this.#fireProcessingTime()) return true
    // After the timers, which may have settled something: when it returns false, only the world outside can change that.
    if (this.#chain.deliver()) return this.#catchUp()
    if (this.#batch !== undefined) return this.#handleBatch()
    if (this.#state === 'draining' && !this.#chain.pending) return this.#end()
    if (!this.#replay.done) {
      this.#stepReplay()
      return this.#catchUp()
    }
    const worked = this.#parts.reading === undefined ? this.#stepInput() : this.#stepSource(this.#parts.reading)
    // Whoever runs dry sends what it has: full batches under load, no delay without it.
    return worked || this.flush()
  }

  /** Sends the open batches. True when there was anything to send. */
  flush(): boolean {
    let sent = false
    for (const output of this.#parts.outputs) sent = output.sendBatch() || sent
    return sent
  }

  /** Whether a step would find something to do; asked a last time before the worker sleeps. */
  get ready(): boolean {
    if (this.#state === 'closed' || this.#stoppedFor !== 0) return false
    if (this.#snapshots.waitMs === 0 || (this.#isUrgent && this.#caughtUp && !this.#chain.full)) return true
    if (this.#recorder !== undefined && this.#gate.canTakeAhead(this.#recorder)) return true
    if (this.#held) return this.#controlReadable
    if (!this.#replay.done && !this.#parts.backpressure.full) return true
    if (this.#parts.backpressure.full) return this.#parts.outputs.every((output) => output.flush())
    if (!this.#caughtUp || this.#batch !== undefined) return true
    if (this.#state === 'draining' && !this.#chain.pending) return true
    return this.#parts.reading === undefined ? this.#gate.readable : this.#triggerReadable || this.#endsHere
  }

  get #endsHere(): boolean {
    return this.#draining && this.#state === 'running' && this.#parts.reading?.idle === true
  }

  get #triggerReadable(): boolean {
    return this.#triggers.length > 0 && this.#parts.reading?.idle !== false
  }

  /** When a step should be tried again though nobody rings: a timer is due, or a source had nothing. */
  nextWakeup(): number {
    return Math.min(this.#nextWork(), this.#parts.clock.now() + this.#snapshots.waitMs)
  }

  #nextWork(): number {
    if (this.#held) return this.#chain.nextProcessingTime(true)
    // Whoever makes room rings; until then no timer can fire.
    if (this.#parts.backpressure.full) return Number.POSITIVE_INFINITY
    return Math.min(this.#retrySourceAt, this.nextTimer)
  }

  #wroteOnly = false
  #retrySourceAt = Number.POSITIVE_INFINITY

  /** Whoever feeds the source knows that it has something: it is asked at the next step. */
  askSource(): void {
    this.#retrySourceAt = Number.POSITIVE_INFINITY
  }

  /** Results of asynchronous calls are under way. */
  get pending(): boolean {
    return this.#chain.pending
  }

  /** The coordinator asks a source for a barrier; it is sent between two batches. */
  trigger(checkpoint: number, final = false): void {
    if (checkpoint <= this.#lastSnapshot) return
    this.#triggers = [...this.#triggers, checkpoint]
    if (final) this.#finalTrigger = checkpoint
  }

  /** The coordinator gave a checkpoint up. */
  abort(checkpoint: number): void {
    this.#aligner.onAbort(checkpoint)
    this.#triggers = this.#triggers.filter((triggered) => triggered !== checkpoint)
    if (this.#finalTrigger === checkpoint) this.#finalTrigger = Number.POSITIVE_INFINITY
    if (checkpoint > this.#givenUp) this.#givenUp = checkpoint
    if (this.#recorder?.checkpoint === checkpoint) this.#recorder.finish()
    this.goOn(checkpoint)
  }

  /** The checkpoint is over, well or badly, for which the task may stand still. */
  goOn(checkpoint: number): void {
    if (this.#stoppedFor <= checkpoint) this.#stoppedFor = 0
  }

  /** A source reads no more, as if its input had ended. */
  drain(): void {
    this.#draining = true
    this.#parts.reading?.end()
  }

  /** The base of keyed state holds everything up to this checkpoint. */
  onFolded(checkpoint: number): void {
    this.#chain.onFolded(checkpoint)
  }

  /** Of the output in which most waits: elements that were sent and that nobody has taken. */
  get waiting(): number {
    return this.#parts.outputs.reduce((most, output) => Math.max(most, output.waiting), 0)
  }

  /** Keyed states of the task, for whoever keeps their memory within its limit. */
  get backends(): readonly KeyedBackend[] {
    return this.#chain.backends
  }

  close(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#snapshots.close()
    closeAll([() => this.#parts.reading?.close(), () => this.#chain.close()])
  }

  /** An error that came out of a step, with its place. */
  locate(error: unknown): SluiceError {
    return locateError(error, { operator: this.#parts.plan.id, subtask: this.#parts.subtask })
  }

  publishCounters(busyMs: number): void {
    const { counters, chain } = this.#parts
    counters.set('busyMs', busyMs)
    counters.set('blockedMs', this.#pace.blockedMs)
    counters.set('recordsIn', this.#parts.reading === undefined ? this.#recordsIn : this.#recordsRead)
    const sent = this.#parts.outputs.reduce((sum, output) => sum + output.records, 0)
    counters.set('recordsOut', chain.recordsWritten + sent)
    counters.set('watermark', this.#state === 'ended' ? WATERMARK_END : chain.watermark)
  }

  // What was on its way to operators in the middle of the chain

  /** Begins with the next batch, or with everything else. */
  #stepReplay(): void {
    const batch = this.#replay.next()
    if (batch !== undefined) {
      this.#loop = this.#loopOver(this.#replay.entry!.receiver)
      this.#channel = NO_CHANNEL
      this.#start(batch)
    } else if (this.#parts.reading !== undefined) this.#endReplay()
  }

  // Inputs

  #stepInput(): boolean {
    const element = this.#gate.poll()
    if (element === undefined) return false
    this.#handleElement(element, this.#gate.channel)
    return true
  }

  #handleElement(element: Element, channel: number): void {
    switch (element.kind) {
      case 'records':
        this.#begin(element, channel)
        this.#handleBatch()
        return
      case 'watermark':
        return this.#onMergedTime(this.#merger.onWatermark(channel, element.time))
      case 'idle':
        return this.#onMergedTime(this.#merger.onIdle(channel))
      case 'active':
        return this.#onMergedTime(this.#merger.onActive(channel))
      case 'barrier':
        if (element.checkpoint !== END_OF_REPLAY) return this.#onBarrier(channel, element.checkpoint)
        if (this.#gate.onThrough(channel)) this.#endReplay()
        return
      case 'end':
        this.#onMergedTime(this.#merger.onEnd(channel))
        if (this.#merger.finished) this.#state = 'draining'
        return
      default:
        unreachable(element)
    }
  }

  #onMergedTime({ watermark, idle }: MergedTime): void {
    this.#chain.onWatermark(watermark)
    this.#idle = idle
    this.#catchUp()
  }

  #begin(batch: RecordBatch, channel: number): void {
    this.#loop = this.#loopOver(this.#parts.inputs[channel]!.side === 'second' ? this.#chain.second! : this.#chain.head)
    this.#channel = channel
    this.#start(batch)
    this.#recordsIn += batch.values.length
  }

  #start(batch: TaskBatch): void {
    this.#batch = batch
    this.#batchIndex = 0
    this.#batchWatermarks = 0
    this.#nextWatermarkAt = batch.watermarks?.after[0] ?? NEVER
  }

  /** Runs the records of the current batch down the chain until it is done or an output is full. */
  #handleBatch(): boolean {
    const { values, timestamps } = this.#batch!
    const { backpressure, signals } = this.#parts
    let index = this.#batchIndex
    this.#pace.begin()
    while (index < values.length && !backpressure.full) {
      // A watermark between two records acts between them: which records are late does not depend on how they were packed.
      if (index === this.#nextWatermarkAt && !this.#meetWatermark()) break
      const { urgent } = signals
      // One that is due at once, as long as what waits for it is under way, is met at the next record.
      const until = this.#isDue(urgent) ? index + 1 : this.#nextWatermarkAt > index ? this.#nextWatermarkAt : values.length
      index = this.#loop(values, timestamps, index, until, urgent)
      if (backpressure.behind && !this.#catchUpNow()) break
      if (this.#isDue(signals.urgent)) break
    }
    this.#pace.end(index - this.#batchIndex)
    this.#batchIndex = index
    if (index < values.length) return true
    if (index === this.#nextWatermarkAt && !backpressure.full && this.#caughtUp) this.#meetWatermark()
    if (index === this.#nextWatermarkAt) return true
    this.#batch = undefined
    this.#chain.onBatchEnd()
    if (this.#channel !== NO_CHANNEL) this.#parts.reading?.handedOn()
    if (this.#pace.changed) this.#askForLess()
    this.#catchUp()
    return true
  }

  #loopOver(receiver: Receiver): RecordLoop {
    let loop = this.#loops.get(receiver)
    if (loop === undefined) this.#loops.set(receiver, (loop = this.#chain.loopOver(receiver, this.#parts.signals)))
    return loop
  }

  /** False: what became due waits for room. */
  #meetWatermark(): boolean {
    const { after, times } = this.#batch!.watermarks!
    const time = times[this.#batchWatermarks++]!
    this.#nextWatermarkAt = after[this.#batchWatermarks] ?? NEVER
    const { entry } = this.#replay
    if (entry !== undefined) {
      entry.receiveWatermark(time)
      if (this.#parts.backpressure.behind) this.#catchUp()
    } else if (time === WATERMARK_END) this.#onMergedTime(this.#merger.onWatermark(this.#channel, time))
    else if (this.#merger.raise(this.#channel, time)) {
      this.#chain.onWatermark(this.#merger.output)
      if (this.#parts.backpressure.behind) this.#catchUp()
    }
    return this.#caughtUp
  }

  #catchUpNow(): boolean {
    this.#catchUp()
    return this.#caughtUp
  }

  /** What waits in front of a slow task holds barriers up: its channels are asked for as much as it handles in a moment. */
  #askForLess(): void {
    const budget = this.#pace.recordsInAMoment(this.#parts.inputs.length)
    for (const input of this.#parts.inputs) input.reader.setBudget(budget)
  }

  /** Fires what watermarks have made due. */
  #catchUp(): boolean {
    this.#caughtUp = this.#chain.advance()
    // The last watermark before idleness is a promise, so it goes first.
    if (this.#caughtUp) this.#chain.onIdle(this.#idle)
    return true
  }

  /** After the end of the input nothing may follow it: timers by the clock that are still set then do not fire. */
  get #timerDue(): boolean {
    const next = this.nextTimer
    // Without a timer the time of day need not be asked for: this is looked at in every step.
    return next !== Number.POSITIVE_INFINITY && next <= this.#parts.clock.now()
  }

  /** The next instant at which an operator wants to act by the clock. */
  get nextTimer(): number {
    if (this.#state === 'ended' || this.#state === 'closed') return Number.POSITIVE_INFINITY
    return this.#chain.nextProcessingTime(this.#state === 'draining')
  }

  /** True when the task may go on. */
  #fireProcessingTime(): boolean {
    this.#chain.onProcessingTime(this.#parts.clock.now(), this.#state === 'draining')
    this.#catchUp()
    return this.#caughtUp && !this.#parts.backpressure.full
  }

  #block(): void {
    this.#pace.block()
    this.#parts.reading?.block()
  }

  #unblock(): void {
    this.#pace.unblock()
    this.#parts.reading?.unblock()
  }

  #flushFull(): boolean {
    this.#block()
    for (const output of this.#parts.outputs) if (!output.flush()) return false
    this.#parts.backpressure.full = false
    return true
  }

  /**
   * The outputs have room, but an operator can take no more before the world outside has answered. Meanwhile answers, their timeouts and
   * barriers are handled, and nothing else.
   */
  #stepHeld(): boolean {
    const { backpressure, clock } = this.#parts
    this.#block()
    if (!this.#caughtUp) this.#catchUp()
    this.#chain.onProcessingTime(clock.now(), true)
    if (this.#chain.deliver()) return this.#catchUp()
    // What was just carried out may have filled an output; then it is that which the task waits for.
    this.#held = !backpressure.full
    backpressure.full = true
    if (this.#held && this.#controlReadable) return this.#stepControl()
    return this.flush()
  }

  /** Whether a held task could take a barrier, or records to look at later. */
  get #controlReadable(): boolean {
    if (!this.#caughtUp || this.#batch !== undefined || !this.#replay.done) return false
    return this.#parts.reading === undefined ? this.#gate.readable : this.#triggerReadable
  }

  #stepControl(): boolean {
    return this.#parts.reading === undefined ? this.#stepInput() : this.#stepTrigger()
  }

  // Sources

  #stepTrigger(): boolean {
    const [checkpoint] = this.#triggers
    if (checkpoint === undefined || this.#parts.reading?.idle === false) return false
    this.#takeSnapshot(checkpoint, undefined)
    return true
  }

  #stepSource(reading: SourceReading): boolean {
    if (this.#stepTrigger()) return true
    if (this.#state !== 'running') return false
    if (this.#lastSnapshot >= this.#finalTrigger) return false
    if (this.#draining && reading.idle) return this.#endInput()
    const now = this.#parts.clock.now()
    // Further off it is only when the clock was set back meanwhile, which must not stop the input.
    const waitMs = this.#retrySourceAt - now
    if (waitMs > 0 && waitMs <= SOURCE_RETRY_MS) return false
    this.#retrySourceAt = this.#parts.signals.throttled ? now + SOURCE_RETRY_MS : Number.POSITIVE_INFINITY
    if (this.#parts.signals.throttled) return false
    // A barrier that waits for what was read ahead lets nothing more be read.
    const read = reading.next(this.#triggers.length > 0 ? 0 : Math.min(BATCH_RECORDS, this.#pace.recordsInAMoment(1)))
    if (reading.takeChange()) this.#onSplitsChange()
    switch (read.type) {
      case 'records':
        this.#recordsRead += read.records.length
        this.#chain.cell.split = reading.split
        this.#loop = this.#loopOver(this.#chain.head)
        this.#channel = 0
        this.#start({ values: read.records, timestamps: undefined })
        // What the end of another split has made due comes first.
        return this.#caughtUp ? this.#handleBatch() : true
      case 'nothing':
        this.#retrySourceAt = now + SOURCE_RETRY_MS
        return false
      case 'waiting':
        return false
      case 'end':
        return this.#endInput()
      default:
        return unreachable(read)
    }
  }

  #endInput(): boolean {
    this.#state = 'draining'
    this.#chain.onWatermark(WATERMARK_END)
    return this.#catchUp()
  }

  /** A split that has ended may be the one that held the watermark back. */
  #onSplitsChange(): void {
    this.#chain.onBatchEnd()
    this.#catchUp()
  }

  #end(): boolean {
    this.#state = 'ended'
    for (const output of this.#parts.outputs) output.sendControl({ kind: 'end' })
    this.#parts.reports.ended()
    return true
  }

  // Checkpoints

  #onBarrier(channel: number, checkpoint: number): void {
    const isComplete = this.#aligner.onBarrier(channel, checkpoint)
    if (checkpoint > this.#lastSnapshot && checkpoint !== this.#alignment?.checkpoint) {
      this.#alignment = { checkpoint, sinceMs: this.#now() }
      if (!isComplete) this.#parts.reports.progress(checkpoint, 'alignment')
    }
    if (isComplete) this.#takeSnapshot(checkpoint, undefined)
  }

  /**
   * The snapshot of a checkpoint should be taken now, without waiting for barriers. Not while an earlier one is being recorded: its barriers
   * come, or the message that it was given up, and acknowledgements wait for their turn.
   */
  get #isUrgent(): boolean {
    return this.#isDue(this.#parts.signals.urgent)
  }

  #isDue(urgent: number): boolean {
    if (urgent <= this.#lastSnapshot || this.#recorder !== undefined || !this.#replay.done || this.#isReplaying) return false
    return urgent > this.#givenUp && !this.#aligner.isOver(urgent)
  }

  /** False: what a watermark has made due is not carried out yet, or an operator waits for the world outside. */
  #takeUrgentSnapshot(): boolean {
    const checkpoint = this.#parts.signals.urgent
    if (!this.#caughtUp) return false
    if (this.#parts.reading !== undefined) {
      if (!this.#handBatchOn()) return false
      this.#takeSnapshot(checkpoint, undefined)
      return true
    }
    const { inputs, maxParallelism } = this.#parts
    const recorder = new ChannelRecorder(checkpoint, inputs, this.#aligner.onUnaligned(checkpoint), maxParallelism)
    this.#recordBatch(recorder)
    this.#gate.beginRecording(recorder)
    this.#recorder = recorder
    this.#takeSnapshot(checkpoint, recorder)
    this.#record(recorder)
    return true
  }

  /** A source's position is that behind a batch, so the rest of a batch goes out first, also where there is no room. */
  #handBatchOn(): boolean {
    const { backpressure, outputs } = this.#parts
    const before = this.#lastSnapshot
    // The loop over records would stop at each one as long as the snapshot is due.
    this.#lastSnapshot = Number.POSITIVE_INFINITY
    while (this.#batch !== undefined && this.#caughtUp && !this.#chain.full) {
      backpressure.full = false
      this.#handleBatch()
    }
    this.#lastSnapshot = before
    if (outputs.some((output) => !output.flush())) backpressure.full = true
    return this.#batch === undefined && this.#caughtUp
  }

  /** The records of the batch at hand that have not been handled are on their way. */
  #recordBatch(recorder: ChannelRecorder): void {
    const batch = this.#batch
    if (batch === undefined || !recorder.waitsFor(this.#channel)) return
    const from = this.#batchIndex
    const { after = [], times = [] } = batch.watermarks ?? {}
    const rest = after.slice(this.#batchWatermarks).map((place) => place - from)
    recorder.onRecords(
      this.#channel,
      batch.values.slice(from),
      batch.timestamps!.slice(from),
      rest.length === 0 ? undefined : { after: rest, times: times.slice(this.#batchWatermarks) },
    )
  }

  /** Takes what comes in up to the barriers out of the channels. True when there was anything. */
  #record(recorder: ChannelRecorder): boolean {
    const took = this.#gate.takeAhead(recorder)
    if (recorder.finished) {
      recorder.finish()
      this.#recorder = undefined
    }
    return took
  }

  /** The barrier may still wait for room. */
  #standStill(): boolean {
    for (const output of this.#parts.outputs) output.flush()
    return false
  }

  /** @param recorder of an unaligned snapshot, what records the rest of it */
  #takeSnapshot(checkpoint: number, recorder: ChannelRecorder | undefined): void {
    const beganMs = this.#now()
    const { plan, subtask, inputs, outputs, reading, mode, reports } = this.#parts
    // One snapshot is written at a time, and the chunks of this one come after those of the last.
    this.#snapshots.finish()
    const prepared = this.#chain.prepareCommit(checkpoint)
    // Should the snapshot throw, that error ends the attempt, and a cut that fails later has nobody to tell.
    for (const sink of prepared) sink.catch(() => undefined)
    for (const output of outputs) output.sendControl({ kind: 'barrier', checkpoint })
    const operators = this.#chain.snapshot(checkpoint)
    const snapshot: SubtaskSnapshot = {
      task: plan.id,
      subtask,
      parallelism: plan.parallelism,
      channelWatermarks: Object.fromEntries(inputs.map((input, index) => [input.channel, this.#merger.watermarks[index]!])),
      operators: reading === undefined ? operators : this.#withPositions(operators, reading),
    }
    const alignmentMs = this.#alignment?.checkpoint === checkpoint ? beganMs - this.#alignment.sinceMs : 0
    this.#alignment = undefined
    this.#lastSnapshot = Math.max(this.#lastSnapshot, checkpoint)
    this.#triggers = this.#triggers.filter((triggered) => triggered > checkpoint)
    reports.progress(checkpoint, 'snapshot')
    this.#snapshots.begin({
      checkpoint,
      snapshot,
      prepared,
      inFlight: recorder?.done,
      alignmentMs,
      pauseMs: this.#now() - beganMs,
      inFlightRecords: () => recorder?.records ?? 0,
    })
    if (!mode.stopsTheWorld) return
    this.#snapshots.finish()
    this.#stoppedFor = checkpoint
  }

  #withPositions(operators: readonly OperatorSnapshot[], reading: SourceReading): readonly OperatorSnapshot[] {
    const [source, ...rest] = operators
    return [{ ...source!, records: this.#recordsRead, splits: reading.positions() }, ...rest]
  }
}

const SOURCE_RETRY_MS = 5

/** Checkpoints are counted from 1: a barrier of this one is the border between what was on its way at the restore and what is new. */
const END_OF_REPLAY = 0

/** Of records that came out of a restored snapshot. */
const NO_CHANNEL = -1

/** Index of a record that no batch has. */
const NEVER = -1
