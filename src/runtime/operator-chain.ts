import { assert } from '../core/assert.ts'
import type { Receiver, RecordCell } from '../core/operator.ts'
import { NO_TIMESTAMP } from '../core/time.ts'
import type { OperatorRestore, OperatorSnapshot } from '../protocol/messages.ts'
import type { Signals } from '../protocol/signals.ts'
import type { DeltaChunk } from '../state/delta-chunk.ts'
import type { KeyedBackend } from '../state/keyed-backend.ts'
import type { ChainEnvironment, NamedExchange, PreparedSink } from './chain-link.ts'
import { ChainLink, closeAll } from './chain-link.ts'
import { fusedLoop } from './fused-chain.ts'
import type { Backpressure } from './output.ts'
import type { RecordLoop } from './record-loop.ts'
import { plainLoop } from './record-loop.ts'

/** The exchanges that read an operator, by the name of its output. */
export type ExchangesOf = (operator: string, cell: RecordCell) => readonly NamedExchange[]

/** An operator of a chain, for what comes to it from elsewhere than from the one before it. */
export interface ChainEntry {
  readonly receiver: Receiver
  /** As `OperatorChain.onWatermark`, which speaks to the first operator. */
  receiveWatermark(watermark: number): void
}

/**
 * The operators of a task, called directly by each other. Records run down the chain inside one call. Watermarks go operator by
 * operator: each fires what is due, and only then passes the watermark on, so that it never overtakes a result.
 */
export class OperatorChain {
  /** The timestamp of the record on its way. */
  readonly cell: RecordCell = { timestamp: NO_TIMESTAMP, split: -1 }
  /** Takes the task's input; for a source task, what the source reads. */
  readonly head: Receiver
  /** Takes the second input of a task whose first operator has two. */
  readonly second: Receiver | undefined
  readonly #links: readonly ChainLink[]
  readonly #backpressure: Backpressure
  readonly #plain: boolean
  readonly #keyed: readonly ChainLink[]
  /** The first of those that are open; those before it do nothing yet. */
  #firstOpen: number
  /** Of those that are open, the ones that act by the clock. */
  #timed: readonly ChainLink[] = []
  /** Of those that are open, the ones with results that come in from outside. */
  #delivering: readonly ChainLink[] = []

  constructor(environment: ChainEnvironment, exchangesOf: ExchangesOf, restores: Readonly<Record<string, OperatorRestore>>) {
    const links = new Map<string, ChainLink>()
    // Last first: an operator is made with its receivers.
    for (const plan of environment.task.operators.toReversed()) {
      const readers = [...links.values()].filter((link) => link.plan.chainedTo?.operator === plan.id)
      const link = new ChainLink(environment, plan, this.cell, readers, exchangesOf(plan.id, this.cell), restores[plan.id])
      links.set(plan.id, link)
    }
    this.#links = [...links.values()].toReversed()
    this.#backpressure = environment.backpressure
    this.#plain = environment.plain === true
    this.head = this.#links[0]!.receiver
    this.second = this.#links[0]!.second
    this.#keyed = this.#links.filter((link) => link.keyed !== undefined)
    this.#firstOpen = this.#links.length
  }

  /** The loop over a receiver of the chain. Made of code only for those that take the task's input: what was on its way soon comes to its end. */
  loopOver(receiver: Receiver, signals: Signals): RecordLoop {
    const surroundings = { cell: this.cell, backpressure: this.#backpressure, signals }
    const isInput = receiver === this.head || receiver === this.second
    return isInput && !this.#plain ? fusedLoop(receiver, surroundings) : plainLoop(receiver, surroundings)
  }

  /** Opens all operators that are not open yet; from then on they are one chain. */
  open(): void {
    this.#openFrom(0)
    for (const link of this.#links) link.announce()
  }

  /**
   * Opens the chain from its end up to this operator, which then takes records and watermarks that come to it from elsewhere than from the one
   * before. Those before it give nothing out until they are opened, neither results nor the watermarks that they had given out before.
   */
  openUpTo(operator: string): ChainEntry {
    const place = this.#links.findIndex(({ operatorId }) => operatorId === operator)
    assert(place >= 0, `no operator '${operator}' in the chain`)
    this.#openFrom(place)
    return this.#links[place]!
  }

  #openFrom(first: number): void {
    while (this.#firstOpen > first) this.#links[--this.#firstOpen]!.open()
    const open = this.#links.slice(this.#firstOpen)
    this.#timed = open.filter((link) => link.operator.nextProcessingTime !== undefined)
    this.#delivering = open.filter((link) => link.operator.deliver !== undefined)
  }

  onBatchEnd(): void {
    for (let index = this.#firstOpen; index < this.#links.length; index++) this.#links[index]!.operator.onBatchEnd?.()
  }

  /** Gives the first operator a watermark; `advance` carries it out. */
  onWatermark(watermark: number): void {
    this.#links[0]!.receiveWatermark(watermark)
  }

  /** The input of the task is idle, or active again; said after all watermarks before it have been carried out. */
  onIdle(idle: boolean): void {
    this.#links[0]!.receiveIdle(idle)
  }

  /** Lets operators fire what their watermarks make due. False: an output is full, call again. */
  advance(): boolean {
    let done = true
    // Those behind one that waits go on: it may be they for which it waits.
    for (const link of this.#links) done = link.advance() && done
    if (done) this.#backpressure.behind = false
    return done
  }

  /** Results are under way that must be out before the task may end. */
  get pending(): boolean {
    for (const link of this.#delivering) if (link.operator.pending) return true
    return false
  }

  /** An operator can take no more records just now. */
  get full(): boolean {
    for (const link of this.#delivering) if (link.operator.full) return true
    return false
  }

  /**
   * Lets an operator emit results that have come in from outside, the last one first, because it makes room for those before it. True when
   * one did: what it emitted is then carried out (`advance`) before another follows, lest a result overtake a watermark.
   */
  deliver(): boolean {
    for (let index = this.#delivering.length - 1; index >= 0; index--) {
      if (this.#delivering[index]!.deliver()) return true
    }
    return false
  }

  /** The next instant at which an operator wants to act by the clock; `pendingOnly`: only those whose results are under way. */
  nextProcessingTime(pendingOnly: boolean): number {
    let next = Number.POSITIVE_INFINITY
    for (const link of this.#timed) {
      if (!pendingOnly || link.operator.pending) next = Math.min(next, link.operator.nextProcessingTime!())
    }
    return next
  }

  /** Fires what is due by the clock. False: an output is full, call again. */
  onProcessingTime(nowMs: number, pendingOnly: boolean): boolean {
    for (const link of this.#timed) {
      if (pendingOnly && !link.operator.pending) continue
      if (link.operator.onProcessingTime?.(nowMs) === false) return false
    }
    return true
  }

  /** The cut of the sinks: their committables, prepared in the background. */
  prepareCommit(checkpoint: number): readonly Promise<PreparedSink>[] {
    return this.#links.flatMap((link) => (link.writer ? [link.prepareCommit(checkpoint, link.writer)] : []))
  }

  /** The cut of all operators, in one synchronous step. */
  snapshot(checkpoint: number): readonly OperatorSnapshot[] {
    return this.#links.map((link) => link.snapshot(checkpoint))
  }

  /** Writes keyed state of the cut until `expired` says stop. True when all of it is written. */
  encode(expired: () => boolean): boolean {
    for (const link of this.#keyed) if (!link.encode(expired)) return false
    return true
  }

  /** Chunks of keyed state that are ready, by operator, each given once. */
  takeChunks(): readonly { readonly operator: string; readonly chunks: readonly DeltaChunk[] }[] {
    const ready = this.#keyed.map((link) => ({ operator: link.operatorId, chunks: link.takeChunks() }))
    return ready.filter(({ chunks }) => chunks.length > 0)
  }

  /** The base holds everything up to this checkpoint. */
  onFolded(checkpoint: number): void {
    for (const link of this.#keyed) link.keyed!.onFolded(checkpoint)
  }

  /** The keyed states of the task. */
  get backends(): readonly KeyedBackend[] {
    return this.#keyed.map((link) => link.keyed!)
  }

  /** The watermark of the last operator, for the person who watches. */
  get watermark(): number {
    return this.#links[this.#links.length - 1]!.outputWatermark
  }

  /** Records that the sinks of this chain took in. */
  get recordsWritten(): number {
    return this.#links.reduce((sum, link) => sum + (link.writer ? link.records : 0), 0)
  }

  close(): void {
    closeAll(this.#links.map((link) => () => link.close()))
  }
}
