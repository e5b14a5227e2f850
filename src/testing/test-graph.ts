import type { Operator, OperatorContext } from '../core/operator.ts'
import type { Source, SplitReader } from '../core/source.ts'
import type { GraphNode, NodeBody, StreamGraph } from '../graph/stream-graph.ts'
import { nodeIds } from '../graph/stream-graph.ts'
import { deepFreeze } from './freeze.ts'

/** A job's graph with its ends in hand: sources are fed, sinks remembered, watermarks raised by whoever runs the test. */
export interface TestGraph {
  readonly graph: StreamGraph
  /** By the id of the source. */
  readonly feeds: ReadonlyMap<string, Feed>
  /** By the id of the sink. */
  readonly captures: ReadonlyMap<string, Capture>
  /** By the id of the operator that makes watermarks. */
  readonly watermarks: ReadonlyMap<string, HandWatermarks>
}

export interface TestGraphOptions {
  /** True: operators that give timestamps make no watermarks by themselves. */
  readonly manualWatermarks: boolean
  readonly freeze: boolean
}

/** Replaces the ends of a graph; everything between them stays as it is. */
export function testGraph(graph: StreamGraph, options: TestGraphOptions): TestGraph {
  const ids = nodeIds(graph)
  const feeds = new Map<string, Feed>()
  const captures = new Map<string, Capture>()
  const watermarks = new Map<string, HandWatermarks>()
  const bodyOf = (node: GraphNode): NodeBody => {
    const id = ids[node.index]!
    if (node.body.type === 'source') {
      const feed = new Feed(node.body.source)
      feeds.set(id, feed)
      return { type: 'source', source: feed }
    }
    if (node.body.type === 'sink') {
      const capture = new Capture(node.body.sink, options.freeze)
      captures.set(id, capture)
      return { type: 'operator', create: (context) => capture.operator(context) }
    }
    if (node.assignsTimestamps !== true) return node.body
    const hand = new HandWatermarks(options.manualWatermarks)
    watermarks.set(id, hand)
    const { create } = node.body
    return { type: 'operator', create: (context) => hand.operator(create, context) }
  }
  const nodes = graph.nodes.map((node): GraphNode => ({ ...node, body: bodyOf(node) }))
  return { graph: { job: graph.job, nodes }, feeds, captures, watermarks }
}

/** A source that gives what it is fed: one split for each subtask, read side by side. */
export class Feed implements Source<unknown, number, number> {
  readonly kind: string
  readonly settings: Readonly<Record<string, unknown>>
  readonly inTurn = true
  /** What it stands for. */
  readonly source: Source<unknown>
  readonly #waiting: unknown[][] = []
  #next = 0
  #finished = false

  constructor(source: Source<unknown>) {
    this.kind = source.kind
    this.settings = source.settings ?? {}
    this.source = source
  }

  /** @param split which of its splits gets the record; in turn when it is not said */
  send(value: unknown, split = this.#next++): void {
    this.#waiting[split % Math.max(1, this.#waiting.length)]!.push(value)
  }

  finish(): void {
    this.#finished = true
  }

  get finished(): boolean {
    return this.#finished
  }

  /** Forgets what nobody has taken: the job begins again at a checkpoint. */
  rewind(): void {
    this.#finished = false
    for (const waiting of this.#waiting) waiting.length = 0
  }

  enumerate({ parallelism }: { readonly parallelism: number }): readonly number[] {
    for (let split = 0; split < parallelism; split++) this.#waiting.push([])
    return this.#waiting.map((_, split) => split)
  }

  open(split: number, position: number | undefined): SplitReader<unknown, number> {
    const waiting = this.#waiting[split]!
    let read = position ?? 0
    return {
      poll: (max) => {
        if (waiting.length === 0 && this.#finished) return null
        const records = waiting.splice(0, max)
        read += records.length
        return records
      },
      position: () => read,
    }
  }
}

/** A result, and the event time that it bears; `undefined` when it has none. */
export interface Captured {
  readonly value: unknown
  readonly timestamp: number | undefined
}

/** Remembers what a sink would have been given. */
export class Capture {
  /** What it stands for. */
  readonly sink: unknown
  readonly #freeze: boolean
  #records: Captured[] = []
  #committed = 0

  constructor(sink: unknown, freeze: boolean) {
    this.sink = sink
    this.#freeze = freeze
  }

  operator({ cell }: OperatorContext): Operator {
    return {
      onRecord: (value) => {
        if (this.#freeze) deepFreeze(value)
        this.#records.push({ value, timestamp: Number.isNaN(cell.timestamp) ? undefined : cell.timestamp })
      },
    }
  }

  get records(): readonly Captured[] {
    return this.#records
  }

  get committed(): readonly Captured[] {
    return this.#records.slice(0, this.#committed)
  }

  commit(): void {
    this.#committed = this.#records.length
  }

  /** Forgets what no checkpoint has made visible. */
  rewind(): void {
    this.#records = this.#records.slice(0, this.#committed)
  }
}

/** Raises the watermarks of an operator from outside, beside those that it makes by itself. */
export class HandWatermarks {
  readonly #manual: boolean
  #instances: { raise(time: number): void }[] = []

  constructor(manual: boolean) {
    this.#manual = manual
  }

  raise(time: number): void {
    for (const instance of this.#instances) instance.raise(time)
  }

  /** The subtasks of an attempt are gone. */
  rewind(): void {
    this.#instances = []
  }

  operator(create: (context: OperatorContext) => Operator, context: OperatorContext): Operator {
    let raised: number | undefined
    this.#instances.push({
      raise: (time) => {
        raised = time
      },
    })
    const deliver = (): boolean => {
      if (raised === undefined) return false
      context.emitWatermark(raised)
      raised = undefined
      return true
    }
    const own = this.#manual ? changed(context, { emitWatermark: () => {} }) : context
    return changed(create(own), { deliver })
  }
}

/** The object with some of its members replaced. A proxy, because its methods use private fields of the object itself. */
function changed<T extends object>(object: T, members: Partial<T>): T {
  return new Proxy(object, {
    get(target, name) {
      if (name in members) return Reflect.get(members, name) as unknown
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}
