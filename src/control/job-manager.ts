import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { CheckpointStore, type Claim } from '../checkpoint/checkpoint-store.ts'
import type { Manifest, StoredSubtask } from '../checkpoint/manifest.ts'
import { dealCheckpoint } from '../checkpoint/restore.ts'
import { locateError, SluiceError, toWireError } from '../core/errors.ts'
import { systemClock, WATERMARK_NONE } from '../core/time.ts'
import { encodeValue } from '../core/value-codec.ts'
import type { ExecutionPlan } from '../graph/execution-plan.ts'
import { planExecution, taskPlan } from '../graph/execution-plan.ts'
import type { StateProblem } from '../graph/state-compatibility.ts'
import { stateProblems, withoutStates } from '../graph/state-compatibility.ts'
import type { NodeDescription, StreamGraph } from '../graph/stream-graph.ts'
import { describeGraph, graphDifference, nodeIds, validateGraph } from '../graph/stream-graph.ts'
import type { EarlierOutcome, OperatorSnapshot } from '../protocol/messages.ts'
import { Attempt, type Prepared } from './attempt.ts'
import { Committers } from './committers.ts'
import { isMarkedFinished, markFinished, removeFinishMark } from './finish-mark.ts'
import { Progress } from './progress.ts'
import { restartStrategy } from './restart-strategy.ts'
import type { JobSettings } from './settings.ts'
import { onInterrupt } from './signals.ts'
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

class JobManager {
  readonly #graph: StreamGraph
  readonly #description: readonly NodeDescription[]
  readonly #plan: ExecutionPlan
  readonly #settings: JobSettings
  readonly #store: CheckpointStore
  readonly #progress: Progress
  #claim: Claim
  #committers: Committers | undefined
  #attempt: Attempt | undefined
  #restarts = 0
  #checkpoints = 0
  #stopping = false
  readonly #interruptPause = new AbortController()

  constructor(graph: StreamGraph, plan: ExecutionPlan, settings: JobSettings, store: CheckpointStore, claim: Claim) {
    this.#graph = graph
    this.#description = describeGraph(graph)
    this.#plan = plan
    this.#settings = settings
    this.#store = store
    this.#claim = claim
    this.#progress = new Progress(plan, settings.progress)
  }

  async run(): Promise<JobResult> {
    const forgetSignals = onInterrupt(() => this.#requestStop())
    let finished = false
    try {
      await this.#progress.prepare()
      await this.#beginRun()
      await this.#runAttempts()
      finished = !this.#stopping || this.#inputEnded
      return this.#result(finished ? 'finished' : 'stopped')
    } finally {
      forgetSignals()
      this.#progress.close()
      try {
        await this.#committers?.close(finished)
      } finally {
        await this.#store.release(finished)
        if (finished) markFinished(this.#store.directory, this.#claim.run)
      }
    }
  }

  get #inputEnded(): boolean {
    return this.#attempt?.inputEnded === true
  }

  async #beginRun(): Promise<void> {
    const latest = this.#store.latestCheckpoint
    const finished = this.#store.finished && isMarkedFinished(this.#store.directory, this.#claim.run)
    const warn = (message: string): void => this.#progress.note(message)
    if (!finished && !this.#settings.fresh) {
      if (latest !== undefined) this.#progress.note(`resuming from checkpoint ${latest}`)
      this.#committers = new Committers(this.#graph, this.#claim.run, warn)
    } else {
      const run = randomUUID()
      this.#committers = new Committers(this.#graph, run, warn)
      // A start that is refused must leave the state as it was: it may be one that somebody wants to resume.
      await this.#committers.checkFresh(this.#settings.overwrite)
      if (latest !== undefined && !finished) {
        this.#progress.note(`--fresh: forgetting checkpoint ${latest} and everything before it, in ${this.#store.directory}`)
      }
      this.#claim = this.#store.forget(run)
      removeFinishMark(this.#store.directory)
    }
    this.#store.sweep()
  }

  async #runAttempts(): Promise<void> {
    const strategy = restartStrategy(this.#settings.restart)
    for (;;) {
      try {
        this.#attempt = this.#startAttempt()
        if (this.#stopping) this.#attempt.requestStop()
        return await this.#attempt.run()
      } catch (error) {
        const failure = error instanceof SluiceError ? error : new SluiceError('OPERATOR_FAILED', String(error), { cause: error })
        const delayMs = failure.canRestart && !this.#stopping ? strategy.onFailure(performance.now()) : undefined
        if (delayMs === undefined) throw failure
        this.#restarts++
        this.#progress.failed(failure, delayMs)
        await delay(delayMs, undefined, { signal: this.#interruptPause.signal }).catch(() => undefined)
        this.#claim = this.#store.nextAttempt()
        this.#store.sweep()
      }
    }
  }

  #startAttempt(): Attempt {
    const latest = this.#store.latest()
    // Before any worker starts: a job that cannot go on with what is stored says so at once.
    if (latest !== undefined) this.#checkGraph(latest)
    return new Attempt({
      plan: this.#plan,
      graph: this.#description,
      settings: this.#settings,
      store: this.#store,
      committers: this.#committers!,
      run: this.#claim.run,
      attempt: this.#claim.attempt,
      prepared: this.#prepare(latest),
      startWorkers: (listener): Workers =>
        this.#plan.workers === 0
          ? startInline(this.#graph, systemClock, listener)
          : startThreads(this.#plan.workers, { job: this.#graph.job, module: this.#plan.module, earlierOutcomes }, listener),
      observer: {
        onDeployed: (counters, pending) => this.#progress.follow(counters, pending),
        onCheckpoint: (checkpoint, durationMs) => {
          this.#checkpoints++
          this.#progress.checkpoint(checkpoint, durationMs)
        },
        onCheckpointAborted: (checkpoint, reason) => this.#progress.note(`checkpoint ${checkpoint} was given up: ${reason}`),
      },
    })
  }

  // Restoring

  async #prepare(latest: Manifest | undefined): Promise<Prepared> {
    const committed = latest !== undefined && this.#store.committedThrough >= latest.checkpoint
    const pending = latest === undefined || committed ? [] : latest.committables
    // A run that has completed nothing yet has shown nothing: what is visible in its outputs came from somebody else.
    const fresh = latest === undefined || latest.initial
    await this.#committers!.open(fresh, this.#settings.overwrite, pending, latest?.checkpoint ?? this.#claim.lastCheckpoint)
    if (latest !== undefined && !committed) this.#store.committed(latest.checkpoint, this.#settings.checkpoint.retain)
    const manifest = latest ?? (await this.#initialCheckpoint())
    return {
      restores: dealCheckpoint(manifest, this.#plan, (chunk) => this.#store.readChunk(manifest.checkpoint, chunk)),
      lastCheckpoint: Math.max(manifest.checkpoint, this.#claim.lastCheckpoint),
    }
  }

  #checkGraph(latest: Manifest): void {
    const { directory } = this.#store
    if (latest.maxParallelism !== this.#plan.maxParallelism) {
      throw new SluiceError(
        'STATE_OF_ANOTHER_GRAPH',
        `the state in ${directory} has ${latest.maxParallelism} key groups, the job now asks for ${this.#plan.maxParallelism}`,
        { hint: 'maxParallelism is fixed for the life of the state; put it back, or forget the state with --fresh' },
      )
    }
    if (latest.fingerprint === this.#plan.fingerprint) return
    const difference = graphDifference(withoutStates(latest.graph), withoutStates(this.#description))
    if (difference !== undefined) {
      throw new SluiceError('STATE_OF_ANOTHER_GRAPH', `the state in ${directory} was made by another graph: ${difference}`, {
        hint: 'put the job back as it was, or forget the state with --fresh',
      })
    }
    this.#checkStates(latest)
  }

  /** The graph is the same but for the states that its operators declare: whether they can hold what was stored. */
  #checkStates(latest: Manifest): void {
    const problems = stateProblems(latest.graph, this.#description)
    if (problems.length === 0) return
    const [{ operator, hint }] = problems as readonly [StateProblem]
    const all = problems.map((each) => `the state '${each.state}' of '${each.operator}' ${each.problem}`).join('; ')
    throw new SluiceError('STATE_INCOMPATIBLE', all, { operator, hint })
  }

  /** Checkpoint 0: the sources' splits, before the first record, so that every replay begins at the same place. */
  async #initialCheckpoint(): Promise<Manifest> {
    const manifest: Manifest = {
      checkpoint: this.#claim.lastCheckpoint + 1,
      initial: true,
      attempt: this.#claim.attempt,
      completedAtMs: Date.now(),
      fingerprint: this.#plan.fingerprint,
      graph: this.#description,
      maxParallelism: this.#plan.maxParallelism,
      subtasks: await this.#enumerateSplits(),
      committables: [],
    }
    this.#store.complete(manifest)
    return manifest
  }

  async #enumerateSplits(): Promise<readonly StoredSubtask[]> {
    const ids = nodeIds(this.#graph)
    const sources = this.#graph.nodes.flatMap((node) =>
      node.body.type === 'source' ? [{ id: ids[node.index]!, source: node.body.source }] : [],
    )
    return await Promise.all(
      sources.map(async ({ id, source }) => {
        const { parallelism } = taskPlan(this.#plan, id)
        const splits = await enumerate(id, () => source.enumerate({ parallelism }))
        const operator: OperatorSnapshot = {
          operator: id,
          watermark: WATERMARK_NONE,
          records: 0,
          splits: splits.map((split, index) => ({ index, split: encodeValue(split), done: false })),
          chunks: [],
        }
        return { task: id, subtask: 0, parallelism: 1, channelWatermarks: {}, operators: [{ ...operator, chunks: [] }] }
      }),
    )
  }

  // Ending

  #requestStop(): void {
    this.#stopping = true
    this.#progress.note('stopping: one more checkpoint; press Ctrl-C again to stop at once')
    this.#interruptPause.abort()
    this.#attempt?.requestStop()
  }

  #result(status: JobResult['status']): JobResult {
    const records = { in: 0, out: 0 }
    const types = new Map(
      this.#plan.tasks.flatMap((task) => task.operators.map((operator) => [operator.id, operator.type] as const)),
    )
    for (const operator of this.#store.latest()?.subtasks.flatMap((subtask) => subtask.operators) ?? []) {
      if (types.get(operator.operator) === 'source') records.in += operator.records
      if (types.get(operator.operator) === 'sink') records.out += operator.records
    }
    this.#progress.ended(status, records.in, records.out)
    return { status, restarts: this.#restarts, checkpoints: this.#checkpoints, recordsIn: records.in, recordsOut: records.out }
  }
}

async function enumerate(
  operator: string,
  action: () => readonly unknown[] | Promise<readonly unknown[]>,
): Promise<readonly unknown[]> {
  try {
    return await action()
  } catch (error) {
    throw locateError(error, { operator }, 'SOURCE_FAILED', `'${operator}' cannot list its input`)
  }
}
