import { locateError } from '../../src/core/errors.ts'
import type { Operator, OperatorContext, WatermarkGroup } from '../../src/core/operator.ts'
import { WATERMARK_NONE } from '../../src/core/time.ts'
import type { TaskPlan } from '../../src/graph/execution-plan.ts'
import { planExecution } from '../../src/graph/execution-plan.ts'
import { LocalChannel } from '../../src/protocol/channel.ts'
import { createCounters, SubtaskCounters } from '../../src/protocol/counters.ts'
import type { Element, RecordBatch } from '../../src/protocol/element.ts'
import type {
  ChainedInFlight,
  CheckpointMode,
  InFlight,
  OperatorRestore,
  OperatorSnapshot,
  SplitState,
  SubtaskSnapshot,
  SubtaskTiming,
} from '../../src/protocol/messages.ts'
import { Signals } from '../../src/protocol/signals.ts'
import { OperatorChain } from '../../src/runtime/operator-chain.ts'
import { ForwardExchange, OutputChannel } from '../../src/runtime/output.ts'
import { SplitReading } from '../../src/runtime/split-reading.ts'
import { Task } from '../../src/runtime/task.ts'
import type { OperatorBase } from '../../src/state/state-base.ts'
import type { NodeSketch } from '../graph/graphs.ts'
import { graphOf } from '../graph/graphs.ts'

/** An operator of a test. */
export function operator(
  kind: string,
  create: (context: OperatorContext) => Operator,
  more: Partial<NodeSketch> = {},
): NodeSketch {
  return { kind, body: { type: 'operator', create }, ...more }
}

export interface HarnessOptions {
  /** The operators of the task, each reading the one before. */
  readonly operators: readonly NodeSketch[]
  readonly inputs?: number
  readonly splits?: readonly SplitState[]
  readonly lastCheckpoint?: number
  readonly restores?: Readonly<Record<string, OperatorRestore>>
  readonly watermarkGroup?: WatermarkGroup
  readonly mode?: CheckpointMode
  /** What was on its way when the restored snapshot was taken. */
  readonly inFlight?: readonly InFlight[]
  /** The same, to operators that were tasks of their own. */
  readonly chainedInFlight?: readonly ChainedInFlight[]
  readonly replaysFirst?: boolean
  /** Watermarks of the channels at the restored snapshot. */
  readonly channelWatermarks?: Readonly<Record<string, number>>
  readonly base?: (operator: string) => OperatorBase | undefined
  /** Key of the records on every input, for what is recorded of them. */
  readonly keyOf?: (value: unknown) => unknown
  /** Operators call each other, and no code is made of the chain. */
  readonly plain?: boolean
}

const EXACTLY_ONCE: CheckpointMode = { holdsChannels: true, readsOnce: false, stopsTheWorld: false }

/** A snapshot as a restore needs it: what the operators say, and the chunks of their keyed state. */
export interface Cut {
  readonly operators: readonly OperatorSnapshot[]
  readonly deltas: Readonly<Record<string, readonly Uint8Array<ArrayBuffer>[]>>
}

/** One real task with its inputs and its output in hand, and a clock that is set by hand. */
export class TaskHarness {
  readonly inputs: readonly LocalChannel[]
  readonly output = new LocalChannel()
  readonly task: Task
  readonly chain: OperatorChain
  readonly acknowledged: { readonly checkpoint: number; readonly snapshot: SubtaskSnapshot; readonly timing: SubtaskTiming }[] =
    []
  readonly progress: (readonly [number, string])[] = []
  readonly signals = new Signals(1)
  /** Chunks of keyed state, by checkpoint, in the order in which they were sent. */
  readonly deltas: { readonly checkpoint: number; readonly operator: string; readonly bytes: Uint8Array<ArrayBuffer> }[] = []
  readonly failures: unknown[] = []
  ended = 0
  now = 0
  /** How often an operator asked for a step. */
  wakes = 0

  constructor(options: HarnessOptions) {
    const { operators, inputs = 1, splits, lastCheckpoint = 0, restores = {}, watermarkGroup, mode = EXACTLY_ONCE } = options
    // A source before an input makes the first operator the head of a task of its own.
    const upstream: NodeSketch[] = splits === undefined ? [{ kind: 'upstream' }] : []
    const offset = upstream.length
    const sketches = operators.map((sketch, index): NodeSketch => {
      if (index > 0) return { from: [index - 1 + offset], ...sketch }
      return offset === 0 ? sketch : { from: [[0, 'rebalance']], ...sketch }
    })
    const graph = graphOf([...upstream, ...sketches])
    const plan = planExecution(graph, { module: 'file:///job.ts', parallelism: 2, maxParallelism: 128, workers: 1 })
    const task = plan.tasks.at(-1)! as TaskPlan
    const backpressure = { full: false, behind: false }
    // Nothing takes time, so nothing depends on how fast the machine is.
    const clock = { now: () => this.now, elapsed: () => 0 }
    const failure = (error: unknown) => locateError(error, { operator: task.id, subtask: 0 })
    const channel = new OutputChannel(this.output, backpressure, failure)
    const last = task.operators.at(-1)!
    const outputs = last.type === 'sink' ? [] : [channel]
    const { body } = graph.nodes[0]!
    const reading =
      splits === undefined || body.type !== 'source'
        ? undefined
        : new SplitReading(body.source, { operator: task.id, subtask: 0, now: clock.now }, splits, () => {})
    this.chain = new OperatorChain(
      {
        task,
        subtask: 0,
        maxParallelism: 128,
        nodes: graph.nodes,
        clock,
        job: 'test',
        run: 'run',
        attempt: 1,
        backpressure,
        splits: reading,
        watermarkGroup,
        base: options.base ?? (() => undefined),
        restored: lastCheckpoint,
        late: () => {},
        wake: () => void this.wakes++,
        plain: options.plain ?? false,
      },
      (id, cell) =>
        id === last.id && outputs.length > 0
          ? [{ output: 'main', toTask: 'next', exchange: new ForwardExchange(outputs, cell) }]
          : [],
      restores,
    )
    this.inputs = splits === undefined ? Array.from({ length: inputs }, () => new LocalChannel()) : []
    this.task = new Task({
      plan: task,
      subtask: 0,
      chain: this.chain,
      inputs: this.inputs.map((reader, index) => ({
        channel: `0:${index}:0`,
        reader,
        watermark: options.channelWatermarks?.[`0:${index}:0`] ?? WATERMARK_NONE,
        side: 'first',
        timeless: false,
        keyOf: options.keyOf,
      })),
      outputs,
      backpressure,
      reading,
      recordsRead: 0,
      clock,
      counters: new SubtaskCounters(createCounters(1), 0),
      lastCheckpoint,
      watermark: restores[task.id]?.watermark ?? WATERMARK_NONE,
      mode,
      signals: this.signals,
      maxParallelism: 128,
      chainedInFlight: options.chainedInFlight ?? [],
      replaysFirst: options.replaysFirst ?? false,
      inFlight: options.inFlight ?? [],
      reports: {
        deltas: (checkpoint, operatorId, chunks) => {
          for (const { bytes } of chunks) this.deltas.push({ checkpoint, operator: operatorId, bytes })
        },
        acknowledge: (checkpoint, snapshot, timing) => this.acknowledged.push({ checkpoint, snapshot, timing }),
        progress: (checkpoint, phase) => this.progress.push([checkpoint, phase]),
        ended: () => this.ended++,
        fail: (error) => this.failures.push(error),
      },
    })
    this.task.open()
  }

  send(input: number, ...elements: Element[]): void {
    for (const element of elements) this.inputs[input]!.write(element)
  }

  /** Cuts the chain by itself, past the task, and writes all of it. */
  cut(checkpoint: number): Cut {
    const operators = this.chain.snapshot(checkpoint)
    this.chain.encode(() => false)
    const chunks = this.chain.takeChunks()
    const deltas = operators.map(({ operator: id }) => [
      id,
      chunks.filter((ready) => ready.operator === id).flatMap((ready) => ready.chunks.map(({ bytes }) => bytes)),
    ])
    return { operators, deltas: Object.fromEntries(deltas) as Cut['deltas'] }
  }

  /** What a task goes on with that begins from an acknowledged snapshot, when no base holds any of its keyed state. */
  restoreOf(checkpoint: number): Pick<HarnessOptions, 'restores' | 'inFlight' | 'channelWatermarks' | 'lastCheckpoint'> {
    const { snapshot } = this.acknowledged.find((each) => each.checkpoint === checkpoint)!
    const deltas = this.deltas.filter((each) => each.checkpoint <= checkpoint)
    return {
      restores: restoresOf(snapshot.operators, (id) => deltas.filter(({ operator: of }) => of === id).map(({ bytes }) => bytes)),
      inFlight: snapshot.inFlight ?? [],
      channelWatermarks: snapshot.channelWatermarks,
      lastCheckpoint: checkpoint,
    }
  }

  /** Steps until the task has nothing to do, and returns what it has sent by then. */
  run(): readonly Element[] {
    const seen: Element[] = []
    for (let idle = 0, steps = 0; idle < 2; steps++) {
      if (steps > 1_000_000) throw new Error('the task does not come to rest')
      idle = this.task.step() ? 0 : idle + 1
      for (let element = this.output.poll(); element !== undefined; element = this.output.poll()) seen.push(element)
    }
    return seen
  }

  /** Steps without taking anything out of the output. */
  runBlocked(): void {
    for (let steps = 0; this.task.step(); steps++) if (steps > 100_000) throw new Error('the task does not stop at a full output')
  }
}

/** What operators of the same parallelism begin with. */
export function restoresOf(
  operators: readonly OperatorSnapshot[],
  deltasOf: (operator: string) => readonly Uint8Array<ArrayBuffer>[] = () => [],
): Record<string, OperatorRestore> {
  const restores = operators.map(({ operator: id, watermark: time, records: count, state, splits = [] }) => [
    id,
    {
      watermark: time,
      rescaled: false,
      watermarkFloors: [],
      records: count,
      states: state === undefined ? [] : [state],
      splits,
      deltas: deltasOf(id),
    },
  ])
  return Object.fromEntries(restores) as Record<string, OperatorRestore>
}

export function records(...values: unknown[]): Element {
  return { kind: 'records', values, timestamps: values.map(() => Number.NaN) }
}

export function watermark(time: number): Element {
  return { kind: 'watermark', time }
}

export function barrier(checkpoint: number): Element {
  return { kind: 'barrier', checkpoint }
}

export const END: Element = { kind: 'end' }

/** Elements with the records of neighbouring batches one by one: `[value, 'watermark 5', 'barrier 1']`. */
export function flat(elements: readonly Element[]): readonly unknown[] {
  return elements.flatMap((element): readonly unknown[] => {
    switch (element.kind) {
      case 'records':
        return flatBatch(element)
      case 'watermark':
        return [`watermark ${element.time}`]
      case 'barrier':
        return [`barrier ${element.checkpoint}`]
      default:
        return [element.kind]
    }
  })
}

export async function turns(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
}

function flatBatch({ values, watermarks }: RecordBatch): readonly unknown[] {
  const all: unknown[] = []
  for (let index = 0; index <= values.length; index++) {
    const at = watermarks?.after.indexOf(index) ?? -1
    if (at >= 0) all.push(`watermark ${watermarks!.times[at]}`)
    if (index < values.length) all.push(values[index])
  }
  return all
}
