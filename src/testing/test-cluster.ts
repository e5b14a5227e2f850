import type { Manifest, StoredChunk } from '../checkpoint/manifest.ts'
import { dealCheckpoint } from '../checkpoint/restore.ts'
import { WATERMARK_NONE } from '../core/time.ts'
import { encodeValue } from '../core/value-codec.ts'
import type { ExecutionPlan } from '../graph/execution-plan.ts'
import { planExecution, subtaskNames, taskPlan } from '../graph/execution-plan.ts'
import { describeGraph, nodeIds, validateGraph } from '../graph/stream-graph.ts'
import { createCounters, SubtaskCounters } from '../protocol/counters.ts'
import { Doorbells } from '../protocol/doorbell.ts'
import type { SubtaskSnapshot } from '../protocol/messages.ts'
import { buildTasks } from '../runtime/build-tasks.ts'
import type { Task } from '../runtime/task.ts'
import { readChunk } from '../state/snapshot-chunk.ts'
import type { TestGraph } from './test-graph.ts'

/** More steps than any test takes: an operator that never comes to rest. */
const STEPS_MAX = 20_000_000

/** What keyed operators hold. */
export interface StateSize {
  /** Values of keys, and of keys in windows. */
  readonly entries: number
  readonly timers: number
}

/**
 * A job's subtasks, run by hand in one thread: the engine's own tasks, chains, channels, aligners and state, without threads, disk and wall time.
 * Everything that happens follows from the calls, in an order that is always the same.
 */
export class TestCluster {
  readonly #test: TestGraph
  readonly #maxParallelism: number
  readonly #chunks = new Map<number, Uint8Array<ArrayBuffer>>()
  #plan: ExecutionPlan
  #tasks: readonly Task[] = []
  #counters: SharedArrayBuffer
  #manifest: Manifest
  #checkpoint = 0
  #acknowledged: SubtaskSnapshot[] = []
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
    this.#counters = createCounters(subtaskNames(this.#plan).length)
    this.#manifest = this.#initialManifest()
    this.#deploy()
  }

  /** Lets the subtasks work until none has anything to do. @throws SluiceError what an operator threw */
  run(): void {
    for (const task of this.#tasks) task.askSource()
    for (let steps = 0, worked = true; worked; steps++) {
      if (steps > STEPS_MAX) throw new Error('the job does not come to rest')
      worked = false
      for (const task of this.#tasks) worked = this.#step(task) || worked
    }
  }

  #step(task: Task): boolean {
    try {
      return task.step()
    } catch (error) {
      throw task.locate(error)
    }
  }

  /** Moves the clock, and stops at every instant at which something is due. */
  advanceClock(ms: number): void {
    const until = this.now + ms
    this.run()
    for (;;) {
      const next = Math.min(...this.#tasks.map((task) => task.nextTimer))
      if (next > until) break
      this.now = Math.max(this.now, next)
      this.run()
    }
    this.now = until
    this.run()
  }

  /** Waits until no asynchronous call is under way. */
  async settled(): Promise<void> {
    for (;;) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#woken = resolve
      this.run()
      this.#throwFailure()
      if (!this.#tasks.some((task) => task.pending)) return
      await promise
    }
  }

  /** Takes a checkpoint, which `restart` goes back to. */
  async checkpoint(): Promise<void> {
    const snapshots = await this.#snapshots()
    this.#chunks.clear()
    this.#manifest = this.#manifestOf(snapshots)
  }

  /** Throws all subtasks away and begins anew from the newest checkpoint. */
  restart(parallelism?: number): void {
    this.close()
    if (parallelism !== undefined) this.#plan = this.#planFor(parallelism)
    for (const feed of this.#test.feeds.values()) feed.rewind()
    for (const hand of this.#test.watermarks.values()) hand.rewind()
    this.#deploy()
  }

  close(): void {
    for (const task of this.#tasks) task.close()
  }

  /** Records that came too late, since the last restart. */
  get late(): number {
    const names = subtaskNames(this.#plan)
    return names.reduce((sum, _, index) => sum + new SubtaskCounters(this.#counters, index).get('late'), 0)
  }

  async stateSize(): Promise<StateSize> {
    const sizes = { entries: 0, timers: 0 }
    for (const { operators } of await this.#snapshots()) {
      for (const chunk of operators.flatMap((operator) => operator.chunks)) {
        for (const { kind, keys } of readChunk(chunk.bytes)) {
          sizes[kind.endsWith('timer') ? 'timers' : 'entries'] += keys.length
        }
      }
    }
    return sizes
  }

  #planFor(parallelism: number): ExecutionPlan {
    return planExecution(this.#test.graph, { module: 'test:', parallelism, maxParallelism: this.#maxParallelism, workers: 0 })
  }

  #deploy(): void {
    this.#counters = createCounters(subtaskNames(this.#plan).length)
    this.#failure = undefined
    const doorbells = new Doorbells(1)
    const deployment = {
      plan: this.#plan,
      worker: 0,
      run: 'test',
      lastCheckpoint: this.#checkpoint,
      rings: {},
      doorbells: doorbells.shared,
      counters: this.#counters,
      restores: dealCheckpoint(this.#manifest, this.#plan, (chunk) => this.#chunks.get(chunk.sequence)!),
    }
    const clock = { now: () => this.now }
    this.#tasks = buildTasks(deployment, 1, this.#test.graph, clock, doorbells, {
      acknowledge: (checkpoint, snapshot) => {
        if (checkpoint === this.#checkpoint) this.#acknowledged.push(snapshot)
      },
      ended: () => undefined,
      fail: (error) => {
        this.#failure = { error }
      },
      wake: () => this.#woken?.(),
    })
    for (const task of this.#tasks) task.open()
    this.run()
  }

  async #snapshots(): Promise<readonly SubtaskSnapshot[]> {
    this.#acknowledged = []
    const checkpoint = ++this.#checkpoint
    for (const task of this.#tasks) task.trigger(checkpoint)
    for (let turns = 0; this.#acknowledged.length < this.#tasks.length; turns++) {
      this.run()
      this.#throwFailure()
      if (turns > 10_000) throw new Error(`checkpoint ${checkpoint} does not complete: a barrier is held up`)
      await Promise.resolve()
    }
    return this.#acknowledged
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }

  #manifestOf(snapshots: readonly SubtaskSnapshot[]): Manifest {
    const store = (bytes: Uint8Array<ArrayBuffer>): number => {
      this.#chunks.set(this.#chunks.size, bytes)
      return this.#chunks.size - 1
    }
    const subtasks = snapshots.map((snapshot) => ({
      ...snapshot,
      operators: snapshot.operators.map((operator) => ({
        ...operator,
        chunks: operator.chunks.map(
          ({ firstGroup, lastGroup, bytes }): StoredChunk => ({
            sequence: store(bytes),
            firstGroup,
            lastGroup,
            length: bytes.byteLength,
            crc32: 0,
          }),
        ),
      })),
    }))
    return { ...this.#manifest, checkpoint: this.#checkpoint, initial: false, subtasks }
  }

  /** The sources' splits, before the first record. */
  #initialManifest(): Manifest {
    const ids = nodeIds(this.#test.graph)
    const subtasks = this.#test.graph.nodes.flatMap((node) => {
      if (node.body.type !== 'source') return []
      const id = ids[node.index]!
      const { parallelism } = taskPlan(this.#plan, id)
      const splits = (node.body.source.enumerate({ parallelism }) as readonly unknown[]).map((split, index) => ({
        index,
        split: encodeValue(split),
        done: false,
      }))
      const operator = { operator: id, watermark: WATERMARK_NONE, records: 0, splits, chunks: [] }
      return [{ task: id, subtask: 0, parallelism: 1, channelWatermarks: {}, operators: [operator] }]
    })
    return {
      checkpoint: 0,
      initial: true,
      attempt: 1,
      completedAtMs: 0,
      fingerprint: this.#plan.fingerprint,
      graph: describeGraph(this.#test.graph),
      maxParallelism: this.#maxParallelism,
      subtasks,
      committables: [],
    }
  }
}
