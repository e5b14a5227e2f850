import { SluiceError } from '../core/errors.ts'
import type { Json } from '../core/json.ts'
import type { GraphInput, GraphNode, InputSide, PartitioningKind, StreamGraph } from './stream-graph.ts'
import { describeGraph, fingerprintOf, isAside, MAIN_OUTPUT, nodeIds, timedNodes } from './stream-graph.ts'

/**
 * What runs where: one JSON value without a function in it. Worker threads find the code of operator `node` in the graph that they built
 * themselves from `module`.
 */
export interface ExecutionPlan {
  readonly job: string
  /** URL of the module that builds the graph. */
  readonly module: string
  readonly fingerprint: string
  /** Key groups; fixed for the life of the state. */
  readonly maxParallelism: number
  /** Worker threads; 0 means that everything runs in the calling thread. */
  readonly workers: number
  /** Also within a thread records are exchanged as bytes. */
  readonly exchangesBytes?: boolean
  readonly tasks: readonly TaskPlan[]
  readonly edges: readonly EdgePlan[]
}

/** Operators that call each other directly, without an exchange between them. Its id is that of its first operator. */
export interface TaskPlan {
  readonly id: string
  readonly parallelism: number
  /** In the order of the records: an operator comes after the one it is chained to. */
  readonly operators: readonly OperatorPlan[]
}

export interface OperatorPlan {
  readonly id: string
  readonly kind: string
  /** Place in the graph. */
  readonly node: number
  readonly type: 'source' | 'operator' | 'sink'
  readonly keyed: boolean
  /** Whether its input records have timestamps. */
  readonly timed: boolean
  readonly settings: Json
  /** Keeps the task's source close to the others of that group. */
  readonly alignmentGroup?: string
  /** The operator and output that calls this one; `null` for the first operator of a task. */
  readonly chainedTo: { readonly operator: string; readonly output: string } | null
}

/** An exchange between two tasks. */
export interface EdgePlan {
  readonly index: number
  readonly fromTask: string
  readonly fromOperator: string
  readonly output: string
  readonly toTask: string
  readonly partitioning: PartitioningKind
  /** Place among the inputs of the reading node. */
  readonly input: number
  readonly side: InputSide
  /** Its records have no timestamps while those of other inputs do: it takes no part in the reader's watermark. */
  readonly timeless: boolean
}

/** What the job's options decide about the plan. */
export interface PlanOptions {
  readonly module: string
  readonly parallelism: number
  readonly maxParallelism: number
  readonly workers: number
  readonly exchange?: 'elided' | 'forced'
}

/** Turns a graph into a plan: fuses what needs no exchange, and names the exchanges that remain. */
export function planExecution(graph: StreamGraph, options: PlanOptions): ExecutionPlan {
  const ids = nodeIds(graph)
  const timed = timedNodes(graph)
  const parallelismOf = (node: GraphNode): number => node.parallelism ?? options.parallelism
  const taskOf: string[] = []
  const tasks = new Map<string, { id: string; parallelism: number; operators: OperatorPlan[] }>()
  const edges: EdgePlan[] = []
  for (const node of graph.nodes) {
    const id = ids[node.index]!
    const inputs = node.inputs.map((input) => {
      const [from, to] = [parallelismOf(graph.nodes[input.node]!), parallelismOf(node)]
      return options.exchange === 'forced' && from === to ? input : settle(input, from, to)
    })
    const chained = inputs.length === 1 && inputs[0]!.partitioning === 'forward' ? inputs[0]! : undefined
    const task = chained ? taskOf[chained.node]! : id
    taskOf[node.index] = task
    if (!chained) tasks.set(id, { id, parallelism: parallelismOf(node), operators: [] })
    tasks.get(task)!.operators.push({
      id,
      kind: node.kind,
      node: node.index,
      type: node.body.type,
      keyed: node.inputs.some((input) => input.keyOf !== undefined),
      timed: node.inputs.length > 0 && node.inputs.every((input) => timed[input.node] || isAside(input)),
      settings: node.settings,
      ...(node.alignmentGroup === undefined ? {} : { alignmentGroup: node.alignmentGroup }),
      chainedTo: chained ? { operator: ids[chained.node]!, output: chained.output } : null,
    })
    if (chained) continue
    const anyTimed = inputs.some((input) => timed[input.node])
    inputs.forEach(({ node: from, output, partitioning, side = 'first' }, input) => {
      const timeless = anyTimed && !timed[from] && inputs.some((other) => other.side !== inputs[0]!.side)
      const [fromTask, fromOperator] = [taskOf[from]!, ids[from]!]
      edges.push({ index: edges.length, fromTask, fromOperator, output, toTask: id, partitioning, input, side, timeless })
    })
  }
  checkAlignment([...tasks.values()], graph)
  return {
    job: graph.job,
    module: options.module,
    fingerprint: fingerprintOf(describeGraph(graph)),
    maxParallelism: options.maxParallelism,
    workers: options.workers,
    ...(options.exchange === 'forced' ? { exchangesBytes: true } : {}),
    tasks: [...tasks.values()],
    edges,
  }
}

/**
 * Whoever holds a source back must sit in its task, however many subtasks there are today.
 * @throws SluiceError `INVALID_OPTION`
 */
function checkAlignment(tasks: readonly TaskPlan[], graph: StreamGraph): void {
  for (const task of tasks) {
    const aligned = task.operators.filter((operator) => operator.alignmentGroup !== undefined)
    for (const { id, node } of aligned) {
      if (task.operators[0]!.type === 'source' && isForwardFromSource(graph, node)) continue
      throw new SluiceError('INVALID_OPTION', `'${id}' cannot hold back a source: an exchange lies between them`, {
        operator: id,
        hint: 'alignment needs withTimestamps directly behind the source: no keyBy, rebalance, union or other exchange between, and the same parallelism',
      })
    }
    if (aligned.length > 1) {
      throw new SluiceError('INVALID_OPTION', `'${aligned[1]!.id}' and '${aligned[0]!.id}' align the same source`, {
        operator: aligned[1]!.id,
        hint: 'give alignment to one withTimestamps behind each source',
      })
    }
  }
}

function isForwardFromSource(graph: StreamGraph, node: number): boolean {
  const { inputs } = graph.nodes[node]!
  return inputs.every((input) => input.partitioning === 'forward' && isForwardFromSource(graph, input.node))
}

/** The alignment group that a task belongs to. */
export function alignmentGroup(task: TaskPlan): string | undefined {
  return task.operators.find((operator) => operator.alignmentGroup !== undefined)?.alignmentGroup
}

/** An exchange between single subtasks moves nothing, and one between different numbers of subtasks cannot be forward. */
function settle(input: GraphInput, from: number, to: number): GraphInput {
  if (from === 1 && to === 1) return { ...input, partitioning: 'forward' }
  return input.partitioning === 'forward' && from !== to ? { ...input, partitioning: 'rebalance' } : input
}

/** The worker that runs a subtask. Subtask i of every task shares a worker, so that forward exchanges stay inside it. */
export function workerOfSubtask(plan: ExecutionPlan, subtask: number): number {
  return plan.workers === 0 ? 0 : subtask % plan.workers
}

/** One channel of an exchange. */
export interface ChannelPlan {
  readonly id: string
  readonly edge: number
  readonly from: number
  readonly to: number
}

/** All channels of an exchange: i to i when it is forward, else everyone to everyone. */
export function channelsOfEdge(plan: ExecutionPlan, edge: EdgePlan): readonly ChannelPlan[] {
  const from = taskPlan(plan, edge.fromTask).parallelism
  const to = taskPlan(plan, edge.toTask).parallelism
  const channels: ChannelPlan[] = []
  for (let sender = 0; sender < from; sender++) {
    for (let receiver = 0; receiver < to; receiver++) {
      if (edge.partitioning === 'forward' && sender !== receiver) continue
      channels.push({ id: `${edge.index}:${sender}:${receiver}`, edge: edge.index, from: sender, to: receiver })
    }
  }
  return channels
}

export function taskPlan(plan: ExecutionPlan, id: string): TaskPlan {
  const task = plan.tasks.find((candidate) => candidate.id === id)
  if (task === undefined) throw new Error(`broken invariant: no task '${id}' in the plan`)
  return task
}

/** Names a subtask in messages, checkpoints and errors. */
export function subtaskName(task: string, subtask: number): string {
  return `${task}/${subtask}`
}

/** `map-1` of `map-1/0`. */
export function taskOfSubtask(name: string): string {
  return name.slice(0, name.lastIndexOf('/'))
}

/** `0` of `map-1/0`. */
export function subtaskOf(name: string): number {
  return Number(name.slice(name.lastIndexOf('/') + 1))
}

/** All subtasks of a plan. */
export function subtaskNames(plan: ExecutionPlan): readonly string[] {
  return plan.tasks.flatMap((task) => Array.from({ length: task.parallelism }, (_, subtask) => subtaskName(task.id, subtask)))
}

export { MAIN_OUTPUT }
