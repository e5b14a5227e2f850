import { copyValue } from '../core/copy-value.ts'
import type { Operator, OperatorContext, Receiver } from '../core/operator.ts'
import type { Sink } from '../core/sink.ts'
import { WATERMARK_END } from '../core/time.ts'
import type { GraphInput, GraphNode, StreamGraph } from '../graph/stream-graph.ts'
import { MAIN_OUTPUT, nodeIds } from '../graph/stream-graph.ts'
import { changed } from './changed.ts'
import { Feed, FeedOpener } from './feed.ts'
import { deepFreeze } from './freeze.ts'
import { Recorder, Recording } from './recording.ts'

/** A job's graph with its ends in hand: sources are fed, what comes to sinks is remembered, watermarks can be raised. */
export interface TestGraph {
  readonly graph: StreamGraph
  /** By the id of the source. */
  readonly feeds: ReadonlyMap<string, Feed>
  /** By the id of the sink: the sink of the job, and the one in its place. */
  readonly sinks: ReadonlyMap<string, { readonly original: unknown; readonly substitute: Sink<unknown> }>
  readonly recording: Recording
  /** Watermarks that have been raised by hand: operators that make their own pass these on. */
  readonly raised: Set<number>
  /** Late records by operator. */
  readonly late: Map<string, number>
  readonly frozen: boolean
}

export interface TestGraphOptions {
  /** True: operators that give timestamps make no watermarks by themselves. */
  readonly manualWatermarks?: boolean
  /** Freezes what operators emit. */
  readonly freeze: boolean
  /** True: what is fed counts as having timestamps. */
  readonly timedSources?: boolean
  /** True: watermarks at the sinks are remembered too. */
  readonly recordWatermarks?: boolean
  /** True: each result that has come to a sink waits for room. */
  readonly oneSlot?: boolean
}

/**
 * Replaces the ends of a graph. Everything between them stays as it is, under the ids that it has in the job: behind each source comes an
 * operator that opens what is fed, and before each sink one that notes timestamps.
 */
export function testGraph(graph: StreamGraph, options: TestGraphOptions): TestGraph {
  return new Rewriting(graph, options).run()
}

class Rewriting {
  readonly #graph: StreamGraph
  readonly #options: TestGraphOptions
  readonly #nodes: GraphNode[] = []
  /** Where the outputs of a node of the job are found now. */
  readonly #places: number[] = []
  readonly #feeds = new Map<string, Feed>()
  readonly #sinks = new Map<string, { readonly original: unknown; readonly substitute: Sink<unknown> }>()
  readonly #recording = new Recording()
  readonly #raised = new Set<number>()
  readonly #late = new Map<string, number>()

  constructor(graph: StreamGraph, options: TestGraphOptions) {
    this.#graph = graph
    this.#options = options
  }

  run(): TestGraph {
    const ids = nodeIds(this.#graph)
    for (const node of this.#graph.nodes) this.#places[node.index] = this.#replace(node, ids[node.index]!)
    return {
      graph: { ...this.#graph, nodes: this.#nodes },
      feeds: this.#feeds,
      sinks: this.#sinks,
      recording: this.#recording,
      raised: this.#raised,
      late: this.#late,
      frozen: this.#options.freeze,
    }
  }

  #replace(node: GraphNode, id: string): number {
    const inputs = node.inputs.map((input) => ({ ...input, node: this.#places[input.node]! }))
    switch (node.body.type) {
      case 'source':
        return this.#replaceSource(node, id, new Feed(node.body.source))
      case 'sink':
        return this.#replaceSink({ ...node, inputs }, id, node.body.sink)
      case 'operator': {
        const { create } = node.body
        const made = (context: OperatorContext): Operator => this.#operator(context, node, create)
        return this.#add({ ...node, name: id, inputs, body: { type: 'operator', create: made } })
      }
    }
  }

  #replaceSource(node: GraphNode, id: string, feed: Feed): number {
    this.#feeds.set(id, feed)
    const source = this.#add({ ...node, name: id, body: { type: 'source', source: feed } })
    const { kind, settings, assignsTimestamps: _, ...place } = node
    return this.#add({
      ...place,
      kind: `${kind}-opener`,
      settings,
      name: `${id}.opener`,
      inputs: [forward(source)],
      ...(this.#options.timedSources ? { assignsTimestamps: true } : {}),
      body: { type: 'operator', create: (context) => new FeedOpener(context) },
    })
  }

  #replaceSink(node: GraphNode, id: string, original: unknown): number {
    const substitute = this.#recording.sink(node.kind)
    this.#sinks.set(id, { original, substitute })
    const { recordWatermarks: watermarks = false, oneSlot = false, freeze } = this.#options
    // What is frozen stays as it is; of anything else the job may change what it has emitted.
    const look = freeze ? deepFreeze : copyValue
    const recorder = this.#add({
      ...node,
      name: id,
      body: { type: 'operator', create: (context) => new Recorder(context, id, { look, watermarks, oneSlot }) },
    })
    return this.#add({
      ...node,
      name: `${id}.writer`,
      inputs: [forward(recorder)],
      body: { type: 'sink', sink: substitute },
    })
  }

  #add(node: Omit<GraphNode, 'index'>): number {
    this.#nodes.push({ ...node, index: this.#nodes.length })
    return this.#nodes.length - 1
  }

  /** An operator of the job in a context that counts and freezes; one that makes watermarks lets those raised by hand pass. */
  #operator(context: OperatorContext, node: GraphNode, create: (context: OperatorContext) => Operator): Operator {
    const { freeze, manualWatermarks } = this.#options
    const silent = manualWatermarks === true && node.assignsTimestamps === true
    const operator = create(
      changed(context, {
        late: () => {
          this.#late.set(context.operatorId, (this.#late.get(context.operatorId) ?? 0) + 1)
          context.late()
        },
        ...(freeze ? { output: freezing(context.output), side: (tag) => freezing(context.side(tag)) } : {}),
        ...(silent ? { emitWatermark: () => undefined } : {}),
      }),
    )
    if (node.assignsTimestamps === true) this.#letPass(operator, context)
    return operator
  }

  #letPass(operator: Operator, context: OperatorContext): void {
    const own = operator.onWatermark?.bind(operator)
    operator.onWatermark = (watermark) => {
      if (watermark !== WATERMARK_END && this.#raised.has(watermark)) context.emitWatermark(watermark)
      return own?.(watermark) ?? true
    }
  }
}

function forward(node: number): GraphInput {
  return { node, output: MAIN_OUTPUT, partitioning: 'forward' }
}

function freezing(receiver: Receiver): Receiver {
  return { onRecord: (value) => receiver.onRecord(deepFreeze(value)) }
}
