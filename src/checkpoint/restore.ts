import { groupsOfSubtask } from '../core/key-groups.ts'
import { WATERMARK_END, WATERMARK_NONE } from '../core/time.ts'
import type { ExecutionPlan, OperatorPlan, TaskPlan } from '../graph/execution-plan.ts'
import { channelsOfEdge, subtaskName } from '../graph/execution-plan.ts'
import type { OperatorRestore, OperatorSnapshot, SplitState, SubtaskRestore } from '../protocol/messages.ts'
import type { FormerExchange, Place } from './former-exchanges.ts'
import { formerExchanges, placesOf, renamedChannels } from './former-exchanges.ts'
import type { DealtInFlight } from './in-flight.ts'
import { dealInFlight } from './in-flight.ts'
import type { Manifest, StoredDelta, StoredOperator, StoredSubtask } from './manifest.ts'

/** What the base does not hold of the checkpoint that is being restored. */
export interface Unfolded {
  readonly deltas: readonly StoredDelta[]
  readonly read: (delta: StoredDelta) => Uint8Array<ArrayBuffer>
}

/**
 * Deals a checkpoint to the subtasks of a plan, which may have another parallelism than the one that took it. Keyed state goes by key
 * group; splits are dealt in turn, in their order; other operator state goes back to the subtask that it came from, or to all when their
 * number has changed; of watermarks the smallest is taken then, because time must not run ahead for anyone.
 */
export function dealCheckpoint(manifest: Manifest, plan: ExecutionPlan, unfolded: Unfolded): Record<string, SubtaskRestore> {
  const restores: Record<string, SubtaskRestore> = {}
  const stored = storedOperators(manifest)
  const inFlight = dealInFlight(manifest, plan)
  const silent = silentSubtasks(plan, stored, new Set([...inFlight].filter(([, own]) => own.holdsRecords).map(([name]) => name)))
  const replaysFirst = [...inFlight.values()].some(({ isParted }) => isParted)
  const places = placesOf(formerExchanges(manifest), plan)
  // A chunk that several subtasks need is read once.
  const chunks = new Map<StoredDelta, Uint8Array<ArrayBuffer>>()
  const read = (delta: StoredDelta): Uint8Array<ArrayBuffer> => {
    let chunk = chunks.get(delta)
    if (chunk === undefined) chunks.set(delta, (chunk = unfolded.read(delta)))
    return chunk
  }
  for (const task of plan.tasks) {
    for (let subtask = 0; subtask < task.parallelism; subtask++) {
      const operators = task.operators.map((operator) => {
        const former = stored.get(operator.id) ?? []
        const deltas = unfolded.deltas.filter((delta) => delta.operator === operator.id)
        return [operator.id, restoreOperator(operator, former, task, subtask, plan.maxParallelism, { deltas, read })] as const
      })
      const name = subtaskName(task.id, subtask)
      const own = inFlight.get(name)
      const watermark = operators[0]![1].watermark
      restores[name] = {
        ...(own === undefined ? {} : { inFlight: own.channels, chainedInFlight: own.chained }),
        ...(replaysFirst ? { replaysFirst } : {}),
        channelWatermarks: restoreChannels({ manifest, plan, places, silent }, task, subtask, watermark, own),
        operators: Object.fromEntries(operators),
      }
    }
  }
  return restores
}

/**
 * The subtasks that will never send a record: a source's that have no split to read, and those that read only from such. They say so when they
 * start, but a reader must know it before the first record of another comes in: until then they would hold time back, and what is late would
 * depend on who is faster.
 */
function silentSubtasks(
  plan: ExecutionPlan,
  stored: Map<string, readonly FormerSubtask[]>,
  withInFlight: ReadonlySet<string>,
): ReadonlySet<string> {
  const silent = new Set<string>()
  // A task comes after those that it reads.
  for (const task of plan.tasks) {
    // What is restored may have results under way.
    if (task.operators.some((operator) => (stored.get(operator.id) ?? []).some(holdsResults))) continue
    const source = task.operators[0]!.type === 'source' ? (stored.get(task.id) ?? []) : undefined
    const inputs = plan.edges.filter((edge) => edge.toTask === task.id)
    for (let subtask = 0; subtask < task.parallelism; subtask++) {
      if (withInFlight.has(subtaskName(task.id, subtask))) continue
      const isSilent =
        source === undefined
          ? inputs.every((edge) =>
              channelsOfEdge(plan, edge).every(({ from, to }) => to !== subtask || silent.has(subtaskName(edge.fromTask, from))),
            )
          : dealSplits(source, task.parallelism, subtask).every((split) => split.done)
      if (isSilent) silent.add(subtaskName(task.id, subtask))
    }
  }
  return silent
}

/** Who was at the end of its input has made everything of what it holds, but for results that were under way: these come yet. */
function holdsResults({ operator }: FormerSubtask): boolean {
  if (operator.watermark === WATERMARK_END) return operator.pending === true
  return operator.holdsKeys === true || operator.state !== undefined
}

interface FormerSubtask {
  readonly subtask: StoredSubtask
  readonly operator: StoredOperator
}

function storedOperators(manifest: Manifest): Map<string, readonly FormerSubtask[]> {
  const all = new Map<string, FormerSubtask[]>()
  for (const subtask of manifest.subtasks) {
    for (const operator of subtask.operators) {
      const former = all.get(operator.operator) ?? []
      former.push({ subtask, operator })
      all.set(operator.operator, former)
    }
  }
  return all
}

function restoreOperator(
  operator: OperatorPlan,
  former: readonly FormerSubtask[],
  task: TaskPlan,
  subtask: number,
  maxParallelism: number,
  unfolded: Unfolded,
): OperatorRestore {
  const own = ownShare(former, task.parallelism, subtask)
  const sources = own === undefined ? former : [own]
  const groups = groupsOfSubtask(subtask, task.parallelism, maxParallelism)
  const deltas = operator.keyed ? unfolded.deltas : []
  const watermark = minimum(sources.map((share) => share.operator.watermark))
  // A count belongs to the job, not to a place: when the places have changed, the first one carries the sum.
  const counted = (count: (snapshot: OperatorSnapshot) => number): number =>
    own !== undefined ? count(own.operator) : subtask === 0 ? sum(former.map((share) => count(share.operator))) : 0
  const badRecords = counted((snapshot) => snapshot.badRecords ?? 0)
  return {
    watermark,
    rescaled: own === undefined && former.length > 0,
    watermarkFloors: operator.keyed ? floorsOf(former, groups, watermark, maxParallelism) : [],
    records: counted(({ records }) => records),
    ...(badRecords === 0 ? {} : { badRecords }),
    states: sources.flatMap((share) => (share.operator.state === undefined ? [] : [share.operator.state])),
    splits: dealSplits(former, task.parallelism, subtask),
    deltas: deltas.filter((delta) => delta.firstGroup <= groups.last && delta.lastGroup >= groups.first).map(unfolded.read),
  }
}

/** The key groups of this subtask whose former owner was ahead of the others. */
function floorsOf(
  former: readonly FormerSubtask[],
  own: { readonly first: number; readonly last: number },
  watermark: number,
  maxParallelism: number,
): OperatorRestore['watermarkFloors'] {
  return former
    .flatMap((share) => [
      {
        ...groupsOfSubtask(share.subtask.subtask, share.subtask.parallelism, maxParallelism),
        watermark: share.operator.watermark,
      },
      ...(share.operator.watermarkFloors ?? []),
    ])
    .filter((floor) => floor.watermark > watermark && floor.first <= own.last && floor.last >= own.first)
}

/** The former subtask that this one continues, when their number has not changed. */
function ownShare(former: readonly FormerSubtask[], parallelism: number, subtask: number): FormerSubtask | undefined {
  return former.length === parallelism ? former.find((share) => share.subtask.subtask === subtask) : undefined
}

/** Every source subtask reads every n-th split, so that all of them move through the input together. */
function dealSplits(former: readonly FormerSubtask[], parallelism: number, subtask: number): readonly SplitState[] {
  const all = former.flatMap((share) => share.operator.splits ?? []).sort((a, b) => a.index - b.index)
  return all.filter((split) => split.index % parallelism === subtask)
}

/** What the watermarks of channels follow from. */
interface ChannelParts {
  readonly manifest: Manifest
  readonly plan: ExecutionPlan
  readonly places: ReadonlyMap<FormerExchange, Place>
  readonly silent: ReadonlySet<string>
}

/**
 * As stored, when the channels are the same. Else the one that the reader begins with: its senders say again what they had sent, and never less. Where
 * records were on their way they do so only behind these, so there the channels begin with it, all but the one that brings the records.
 */
function restoreChannels(
  { manifest, plan, places, silent }: ChannelParts,
  task: TaskPlan,
  subtask: number,
  watermark: number,
  inFlight: DealtInFlight | undefined,
): Record<string, number> {
  const withInFlight = new Set(inFlight?.channels.map(({ channel }) => channel))
  const channels = plan.edges
    .filter((edge) => edge.toTask === task.id)
    .flatMap((edge) =>
      channelsOfEdge(plan, edge)
        .filter(({ to }) => to === subtask)
        // Of a sender that is silent from now on, records may still be on their way.
        .map(({ id, from }) => ({ id, edge, isSilent: silent.has(subtaskName(edge.fromTask, from)) && !withInFlight.has(id) })),
    )
  const stored = storedChannels(manifest, task, subtask, places)
  const isUnchanged = stored?.size === channels.length && channels.every(({ id }) => stored.has(id))
  const beginning = (id: string, edge: number): number => {
    if (isUnchanged) return stored.get(id)!
    const sent = inFlight?.holdsRecords && !withInFlight.has(id) ? inFlight.sent.get(edge) : undefined
    return Math.max(watermark, sent ?? WATERMARK_NONE)
  }
  return Object.fromEntries(channels.map(({ id, edge, isSilent }) => [id, isSilent ? WATERMARK_END : beginning(id, edge.index)]))
}

/** The channels of the subtask that was at this place, when there were as many. */
function storedChannels(
  manifest: Manifest,
  task: TaskPlan,
  subtask: number,
  places: ReadonlyMap<FormerExchange, Place>,
): ReadonlyMap<string, number> | undefined {
  const former = manifest.subtasks.find((candidate) => candidate.task === task.id && candidate.subtask === subtask)
  return former?.parallelism === task.parallelism ? renamedChannels(former, places) : undefined
}

function minimum(watermarks: readonly number[]): number {
  return watermarks.length === 0 ? WATERMARK_NONE : Math.min(...watermarks)
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0)
}
