import { SluiceError } from '../core/errors.ts'
import { subtaskOfGroup } from '../core/key-groups.ts'
import { decodeValue, encodeValue } from '../core/value-codec.ts'
import type { ChannelPlan, EdgePlan, ExecutionPlan, TaskPlan } from '../graph/execution-plan.ts'
import { channelsOfEdge, subtaskName, taskPlan } from '../graph/execution-plan.ts'
import type { ChainedInFlight, InFlight, InFlightBatch } from '../protocol/messages.ts'
import type { Manifest, StoredSubtask } from './manifest.ts'

/** A channel's share, and the channel as it was. */
interface FormerChannel {
  readonly subtask: StoredSubtask
  readonly inFlight: InFlight
  /** Place among the inputs of the reader. */
  readonly input: number
  readonly to: number
}

/** What one subtask begins with. */
export interface DealtInFlight {
  /** Into its channels. */
  readonly channels: readonly InFlight[]
  /** Into operators of its chain, those last that come first in it: what they emit must not come before what was further on. */
  readonly chained: readonly ChainedInFlight[]
}

/**
 * Deals what was on its way when an unaligned snapshot was taken, by the name of the subtask. When the channels of a task are as before, each
 * goes on with what it had, watermarks included. Else the records go where their key group belongs now, or in turn where there is no key, and
 * without the watermarks between them: they come before all others and are in time. Where another parallelism has made the reader a part of
 * another task, because an exchange between single subtasks moves nothing, they go to it inside of the chain.
 * @throws SluiceError `STATE_OF_ANOTHER_GRAPH` when an operator with records on their way to it is gone, or has other inputs now
 */
export function dealInFlight(manifest: Manifest, plan: ExecutionPlan): ReadonlyMap<string, DealtInFlight> {
  const former = formerChannels(manifest)
  for (const { subtask } of former) checkReader(subtask, plan)
  const dealt = new Map<string, DealtInFlight>()
  for (const task of former.length === 0 ? [] : plan.tasks) {
    const own = former.filter(({ subtask }) => subtask.task === task.id)
    const edges = plan.edges.filter((edge) => edge.toTask === task.id)
    const isUnchanged = own.length > 0 && channelsAreAsBefore(manifest, plan, edges, task)
    for (let subtask = 0; subtask < task.parallelism; subtask++) {
      const channels = isUnchanged
        ? own.filter(({ to }) => to === subtask).map(({ inFlight }) => inFlight)
        : edges.flatMap((edge) => redealt(own, plan, edge, subtask))
      const chained = chainedShares(manifest, former, plan, task, subtask)
      if (channels.length > 0 || chained.length > 0) dealt.set(subtaskName(task.id, subtask), { channels, chained })
    }
  }
  return dealt
}

function formerChannels(manifest: Manifest): readonly FormerChannel[] {
  return manifest.subtasks.flatMap((subtask) =>
    (subtask.inFlight ?? []).map((inFlight) => {
      const { edge, to } = placeOf(inFlight.channel)
      // Exchanges are numbered in the order of the readers' inputs, however many there are in all.
      return { subtask, inFlight, to, input: edgesOf(subtask).indexOf(edge) }
    }),
  )
}

/** The numbers of the exchanges that a former subtask read, in the order of its inputs. */
function edgesOf({ channelWatermarks }: StoredSubtask): readonly number[] {
  const edges = new Set(Object.keys(channelWatermarks).map((channel) => placeOf(channel).edge))
  return [...edges].sort((a, b) => a - b)
}

/** What is on its way to an operator that is not there any more would be lost without a word. */
function checkReader(subtask: StoredSubtask, plan: ExecutionPlan): void {
  const inputs = edgesOf(subtask).length
  const now = plan.edges.filter((edge) => edge.toTask === subtask.task).length
  const isChained = plan.tasks.some(({ operators }) =>
    operators.some(({ id, chainedTo }) => id === subtask.task && chainedTo !== null),
  )
  if (now === inputs || (isChained && inputs === 1)) return
  throw new SluiceError(
    'STATE_OF_ANOTHER_GRAPH',
    `the checkpoint holds records on their way to '${subtask.task}', whose inputs are other ones now`,
    {
      operator: subtask.task,
      hint: 'start once with the job of before, stop it with a savepoint, and then change it',
    },
  )
}

function channelsAreAsBefore(manifest: Manifest, plan: ExecutionPlan, edges: readonly EdgePlan[], task: TaskPlan): boolean {
  const former = manifest.subtasks.filter((subtask) => subtask.task === task.id)
  const before = new Set(former.flatMap(({ channelWatermarks }) => Object.keys(channelWatermarks)))
  const now = edges.flatMap((edge) => channelsOfEdge(plan, edge))
  return now.length === before.size && now.every(({ id }) => before.has(id))
}

/** `edge:from:to`. */
function placeOf(channel: string): { readonly edge: number; readonly to: number } {
  const [edge, , to] = channel.split(':').map(Number)
  return { edge: edge!, to: to! }
}

/** What a subtask gets of an exchange whose channels are other ones now. */
function redealt(channels: readonly FormerChannel[], plan: ExecutionPlan, edge: EdgePlan, subtask: number): readonly InFlight[] {
  const { parallelism } = taskPlan(plan, edge.toTask)
  const own = channelsOfEdge(plan, edge).find(({ to }) => to === subtask) as ChannelPlan
  const isBroadcast = edge.partitioning === 'broadcast'
  const former = channels.filter(({ input }) => input === edge.input)
  const batches = shares(former, isBroadcast, parallelism, plan.maxParallelism, subtask)
  return batches.length === 0 ? [] : [{ channel: own.id, batches }]
}

/** What operators in the chain of a task get that were the first of a task of their own. */
function chainedShares(
  manifest: Manifest,
  channels: readonly FormerChannel[],
  plan: ExecutionPlan,
  task: TaskPlan,
  subtask: number,
): readonly ChainedInFlight[] {
  return task.operators.toReversed().flatMap(({ id, chainedTo }) => {
    const former = chainedTo === null ? [] : channels.filter((channel) => channel.subtask.task === id)
    const batches = shares(former, wasBroadcast(manifest, id), task.parallelism, plan.maxParallelism, subtask)
    return batches.length === 0 ? [] : [{ operator: id, batches }]
  })
}

function wasBroadcast({ graph }: Manifest, operator: string): boolean {
  return graph.find(({ id }) => id === operator)?.inputs[0]?.partitioning === 'broadcast'
}

function shares(
  channels: readonly FormerChannel[],
  isBroadcast: boolean,
  parallelism: number,
  maxParallelism: number,
  subtask: number,
): readonly InFlightBatch[] {
  let turn = 0
  return channels
    .filter((channel) => !isBroadcast || isCopyOf(channel, subtask))
    .flatMap(({ inFlight }) => inFlight.batches)
    .map((batch) =>
      share(batch, (group) => {
        if (isBroadcast) return true
        if (group !== undefined) return subtaskOfGroup(group, parallelism, maxParallelism) === subtask
        return turn++ % parallelism === subtask
      }),
    )
    .filter((batch) => batch.timestamps.length > 0)
}

/** Of a broadcast every former reader had a copy; each of today takes that of one of them, as it does with broadcast state. */
function isCopyOf({ subtask }: FormerChannel, reader: number): boolean {
  return subtask.subtask === reader % subtask.parallelism
}

function share(batch: InFlightBatch, isOwn: (group: number | undefined) => boolean): InFlightBatch {
  const values = decodeValue(batch.values) as readonly unknown[]
  const own = values.flatMap((_, index) => (isOwn(batch.groups?.[index]) ? [index] : []))
  return {
    values: encodeValue(own.map((index) => values[index])),
    timestamps: own.map((index) => batch.timestamps[index]!),
    ...(batch.groups === undefined ? {} : { groups: own.map((index) => batch.groups![index]!) }),
  }
}
