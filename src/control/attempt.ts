import { CheckpointCoordinator, type CoordinatorCommand } from '../checkpoint/checkpoint-coordinator.ts'
import type { CheckpointStore } from '../checkpoint/checkpoint-store.ts'
import type { Manifest, StoredSubtask } from '../checkpoint/manifest.ts'
import { unreachable } from '../core/assert.ts'
import { fromWireError, messageOf, SluiceError } from '../core/errors.ts'
import type { ExecutionPlan } from '../graph/execution-plan.ts'
import { channelsOfEdge, subtaskName, subtaskNames, workerOfSubtask } from '../graph/execution-plan.ts'
import type { NodeDescription } from '../graph/stream-graph.ts'
import { graphDifference } from '../graph/stream-graph.ts'
import { createCounters } from '../protocol/counters.ts'
import { Doorbells } from '../protocol/doorbell.ts'
import type { FromWorker, SubtaskRestore, SubtaskSnapshot } from '../protocol/messages.ts'
import { createRing } from '../protocol/ring.ts'
import type { Committers } from './committers.ts'
import type { JobSettings } from './settings.ts'
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
  readonly startWorkers: (listener: WorkerListener) => Workers
  readonly observer: AttemptObserver
}

/** The restored checkpoint, dealt to the subtasks. */
export interface Prepared {
  readonly restores: Record<string, SubtaskRestore>
  /** The newest checkpoint id that may have been used. */
  readonly lastCheckpoint: number
}

/** What the person who watches the job wants to know. */
export interface AttemptObserver {
  onDeployed(counters: SharedArrayBuffer, pending: () => CheckpointCoordinator['pending']): void
  onCheckpoint(checkpoint: number, durationMs: number): void
  onCheckpointAborted(checkpoint: number, reason: string): void
}

/**
 * One attempt to run the job, from starting its workers to the final checkpoint or the first failure. Its life:
 *
 *   starting   workers import the job module and say which graph they built
 *   deploying  workers build their subtasks and restore them
 *   running    records flow, checkpoints come and go
 *   over       finished, or failed; every later message is ignored
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
  readonly #running: Set<string>
  #state: 'starting' | 'deploying' | 'running' | 'over' = 'starting'
  #prepared: Prepared | undefined
  #coordinator: CheckpointCoordinator | undefined
  #timer: NodeJS.Timeout | undefined
  #snapshots = new Map<string, StoredSubtask>()
  #triggeredMs = 0
  #wholeInput = false
  #stoppedEarly = false

  constructor(parts: AttemptParts) {
    this.#parts = parts
    this.#outcome = Promise.withResolvers<void>()
    this.#workers = parts.startWorkers(this)
    this.#waitingFor = new Set(Array.from({ length: this.#workers.count }, (_, worker) => worker))
    this.#running = new Set(subtaskNames(parts.plan))
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
      // Restoring and committing touch the store and the outputs: nothing of this attempt may go on beside the next one.
      await Promise.allSettled([this.#parts.prepared, this.#committed])
    }
  }

  /**
   * Whether the last checkpoint holds the whole input: every subtask had come to its end when it was triggered. What ends behind the barrier
   * of a checkpoint is not in it.
   */
  get inputEnded(): boolean {
    return this.#wholeInput
  }

  /** One more checkpoint, and the attempt is over. */
  requestStop(): void {
    if (this.#state === 'running') return this.#obey(this.#coordinator!.onEnding(now()))
    if (this.#state === 'over') return
    // Nothing has run yet, so there is nothing to checkpoint.
    this.#state = 'over'
    this.#stoppedEarly = true
    this.#outcome.resolve()
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
        return this.#fail(fromWireError(message.error))
      case 'graph-built':
        return this.#onGraphBuilt(message.worker, message.description)
      case 'deployed':
        return this.#onDeployed(message.worker)
      case 'ended':
        return this.#onEnded(message.subtask)
      case 'acknowledge':
        if (message.attempt === this.#parts.attempt) this.#onAcknowledge(message.checkpoint, message.snapshot)
        return
      default:
        unreachable(message)
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

  #deploy({ restores, lastCheckpoint }: Prepared): void {
    if (this.#state !== 'starting') return
    this.#state = 'deploying'
    const { plan, run, attempt } = this.#parts
    const doorbells = new Doorbells(this.#workers.count).shared
    this.#counters = createCounters(subtaskNames(plan).length)
    const rings = createRings(plan)
    for (let worker = 0; worker < this.#workers.count; worker++) {
      const own = Object.entries(restores).filter(
        ([name]) => workerOfSubtask(plan, Number(name.slice(name.lastIndexOf('/') + 1))) === worker,
      )
      const deployment = {
        plan,
        worker,
        run,
        lastCheckpoint,
        rings,
        doorbells,
        counters: this.#counters,
        restores: Object.fromEntries(own),
      }
      this.#waitingFor.add(worker)
      this.#workers.post(worker, { type: 'deploy', attempt, deployment })
    }
  }

  #counters: SharedArrayBuffer = createCounters(0)

  #onDeployed(worker: number): void {
    if (!this.#allHeard(worker)) return
    const { plan, settings, attempt, observer } = this.#parts
    const { lastCheckpoint } = this.#prepared!
    this.#state = 'running'
    this.#coordinator = new CheckpointCoordinator(settings.checkpoint, subtaskNames(plan), lastCheckpoint, now())
    for (let index = 0; index < this.#workers.count; index++) this.#workers.post(index, { type: 'start', attempt })
    observer.onDeployed(this.#counters, () => this.#coordinator?.pending)
    this.#schedule()
  }

  #allHeard(worker: number): boolean {
    this.#waitingFor.delete(worker)
    return this.#waitingFor.size === 0
  }

  // Running

  #onEnded(subtask: string): void {
    this.#running.delete(subtask)
    if (this.#running.size === 0) this.#obey(this.#coordinator!.onEnding(now()))
  }

  #onAcknowledge(checkpoint: number, snapshot: SubtaskSnapshot): void {
    const { committers, store } = this.#parts
    // Also of a checkpoint that was aborted meanwhile: what its sinks staged goes with the next one.
    for (const { operator, committables } of snapshot.operators) {
      if (committables !== undefined) committers.ledger.onPrepared(operator, snapshot.subtask, checkpoint, committables)
    }
    if (this.#coordinator!.pending?.checkpoint !== checkpoint) return
    const operators = snapshot.operators.map(({ committables: _, ...operator }) => ({
      ...operator,
      chunks: store.addChunks(checkpoint, operator.chunks),
    }))
    const name = subtaskName(snapshot.task, snapshot.subtask)
    this.#snapshots.set(name, { ...snapshot, operators })
    this.#obey(this.#coordinator!.onAcknowledge(checkpoint, name, now()))
  }

  #obey(commands: readonly CoordinatorCommand[]): void {
    for (const command of commands) this.#carryOut(command)
    this.#schedule()
  }

  #carryOut(command: CoordinatorCommand): void {
    const { attempt, store, observer } = this.#parts
    switch (command.type) {
      case 'trigger':
        store.begin(command.checkpoint)
        this.#wholeInput = this.#running.size === 0
        this.#snapshots = new Map()
        this.#triggeredMs = now()
        return this.#broadcast({ type: 'trigger-checkpoint', attempt, checkpoint: command.checkpoint })
      case 'store':
        return this.#complete(command.checkpoint)
      case 'abort':
        store.discard(command.checkpoint)
        observer.onCheckpointAborted(command.checkpoint, command.reason)
        return this.#broadcast({ type: 'abort-checkpoint', attempt, checkpoint: command.checkpoint })
      case 'fail':
        return this.#fail(
          new SluiceError('CHECKPOINT_FAILED', command.reason, {
            hint: 'see checkpoint.timeout and checkpoint.tolerableFailures',
          }),
        )
      case 'finished':
        return this.#finish()
      default:
        unreachable(command)
    }
  }

  #complete(checkpoint: number): void {
    const { plan, graph, store, committers, attempt, observer } = this.#parts
    const manifest: Manifest = {
      checkpoint,
      initial: false,
      attempt,
      completedAtMs: Date.now(),
      fingerprint: plan.fingerprint,
      graph,
      maxParallelism: plan.maxParallelism,
      subtasks: [...this.#snapshots.values()],
      committables: committers.ledger.listedBy(checkpoint),
    }
    store.complete(manifest)
    // From here on the checkpoint exists, and every error leads forward.
    committers.ledger.onCompleted(checkpoint)
    observer.onCheckpoint(checkpoint, now() - this.#triggeredMs)
    this.#commit(checkpoint)
    this.#obey(this.#coordinator!.onStored(checkpoint, now()))
  }

  #commit(checkpoint: number): void {
    const { committers, store, settings } = this.#parts
    const committed = committers.commitDue().then(() => {
      if (this.#state !== 'over') store.committed(checkpoint, settings.checkpoint.retain)
    })
    this.#committed = Promise.all([this.#committed, committed]).then(() => undefined)
    this.#committed.catch((error: unknown) => this.#failWith(error))
  }

  #committed: Promise<void> = Promise.resolve()

  #finish(): void {
    clearTimeout(this.#timer)
    this.#committed.then(
      () => {
        this.#state = 'over'
        this.#outcome.resolve()
      },
      (error: unknown) => this.#failWith(error),
    )
  }

  /** What no one has named yet is the engine's own trouble, and it has to do with what it keeps. */
  #failWith(error: unknown): void {
    this.#fail(error instanceof SluiceError ? error : new SluiceError('STORE_FAILED', messageOf(error), { cause: error }))
  }

  #fail(error: SluiceError): void {
    if (this.#state === 'over') return
    this.#state = 'over'
    clearTimeout(this.#timer)
    this.#outcome.reject(error)
  }

  #broadcast(message: Parameters<Workers['post']>[1]): void {
    for (let worker = 0; worker < this.#workers.count; worker++) this.#workers.post(worker, message)
  }

  #schedule(): void {
    clearTimeout(this.#timer)
    if (this.#state !== 'running') return
    const waitMs = this.#coordinator!.deadlineMs - now()
    // A timer of Node that is longer than 2^31 ms fires at once.
    if (waitMs !== Number.POSITIVE_INFINITY)
      this.#timer = setTimeout(() => this.#tick(), Math.min(Math.max(0, waitMs), 2 ** 31 - 1))
  }

  #tick(): void {
    try {
      this.#obey(this.#coordinator!.onTick(now()))
    } catch (error) {
      this.#failWith(error)
    }
  }
}

/** A clock that never goes back: intervals between checkpoints must not depend on somebody setting the time. */
function now(): number {
  return performance.now()
}

function createRings(plan: ExecutionPlan): Record<string, SharedArrayBuffer> {
  const rings: Record<string, SharedArrayBuffer> = {}
  for (const edge of plan.edges) {
    for (const channel of channelsOfEdge(plan, edge)) {
      if (workerOfSubtask(plan, channel.from) !== workerOfSubtask(plan, channel.to)) rings[channel.id] = createRing()
    }
  }
  return rings
}
