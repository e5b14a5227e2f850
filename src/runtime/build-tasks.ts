import { assert } from '../core/assert.ts'
import type { SluiceError } from '../core/errors.ts'
import { locateError } from '../core/errors.ts'
import type { RecordCell, SourceSplits, WatermarkGroup } from '../core/operator.ts'
import type { Clock } from '../core/time.ts'
import { WATERMARK_NONE } from '../core/time.ts'
import type { ChannelPlan, EdgePlan, ExecutionPlan, TaskPlan } from '../graph/execution-plan.ts'
import { alignmentGroup, channelsOfEdge, subtaskName, subtaskNames, taskPlan, workerOfSubtask } from '../graph/execution-plan.ts'
import type { StreamGraph } from '../graph/stream-graph.ts'
import { passesOverBadRecords } from '../graph/stream-graph.ts'
import type { ChannelReader, ChannelWriter } from '../protocol/channel.ts'
import { LocalChannel, RemoteReader, RemoteWriter } from '../protocol/channel.ts'
import { ColumnarCodec } from '../protocol/columnar-codec.ts'
import { SubtaskCounters } from '../protocol/counters.ts'
import type { Doorbells } from '../protocol/doorbell.ts'
import type { Deployment, SplitState, SubtaskRestore, SubtaskSnapshot, SubtaskTiming } from '../protocol/messages.ts'
import { RingReader, RingWriter } from '../protocol/ring.ts'
import { Signals } from '../protocol/signals.ts'
import type { DeltaChunk } from '../state/delta-chunk.ts'
import type { BaseOf } from '../state/state-base.ts'
import type { NamedExchange } from './chain-link.ts'
import { closeAll } from './chain-link.ts'
import { NotedReading } from './noted-reading.ts'
import { OperatorChain } from './operator-chain.ts'
import type { Backpressure, Exchange } from './output.ts'
import { BroadcastExchange, ForwardExchange, HashExchange, OutputChannel, RebalanceExchange } from './output.ts'
import type { SourceReading } from './split-reading.ts'
import { SplitReading } from './split-reading.ts'
import { Task } from './task.ts'
import { SharedWatermarkGroup } from './watermark-group.ts'

/** What tasks tell the thread that runs them. */
export interface WorkerReports {
  deltas(checkpoint: number, operator: string, chunks: readonly DeltaChunk[]): void
  acknowledge(checkpoint: number, snapshot: SubtaskSnapshot, timing: SubtaskTiming): void
  progress(checkpoint: number, subtask: string, phase: 'alignment' | 'snapshot'): void
  ended(subtask: string): void
  /** A source has read so far and hands nothing of it on before `noted` is called with the number of this report. */
  read(subtask: string, sequence: number, splits: readonly SplitState[], noted: (sequence: number) => void): void
  /** A record was passed over, the first one of its operator. */
  badRecord(error: SluiceError): void
  fail(error: unknown): void
  wake(): void
}

/** Builds the subtasks of one worker and the ends of their channels. Sinks stage under the number of the attempt. */
export function buildTasks(
  deployment: Deployment,
  attempt: number,
  graph: StreamGraph,
  clock: Clock,
  doorbells: Doorbells,
  baseOf: BaseOf,
  reports: WorkerReports,
): readonly Task[] {
  const { plan, worker } = deployment
  const channels = new ChannelEnds(deployment, doorbells)
  const wanted = plan.tasks.filter(({ id }) => deployment.tasks?.has(id) ?? true)
  const places = wanted.flatMap((task) => subtasksOf(task, plan, worker).map((subtask) => ({ task, subtask })))
  const built: Task[] = []
  try {
    for (const { task, subtask } of places) {
      const builder = new TaskBuilder(deployment, attempt, graph, clock, channels, baseOf, reports)
      built.push(builder.build(task, subtask))
    }
  } catch (error) {
    // The thread may live on with what it runs of other regions.
    try {
      closeAll(built.map((task) => () => task.close()))
    } catch (closing) {
      process.emitWarning(`closing tasks that were never opened: ${String(closing)}`)
    }
    throw error
  }
  return built
}

function subtasksOf(task: TaskPlan, plan: ExecutionPlan, worker: number): readonly number[] {
  const all = Array.from({ length: task.parallelism }, (_, subtask) => subtask)
  return all.filter((subtask) => workerOfSubtask(plan, subtask) === worker)
}

/** The ends of channels that this worker holds: local ones are made once and shared by both sides. */
class ChannelEnds {
  readonly #deployment: Deployment
  readonly #doorbells: Doorbells
  readonly #local = new Map<string, LocalChannel>()

  constructor(deployment: Deployment, doorbells: Doorbells) {
    this.#deployment = deployment
    this.#doorbells = doorbells
  }

  writer(channel: ChannelPlan): ChannelWriter {
    const ring = this.#deployment.rings[channel.id]
    if (ring === undefined) return this.#localChannel(channel)
    const reader = workerOfSubtask(this.#deployment.plan, channel.to)
    return new RemoteWriter(new RingWriter(ring), new ColumnarCodec(), () => this.#doorbells.ring(reader))
  }

  reader(channel: ChannelPlan): ChannelReader {
    const ring = this.#deployment.rings[channel.id]
    if (ring === undefined) return this.#localChannel(channel)
    const writer = workerOfSubtask(this.#deployment.plan, channel.from)
    return new RemoteReader(new RingReader(ring), new ColumnarCodec(), () => this.#doorbells.ring(writer))
  }

  #localChannel(channel: ChannelPlan): LocalChannel {
    let local = this.#local.get(channel.id)
    if (local === undefined) this.#local.set(channel.id, (local = new LocalChannel()))
    return local
  }
}

class TaskBuilder {
  readonly #deployment: Deployment
  readonly #attempt: number
  readonly #graph: StreamGraph
  readonly #clock: Clock
  readonly #channels: ChannelEnds
  readonly #baseOf: BaseOf
  readonly #reports: WorkerReports
  readonly #backpressure: Backpressure = { full: false, behind: false }
  readonly #outputs: OutputChannel[] = []

  constructor(
    deployment: Deployment,
    attempt: number,
    graph: StreamGraph,
    clock: Clock,
    channels: ChannelEnds,
    baseOf: BaseOf,
    reports: WorkerReports,
  ) {
    this.#deployment = deployment
    this.#attempt = attempt
    this.#graph = graph
    this.#clock = clock
    this.#channels = channels
    this.#baseOf = baseOf
    this.#reports = reports
  }

  build(plan: TaskPlan, subtask: number): Task {
    try {
      return this.#build(plan, subtask)
    } catch (error) {
      throw locateError(error, { operator: plan.id, subtask })
    }
  }

  #build(plan: TaskPlan, subtask: number): Task {
    const name = subtaskName(plan.id, subtask)
    const restore = this.#deployment.restores[name] ?? { channelWatermarks: {}, operators: {} }
    const counters = new SubtaskCounters(this.#deployment.counters, subtaskNames(this.#deployment.plan).indexOf(name))
    const reading = this.#buildReading(plan, subtask, restore)
    const chain = this.#buildChain(plan, subtask, restore, counters, reading)
    const source = restore.operators[plan.id]
    return new Task({
      plan,
      subtask,
      chain,
      inputs: this.#inputs(plan, subtask, restore),
      outputs: this.#outputs,
      backpressure: this.#backpressure,
      reading,
      recordsRead: source?.records ?? 0,
      watermark: source?.watermark ?? WATERMARK_NONE,
      clock: this.#clock,
      counters,
      lastCheckpoint: this.#deployment.lastCheckpoint,
      mode: this.#deployment.mode,
      signals: new Signals(this.#deployment.signals, this.#deployment.worker),
      maxParallelism: this.#deployment.plan.maxParallelism,
      inFlight: restore.inFlight ?? [],
      chainedInFlight: restore.chainedInFlight ?? [],
      replaysFirst: restore.replaysFirst === true,
      reports: {
        deltas: (checkpoint, operator, chunks) => this.#reports.deltas(checkpoint, operator, chunks),
        acknowledge: (checkpoint, snapshot, timing) => this.#reports.acknowledge(checkpoint, snapshot, timing),
        progress: (checkpoint, phase) => this.#reports.progress(checkpoint, name, phase),
        ended: () => this.#reports.ended(name),
        fail: (error) => this.#reports.fail(locateError(error, { operator: plan.id, subtask })),
      },
    })
  }

  #buildChain(
    task: TaskPlan,
    subtask: number,
    restore: SubtaskRestore,
    counters: SubtaskCounters,
    splits: SourceSplits | undefined,
  ): OperatorChain {
    const { plan, run } = this.#deployment
    let late = 0
    // Of a region that has started again there is an older number.
    counters.set('late', late)
    counters.set('bad', 0)
    const environment = {
      task,
      subtask,
      maxParallelism: plan.maxParallelism,
      nodes: this.#graph.nodes,
      clock: this.#clock,
      job: plan.job,
      run,
      attempt: this.#attempt,
      backpressure: this.#backpressure,
      splits,
      watermarkGroup: this.#watermarkGroup(task, counters),
      base: this.#baseOf,
      restored: this.#deployment.restored,
      late: () => counters.set('late', ++late),
      onBadRecord: passesOverBadRecords(this.#graph) ? this.#onBadRecord(counters) : undefined,
      wake: () => this.#reports.wake(),
      plain: process.env['SLUICE_CHAINS'] === 'plain',
    }
    return new OperatorChain(environment, (operator, cell) => this.#exchanges(operator, subtask, cell), restore.operators)
  }

  /** Counts all, and tells of the first one of each operator: whoever watches the job wants to see one, and not a million. */
  #onBadRecord(counters: SubtaskCounters): (error: SluiceError) => void {
    let bad = 0
    const told = new Set<string | undefined>()
    return (error) => {
      counters.set('bad', ++bad)
      if (told.has(error.operator)) return
      told.add(error.operator)
      this.#reports.badRecord(error)
    }
  }

  /** The cells of everybody in the group of a task; each task belongs to one at most. */
  #watermarkGroup(task: TaskPlan, own: SubtaskCounters): WatermarkGroup | undefined {
    const group = alignmentGroup(task)
    if (group === undefined) return undefined
    const { plan, counters } = this.#deployment
    const rows = subtaskNames(plan)
    const members = plan.tasks
      .filter((each) => alignmentGroup(each) === group)
      .flatMap((each) => Array.from({ length: each.parallelism }, (_, subtask) => rows.indexOf(subtaskName(each.id, subtask))))
    return new SharedWatermarkGroup(
      own,
      members.map((row) => new SubtaskCounters(counters, row)),
    )
  }

  #exchanges(operator: string, subtask: number, cell: RecordCell): readonly NamedExchange[] {
    const edges = this.#deployment.plan.edges.filter((edge) => edge.fromOperator === operator)
    return edges.map((edge) => ({
      output: edge.output,
      toTask: edge.toTask,
      exchange: this.#exchange(edge, subtask, cell),
    }))
  }

  #exchange(edge: EdgePlan, subtask: number, cell: RecordCell): Exchange {
    const { plan } = this.#deployment
    const channels = channelsOfEdge(plan, edge)
      .filter((channel) => channel.from === subtask)
      .map((channel) => {
        // A whole batch is sent, whoever brings its last record.
        const failure = (error: unknown): SluiceError =>
          locateError(error, { operator: edge.fromOperator, subtask, isGeneral: true })
        return new OutputChannel(this.#channels.writer(channel), this.#backpressure, failure)
      })
    this.#outputs.push(...channels)
    switch (edge.partitioning) {
      case 'forward':
        return new ForwardExchange(channels, cell)
      case 'hash': {
        const reader = taskPlan(plan, edge.toTask).operators[0]!
        const { keyOf } = this.#graph.nodes[reader.node]!.inputs[edge.input]!
        assert(keyOf !== undefined, `a hash exchange to '${reader.id}', which has no key`)
        const failure = (error: unknown): SluiceError => locateError(error, { operator: reader.id, subtask })
        return new HashExchange(channels, cell, { keyOf, failure }, plan.maxParallelism)
      }
      case 'rebalance':
        return new RebalanceExchange(channels, cell)
      case 'broadcast':
        return new BroadcastExchange(channels, cell)
    }
  }

  #inputs(task: TaskPlan, subtask: number, restore: SubtaskRestore): ConstructorParameters<typeof Task>[0]['inputs'] {
    const { plan } = this.#deployment
    const edges = plan.edges.filter((edge) => edge.toTask === task.id)
    return edges.flatMap((edge) => {
      const channels = channelsOfEdge(plan, edge).filter((channel) => channel.to === subtask)
      return channels.map((channel) => ({
        channel: channel.id,
        reader: this.#channels.reader(channel),
        watermark: restore.channelWatermarks[channel.id] ?? WATERMARK_NONE,
        side: edge.side,
        timeless: edge.timeless,
        // Also where nothing is exchanged, between single subtasks: the records of today may be dealt to several tomorrow.
        keyOf: this.#graph.nodes[task.operators[0]!.node]!.inputs[edge.input]!.keyOf,
      }))
    })
  }

  #buildReading(task: TaskPlan, subtask: number, restore: SubtaskRestore): SourceReading | undefined {
    const operator = task.operators[0]!
    const { body } = this.#graph.nodes[operator.node]!
    if (body.type !== 'source') return undefined
    const context = {
      operator: operator.id,
      subtask,
      now: () => this.#clock.now(),
      passesOverBadRecords: passesOverBadRecords(this.#graph),
    }
    const wake = (): void => this.#reports.wake()
    const reading = new SplitReading(body.source, context, restore.operators[operator.id]?.splits ?? [], wake)
    if (!this.#deployment.mode.readsOnce) return reading
    const noted = new NotedReading(
      reading,
      (sequence, splits) => this.#reports.read(subtaskName(task.id, subtask), sequence, splits, (done) => noted.onNoted(done)),
      wake,
    )
    return noted
  }
}
