import { createHash } from 'node:crypto'
import type { BadRecordPolicy } from '../core/bad-record.ts'
import { SluiceError } from '../core/errors.ts'
import type { Json } from '../core/json.ts'
import type { Operator, OperatorContext } from '../core/operator.ts'
import type { Sink } from '../core/sink.ts'
import type { Source } from '../core/source.ts'

/** The output of a node that `to`, `map` and the rest read; side outputs have names of their own. */
export const MAIN_OUTPUT = 'main'

/** Which subtask of the reader gets a record. */
export type PartitioningKind = 'forward' | 'hash' | 'rebalance' | 'broadcast'

/** One input of a node. */
export interface GraphInput {
  /** Index of the node that is read. */
  readonly node: number
  /** Name of its output. */
  readonly output: string
  readonly partitioning: PartitioningKind
  /** Which side of an operator with two inputs this one feeds. Default: the first. */
  readonly side?: InputSide
  /** How the key of a record is found that comes in here; only behind `keyBy`. */
  readonly keyOf?: (value: unknown) => unknown
}

/** An operator has one input, fed by any number of streams of one type, or two. */
export type InputSide = 'first' | 'second'

/** What a node does, as code. It never leaves the thread: each thread builds the graph anew and finds it by the node's place. */
export type NodeBody =
  | { readonly type: 'source'; readonly source: Source<unknown> }
  | { readonly type: 'operator'; readonly create: (context: OperatorContext) => Operator }
  | { readonly type: 'sink'; readonly sink: Sink<unknown> }

/** One step of the job as written. `name` and `parallelism` may be set until the job runs. */
export interface GraphNode {
  readonly index: number
  /** The verb, such as `map`; the first part of a generated id. */
  readonly kind: string
  readonly inputs: readonly GraphInput[]
  readonly body: NodeBody
  readonly settings: Json
  /** Names of the side outputs that its functions may send to; absent where the operator knows its own. */
  readonly sides?: readonly string[]
  /** Gives its output timestamps and watermarks. */
  readonly assignsTimestamps?: boolean
  /** Its results belong to no instant, such as those of a window that never ends. */
  readonly dropsTimestamps?: boolean
  /** Does not work without them. */
  readonly needsTimestamps?: boolean
  /** It and all others of that group keep the sources that they are chained to close together in event time. */
  readonly alignmentGroup?: string
  name?: string
  parallelism?: number
}

/** A job as written: nodes in the order in which the program made them, each after the nodes that it reads. */
export interface StreamGraph {
  readonly job: string
  readonly nodes: readonly GraphNode[]
  /** Default: `fail`. */
  readonly onBadRecord?: BadRecordPolicy
}

export function passesOverBadRecords({ onBadRecord = 'fail' }: StreamGraph): boolean {
  return onBadRecord !== 'fail'
}

/** A node without its code: what the fingerprint covers and what a changed job is compared by. */
export interface NodeDescription {
  readonly id: string
  readonly kind: string
  readonly settings: Json
  readonly inputs: readonly InputDescription[]
}

export interface InputDescription {
  readonly from: string
  readonly output: string
  readonly partitioning: PartitioningKind
  /** Absent for the first. */
  readonly side?: InputSide
}

/** The ids of all nodes: `named(...)`, or the kind and its number among its like. @throws `DUPLICATE_OPERATOR_ID` */
export function nodeIds(graph: StreamGraph): readonly string[] {
  const counts = new Map<string, number>()
  const seen = new Set<string>()
  return graph.nodes.map((node) => {
    const ordinal = (counts.get(node.kind) ?? 0) + 1
    counts.set(node.kind, ordinal)
    const id = node.name ?? `${node.kind}-${ordinal}`
    if (seen.has(id)) {
      throw new SluiceError('DUPLICATE_OPERATOR_ID', `two operators have the id '${id}'`, {
        operator: id,
        hint: 'give each named() operator a name of its own; names such as map-1 are those of operators without one',
      })
    }
    seen.add(id)
    return id
  })
}

/** The graph as data. */
export function describeGraph(graph: StreamGraph): readonly NodeDescription[] {
  const ids = nodeIds(graph)
  return graph.nodes.map((node) => ({
    id: ids[node.index]!,
    kind: node.kind,
    settings: node.settings,
    inputs: node.inputs.map(({ node: from, output, partitioning, side }) => ({
      from: ids[from]!,
      output,
      partitioning,
      ...(side === 'second' ? { side } : {}),
    })),
  }))
}

/** A short text that is equal for equal graphs: kinds, ids, settings and edges, but no code and no parallelism. */
export function fingerprintOf(description: readonly NodeDescription[]): string {
  return createHash('sha256').update(JSON.stringify(description)).digest('hex').slice(0, 32)
}

/** In one sentence, how two graphs differ; `undefined` when they do not. */
export function graphDifference(before: readonly NodeDescription[], after: readonly NodeDescription[]): string | undefined {
  const old = new Map(before.map((node) => [node.id, node]))
  const parts: string[] = []
  for (const node of after) {
    const other = old.get(node.id)
    old.delete(node.id)
    if (other === undefined) parts.push(`'${node.id}' is new`)
    else if (JSON.stringify(other) !== JSON.stringify(node)) parts.push(`'${node.id}' has changed (${changeOf(other, node)})`)
  }
  for (const id of old.keys()) parts.push(`'${id}' is gone`)
  if (parts.length === 0 && JSON.stringify(before) !== JSON.stringify(after)) parts.push('the operators come in another order')
  return parts.length === 0 ? undefined : parts.slice(0, 5).join(', ') + (parts.length > 5 ? ` and ${parts.length - 5} more` : '')
}

function changeOf(before: NodeDescription, after: NodeDescription): string {
  if (before.kind !== after.kind) return `${before.kind} is now ${after.kind}`
  if (JSON.stringify(before.inputs) !== JSON.stringify(after.inputs)) return 'other inputs'
  return `settings ${JSON.stringify(before.settings)} are now ${JSON.stringify(after.settings)}`
}

/** Refuses what cannot run. @throws SluiceError `EMPTY_JOB`, `NO_TIMESTAMPS`, `DUPLICATE_OPERATOR_ID` */
export function validateGraph(graph: StreamGraph): void {
  if (graph.nodes.length === 0) {
    throw new SluiceError('EMPTY_JOB', `the job '${graph.job}' reads nothing`, { hint: 'begin with .from(source)' })
  }
  const ids = nodeIds(graph)
  const timed = timedNodes(graph)
  for (const node of graph.nodes) {
    if (node.needsTimestamps && !node.inputs.every((input) => timed[input.node] || isAside(input))) {
      throw new SluiceError('NO_TIMESTAMPS', `'${ids[node.index]}' works on event time, but its records have no timestamps`, {
        operator: ids[node.index]!,
        hint: 'call .withTimestamps((record) => milliseconds, { maxOutOfOrderness }) before it',
      })
    }
  }
}

/**
 * For each node, whether its results have timestamps. What is broadcast beside the records of an operator need not have any: rules and
 * settings hold at all times.
 */
export function timedNodes(graph: StreamGraph): readonly boolean[] {
  const timed: boolean[] = []
  for (const node of graph.nodes) {
    const counted = node.inputs.filter((input) => !isAside(input))
    const inherits = counted.length > 0 && counted.every((input) => timed[input.node])
    timed[node.index] = node.assignsTimestamps === true || (inherits && node.dropsTimestamps !== true)
  }
  return timed
}

/** Whether an input is broadcast beside the records that an operator works on. */
export function isAside(input: GraphInput): boolean {
  return input.side === 'second' && input.partitioning === 'broadcast'
}
