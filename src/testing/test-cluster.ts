import { setImmediate as nextTurn } from 'node:timers/promises'
import { CommitLedger } from '../checkpoint/commit-ledger.ts'
import type { Manifest, StoredSubtask } from '../checkpoint/manifest.ts'
import { decodeManifest, encodeManifest } from '../checkpoint/manifest.ts'
import { dealCheckpoint } from '../checkpoint/restore.ts'
import { SluiceError } from '../core/errors.ts'
import type { SinkCommitter } from '../core/sink.ts'
import { WATERMARK_NONE } from '../core/time.ts'
import { decodeValue, encodeValue } from '../core/value-codec.ts'
import type { ExecutionPlan } from '../graph/execution-plan.ts'
import { planExecution, subtaskName, subtaskNames, taskPlan } from '../graph/execution-plan.ts'
import { describeGraph, nodeIds, validateGraph } from '../graph/stream-graph.ts'
import { createCounters } from '../protocol/counters.ts'
import { Doorbells } from '../protocol/doorbell.ts'
import type { Deployment, SubtaskSnapshot } from '../protocol/messages.ts'
import { Signals } from '../protocol/signals.ts'
import { buildTasks } from '../runtime/build-tasks.ts'
import type { Task } from '../runtime/task.ts'
import type { OperatorBase } from '../state/state-base.ts'
import { MemoryBase } from '../state/state-base.ts'
import { isChangeOfFrozen } from './freeze.ts'
import type { TestGraph } from './test-graph.ts'

/** More rounds than any test takes: a job that never comes to rest. */
const ROUNDS_MAX = 1_000_000
/** How often what happens by itself is waited for before it is looked at by the event loop, too. */
const MICROTASKS = 50
/** After so long without a sign of life a call is thought never to come back; nothing that succeeds depends on it. */
const PATIENCE_MS = 2_000

/** What keyed operators hold. */
export interface StateSize {
  /** Values of keys, and of keys in windows. */
  readonly entries: number
  readonly timers: number
}

/** What a restart goes back to. */
interface Checkpoint {
  readonly manifest: Manifest
  readonly late: ReadonlyMap<string, number>
}

/** Changed state that no complete checkpoint holds yet. */
interface PendingDelta {
  readonly operator: string
  readonly bytes: Uint8Array
}

/**
 * A job's subtasks, run by hand in one thread: the engine's own tasks, chains, channels, aligners and state, without threads, disk and wall
 * time. What always holds:
 *
 * - Everything that happens follows from the calls, in an order that is always the same; only answers of asynchronous calls come when they come.
 * - After an error nothing runs until the job is restarted, as an attempt of the engine would be over.
 */
export class TestCluster {
  readonly #test: TestGraph
  readonly #maxParallelism: number
  readonly #committers: ReadonlyMap<string, SinkCommitter>
  #plan: ExecutionPlan
  #tasks: readonly Task[] = []
  #newest: Checkpoint
  /** The keyed state of the newest checkpoint: read on demand, as the engine reads it from disk. */
  readonly #base = new MemoryBase()
  #pending: PendingDelta[] = []
  #ledger = new CommitLedger([], 0)
  /** The newest checkpoint id in use. */
  #lastCheckpoint = 0
  #attempt = 0
  #acknowledged = new Map<string, SubtaskSnapshot>()
  #failure: { readonly error: unknown } | undefined
  #woken: (() => void) | undefined
  /** The clock of all operators, in milliseconds since 1970. */
  now: number

  constructor(test: TestGraph, parallelism: number, startTimeMs: number, maxParallelism = 128) {
    validateGraph(test.graph)
    this.#test = test
    this.#maxParallelism = maxParallelism
    this.now = startTimeMs
    this.#plan = this.#planFor(parallelism)
    this.#committers = new Map(
      [...test.sinks].map(([id, { substitute }]) => {
        const operator = writerId(id)
        return [operator, substitute.createCommitter({ job: test.graph.job, run: 'test', operator, warn: () => undefined })]
      }),
    )
    this.#newest = { manifest: this.#initialManifest(), late: new Map() }
    this.#deploy()
  }

  /** Lets the subtasks work until none has anything to do. @throws SluiceError what an operator threw, also again */
  run(): void {
    for (let worked = true; worked; ) {
      this.#throwFailure()
      // A source that had nothing would be asked again after a moment of a clock that stands still.
      for (const task of this.#tasks) task.askSource()
      worked = this.#settle()
    }
    this.#throwFailure()
  }

  #settle(): boolean {
    for (let rounds = 0; ; rounds++) {
      if (rounds > ROUNDS_MAX) throw new Error('the job does not come to rest')
      let worked = false
      for (const task of this.#tasks) worked = this.#step(task) || worked
      if (!worked) return rounds > 0
    }
  }

  #step(task: Task): boolean {
    try {
      return task.step()
    } catch (error) {
      this.#failure = { error: this.#explained(task.locate(error)) }
      throw this.#failure.error
    }
  }

  /** A record that was changed is a mistake that only a test shows, so the error says what to do. */
  #explained(error: SluiceError): SluiceError {
    if (!this.#test.frozen || !isChangeOfFrozen(error.cause) || error.hint !== undefined) return error
    const hint = 'records are frozen in tests: make a new one ({ ...record, changed }) instead of changing the one you were given'
    const { code, message, cause, operator, subtask, stack } = error
    const place = { ...(operator === undefined ? {} : { operator }), ...(subtask === undefined ? {} : { subtask }) }
    const explained = new SluiceError(code, message, { ...place, cause, hint })
    if (stack !== undefined) explained.stack = stack
    return explained
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }

  /** Moves the clock, and stops at every instant at which something is due. */
  advanceClock(ms: number): void {
    const until = this.now + ms
    this.run()
    for (let next = this.#nextTimer; next <= until; next = this.#nextTimer) {
      this.now = next
      this.run()
    }
    this.now = until
    this.run()
  }

  /** What is due and has not been done by now waits for something else than the clock. */
  get #nextTimer(): number {
    const times = this.#tasks.map((task) => task.nextTimer).filter((time) => time > this.now)
    return Math.min(Number.POSITIVE_INFINITY, ...times)
  }

  /** Waits until no asynchronous call is under way. */
  async settled(): Promise<void> {
    for (;;) {
      const { promise, resolve } = Promise.withResolvers<boolean>()
      this.#woken = () => resolve(true)
      this.run()
      const waiting = this.#tasks.filter((task) => task.pending)
      if (waiting.length === 0) return
      const patience = setTimeout(resolve, PATIENCE_MS, false)
      const woken = await promise
      clearTimeout(patience)
      if (!woken) throw neverSettled(waiting)
    }
  }

  // Checkpoints

  /** Takes a checkpoint, which `restart` goes back to, and commits what it holds. */
  async checkpoint(): Promise<void> {
    const late = new Map(this.#test.late)
    const snapshots = await this.#snapshots()
    const checkpoint = this.#lastCheckpoint
    const manifest: Manifest = {
      ...this.#newest.manifest,
      checkpoint,
      initial: false,
      attempt: this.#attempt,
      completedAtMs: this.now,
      subtasks: snapshots.map(stored),
      committables: this.#ledger.listedBy(checkpoint),
    }
    // Through its bytes, as if it had been on disk.
    this.#newest = { manifest: decodeManifest(encodeManifest(manifest), checkpoint), late }
    this.#ledger.onCompleted(checkpoint)
    applyAll(this.#pending, this.#base)
    this.#pending = []
    for (const task of this.#tasks) task.onFolded(checkpoint)
    await this.#commit()
  }

  async #commit(): Promise<void> {
    for (const due of this.#ledger.due()) {
      await this.#committers.get(due.operator)!.commit(due.committables.map(({ bytes }) => decodeValue(bytes)))
      this.#ledger.onCommitted(due)
    }
  }

  /** What all subtasks hold. The barrier that asks them is that of a checkpoint, complete or given up. */
  async #snapshots(): Promise<readonly SubtaskSnapshot[]> {
    this.#acknowledged = new Map()
    const names = subtaskNames(this.#plan)
    const checkpoint = ++this.#lastCheckpoint
    const before = performance.now()
    for (const task of this.#tasks) task.trigger(checkpoint)
    for (let turns = 0; ; turns++) {
      this.run()
      if (this.#acknowledged.size === names.length) return names.map((name) => this.#acknowledged.get(name)!)
      if (turns < MICROTASKS) await Promise.resolve()
      else await nextTurn()
      if (performance.now() - before > PATIENCE_MS) throw this.#neverAcknowledged(checkpoint)
    }
  }

  #neverAcknowledged(checkpoint: number): SluiceError {
    const missing = subtaskNames(this.#plan).filter((name) => !this.#acknowledged.has(name))
    return new SluiceError(
      'CHECKPOINT_FAILED',
      `checkpoint ${checkpoint} is not complete: ${missing.join(', ')} did not answer`,
      {
        hint: 'an operator may wait for an asynchronous call that never ends, or for a retry: see advanceProcessingTime',
      },
    )
  }

  /**
   * Throws all subtasks away and begins anew from the newest checkpoint. The clock stays where it is: time goes on while a job is down.
   */
  restart(parallelism?: number): void {
    const plan = parallelism === undefined ? this.#plan : this.#planFor(parallelism)
    this.close()
    this.#plan = plan
    const { manifest, late } = this.#newest
    this.#test.recording.rewind(manifest.checkpoint)
    // Everything that the newest checkpoint lists has been committed: with a test as the only process nothing comes between.
    this.#ledger = new CommitLedger([], manifest.checkpoint)
    this.#test.late.clear()
    for (const [operator, count] of late) this.#test.late.set(operator, count)
    this.#deploy()
  }

  close(): void {
    for (const task of this.#tasks) task.close()
  }

  /** Records that came too late; each counts once, also after a restart. */
  get late(): number {
    return [...this.#test.late.values()].reduce((sum, count) => sum + count, 0)
  }

  /** @param operator id of one operator; all of them when it is left out */
  async stateSize(operator?: string): Promise<StateSize> {
    await this.#snapshots()
    const base = this.#base.copy()
    applyAll(this.#pending, base)
    const sizes = { entries: 0, timers: 0 }
    for (const id of operator === undefined ? base.operators() : [operator]) {
      sizes.entries += base.operator(id).count(false)
      sizes.timers += base.operator(id).count(true)
    }
    return sizes
  }

  #planFor(parallelism: number): ExecutionPlan {
    return planExecution(this.#test.graph, { module: 'test:', parallelism, maxParallelism: this.#maxParallelism, workers: 0 })
  }

  #deploy(): void {
    this.#failure = undefined
    const attempt = ++this.#attempt
    const doorbells = new Doorbells(1)
    const { manifest } = this.#newest
    this.#pending = []
    const deployment: Deployment = {
      plan: this.#plan,
      worker: 0,
      run: 'test',
      lastCheckpoint: this.#lastCheckpoint,
      rings: {},
      doorbells: doorbells.shared,
      counters: createCounters(subtaskNames(this.#plan).length),
      restored: manifest.checkpoint,
      registry: [],
      stateMemoryBytes: Number.POSITIVE_INFINITY,
      signals: new Signals(1).shared,
      mode: { holdsChannels: true, readsOnce: false, stopsTheWorld: false },
      restores: dealCheckpoint(manifest, this.#plan, { deltas: [], read: () => new Uint8Array() }),
    }
    // Work takes no time, so that batches do not depend on how fast the test runs.
    const clock = { now: () => this.now, elapsed: () => 0 }
    const baseOf = (operator: string): OperatorBase => this.#base.operator(operator)
    this.#tasks = buildTasks(deployment, attempt, this.#test.graph, clock, doorbells, baseOf, {
      deltas: (_, operator, chunks) => {
        if (attempt === this.#attempt) for (const { bytes } of chunks) this.#pending.push({ operator, bytes })
      },
      progress: () => undefined,
      acknowledge: (checkpoint, snapshot) => {
        if (attempt === this.#attempt) this.#onAcknowledge(checkpoint, snapshot)
      },
      ended: () => undefined,
      read: () => undefined,
      badRecord: () => undefined,
      fail: (error) => {
        if (attempt === this.#attempt) this.#failure = { error }
        this.#woken?.()
      },
      wake: () => this.#woken?.(),
    })
    for (const task of this.#tasks) task.open()
    this.run()
  }

  #onAcknowledge(checkpoint: number, snapshot: SubtaskSnapshot): void {
    // Also of a checkpoint that was given up meanwhile: what its sinks staged goes with the next one.
    for (const { operator, committables } of snapshot.operators) {
      if (committables !== undefined) this.#ledger.onPrepared(operator, snapshot.subtask, checkpoint, committables)
    }
    if (checkpoint === this.#lastCheckpoint) this.#acknowledged.set(subtaskName(snapshot.task, snapshot.subtask), snapshot)
  }

  /** The sources' splits, before the first record. */
  #initialManifest(): Manifest {
    const { graph } = this.#test
    const ids = nodeIds(graph)
    const subtasks = graph.nodes.flatMap((node) => {
      if (node.body.type !== 'source') return []
      const id = ids[node.index]!
      const { parallelism } = taskPlan(this.#plan, id)
      const splits = (node.body.source.enumerate({ parallelism }) as readonly unknown[]).map((split, index) => ({
        index,
        split: encodeValue(split),
        done: false,
      }))
      const operator = { operator: id, watermark: WATERMARK_NONE, records: 0, splits }
      return [{ task: id, subtask: 0, parallelism: 1, channelWatermarks: {}, operators: [operator] }]
    })
    return {
      checkpoint: 0,
      initial: true,
      attempt: 1,
      completedAtMs: this.now,
      fingerprint: this.#plan.fingerprint,
      graph: describeGraph(graph),
      maxParallelism: this.#maxParallelism,
      subtasks,
      committables: [],
      deltas: [],
      dropped: [],
    }
  }
}

/** The id of the node that writes for a sink. */
export function writerId(sink: string): string {
  return `${sink}.writer`
}

/** A snapshot as a manifest lists it. */
function stored(snapshot: SubtaskSnapshot): StoredSubtask {
  return { ...snapshot, operators: snapshot.operators.map(({ committables: _, ...operator }) => operator) }
}

function applyAll(deltas: readonly PendingDelta[], base: MemoryBase): void {
  for (const { operator, bytes } of deltas) base.operator(operator).apply(bytes)
}

function neverSettled(tasks: readonly Task[]): SluiceError {
  const names = tasks.map((task) => task.name).join(', ')
  return new SluiceError('OPERATOR_FAILED', `asynchronous calls of ${names} do not come to an end`, {
    hint: 'what waits for the clock, such as a retry, needs advanceProcessingTime; what waits for real time should be replaced in a test',
  })
}
