import type { Manifest, StoredDelta, StoredSubtask } from '../../src/checkpoint/manifest.ts'
import { dealCheckpoint } from '../../src/checkpoint/restore.ts'
import type { Sink } from '../../src/core/sink.ts'
import type { Source } from '../../src/core/source.ts'
import { WATERMARK_NONE } from '../../src/core/time.ts'
import { decodeValue, encodeValue } from '../../src/core/value-codec.ts'
import { GraphBuilder } from '../../src/dsl/graph-builder.ts'
import { Stream } from '../../src/dsl/stream.ts'
import type { ExecutionPlan } from '../../src/graph/execution-plan.ts'
import { planExecution, subtaskNames, taskPlan } from '../../src/graph/execution-plan.ts'
import type { StreamGraph } from '../../src/graph/stream-graph.ts'
import { describeGraph, nodeIds } from '../../src/graph/stream-graph.ts'
import { createCounters, SubtaskCounters } from '../../src/protocol/counters.ts'
import { Doorbells } from '../../src/protocol/doorbell.ts'
import type { CheckpointMode, SubtaskSnapshot } from '../../src/protocol/messages.ts'
import { Signals } from '../../src/protocol/signals.ts'
import { buildTasks } from '../../src/runtime/build-tasks.ts'
import type { Task } from '../../src/runtime/task.ts'
import type { DeltaChunk } from '../../src/state/delta-chunk.ts'

/** Builds a graph with the verbs of the language. */
export class InlineJob {
  readonly #builder = new GraphBuilder('inline')

  from<T, Split, Position>(source: Source<T, Split, Position>): Stream<T> {
    return new Stream<T>(this.#builder, [this.#builder.addSource(source as unknown as Source<unknown>)])
  }

  get graph(): StreamGraph {
    return this.#builder.graph()
  }
}

/** A sink whose results are those of complete checkpoints, as `InlineEngine.output` tells them. */
export function committed<T>(): Sink<T> {
  return {
    kind: 'committed',
    createWriter: () => {
      let staged: T[] = []
      return {
        write: (value) => staged.push(value),
        prepareCommit: () => {
          const values = staged
          staged = []
          return values
        },
        close: () => undefined,
      }
    },
    createCommitter: () => ({ open: () => undefined, commit: () => undefined }),
  }
}

/** What an engine can be begun from: the output so far, and what a manifest holds. */
export interface InlineCheckpoint {
  readonly output: readonly unknown[]
  readonly subtasks: readonly SubtaskSnapshot[]
  /** Everything that keyed state has said since the beginning, in the order in which it applies. */
  readonly deltas: readonly InlineDelta[]
}

export interface InlineDelta {
  readonly operator: string
  readonly checkpoint: number
  readonly chunk: DeltaChunk
}

const MODE: CheckpointMode = { holdsChannels: true, readsOnce: false, stopsTheWorld: false }

/**
 * All subtasks of a job in one thread, with the engine's own plan, tasks, channels and restore, and with the choice of who works next, the
 * clock and the checkpoints in the hands of the test.
 */
export class InlineEngine {
  readonly plan: ExecutionPlan
  readonly tasks: readonly Task[]
  now = 0
  readonly #counters: SharedArrayBuffer
  readonly #snapshots = new Map<number, SubtaskSnapshot[]>()
  readonly #failures: unknown[] = []
  readonly #before: readonly unknown[]
  readonly #deltas: InlineDelta[]
  readonly signals = new Signals(1)
  #checkpoint: number

  constructor(graph: StreamGraph, parallelism: number, from?: InlineCheckpoint) {
    this.plan = planExecution(graph, { module: 'file:///inline.ts', parallelism, maxParallelism: 128, workers: 0 })
    this.#counters = createCounters(subtaskNames(this.plan).length)
    this.#before = from?.output ?? []
    this.#deltas = [...(from?.deltas ?? [])]
    // Ids go on, so that what one engine says of keyed state comes before what the next one says.
    this.#checkpoint = 1 + Math.max(0, ...this.#deltas.map(({ checkpoint }) => checkpoint))
    const restored = this.#checkpoint
    const subtasks = from?.subtasks ?? initialSubtasks(graph, this.plan)
    const deltas = this.#deltas.map(({ operator, checkpoint, chunk }, sequence): StoredDelta => {
      const { firstGroup, lastGroup, rows, bytes } = chunk
      return { operator, checkpoint, sequence, firstGroup, lastGroup, rows, length: bytes.byteLength, crc32: 0 }
    })
    const manifest = {
      checkpoint: restored,
      graph: describeGraph(graph),
      subtasks: subtasks as readonly StoredSubtask[],
      deltas,
      dropped: [] as const,
    } as unknown as Manifest
    const deployment = {
      plan: this.plan,
      worker: 0,
      run: 'run',
      lastCheckpoint: restored,
      restored,
      registry: [],
      stateMemoryBytes: Number.POSITIVE_INFINITY,
      signals: this.signals.shared,
      mode: MODE,
      rings: {},
      doorbells: new Doorbells(1).shared,
      counters: this.#counters,
      restores: dealCheckpoint(manifest, this.plan, { deltas, read: ({ sequence }) => from!.deltas[sequence]!.chunk.bytes }),
    }
    const clock = { now: () => this.now }
    const doorbells = new Doorbells(deployment.doorbells)
    this.tasks = buildTasks(deployment, 1, graph, clock, doorbells, () => undefined, {
      deltas: (checkpoint, operator, chunks) => {
        for (const chunk of chunks) this.#deltas.push({ operator, checkpoint, chunk })
      },
      progress: () => {},
      acknowledge: (checkpoint, snapshot) =>
        this.#snapshots.set(checkpoint, [...(this.#snapshots.get(checkpoint) ?? []), snapshot]),
      read: () => undefined,
      ended: () => {},
      badRecord: () => {},
      fail: (error) => this.#failures.push(error),
      wake: () => {},
    })
    for (const task of this.tasks) task.open()
  }

  counters(subtask: string): SubtaskCounters {
    return new SubtaskCounters(this.#counters, subtaskNames(this.plan).indexOf(subtask))
  }

  /** One step of each subtask, in this order. False when none of them did anything. */
  round(order: readonly number[] = []): boolean {
    let worked = false
    for (const index of order) worked = this.tasks[index % this.tasks.length]!.step() || worked
    for (const task of this.tasks) worked = task.step() || worked
    return worked
  }

  get ended(): boolean {
    return this.tasks.every((task) => task.state === 'ended')
  }

  /** Runs until all subtasks have ended; when nothing can be done the clock goes on to the next timer. */
  runToEnd(): void {
    for (let rounds = 0; !this.ended; rounds++) {
      if (rounds > 200_000) throw new Error('the job does not come to its end')
      if (!this.round()) this.now = Math.max(this.now + 1, Math.min(this.now + 1_000, this.#nextWakeup()))
    }
  }

  #nextWakeup(): number {
    return Math.min(...this.tasks.map((task) => task.nextWakeup()))
  }

  /** A checkpoint, while the job runs on. */
  async checkpoint(): Promise<InlineCheckpoint> {
    const checkpoint = ++this.#checkpoint
    for (const task of this.tasks) task.trigger(checkpoint)
    for (let rounds = 0; this.#snapshots.get(checkpoint)?.length !== this.tasks.length; rounds++) {
      if (rounds > 10_000) throw new Error('the checkpoint does not complete')
      if (!this.round()) this.now++
      await new Promise((resolve) => setImmediate(resolve))
      if (this.#failures.length > 0) throw this.#failures[0]
    }
    const subtasks = this.#snapshots.get(checkpoint)!
    const deltas = this.#deltas.filter((delta) => delta.checkpoint <= checkpoint)
    return { output: [...this.#before, ...this.#outputSince(checkpoint)], subtasks, deltas }
  }

  #outputSince(last: number): readonly unknown[] {
    return [...this.#snapshots]
      .filter(([checkpoint]) => checkpoint <= last)
      .flatMap(([, snapshots]) =>
        snapshots.flatMap(({ operators }) => operators.flatMap(({ committables = [] }) => committables)),
      )
      .map(decodeValue)
  }

  /** Runs to the end and returns everything that the sinks of this engine and of those before it have committed. */
  async finish(): Promise<readonly unknown[]> {
    this.runToEnd()
    return (await this.checkpoint()).output
  }

  close(): void {
    for (const task of this.tasks) task.close()
  }
}

/** The splits of all sources before the first record. */
function initialSubtasks(graph: StreamGraph, plan: ExecutionPlan): readonly SubtaskSnapshot[] {
  const ids = nodeIds(graph)
  return graph.nodes.flatMap((node): readonly SubtaskSnapshot[] => {
    if (node.body.type !== 'source') return []
    const id = ids[node.index]!
    const splits = node.body.source.enumerate({ parallelism: taskPlan(plan, id).parallelism }) as readonly unknown[]
    const states = splits.map((split, index) => ({ index, split: encodeValue(split), done: false }))
    const operator = { operator: id, watermark: WATERMARK_NONE, records: 0, splits: states }
    return [{ task: id, subtask: 0, parallelism: 1, channelWatermarks: {}, operators: [operator] }]
  })
}
