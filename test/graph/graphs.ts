import type { Operator } from '../../src/core/operator.ts'
import type { Sink } from '../../src/core/sink.ts'
import type { Source } from '../../src/core/source.ts'
import type { GraphInput, GraphNode, NodeBody, PartitioningKind, StreamGraph } from '../../src/graph/stream-graph.ts'

/** What a test says about a node; `from` are the indexes of the nodes it reads. */
export interface NodeSketch {
  readonly kind: string
  readonly from?: readonly (number | readonly [node: number, partitioning: PartitioningKind, output?: string])[]
  readonly body?: NodeBody
  readonly settings?: GraphNode['settings']
  readonly name?: string
  readonly parallelism?: number
  readonly keyOf?: (value: unknown) => unknown
  readonly assignsTimestamps?: boolean
  readonly needsTimestamps?: boolean
  readonly alignmentGroup?: string
}

/** A graph of these nodes; one that reads nothing is a source, the others are operators unless they say otherwise. */
export function graphOf(sketches: readonly NodeSketch[], job = 'test'): StreamGraph {
  return { job, nodes: sketches.map(nodeOf) }
}

function nodeOf({ from = [], body, settings = null, keyOf, ...rest }: NodeSketch, index: number): GraphNode {
  const inputs = from.map((input): GraphInput => {
    const [node, partitioning = 'forward', output = 'main'] = typeof input === 'number' ? [input] : input
    return { node, partitioning, output, ...(keyOf ? { keyOf } : {}) }
  })
  return { index, inputs, settings, body: body ?? (inputs.length === 0 ? sourceBody() : operatorBody()), ...rest }
}

export function sourceBody(source: Partial<Source<unknown>> = {}): NodeBody {
  const empty = { poll: () => null, position: () => 0 }
  return { type: 'source', source: { kind: 'items', enumerate: () => [], open: () => empty, ...source } }
}

/** An operator that hands every record on, or does what `change` says instead. */
export function operatorBody(change: Partial<Operator> = {}): NodeBody {
  return { type: 'operator', create: (context) => ({ onRecord: (value) => context.output.onRecord(value), ...change }) }
}

export function sinkBody(sink: Partial<Sink<unknown>> = {}): NodeBody {
  const writer = { write: () => undefined, prepareCommit: () => [], close: () => undefined }
  const committer = { open: () => undefined, commit: () => undefined }
  return { type: 'sink', sink: { kind: 'collect', createWriter: () => writer, createCommitter: () => committer, ...sink } }
}
