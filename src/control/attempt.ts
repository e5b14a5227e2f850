import type { CheckpointStore } from '../checkpoint/checkpoint-store.ts'
import type { DroppedState, Manifest } from '../checkpoint/manifest.ts'
import { unreachable } from '../core/assert.ts'
import { fromWireError, messageOf, SluiceError } from '../core/errors.ts'
import type { Timers } from '../core/time.ts'
import type { ExecutionPlan } from '../graph/execution-plan.ts'
import { subtaskNames } from '../graph/execution-plan.ts'
import type { Region } from '../graph/regions.ts'
import { regionsOf } from '../graph/regions.ts'
import type { NodeDescription } from '../graph/stream-graph.ts'
import { graphDifference } from '../graph/stream-graph.ts'
import { createCounters } from '../protocol/counters.ts'
import { Doorbells } from '../protocol/doorbell.ts'
import type { FromWorker, SubtaskRestore, ToWorker } from '../protocol/messages.ts'
import { Signals } from '../protocol/signals.ts'
import type { CheckpointObserver } from './checkpointing.ts'
import { Checkpointing } from './checkpointing.ts'
import type { Committers } from './committers.ts'
import type { SharedDeployment } from './deployments.ts'
import { createRings, deploymentsOf, modeOf } from './deployments.ts'
import { ReadNotes } from './read-notes.ts'
import type { RegionHands } from './region-lives.ts'
import { RegionLives } from './region-lives.ts'
import type { JobSettings } from './settings.ts'
import { Watchdog } from './watchdog.ts'
import type { WorkerListener, Workers } from './workers.ts'

/** What an attempt works with. */
export interface AttemptParts {
  readonly plan: ExecutionPlan
  readonly graph: readonly NodeDescription[]
  readonly settings: JobSettings
  readonly store: CheckpointStore
  readonly committers: Committers
  readonly run: string
  readonly attempt: number
  /** What the subtasks begin with; made ready while the workers start. */
  readonly prepared: Promise<Prepared>
  readonly timers: Timers
  readonly startWorkers: (listener: WorkerListener) => Workers
  readonly regions: RegionParts
  readonly observer: AttemptObserver
}

/** What an attempt has done for regions that start again while it runs on. */
export interface RegionParts {
  /** Milliseconds to wait before it does; `undefined`: it does not. */
  decide(error: SluiceError, region: Region): number | undefined
  /** Makes the outputs ready. */
  sweep(region: Region): Promise<void>
  prepare(region: Region): PreparedRegion
}

/** The restored checkpoint, dealt to the subtasks. */
export interface Prepared {
  readonly restores: Record<string, SubtaskRestore>
  /** The newest checkpoint id that may have been used. */
  readonly lastCheckpoint: number
  readonly restored: Manifest
  /** States of it that the job no longer has. */
  readonly dropped: readonly DroppedState[]
}

/** What a region begins with again, and the number under which its sinks stage. */
export interface PreparedRegion {
  readonly restores: Record<string, SubtaskRestore>
  readonly restored: Manifest
  readonly stagingAttempt: number
}

/** What a worker tells while records flow. */
type RunningMessage = Exclude<FromWorker, { type: 'failed' | 'graph-built' | 'deployed' }>

/** What the person who watches the job wants to know. */
export interface AttemptObserver extends CheckpointObserver {
  /** A record was passed over: the first one of its operator and subtask. */
  onBadRecord(error: SluiceError): void
  onDeployed(counters: SharedArrayBuffer, pending: () => Checkpointing['pending']): void
}

/**
 * One attempt to run the job, from starting its workers to the final checkpoint or the first failure. Its life:
 *
 *   starting   workers import the job module and say which graph they built
 *   deploying  workers build their subtasks and restore them
 *   running    records flow, checkpoints come and go
 *   over       finished, or failed; every later message is ignored
 *
 * While it is running a region of the job may fail and start again by itself: see `RegionRestarts`. What always holds:
 *
 * - No record flows, and no checkpoint begins, before every worker has built the same graph and restored its share of one checkpoint.
 * - What a worker tells counts only under the number of this attempt, and what a region told before it was closed not at all.
 * - It has one outcome, the first; when `run` has settled, nothing of it restores, folds or commits any more beside the next one.
 */
export class Attempt implements WorkerListener {
  readonly #parts: AttemptParts
  readonly #workers: Workers
  readonly #outcome: {
    readonly promise: Promise<void>
    readonly resolve: () => void
    readonly reject: (error: SluiceError) => void
  }
  readonly #waitingFor: Set<number>
  #state: 'starting' | 'deploying' | 'running' | 'over' = 'starting'
  #prepared: Prepared | undefined
  #checkpointing: Checkpointing | undefined
  #watchdog: Watchdog | undefined
  readonly #doorbells: Doorbells
  readonly #signals: Signals
  readonly #counters: SharedArrayBuffer
  readonly #notes: ReadNotes
  #stoppedEarly = false
  readonly #regions: readonly Region[]
  readonly #lives: RegionLives
  #draining = false

  constructor(parts: AttemptParts) {
    this.#parts = parts
    this.#outcome = Promise.withResolvers<void>()
    this.#workers = parts.startWorkers(this)
    this.#waitingFor = new Set(Array.from({ length: this.#workers.count }, (_, worker) => worker))
    this.#doorbells = new Doorbells(this.#workers.count)
    this.#signals = new Signals(this.#workers.count)
    this.#notes = new ReadNotes(
      parts.store,
      (subtask, sequence) => this.#broadcast({ type: 'read-noted', attempt: parts.attempt, subtask, sequence }),
      (error) => this.#failWith(error),
      parts.timers,
    )
    this.#counters = createCounters(subtaskNames(parts.plan).length)
    this.#regions = regionsOf(parts.plan)
    this.#lives = new RegionLives(this.#regions, this.#regionHands())
    parts.prepared
      .then((prepared) => {
        this.#prepared = prepared
        if (this.#waitingFor.size === 0) this.#deploy(prepared)
      })
      .catch((error: unknown) => this.#failWith(error))
  }

  /** Settles when the final checkpoint is complete and committed. @throws SluiceError what ended the attempt */
  async run(): Promise<void> {
    try {
      await this.#outcome.promise
      if (this.#stoppedEarly) await this.#workers.kill()
      else await this.#workers.stop()
    } catch (error) {
      await this.#workers.kill()
      throw error
    } finally {
      // Restoring, folding and committing touch the store and the outputs: nothing of this attempt may go on beside the next one.
      await Promise.allSettled([this.#parts.committers.abandon(), this.#parts.prepared, this.#lives.stop()])
      await this.#checkpointing?.settled()
    }
  }

  /**
   * Whether the last checkpoint holds the whole input: every subtask had come to its end when it was triggered. What ends behind the barrier
   * of a checkpoint is not in it.
   */
  get inputEnded(): boolean {
    return this.#checkpointing?.wholeInput === true
  }

  /** The checkpoints of the attempt, once it runs. */
  get checkpointing(): Checkpointing | undefined {
    return this.#state === 'running' ? this.#checkpointing : undefined
  }

  /** Whether a region is away, which starts again while the others run. */
  get isMissingRegion(): boolean {
    return this.#state === 'running' && !this.#lives.allRunning
  }

  /** One more checkpoint, and the attempt is over. */
  requestStop(): void {
    if (this.#state === 'running') {
      this.#lives.hurry()
      return this.#checkpointing!.end()
    }
    if (this.#state === 'over') return
    // Nothing has run yet, so there is nothing to checkpoint.
    this.#state = 'over'
    this.#stoppedEarly = true
    this.#outcome.resolve()
  }

  /** Sources read no more; everything behind them comes to its end, and then the job. */
  requestDrain(): void {
    this.#draining = true
    this.#lives.hurry()
    // Before that there is nobody to tell.
    if (this.#state === 'running') this.#drain()
  }

  #drain(): void {
    this.#broadcast({ type: 'drain', attempt: this.#parts.attempt })
    this.#doorbells.ringAll()
  }

  onLost(_worker: number, error: SluiceError): void {
    this.#fail(error)
  }

  onMessage(message: FromWorker): void {
    if (this.#state === 'over') return
    try {
      this.#handle(message)
    } catch (error) {
      this.#failWith(error)
    }
  }

  #handle(message: FromWorker): void {
    switch (message.type) {
      case 'failed':
        return this.#onFailed(message.region, fromWireError(message.error))
      case 'graph-built':
        return this.#onGraphBuilt(message.worker, message.description)
      case 'deployed':
        return this.#onDeployed(message.worker)
      default:
        if (message.attempt === this.#parts.attempt) this.#handleRunning(message)
    }
  }

  #handleRunning(message: RunningMessage): void {
    const checkpointing = this.#checkpointing!
    if (!this.#isOfNow(message)) return
    switch (message.type) {
      case 'region-closed':
        return this.#lives.onClosed(message.region, message.round, message.worker)
      case 'region-deployed':
        return this.#lives.onDeployed(message.region, message.round, message.worker)
      case 'ended':
        return checkpointing.onEnded(message.subtask)
      case 'deltas':
        return checkpointing.onDeltas(message.worker, message.checkpoint, message.operator, message.chunks)
      case 'read':
        return this.#notes.add(message.subtask, message.sequence, message.splits)
      case 'progress':
        return checkpointing.onProgress(message.checkpoint, message.subtask, message.phase)
      case 'acknowledge':
        return checkpointing.onAcknowledge(message.checkpoint, message.snapshot, message.timing)
      case 'bad-record':
        return this.#parts.observer.onBadRecord(fromWireError(message.error))
      case 'memory-pressure':
        return checkpointing.onMemoryPressure(message.severe)
      default:
        unreachable(message)
    }
  }

  /** What a region told before it was closed counts for nothing. */
  #isOfNow(message: RunningMessage): boolean {
    switch (message.type) {
      case 'deltas':
        return this.#lives.isRunningOperator(message.operator)
      case 'acknowledge':
        return this.#lives.isRunning(message.snapshot.task)
      case 'ended':
      case 'progress':
      case 'read':
        return this.#lives.isRunningSubtask(message.subtask)
      default:
        return true
    }
  }

  // Starting

  #onGraphBuilt(worker: number, description: string): void {
    const difference = graphDifference(this.#parts.graph, JSON.parse(description) as readonly NodeDescription[])
    if (difference !== undefined) {
      throw new SluiceError('GRAPH_DIFFERS', `worker ${worker} built another graph from the same module: ${difference}`, {
        hint: 'a job module must build the same graph each time it is imported: nothing in its shape may depend on time, chance or the thread',
      })
    }
    if (this.#allHeard(worker) && this.#prepared !== undefined) this.#deploy(this.#prepared)
  }

  #deploy({ restores, lastCheckpoint, restored }: Prepared): void {
    if (this.#state !== 'starting') return
    this.#state = 'deploying'
    const shared = this.#shared(lastCheckpoint, restored, this.#parts.plan.edges)
    for (const [worker, deployment] of deploymentsOf(shared, restores, this.#workers.count).entries()) {
      this.#waitingFor.add(worker)
      this.#workers.post(worker, { type: 'deploy', attempt: this.#parts.attempt, deployment })
    }
    this.#watchdog = this.#beginWatching()
  }

  /** What all workers are given, with new memory for the channels of these exchanges. */
  #shared(lastCheckpoint: number, restored: Manifest, edges: ExecutionPlan['edges']): SharedDeployment {
    const { plan, run, store, settings } = this.#parts
    return {
      plan,
      run,
      isolatesRegions: this.#isolatesRegions,
      lastCheckpoint,
      restored: restored.checkpoint,
      stateFile: store.path,
      registry: store.registry(),
      stateMemoryBytes: (settings.stateMemoryBytes ?? Number.POSITIVE_INFINITY) / this.#workers.count,
      signals: this.#signals.shared,
      mode: modeOf(settings),
      rings: createRings(plan, edges),
      doorbells: this.#doorbells.shared,
      counters: this.#counters,
    }
  }

  // Regions

  /** Where nothing may be read twice, what a region has read and not handed on is known to its readers alone: then all starts again. */
  get #isolatesRegions(): boolean {
    return this.#regions.length > 1 && this.#parts.settings.guarantee !== 'at-most-once'
  }

  #onFailed(region: number | undefined, error: SluiceError): void {
    if (region === undefined || this.#state !== 'running') return this.#fail(error)
    // Of a job that has come to its end nothing is wanted any more but its commits.
    if (!this.#checkpointing!.isFinal) this.#lives.onFailed(region, error)
  }

  #regionHands(): RegionHands {
    const { attempt, regions, timers } = this.#parts
    return {
      workers: this.#workers.count,
      timers,
      decide: (error, region) => regions.decide(error, region),
      fail: (error) => this.#failWith(error),
      pause: () => this.#checkpointing!.pause(),
      close: (region, round) => {
        this.#checkpointing!.onRegionLost(this.#regions[region]!)
        this.#broadcast({ type: 'close-region', attempt, region, round })
        this.#doorbells.ringAll()
      },
      sweep: (region) => regions.sweep(region),
      deploy: (region, round) => this.#deployRegion(region, round),
      start: (region, round) => {
        this.#broadcast({ type: 'start-region', attempt, region, round })
        if (this.#draining) this.#drain()
      },
      resume: () => this.#checkpointing!.resume(),
    }
  }

  #deployRegion(region: number, round: number): void {
    const { plan, attempt, regions } = this.#parts
    const own = this.#regions[region]!
    const { restores, restored, stagingAttempt } = regions.prepare(own)
    const edges = plan.edges.filter(({ toTask }) => own.tasks.has(toTask))
    const shared = this.#shared(this.#checkpointing!.lastCheckpoint, restored, edges)
    for (const [worker, deployment] of deploymentsOf(shared, restores, this.#workers.count).entries()) {
      this.#workers.post(worker, { type: 'deploy-region', attempt, region, round, stagingAttempt, deployment })
    }
    this.#doorbells.ringAll()
  }

  #onDeployed(worker: number): void {
    if (!this.#allHeard(worker)) return
    const { attempt, observer } = this.#parts
    this.#state = 'running'
    this.#checkpointing = this.#beginCheckpointing(this.#prepared!)
    this.#broadcast({ type: 'start', attempt })
    if (this.#draining) this.#drain()
    observer.onDeployed(this.#counters, () => this.#checkpointing?.pending)
  }

  #beginCheckpointing({ restored, dropped, lastCheckpoint }: Prepared): Checkpointing {
    const { plan, graph, settings, store, committers, attempt, observer, timers } = this.#parts
    return new Checkpointing({
      timers,
      plan,
      graph,
      settings,
      store,
      committers,
      attempt,
      restored,
      dropped,
      lastCheckpoint,
      signals: this.#signals,
      broadcast: (message) => this.#broadcast(message),
      post: (worker, message, transfer) => this.#workers.post(worker, message, transfer),
      wake: () => this.#doorbells.ringAll(),
      observer,
      finished: () => this.#finish(),
      fail: (error) => this.#failWith(error),
    })
  }

  /** In the calling thread, whoever is stuck there is stuck together with the watchdog. */
  #beginWatching(): Watchdog | undefined {
    const { plan, settings } = this.#parts
    if (plan.workers === 0 || settings.watchdogMs === Number.POSITIVE_INFINITY) return undefined
    return new Watchdog({
      workers: this.#workers.count,
      signals: this.#signals,
      doorbells: this.#doorbells,
      subtasks: subtaskNames(plan),
      timeoutMs: settings.watchdogMs,
      // One that is ready before the others.
      isWaiting: (worker) => this.#state === 'deploying' && !this.#waitingFor.has(worker),
      bark: (error) => this.#fail(error),
    })
  }

  #allHeard(worker: number): boolean {
    this.#waitingFor.delete(worker)
    return this.#waitingFor.size === 0
  }

  // Ending

  #finish(): void {
    if (this.#state === 'over') return
    this.#end()
    this.#outcome.resolve()
  }

  #end(): void {
    this.#state = 'over'
    this.#watchdog?.stop()
    this.#notes.stop()
    this.#checkpointing?.stop()
  }

  /** What no one has named yet is the engine's own trouble, and it has to do with what it keeps. */
  #failWith(error: unknown): void {
    this.#fail(error instanceof SluiceError ? error : new SluiceError('STORE_FAILED', messageOf(error), { cause: error }))
  }

  #fail(error: SluiceError): void {
    if (this.#state === 'over') return
    this.#end()
    this.#outcome.reject(error)
  }

  #broadcast(message: ToWorker): void {
    for (let worker = 0; worker < this.#workers.count; worker++) this.#workers.post(worker, message)
  }
}
