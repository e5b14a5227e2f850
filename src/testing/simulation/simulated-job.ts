import type { Source, SplitReader } from '../../core/source.ts'
import type { GraphNode, StreamGraph } from '../../graph/stream-graph.ts'
import { nodeIds } from '../../graph/stream-graph.ts'
import type { FaultPlan } from './faults.ts'
import { injected } from './faults.ts'
import type { SimulatedFolders } from './simulated-folders.ts'
import type { SimulatedProcess } from './simulated-process.ts'
import type { SimulatedTarget, TargetFaults } from './simulated-target.ts'
import type { World } from './world.ts'

/** What the ends of a job work with in a simulation. */
export interface EndParts {
  readonly world: World
  readonly faults: FaultPlan
  readonly process: SimulatedProcess
  /** By the id of the sink. */
  readonly target: (sink: string) => SimulatedTarget
  readonly folders: SimulatedFolders
}

/**
 * The graph of a job with its ends in the hands of a simulation: folder sinks write to simulated files, others to simulated targets, and sources are the job's own, that stall and fail.
 * Everything between them is as it is, under the same ids.
 */
export function simulatedGraph(graph: StreamGraph, parts: EndParts): StreamGraph {
  const ids = nodeIds(graph)
  return { ...graph, nodes: graph.nodes.map((node) => replaceEnd(node, ids[node.index]!, parts)) }
}

function replaceEnd(node: GraphNode, id: string, parts: EndParts): GraphNode {
  const { body } = node
  if (body.type === 'source') return { ...node, body: { type: 'source', source: troubled(body.source, id, parts) } }
  if (body.type === 'operator') return node
  const { process } = parts
  const sink =
    parts.folders.sinkOf(id, body.sink, process) ?? parts.target(id).sink(node.kind, () => process.isAlive, targetFaults(parts))
  return { ...node, body: { type: 'sink', sink } }
}

function troubled(source: Source<unknown>, id: string, { world, faults }: EndParts): Source<unknown> {
  return {
    ...source,
    kind: source.kind,
    enumerate: (context) => source.enumerate(context),
    open(split, position, context) {
      if (faults.happens('throw', 0.3)) throw injected(`'${id}' does not open`)
      const opened = source.open(split, position, context)
      return opened instanceof Promise
        ? opened.then((reader) => new TroubledReader(reader, id, world, faults))
        : new TroubledReader(opened, id, world, faults)
    },
  }
}

/** Reads as the job's own reader does, when it does not stall or fail. */
class TroubledReader implements SplitReader<unknown> {
  readonly #reader: SplitReader<unknown>
  readonly #source: string
  readonly #world: World
  readonly #faults: FaultPlan
  #silentUntilMs = 0

  constructor(reader: SplitReader<unknown>, source: string, world: World, faults: FaultPlan) {
    this.#reader = reader
    this.#source = source
    this.#world = world
    this.#faults = faults
  }

  poll(max: number): readonly unknown[] | null | Promise<readonly unknown[] | null> {
    const { nowMs } = this.#world.timeline
    if (nowMs < this.#silentUntilMs) return []
    if (this.#faults.happens('stall')) {
      this.#silentUntilMs = nowMs + this.#faults.random.between(1, 300)
      return []
    }
    if (this.#faults.happens('throw')) throw injected(`'${this.#source}' cannot read`)
    // Small batches, so that there is something between two barriers.
    return this.#reader.poll(Math.min(max, this.#faults.random.between(1, 5)))
  }

  position(): unknown {
    return this.#reader.position()
  }

  close(): void | Promise<void> {
    return this.#reader.close?.()
  }
}

function targetFaults({ world, faults, process }: EndParts): TargetFaults {
  const trouble = async (moment: 'before' | 'after', call: string, target: string): Promise<void> => {
    process.point(`${moment} ${call} at '${target}'`)
    if (faults.happens('stall')) await world.sleep(faults.random.between(1, 400))
    if (faults.happens('target')) {
      world.note(() => `'${target}' fails ${moment} ${call}`)
      throw injected(`'${target}' fails ${moment} ${call}`)
    }
  }
  return {
    before: (call, target) => trouble('before', call, target),
    after: (call, target) => trouble('after', call, target),
  }
}
