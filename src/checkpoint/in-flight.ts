import { SluiceError } from '../core/errors.ts'
import { subtaskOfGroup } from '../core/key-groups.ts'
import { decodeValue, encodeValue } from '../core/value-codec.ts'
import type { ChannelPlan, EdgePlan, ExecutionPlan } from '../graph/execution-plan.ts'
import { channelsOfEdge, subtaskName, taskPlan } from '../graph/execution-plan.ts'
import type { InFlight, InFlightBatch } from '../protocol/messages.ts'
import type { Manifest, StoredSubtask } from './manifest.ts'

/** A channel's share, and the channel as it was. */
interface FormerChannel {
  readonly subtask: StoredSubtask
  readonly inFlight: InFlight
  readonly edge: number
  readonly to: number
}

/**
 * Deals what was on its way when an unaligned snapshot was taken, by the name of the subtask. When the channels of a task are as before, each
 * goes on with what it had, watermarks included. Else the records go where their key group belongs now, or in turn where there is no key, and
 * without the watermarks between them: they come before all others and are in time.
 * @throws SluiceError `STATE_OF_ANOTHER_GRAPH` when a task with records on their way to it has other inputs now, or is part of another one
 */
export function dealInFlight(manifest: Manifest, plan: ExecutionPlan): ReadonlyMap<string, readonly InFlight[]> {
  for (const subtask of manifest.subtasks) if ((subtask.inFlight ?? []).length > 0) checkInputs(subtask, plan)
  const dealt = new Map<string, readonly InFlight[]>()
  for (const task of plan.tasks) {
    const former = manifest.subtasks.filter((subtask) => subtask.task === task.id)
    const channels = former.flatMap((subtask) =>
      (subtask.inFlight ?? []).map((inFlight) => ({ subtask, inFlight, ...placeOf(inFlight.channel) })),
    )
    if (channels.length === 0) continue
    const edges = plan.edges.filter((edge) => edge.toTask === task.id)
    const now = edges.flatMap((edge) => channelsOfEdge(plan, edge)).map(({ id }) => id)
    const before = former.flatMap((subtask) => Object.keys(subtask.channelWatermarks))
    const isUnchanged = now.length === before.length && now.every((id) => before.includes(id))
    for (let subtask = 0; subtask < task.parallelism; subtask++) {
      const own = isUnchanged
        ? channels.filter(({ to }) => to === subtask).map(({ inFlight }) => inFlight)
        : edges.flatMap((edge) => redealt(channels, plan, edge, subtask))
      if (own.length > 0) dealt.set(subtaskName(task.id, subtask), own)
    }
  }
  return dealt
}

/** What is on its way to a task that is not there any more would be lost without a word: at parallelism 1 it may be chained to another. */
function checkInputs({ task, channelWatermarks }: StoredSubtask, plan: ExecutionPlan): void {
  const before = new Set(Object.keys(channelWatermarks).map((channel) => placeOf(channel).edge))
  const now = plan.edges.filter((edge) => edge.toTask === task).map((edge) => edge.index)
  if (now.length === before.size && now.every((edge) => before.has(edge))) return
  throw new SluiceError(
    'STATE_OF_ANOTHER_GRAPH',
    `the checkpoint holds records on their way to '${task}', whose inputs are other ones now`,
    {
      operator: task,
      hint: 'start once with the job and the parallelism of before, stop it with a savepoint, and then change them',
    },
  )
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
  let turn = 0
  const batches = channels
    .filter((channel) => channel.edge === edge.index && isSource(channel, edge, subtask))
    .flatMap(({ inFlight }) => inFlight.batches)
    .map((batch) =>
      share(batch, (group) => {
        if (edge.partitioning === 'broadcast') return true
        if (group !== undefined) return subtaskOfGroup(group, parallelism, plan.maxParallelism) === subtask
        return turn++ % parallelism === subtask
      }),
    )
    .filter((batch) => batch.timestamps.length > 0)
  return batches.length === 0 ? [] : [{ channel: own.id, batches }]
}

/** Of a broadcast every former reader had a copy; each of today takes that of one of them, as it does with broadcast state. */
function isSource({ subtask }: FormerChannel, edge: EdgePlan, reader: number): boolean {
  return edge.partitioning !== 'broadcast' || subtask.subtask === reader % subtask.parallelism
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
