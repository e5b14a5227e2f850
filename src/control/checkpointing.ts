import { CheckpointCoordinator, type CoordinatorCommand } from '../checkpoint/checkpoint-coordinator.ts'
import type { CheckpointRecord } from '../checkpoint/checkpoint-history.ts'
import type { CheckpointStore } from '../checkpoint/checkpoint-store.ts'
import { DeltaBook } from '../checkpoint/delta-book.ts'
import type { DroppedState, Manifest, StoredSubtask } from '../checkpoint/manifest.ts'
import { unreachable } from '../core/assert.ts'
import { SluiceError } from '../core/errors.ts'
import type { Timers } from '../core/time.ts'
import type { ExecutionPlan } from '../graph/execution-plan.ts'
import { subtaskName, subtaskNames, taskOfSubtask } from '../graph/execution-plan.ts'
import type { Region } from '../graph/regions.ts'
import type { NodeDescription } from '../graph/stream-graph.ts'
import type { SubtaskSnapshot, SubtaskTiming, ToWorker } from '../protocol/messages.ts'
import type { Signals } from '../protocol/signals.ts'
import type { DeltaChunk } from '../state/delta-chunk.ts'
import type { Committers } from './committers.ts'
import { Folding } from './folding.ts'
import type { JobSettings } from './settings.ts'
import { MEMORY_HINT } from './workers.ts'

/** What the checkpoints of an attempt work with. */
export interface CheckpointingParts {
  readonly plan: ExecutionPlan
  readonly graph: readonly NodeDescription[]
  readonly settings: JobSettings
  readonly store: CheckpointStore
  readonly committers: Committers
  readonly attempt: number
  /** The checkpoint that the attempt began with. */
  readonly restored: Manifest
  /** States of it that the job no longer has. */
  readonly dropped: readonly DroppedState[]
  readonly lastCheckpoint: number
  readonly signals: Signals
  /** Tells all workers. */
  readonly broadcast: (message: ToWorker) => void
  readonly post: (worker: number, message: ToWorker, transfer: readonly ArrayBuffer[]) => void
  readonly timers: Timers
  /** Wakes all workers that sleep. */
  readonly wake: () => void
  readonly observer: CheckpointObserver
  /** The final checkpoint is complete and committed. */
  readonly finished: () => void
  readonly fail: (error: unknown) => void
}

/** What the person who watches the job wants to know. */
export interface CheckpointObserver {
  onCheckpoint(record: CheckpointRecord): void
  onCheckpointAborted(record: CheckpointRecord): void
}

/** A checkpoint that is being taken. */
interface Flight {
  readonly triggeredAtMs: number
  readonly triggeredMs: number
  readonly purpose: CheckpointRecord['purpose']
  /** Whether every subtask had come to its end when it was triggered: what ends behind its barrier is not in it. */
  readonly wholeInput: boolean
  readonly snapshots: Map<string, StoredSubtask>
  readonly timings: Map<string, SubtaskTiming>
}

interface Request {
  readonly resolve: (manifest: Manifest) => void
  readonly reject: (error: SluiceError) => void
}

/** Asked for by the memory of the workers, not by a person. */
const MEMORY = 'memory'
const HEAP_SHARE_MAX = 0.8

/**
 * The hands of the checkpoint coordinator in one attempt: carries out its commands, keeps the books of what has been prepared and changed,
 * and has the rest done that follows from a complete checkpoint: commits, folding, letting old ones go.
 *
 * What always holds, and everything here follows from it: the return of `store.complete` is the completion. Before it nothing is told to anyone; after it
 * every error leads forward.
 */
export class Checkpointing {
  readonly #parts: CheckpointingParts
  readonly #coordinator: CheckpointCoordinator
  readonly #deltas: DeltaBook
  readonly #folding: Folding
  readonly #running: Set<string>
  readonly #flights = new Map<number, Flight>()
  readonly #requests = new Map<string, Request>()
  readonly #heapWarnings = new Map<string, number>()
  /** Memory of chunks that are on the disk, by the worker that they came from. */
  #written: (ArrayBuffer[] | undefined)[] = []
  #requestNumber = 0
  #forgetTimer: () => void = () => undefined
  #over = false
  #committed: Promise<void> = Promise.resolve()
  #wholeInput = false
  #isFinal = false
  /** Somebody wants the job to stop, whatever its input. */
  #stopWanted = false
  /** Why the last checkpoint could not be stored, if that is how it failed. */
  #storeFailure: SluiceError | undefined

  constructor(parts: CheckpointingParts) {
    this.#parts = parts
    const { plan, settings, store, restored, lastCheckpoint } = parts
    this.#running = new Set(subtaskNames(plan))
    this.#deltas = new DeltaBook(store.unfolded(restored))
    this.#coordinator = new CheckpointCoordinator(settings.checkpoint, subtaskNames(plan), lastCheckpoint, this.#nowMs)
    this.#folding = new Folding(
      store,
      (checkpoint) => this.#onFolded(checkpoint),
      (error) => parts.fail(error),
      parts.timers,
    )
    this.#schedule()
    this.#folding.consider()
  }

  /** The oldest checkpoint that is not acknowledged by all. */
  get pending(): CheckpointCoordinator['pending'] {
    return this.#coordinator.pending
  }

  /** Whether the last complete checkpoint holds the whole input. */
  get wholeInput(): boolean {
    return this.#wholeInput
  }

  /** The last checkpoint is complete: nothing is wanted of the tasks any more, and what is left is to commit. */
  get isFinal(): boolean {
    return this.#isFinal
  }

  /** Takes a checkpoint as soon as may be. Settles when it is complete. @throws SluiceError `CHECKPOINT_FAILED` */
  request(purpose: 'savepoint' | 'requested'): Promise<Manifest> {
    const { promise, resolve, reject } = Promise.withResolvers<Manifest>()
    const request = `${purpose}-${++this.#requestNumber}`
    this.#requests.set(request, { resolve, reject })
    if (this.#over) reject(over())
    else this.#obey(this.#coordinator.onRequest(request, this.#nowMs))
    return promise
  }

  /** One more checkpoint, and the attempt is over. */
  end(): void {
    this.#stopWanted = true
    this.#obey(this.#coordinator.onEnding(this.#nowMs))
  }

  // Regions that start again

  /** No checkpoint can be taken: a region is away. */
  pause(): void {
    this.#obey(this.#coordinator.onRegionLost())
  }

  /** What a region did since the last complete checkpoint counts for nothing. */
  onRegionLost({ tasks, operators }: Region): void {
    const { plan, store, committers } = this.#parts
    committers.ledger.onRestarted(operators)
    store.forgetDeltas(this.#deltas.onRestarted(operators, store.latestCheckpoint!))
    for (const name of subtaskNames(plan)) if (tasks.has(taskOfSubtask(name))) this.#running.add(name)
  }

  /** All regions run. */
  resume(): void {
    this.#obey(this.#coordinator.onRegionsBack(this.#nowMs))
    if (this.#stopWanted) this.#obey(this.#coordinator.onEnding(this.#nowMs))
  }

  /** The newest id that was used. */
  get lastCheckpoint(): number {
    return this.#coordinator.lastCheckpoint
  }

  /** The base stays as it is, so that somebody can read a checkpoint that older ones may soon make way for. */
  async held<R>(action: () => Promise<R>): Promise<R> {
    this.#folding.hold()
    try {
      return await action()
    } finally {
      this.#folding.letGo()
      this.#makeRoom()
    }
  }

  /** Settles when everything that is complete by now is committed. */
  get committed(): Promise<void> {
    return this.#committed
  }

  /** Brings the base up to date, so that the next start has nothing to do before its first record. */
  async foldAll(): Promise<void> {
    await this.#folding.drain()
  }

  get #nowMs(): number {
    return this.#parts.timers.nowMs()
  }

  // What the workers tell

  onEnded(subtask: string): void {
    this.#running.delete(subtask)
    if (this.#running.size === 0) this.#obey(this.#coordinator.onEnding(this.#nowMs))
  }

  onDeltas(worker: number, checkpoint: number, operator: string, chunks: readonly DeltaChunk[]): void {
    const written = (bytes: DeltaChunk['bytes']): void => {
      const pieces = (this.#written[worker] ??= [])
      pieces.push(bytes.buffer)
    }
    this.#deltas.onStored(this.#parts.store.addDeltas(checkpoint, operator, chunks, written))
    this.#giveBack()
  }

  #giveBack(): void {
    const { attempt, post } = this.#parts
    for (const [worker, pieces] of this.#written.entries()) {
      if (pieces !== undefined) post(worker, { type: 'chunk-memory', attempt, pieces }, pieces)
    }
    this.#written = []
  }

  onProgress(checkpoint: number, subtask: string, phase: 'alignment' | 'snapshot'): void {
    this.#obey(this.#coordinator.onProgress(checkpoint, subtask, phase, this.#nowMs))
  }

  onAcknowledge(checkpoint: number, snapshot: SubtaskSnapshot, timing: SubtaskTiming): void {
    const name = subtaskName(snapshot.task, snapshot.subtask)
    this.#watchHeap(name, snapshot, timing)
    // Also of a checkpoint that was aborted meanwhile: what its sinks staged goes with the next one.
    for (const { operator, committables } of snapshot.operators) {
      if (committables !== undefined) {
        this.#parts.committers.ledger.onPrepared(operator, snapshot.subtask, checkpoint, committables)
      }
    }
    const flight = this.#flights.get(checkpoint)
    if (flight === undefined) return
    const operators = snapshot.operators.map(({ committables: _, ...operator }) => operator)
    flight.snapshots.set(name, { ...snapshot, operators })
    flight.timings.set(name, timing)
    this.#obey(this.#coordinator.onAcknowledge(checkpoint, name, this.#nowMs))
  }

  /** Twice in a row, because what is used may be garbage once. */
  #watchHeap(name: string, snapshot: SubtaskSnapshot, { heapBytes, heapLimitBytes }: SubtaskTiming): void {
    const isHigh = heapBytes > HEAP_SHARE_MAX * heapLimitBytes
    const times = isHigh ? (this.#heapWarnings.get(name) ?? 0) + 1 : 0
    this.#heapWarnings.set(name, times)
    if (times < 2) return
    const megabytes = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MB`
    throw new SluiceError(
      'OUT_OF_MEMORY',
      `the thread of '${name}' uses ${megabytes(heapBytes)} of the ${megabytes(heapLimitBytes)} of its heap`,
      {
        operator: snapshot.task,
        subtask: snapshot.subtask,
        hint: MEMORY_HINT,
      },
    )
  }

  /** State that is in memory alone cannot be evicted: a checkpoint brings it to where it can be. */
  onMemoryPressure(severe: boolean): void {
    if (severe) this.#parts.signals.throttled = true
    if (this.#flights.size === 0 && !this.#coordinator.waitingRequests.includes(MEMORY)) {
      this.#obey(this.#coordinator.onRequest(MEMORY, this.#nowMs))
    }
    this.#folding.consider(true)
  }

  // What the coordinator wants

  #obey(commands: readonly CoordinatorCommand[]): void {
    if (this.#over) return
    for (const command of commands) this.#carryOut(command)
    this.#schedule()
  }

  #carryOut(command: CoordinatorCommand): void {
    switch (command.type) {
      case 'trigger':
        return this.#trigger(command.checkpoint, purposeOf(command))
      case 'unalign':
        return this.#unalign(command.checkpoint)
      case 'store':
        return this.#complete(command.checkpoint, command.requests)
      case 'abort':
        return this.#abort(command)
      case 'fail':
        return this.#parts.fail(
          new SluiceError('CHECKPOINT_FAILED', command.reason, {
            hint: this.#storeFailure?.hint ?? 'see checkpoint.timeout and checkpoint.tolerableFailures',
            cause: this.#storeFailure,
          }),
        )
      case 'finished':
        this.#serve(command.requests, this.#parts.store.manifest(command.checkpoint))
        return this.#finish()
      default:
        unreachable(command)
    }
  }

  #trigger(checkpoint: number, purpose: CheckpointRecord['purpose']): void {
    const { store, attempt, broadcast, settings } = this.#parts
    store.begin(checkpoint)
    this.#flights.set(checkpoint, {
      triggeredAtMs: Date.now(),
      triggeredMs: this.#nowMs,
      purpose,
      wholeInput: this.#running.size === 0,
      snapshots: new Map(),
      timings: new Map(),
    })
    broadcast({ type: 'trigger-checkpoint', attempt, checkpoint, final: purpose === 'final' })
    if (settings.checkpoint.mode === 'unaligned') this.#unalign(checkpoint)
  }

  /**
   * Every task takes its snapshot at its next record, and stores what is on its way to it. Not for a savepoint, nor for the last checkpoint, which may
   * become one: what is on its way fits only the tasks of this graph and parallelism, and a savepoint is there to change them.
   */
  #unalign(checkpoint: number): void {
    const purpose = this.#flights.get(checkpoint)?.purpose
    if (purpose === 'savepoint' || purpose === 'final') return
    this.#parts.signals.urgent = checkpoint
    this.#parts.wake()
  }

  #abort(command: Extract<CoordinatorCommand, { type: 'abort' }>): void {
    const { checkpoint, reason, failure, requests } = command
    if (failure?.phase !== 'store') this.#storeFailure = undefined
    const { attempt, broadcast, signals, observer, store } = this.#parts
    const flight = this.#flights.get(checkpoint)
    this.#flights.delete(checkpoint)
    if (signals.urgent === checkpoint) signals.urgent = 0
    broadcast({ type: 'abort-checkpoint', attempt, checkpoint })
    if (flight !== undefined && failure !== undefined) {
      const record: CheckpointRecord = { ...this.#record(checkpoint, flight), status: 'failed', failure }
      observer.onCheckpointAborted(record)
      this.#note(() => store.failed(record))
    }
    for (const request of requests) {
      this.#take(request)?.reject(new SluiceError('CHECKPOINT_FAILED', `checkpoint ${checkpoint}: ${reason}`))
    }
  }

  /** The history is worth nothing beside the job: where there is no room for it, it has a gap. */
  #note(action: () => void): void {
    try {
      action()
    } catch (error) {
      if (!(error instanceof SluiceError && error.code === 'DISK_FULL')) throw error
    }
  }

  #record(checkpoint: number, flight: Flight): Omit<CheckpointRecord, 'status'> {
    return {
      checkpoint,
      triggeredAtMs: flight.triggeredAtMs,
      durationMs: this.#nowMs - flight.triggeredMs,
      bytes: this.#deltas.bytesOf(checkpoint),
      attempt: this.#parts.attempt,
      ...(flight.purpose === undefined ? {} : { purpose: flight.purpose }),
      subtasks: Object.fromEntries(flight.timings),
    }
  }

  #complete(checkpoint: number, requests: readonly string[]): void {
    const { plan, graph, store, committers, attempt, observer, dropped, broadcast } = this.#parts
    const flight = this.#flights.get(checkpoint)!
    const manifest: Manifest = {
      checkpoint,
      initial: false,
      attempt,
      completedAtMs: Date.now(),
      fingerprint: plan.fingerprint,
      graph,
      maxParallelism: plan.maxParallelism,
      subtasks: [...flight.snapshots.values()],
      committables: committers.ledger.listedBy(checkpoint),
      deltas: this.#deltas.listedBy(checkpoint, store.foldedThrough),
      dropped,
    }
    const record: CheckpointRecord = { ...this.#record(checkpoint, flight), status: 'completed' }
    if (!this.#store(manifest, record)) return
    this.#giveBack()
    // From here on the checkpoint exists, and every error leads forward.
    for (const id of this.#flights.keys()) if (id <= checkpoint) this.#flights.delete(id)
    this.#wholeInput = flight.wholeInput
    committers.ledger.onCompleted(checkpoint)
    observer.onCheckpoint(record)
    broadcast({ type: 'go-on', attempt, checkpoint })
    this.#commit()
    // Before anything else happens, so that whoever waits for it can hold the base as it is.
    this.#serve(requests, manifest)
    this.#obey(this.#coordinator.onStored(checkpoint, this.#nowMs))
  }

  /** False: the disk is full, and nothing of the checkpoint is there. */
  #store(manifest: Manifest, record: CheckpointRecord): boolean {
    const { store } = this.#parts
    try {
      store.complete(manifest, record)
      return true
    } catch (error) {
      // Whether it is there is seen by looking, and not by what the call said.
      if (store.latestCheckpoint === manifest.checkpoint) return true
      if (!(error instanceof SluiceError && error.code === 'DISK_FULL')) throw error
      this.#storeFailure = error
      this.#obey(this.#coordinator.onStoreFailed(manifest.checkpoint, error.message, this.#nowMs))
      return false
    }
  }

  #serve(requests: readonly string[], manifest: Manifest): void {
    for (const request of requests) this.#take(request)?.resolve(manifest)
  }

  #take(request: string): Request | undefined {
    const taken = this.#requests.get(request)
    this.#requests.delete(request)
    return taken
  }

  #commit(): void {
    const { committers, fail } = this.#parts
    const committed = committers.commitDue().then(() => {
      this.#noteCommits()
      this.#makeRoom()
    })
    this.#committed = Promise.all([this.#committed, committed]).then(() => undefined)
    this.#committed.catch(fail)
    // A sink that is behind does not keep the others' progress from being noted.
    this.#noteCommits()
  }

  #noteCommits(): void {
    const { committers, store, settings } = this.#parts
    const { committedThrough } = committers
    if (this.#over || committedThrough <= store.committedThrough) return
    this.#note(() => store.committed(committedThrough, settings.checkpoint.retain))
    this.#folding.consider()
  }

  /**
   * Sources wait for room that only a fold makes, however little there is to fold: who stands still does not ask a second time. As long as older
   * checkpoints that are kept leave nothing to fold, further ones take their place.
   */
  #makeRoom(): void {
    const { store, signals } = this.#parts
    if (this.#over || !signals.throttled) return
    if (store.foldable() === undefined) this.#obey(this.#coordinator.onRequest(MEMORY, this.#nowMs))
    this.#folding.consider(true)
  }

  #onFolded(checkpoint: number): void {
    const { store, attempt, broadcast, signals, wake } = this.#parts
    this.#deltas.onFolded(checkpoint)
    if (this.#over) return
    broadcast({ type: 'folded', attempt, checkpoint, registry: store.registry() })
    if (!signals.throttled) return
    signals.throttled = false
    wake()
  }

  #finish(): void {
    this.#isFinal = true
    this.#forgetTimer()
    this.#committed.then(() => this.#parts.finished(), this.#parts.fail)
  }

  /** The attempt is over: nothing is begun any more. */
  stop(): void {
    this.#over = true
    this.#forgetTimer()
    for (const request of [...this.#requests.keys()]) this.#take(request)?.reject(over())
  }

  /** Settles when nothing of this attempt touches the store or the outputs any more. */
  async settled(): Promise<void> {
    await Promise.allSettled([this.#folding.stop(), this.#parts.committers.abandon(), this.#committed])
  }

  #schedule(): void {
    this.#forgetTimer()
    if (this.#over) return
    const waitMs = this.#coordinator.deadlineMs - this.#nowMs
    if (waitMs !== Number.POSITIVE_INFINITY) this.#forgetTimer = this.#parts.timers.set(() => this.#tick(), waitMs)
  }

  #tick(): void {
    try {
      this.#obey(this.#coordinator.onTick(this.#nowMs))
    } catch (error) {
      this.#parts.fail(error)
    }
  }
}

function purposeOf({ requests, final }: Extract<CoordinatorCommand, { type: 'trigger' }>): CheckpointRecord['purpose'] {
  if (final) return 'final'
  if (requests.some((request) => request.startsWith('savepoint'))) return 'savepoint'
  return requests.length > 0 ? 'requested' : undefined
}

function over(): SluiceError {
  return new SluiceError('CHECKPOINT_FAILED', 'the attempt is over', { hint: 'the job was restarted or has ended; ask again' })
}
