import type { CheckpointStore, Claim } from '../checkpoint/checkpoint-store.ts'
import type { DroppedState, Manifest, StoredSubtask } from '../checkpoint/manifest.ts'
import { withoutSuperseded } from '../checkpoint/manifest.ts'
import { dealCheckpoint } from '../checkpoint/restore.ts'
import { locateError } from '../core/errors.ts'
import type { Timers } from '../core/time.ts'
import { WATERMARK_NONE } from '../core/time.ts'
import { encodeValue } from '../core/value-codec.ts'
import type { ExecutionPlan } from '../graph/execution-plan.ts'
import { taskOfSubtask, taskPlan } from '../graph/execution-plan.ts'
import type { Region } from '../graph/regions.ts'
import type { NodeDescription, StreamGraph } from '../graph/stream-graph.ts'
import { describeGraph, nodeIds } from '../graph/stream-graph.ts'
import type { Prepared, PreparedRegion } from './attempt.ts'
import type { Committers } from './committers.ts'
import type { RestoreContext } from './restore-point.ts'
import { droppedFromBase, judgeRestore } from './restore-point.ts'
import type { JobSettings } from './settings.ts'

/**
 * What an attempt, or a region in it, begins with. Called before the first record of whoever is restored; the newest checkpoint decides about
 * everything, and where there is none the first one is made here: the sources' splits.
 */
export class Restoring {
  readonly #graph: StreamGraph
  readonly #description: readonly NodeDescription[]
  readonly #plan: ExecutionPlan
  readonly #settings: JobSettings
  readonly #store: CheckpointStore
  readonly #timers: Timers
  readonly #note: (message: string) => void

  constructor(
    graph: StreamGraph,
    plan: ExecutionPlan,
    settings: JobSettings,
    store: CheckpointStore,
    timers: Timers,
    note: (message: string) => void,
  ) {
    this.#graph = graph
    this.#description = describeGraph(graph)
    this.#plan = plan
    this.#settings = settings
    this.#store = store
    this.#timers = timers
    this.#note = note
  }

  get context(): RestoreContext {
    return {
      store: this.#store,
      graph: this.#description,
      maxParallelism: this.#plan.maxParallelism,
      settings: this.#settings,
      note: this.#note,
    }
  }

  /**
   * What an attempt begins with: the outputs are opened and what the newest checkpoint lists is committed.
   * @throws SluiceError when the job cannot go on with what is stored
   */
  async prepare(latest: Manifest | undefined, claim: Claim, committers: Committers): Promise<Prepared> {
    // Before any output is touched: a job that cannot go on with what is stored says so at once.
    const dropped = latest === undefined ? [] : await this.#settleGraph(latest)
    const committed = latest !== undefined && this.#store.committedThrough >= latest.checkpoint
    const pending = latest === undefined || committed ? [] : this.#pendingOf(latest)
    // A run that has completed nothing yet has shown nothing: what is visible in its outputs came from somebody else.
    const fresh = latest === undefined || latest.initial
    await committers.open(
      { attempt: claim.attempt, fresh, overwrite: this.#settings.overwrite },
      pending,
      latest?.checkpoint ?? claim.lastCheckpoint,
    )
    if (latest !== undefined && !committed) this.#store.committed(latest.checkpoint, this.#settings.checkpoint.retain)
    const restored = latest === undefined ? await this.#initialCheckpoint(claim) : await this.#withNewSources(latest, claim)
    const read = this.#withReadNotes(restored)
    const unfolded = { deltas: withoutSuperseded(this.#store.unfolded(restored)), read: this.#store.readDelta.bind(this.#store) }
    return {
      restores: dealCheckpoint(read, this.#plan, unfolded),
      lastCheckpoint: Math.max(restored.checkpoint, claim.lastCheckpoint),
      restored,
      dropped,
    }
  }

  /** The share of a region of the newest checkpoint. Whatever was committed or folded since goes on beside it. */
  prepareRegion({ tasks, operators }: Region, stagingAttempt: number): PreparedRegion {
    const restored = this.#store.latest()!
    const deltas = withoutSuperseded(this.#store.unfolded(restored)).filter(({ operator }) => operators.has(operator))
    const dealt = dealCheckpoint(restored, this.#plan, { deltas, read: this.#store.readDelta.bind(this.#store) })
    const restores = Object.fromEntries(Object.entries(dealt).filter(([name]) => tasks.has(taskOfSubtask(name))))
    return { restores, restored, stagingAttempt }
  }

  /** Read at most once: sources go on behind everything that was ever read, whatever became of it. */
  #withReadNotes(manifest: Manifest): Manifest {
    if (this.#settings.guarantee !== 'at-most-once') {
      this.#store.forgetReads()
      return manifest
    }
    const subtasks = manifest.subtasks.map((subtask) => {
      const reads = this.#store.reads(subtask.task)
      const operators = subtask.operators.map((operator) => ({
        ...operator,
        ...(operator.splits === undefined ? {} : { splits: operator.splits.map((split) => reads.get(split.index) ?? split) }),
      }))
      return { ...subtask, operators }
    })
    return { ...manifest, subtasks }
  }

  /** What is to be committed; with its consent the output of sinks that the job no longer has is let go. */
  #pendingOf(latest: Manifest): Manifest['committables'] {
    if (!this.#settings.allowDroppedState) return latest.committables
    const sinks = new Set(this.#description.map(({ id }) => id))
    return latest.committables.filter(({ operator }) => sinks.has(operator))
  }

  /** So far as older checkpoints that are kept allow, the base holds the newest one. A long way for a large state: its whole base is looked at. */
  async foldAll(): Promise<void> {
    while (this.#store.foldStep()) await this.#timers.turn()
    while (this.#store.purgeStep()) await this.#timers.turn()
  }

  /** @throws SluiceError when the job cannot go on with what is stored */
  async #settleGraph(latest: Manifest): Promise<readonly DroppedState[]> {
    if (latest.fingerprint === this.#plan.fingerprint && latest.maxParallelism === this.#plan.maxParallelism) return []
    const report = judgeRestore(latest, `the state in ${this.#store.directory}`, this.context)
    if (!report.operators.some(({ verdict }) => verdict === 'dropped')) return []
    // Older checkpoints hold what is dropped, so they end here; and in the base it can be found by name.
    this.#store.committed(this.#store.committedThrough, 1)
    await this.foldAll()
    return droppedFromBase(report, this.#store, latest.checkpoint)
  }

  /** A source that the restored checkpoint does not know begins at its beginning; that, too, is stored before its first record. */
  async #withNewSources(latest: Manifest, { lastCheckpoint, attempt }: Claim): Promise<Manifest> {
    const known = new Set(latest.subtasks.flatMap(({ operators }) => operators.map(({ operator }) => operator)))
    const added = await this.#enumerateSplits((id) => !known.has(id))
    if (added.length === 0) return latest
    const manifest: Manifest = {
      ...latest,
      checkpoint: lastCheckpoint + 1,
      attempt,
      completedAtMs: Date.now(),
      subtasks: [...latest.subtasks, ...added],
      deltas: this.#store.unfolded(latest),
      committables: [],
    }
    this.#store.complete(manifest)
    this.#store.committed(manifest.checkpoint, this.#settings.checkpoint.retain)
    return manifest
  }

  /** Checkpoint 0: the sources' splits, before the first record, so that every replay begins at the same place. */
  async #initialCheckpoint({ lastCheckpoint, attempt }: Claim): Promise<Manifest> {
    const manifest: Manifest = {
      checkpoint: lastCheckpoint + 1,
      initial: true,
      attempt,
      completedAtMs: Date.now(),
      fingerprint: this.#plan.fingerprint,
      graph: this.#description,
      maxParallelism: this.#plan.maxParallelism,
      subtasks: await this.#enumerateSplits(() => true),
      committables: [],
      deltas: [],
      dropped: [],
    }
    this.#store.complete(manifest)
    return manifest
  }

  async #enumerateSplits(isNew: (source: string) => boolean): Promise<readonly StoredSubtask[]> {
    const ids = nodeIds(this.#graph)
    const sources = this.#graph.nodes.flatMap((node) =>
      node.body.type === 'source' ? [{ id: ids[node.index]!, source: node.body.source }] : [],
    )
    return await Promise.all(
      sources
        .filter(({ id }) => isNew(id))
        .map(async ({ id, source }) => {
          const { parallelism } = taskPlan(this.#plan, id)
          const splits = await enumerate(id, () => source.enumerate({ parallelism }))
          const operator = {
            operator: id,
            watermark: WATERMARK_NONE,
            records: 0,
            splits: splits.map((split, index) => ({ index, split: encodeValue(split), done: false })),
          }
          return { task: id, subtask: 0, parallelism: 1, channelWatermarks: {}, operators: [operator] }
        }),
    )
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
