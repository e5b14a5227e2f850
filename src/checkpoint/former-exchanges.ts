import type { EdgePlan, ExecutionPlan, TaskPlan } from '../graph/execution-plan.ts'
import type { InputDescription, InputSide } from '../graph/stream-graph.ts'
import type { InFlightBatch } from '../protocol/messages.ts'
import type { Manifest, StoredSubtask } from './manifest.ts'

/*
 * The exchanges of the plan that took a checkpoint, and where each of them is in the plan of today. What always holds:
 *
 * 1. A manifest names channels by the number of their exchange. Numbers follow from the graph and from which operators were the first of a task,
 *    and a manifest holds both: so it says by itself which input of which operator a channel belonged to.
 * 2. An input is known by its reader, the operator and output that it reads, and its side. Numbers change with the parallelism, which chains
 *    operators or parts them, and with edits of the job; inputs do not.
 */

/** One input of an operator that was the first of its task. */
export interface FormerExchange {
  /** Its number then. */
  readonly index: number
  readonly reader: string
  /** How many subtasks the reader had. */
  readonly readers: number
  readonly input: InputDescription
  readonly channels: readonly FormerChannel[]
}

/** One of its channels. */
export interface FormerChannel {
  readonly from: number
  readonly to: number
  /** The watermark that had come through it when the reader took its snapshot. */
  readonly watermark: number
  /** What was on its way. */
  readonly batches: readonly InFlightBatch[]
}

/** Where an input of an operator is now: it comes over an exchange, or from the operator before in the chain. */
export type Place =
  | { readonly kind: 'exchange'; readonly task: TaskPlan; readonly edge: EdgePlan }
  | { readonly kind: 'chain'; readonly task: TaskPlan }

/** The exchanges of the plan that took a checkpoint. */
export function formerExchanges(manifest: Manifest): readonly FormerExchange[] {
  let count = 0
  return manifest.graph.flatMap(({ id, inputs }) => {
    const subtasks = manifest.subtasks.filter(({ task }) => task === id)
    // It was called by the operator before it, without an exchange between them.
    if (subtasks.length === 0) return []
    return inputs.map((input): FormerExchange => {
      const index = count++
      return { index, reader: id, readers: subtasks[0]!.parallelism, input, channels: channelsOf(subtasks, index) }
    })
  })
}

function channelsOf(subtasks: readonly StoredSubtask[], exchange: number): readonly FormerChannel[] {
  return subtasks.flatMap(({ channelWatermarks, inFlight = [] }) =>
    Object.entries(channelWatermarks).flatMap(([id, watermark]) => {
      const [index, from, to] = numbersOf(id)
      if (index !== exchange) return []
      const batches = inFlight.filter(({ channel }) => channel === id).flatMap((each) => each.batches)
      return [{ from, to, watermark, batches }]
    }),
  )
}

/** The numbers of an exchange, its sender and its reader in the name of a channel: `edge:from:to`. */
export function numbersOf(channel: string): readonly [number, number, number] {
  const [edge, from, to] = channel.split(':').map(Number)
  return [edge!, from!, to!]
}

/** Where the inputs are now, as far as they still are. */
export function placesOf(exchanges: readonly FormerExchange[], plan: ExecutionPlan): ReadonlyMap<FormerExchange, Place> {
  const places = new Map<FormerExchange, Place>()
  for (const reader of new Set(exchanges.map((exchange) => exchange.reader))) {
    const former = exchanges.filter((exchange) => exchange.reader === reader)
    const now = inputsOf(reader, plan)
    const isAsMany = former.length === now.length
    for (const exchange of former) take(exchange, now, places, ({ from, output }) => isSame(exchange.input, from, output))
    // An edit may have put another operator in between: what has left the sender is still for this input.
    if (!isAsMany) continue
    for (const exchange of former) if (!places.has(exchange)) take(exchange, now, places, () => true)
  }
  return places
}

interface CurrentInput {
  readonly from: string
  readonly output: string
  readonly side: InputSide
  readonly place: Place
}

function inputsOf(reader: string, plan: ExecutionPlan): CurrentInput[] {
  const task = plan.tasks.find(({ operators }) => operators.some(({ id }) => id === reader))
  if (task === undefined) return []
  const { chainedTo } = task.operators.find(({ id }) => id === reader)!
  if (chainedTo !== null) {
    // With two sides it has two inputs, and is not chained.
    return [{ from: chainedTo.operator, output: chainedTo.output, side: 'first', place: { kind: 'chain', task } }]
  }
  return plan.edges
    .filter((edge) => edge.toTask === task.id)
    .map((edge) => ({ from: edge.fromOperator, output: edge.output, side: edge.side, place: { kind: 'exchange', task, edge } }))
}

function isSame(input: InputDescription, from: string, output: string): boolean {
  return input.from === from && input.output === output
}

function take(
  exchange: FormerExchange,
  now: CurrentInput[],
  places: Map<FormerExchange, Place>,
  fits: (input: CurrentInput) => boolean,
): void {
  const side = exchange.input.side ?? 'first'
  const found = now.findIndex((input) => input.side === side && fits(input))
  if (found >= 0) places.set(exchange, now.splice(found, 1)[0]!.place)
}

/**
 * The channels of a former subtask under the names of today, with the watermarks that had come through them. A channel whose exchange is gone is
 * left out.
 */
export function renamedChannels(
  { channelWatermarks }: StoredSubtask,
  places: ReadonlyMap<FormerExchange, Place>,
): ReadonlyMap<string, number> {
  const edges = new Map(
    [...places].flatMap(([{ index }, place]) => (place.kind === 'exchange' ? [[index, place.edge.index]] : [])),
  )
  return new Map(
    Object.entries(channelWatermarks).flatMap(([id, watermark]) => {
      const [exchange, from, to] = numbersOf(id)
      const edge = edges.get(exchange)
      return edge === undefined ? [] : [[`${edge}:${from}:${to}`, watermark] as const]
    }),
  )
}
