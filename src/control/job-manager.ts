import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { CheckpointRecord } from '../checkpoint/checkpoint-history.ts'
import { CheckpointStore, type Claim } from '../checkpoint/checkpoint-store.ts'
import type { Manifest } from '../checkpoint/manifest.ts'
import { removeSavepoint, writeSavepoint } from '../checkpoint/savepoint.ts'
import { messageOf, SluiceError, toWireError } from '../core/errors.ts'
import { systemClock, systemTimers } from '../core/time.ts'
import type { ExecutionPlan } from '../graph/execution-plan.ts'
import { planExecution } from '../graph/execution-plan.ts'
import type { StreamGraph } from '../graph/stream-graph.ts'
import { validateGraph } from '../graph/stream-graph.ts'
import type { EarlierOutcome } from '../protocol/messages.ts'
import type { Attempt } from './attempt.ts'
import { Attempts } from './attempts.ts'
import { Committers } from './committers.ts'
import { startControlServer } from './control-server.ts'
import { isMarkedFinished, markFinished, removeFinishMark } from './finish-mark.ts'
import type { JobControl, JobStatus, SavepointOptions, SavepointResult, StopOptions, StopResult } from './job-control.ts'
import { Progress } from './progress.ts'
import { ExplicitStart } from './restore-point.ts'
import { Restoring } from './restoring.ts'
import type { JobSettings } from './settings.ts'
import { onInterrupt, watchStop } from './signals.ts'
import { startInline, startThreads, type Workers } from './workers.ts'

/** How a run ended. */
export interface JobResult {
  /** `stopped` when the user asked for it; the next run resumes. */
  readonly status: 'finished' | 'stopped'
  /** Restarts after failures, in this process. */
  readonly restarts: number
  /** Checkpoints completed by this process. */
  readonly checkpoints: number
  /** Records that sources read, over the whole run: each is counted once, also after failures. */
  readonly recordsIn: number
  /** Records that sinks took, counted likewise. */
  readonly recordsOut: number
  /** Records that were passed over or went to the dead letters (`onBadRecord`), counted likewise. */
  readonly badRecords: number
  /** The folder of the savepoint that the stop has left, when it was asked for one. */
  readonly savepoint?: string
}

/** How jobs ended that this program has run, for workers whose module runs several. */
const earlierOutcomes: Record<string, EarlierOutcome> = {}

/**
 * Runs a job to its end. One attempt after the other: claim the state, restore the newest checkpoint, run; after a failure wait as the
 * restart strategy says and do it again.
 * @throws SluiceError what made the job fail for good
 */
export async function runJob(graph: StreamGraph, settings: JobSettings, module: string | undefined): Promise<JobResult> {
  validateGraph(graph)
  const plan = planExecution(graph, { ...settings, module: module ?? '' })
  const store = CheckpointStore.open(settings.stateDirectory, graph.job)
  let claim: Claim
  try {
    claim = store.claim(randomUUID)
  } catch (error) {
    await store.close()
    throw error
  }
  const manager = new JobManager(graph, plan, settings, store, claim)
  try {
    const result = await manager.run()
    earlierOutcomes[graph.job] = { result }
    return result
  } catch (error) {
    earlierOutcomes[graph.job] = { error: toWireError(error) }
    throw error
  }
}

class JobManager implements JobControl {
  readonly #graph: StreamGraph
  readonly #plan: ExecutionPlan
  readonly #settings: JobSettings
  readonly #store: CheckpointStore
  readonly #progress: Progress
  readonly #startedAtMs = Date.now()
  #claim: Claim
  #committers: Committers | undefined
  #attempts: Attempts | undefined
  #checkpoints = 0
  #lastCheckpoint: CheckpointRecord | undefined
  /** How the user wants it to end. */
  #stopping: StopOptions | undefined
  #stopped = Promise.withResolvers<StopResult>()
  #unwatchStop: () => void = () => undefined
  readonly #restoring: Restoring

  constructor(graph: StreamGraph, plan: ExecutionPlan, settings: JobSettings, store: CheckpointStore, claim: Claim) {
    this.#graph = graph
    this.#plan = plan
    this.#settings = settings
    this.#store = store
    this.#claim = claim
    this.#progress = new Progress(plan, settings.progress)
    this.#restoring = new Restoring(graph, plan, settings, store, systemTimers, (message) => this.#progress.note(message))
    // Whoever asks for a stop waits for it; when nobody does, nobody is missing.
    this.#stopped.promise.catch(() => undefined)
  }

  async run(): Promise<JobResult> {
    const forgetSignals = onInterrupt(() => this.#requestStop({ savepoint: true, drain: false }))
    let server: Awaited<ReturnType<typeof startControlServer>> | undefined
    let finished = false
    let failure: unknown
    try {
      await this.#progress.prepare()
      await this.#beginRun()
      server = await this.#openControl()
      this.#attempts = this.#makeAttempts()
      if (this.#stopping !== undefined) this.#tellStop(this.#stopping)
      await this.#attempts.run()
      finished = this.#stopping === undefined || this.#inputEnded
      const result = await this.#end(finished)
      this.#stopped.resolve(stopResultOf(result, this.#store.latestCheckpoint))
      return result
    } catch (error) {
      failure = namingOlder(error, this.#store)
      this.#stopped.reject(failure)
      throw failure
    } finally {
      forgetSignals()
      this.#progress.close()
      try {
        await this.#committers?.close(finished)
      } finally {
        this.#unwatchStop()
        await this.#store.release(finished).catch((error: unknown) => {
          // What made the job fail is to be known, and not that there was no room to say so: who finds no live owner takes the state.
          if (failure === undefined) throw error
        })
        if (finished) markFinished(this.#store.directory, this.#claim.run)
        // Last, because a client takes the end of its connection for the job having given its state back.
        await server?.close()
      }
    }
  }

  /** A job that cannot be asked from outside runs all the same. */
  async #openControl(): Promise<Awaited<ReturnType<typeof startControlServer>> | undefined> {
    try {
      return await startControlServer(this.#store.directory, this)
    } catch (error) {
      this.#progress.note(`${messageOf(error)}; the job runs on and cannot be asked from outside`)
      return undefined
    }
  }

  get #inputEnded(): boolean {
    return this.#attempts?.current?.inputEnded === true
  }

  // Beginning

  async #beginRun(): Promise<void> {
    const finished = this.#store.finished && isMarkedFinished(this.#store.directory, this.#claim.run)
    if (this.#settings.from !== undefined) await this.#beginFrom(this.#settings.from)
    else if (finished || this.#settings.fresh) await this.#beginFresh(finished)
    else {
      const latest = this.#store.latestCheckpoint
      if (latest !== undefined) this.#progress.note(`resuming from checkpoint ${latest}`)
    }
    this.#committers ??= this.#makeCommitters(this.#claim.run)
    this.#store.sweep()
  }

  #makeCommitters(run: string): Committers {
    const { commitTimeoutMs } = this.#settings
    return new Committers(this.#graph, run, (message) => this.#progress.note(message), { commitTimeoutMs })
  }

  async #beginFresh(finished: boolean): Promise<void> {
    const latest = this.#store.latestCheckpoint
    const run = randomUUID()
    this.#committers = this.#makeCommitters(run)
    // A start that is refused must leave the state as it was: it may be one that somebody wants to resume.
    await this.#committers.checkFresh(this.#settings.overwrite, this.#claim.attempt)
    if (latest !== undefined && !finished) {
      this.#progress.note(`--fresh: forgetting checkpoint ${latest} and everything before it, in ${this.#store.directory}`)
    }
    this.#claim = this.#store.forget(run)
    removeFinishMark(this.#store.directory)
  }

  async #beginFrom(from: string): Promise<void> {
    if (this.#settings.fresh) {
      throw new SluiceError('INVALID_OPTION', '--fresh and --from say different things about where to begin')
    }
    const checkFresh = (): Promise<void> => {
      this.#committers = this.#makeCommitters(this.#claim.run)
      return this.#committers.checkFresh(this.#settings.overwrite, this.#claim.attempt)
    }
    this.#claim = (await new ExplicitStart(from, this.#restoring.context, checkFresh).begin()) ?? this.#claim
    removeFinishMark(this.#store.directory)
  }

  #makeAttempts(): Attempts {
    return new Attempts(
      {
        graph: this.#graph,
        plan: this.#plan,
        settings: this.#settings,
        store: this.#store,
        committers: this.#committers!,
        restoring: this.#restoring,
        timers: systemTimers,
        startWorkers: (listener): Workers =>
          this.#plan.workers === 0
            ? startInline(this.#graph, systemClock, (operator) => this.#store.base(operator), listener)
            : startThreads(this.#plan.workers, { job: this.#graph.job, module: this.#plan.module, earlierOutcomes }, listener),
        observer: {
          onDeployed: (counters, pending) => this.#progress.follow(counters, pending),
          onBadRecord: (error) => this.#progress.badRecord(error),
          onFailed: (error, delayMs, tasks) => this.#progress.failed(error, delayMs, tasks),
          onCheckpoint: (record) => {
            this.#checkpoints++
            this.#lastCheckpoint = record
            this.#progress.checkpoint(record)
          },
          onCheckpointAborted: ({ checkpoint, failure }) =>
            this.#progress.note(`checkpoint ${checkpoint} was given up: ${failure!.message}`),
        },
      },
      this.#claim,
    )
  }

  // Ending

  #requestStop(options: StopOptions): void {
    if (this.#stopping !== undefined) return
    this.#stopping = options
    this.#progress.note(
      options.drain
        ? 'draining: reading no more, everything behind comes to its end'
        : 'stopping: one more checkpoint; press Ctrl-C again to stop at once',
    )
    this.#unwatchStop = watchStop({
      committing: () => this.#committers?.ledger.due().map(({ operator }) => operator) ?? [],
      say: (message) => this.#progress.note(message),
    })
    this.#tellStop(options)
  }

  #tellStop({ drain }: StopOptions): void {
    if (drain) this.#attempts?.requestDrain()
    else this.#attempts?.requestStop()
  }

  async #end(finished: boolean): Promise<JobResult> {
    const savepoint = await this.#lastSavepoint(finished)
    await this.#forgetClaimed()
    // The next start of a job that was stopped has nothing to do, then, before its first record.
    if (!finished) await this.#restoring.foldAll()
    return { ...this.#result(finished ? 'finished' : 'stopped', savepoint), ...(savepoint === undefined ? {} : { savepoint }) }
  }

  /** Of a job that came to its end by itself while it was being stopped, there is nothing left to go on with. */
  async #lastSavepoint(finished: boolean): Promise<string | undefined> {
    const latest = this.#stopping?.savepoint ? this.#store.latest() : undefined
    if (latest === undefined || latest.initial || (finished && this.#stopping?.drain !== true)) return undefined
    const { path } = await this.#export(latest, this.#stopping?.directory)
    return path
  }

  async #export(manifest: Manifest, directory: string | undefined): Promise<SavepointResult> {
    const { stateDirectory, savepointDirectory } = this.#settings
    const folder = directory ?? savepointDirectory ?? join(stateDirectory, `${this.#graph.job}-savepoints`)
    const { path } = await writeSavepoint(this.#store, { ...manifest, committables: [] }, folder)
    this.#progress.note(`savepoint ${path}, which is checkpoint ${manifest.checkpoint}`)
    return { path, checkpoint: manifest.checkpoint }
  }

  /** A savepoint that was claimed has served once the job has a checkpoint of its own. */
  async #forgetClaimed(): Promise<void> {
    const { from, claim } = this.#settings
    if (!claim || from === undefined || this.#checkpoints === 0 || /^\d+$/.test(from)) return
    await removeSavepoint(from)
  }

  // Asked from outside

  status(): JobStatus {
    const attempts = this.#attempts
    const checkpointing = attempts?.current?.checkpointing
    const pending = checkpointing?.pending
    const record = this.#lastCheckpoint
    return {
      job: this.#graph.job,
      pid: process.pid,
      run: this.#claim.run,
      attempt: attempts?.number ?? this.#claim.attempt,
      state:
        this.#stopping !== undefined ? 'stopping' : attempts?.restarting ? 'restarting' : checkpointing ? 'running' : 'starting',
      startedAtMs: this.#startedAtMs,
      restarts: attempts?.restarts ?? 0,
      parallelism: this.#settings.parallelism,
      workers: this.#plan.workers,
      lastCheckpoint:
        record === undefined
          ? null
          : {
              id: record.checkpoint,
              completedAtMs: record.triggeredAtMs + record.durationMs,
              durationMs: record.durationMs,
              bytes: record.bytes,
            },
      inFlightCheckpoint: pending === undefined ? null : { id: pending.checkpoint, missing: pending.missing },
      tasks: this.#progress.tasks(),
      lastFailure: attempts?.lastFailure === undefined ? null : toWireError(attempts.lastFailure),
    }
  }

  async checkpoint(): Promise<{ readonly checkpoint: number }> {
    const { checkpoint } = await this.#running.request('requested')
    return { checkpoint }
  }

  async savepoint({ directory }: SavepointOptions): Promise<SavepointResult> {
    const checkpointing = this.#running
    const manifest = await checkpointing.request('savepoint')
    return await checkpointing.held(async () => {
      // What the checkpoint lists is committed by this run; whoever restores the savepoint must not look for it.
      await checkpointing.committed
      return await this.#export(manifest, directory)
    })
  }

  async stop(options: StopOptions): Promise<StopResult> {
    this.#requestStop(options)
    return await this.#stopped.promise
  }

  get #running(): NonNullable<Attempt['checkpointing']> {
    const checkpointing = this.#attempts?.current?.checkpointing
    if (checkpointing !== undefined && this.#stopping === undefined) return checkpointing
    throw new SluiceError('CONTROL_FAILED', `the job is ${this.status().state} and takes no checkpoint just now`, {
      hint: 'ask again in a moment',
    })
  }

  #result(status: JobResult['status'], savepoint: string | undefined): JobResult {
    const records = { in: 0, out: 0, bad: 0 }
    const types = new Map(
      this.#plan.tasks.flatMap((task) => task.operators.map((operator) => [operator.id, operator.type] as const)),
    )
    for (const operator of this.#store.latest()?.subtasks.flatMap((subtask) => subtask.operators) ?? []) {
      if (types.get(operator.operator) === 'source') records.in += operator.records
      if (types.get(operator.operator) === 'sink') records.out += operator.records
      records.bad += operator.badRecords ?? 0
    }
    this.#progress.ended(status, records, savepoint)
    return {
      status,
      restarts: this.#attempts?.restarts ?? 0,
      checkpoints: this.#checkpoints,
      recordsIn: records.in,
      recordsOut: records.out,
      badRecords: records.bad,
    }
  }
}

/** Nothing is tried in the place of a damaged checkpoint, but whoever reads of it learns what could be. What an operator has damaged is in all. */
function namingOlder(error: unknown, store: CheckpointStore): unknown {
  const isNewest = error instanceof SluiceError && error.code === 'CHECKPOINT_UNREADABLE' && error.operator === undefined
  const latest = isNewest ? store.latestCheckpoint : undefined
  const older = latest === undefined ? undefined : store.readableBefore(latest)
  if (!isNewest || older === undefined) return error
  // Whoever goes back to before the first record begins anew, over output that is there.
  const flags = `--from ${older}${store.manifest(older).initial ? ' --overwrite' : ''}`
  return new SluiceError(error.code, error.message, {
    cause: error.cause,
    hint: `nothing was changed; checkpoint ${older} is whole: ${flags} goes back to it, and output that was committed since then is written again. Or restore the state folder from a copy`,
  })
}

function stopResultOf({ status, savepoint }: JobResult, checkpoint: number | undefined): StopResult {
  return { status, ...(checkpoint === undefined ? {} : { checkpoint }), ...(savepoint === undefined ? {} : { savepoint }) }
}
