import { SluiceError } from '../core/errors.ts'
import { WATERMARK_NONE } from '../core/time.ts'
import type { EdgePlan, ExecutionPlan, TaskPlan } from '../graph/execution-plan.ts'
import { channelsOfEdge, subtaskName } from '../graph/execution-plan.ts'
import type { ChainedInFlight, InFlight, InFlightBatch } from '../protocol/messages.ts'
import type { FormerExchange, Place } from './former-exchanges.ts'
import { formerExchanges, placesOf } from './former-exchanges.ts'
import { redeal } from './in-flight-shares.ts'
import type { Manifest, StoredSubtask } from './manifest.ts'

/** What one subtask begins with. */
export interface DealtInFlight {
  /** Into its channels. */
  readonly channels: readonly InFlight[]
  /** Into operators of its chain, those last that come first in it: what they emit must not come before what was further on. */
  readonly chained: readonly ChainedInFlight[]
  /** Whether there is a record in it, and not only watermarks. */
  readonly holdsRecords: boolean
  /** Whether new records could come to readers further on before records in it that their sender sent earlier. */
  readonly isParted: boolean
  /** By the number of an exchange whose channels are other ones now: the watermark that each of its senders had sent. */
  readonly sent: ReadonlyMap<number, number>
}

/** The same, while it is put together. */
interface OpenDeal {
  readonly channels: InFlight[]
  readonly chained: ChainedInFlight[]
  readonly sent: Map<number, number>
  isParted: boolean
}

/**
 * Deals what was on its way when an unaligned snapshot was taken, by the name of the subtask. When the channels of an operator are as before, each
 * goes on with what it had. Else:
 *
 * 1. Records go where their key group belongs now, or in turn where there is no key (`in-flight-shares.ts` says in which order, and which
 *    watermarks lie between them).
 * 2. Where another parallelism has made the reader a part of another task, because an exchange between single subtasks moves nothing, they go
 *    to it inside of the chain.
 * 3. They take one channel of their exchange, whichever; the other channels begin where all of them end. So the watermark of the reader is that
 *    of the records, and when it gets to new records it stands where their senders stood.
 *
 * @throws SluiceError `STATE_OF_ANOTHER_GRAPH` when an operator with records on their way to it is gone, or has other inputs now
 */
export function dealInFlight(manifest: Manifest, plan: ExecutionPlan): ReadonlyMap<string, DealtInFlight> {
  if (manifest.subtasks.every(({ inFlight = [] }) => inFlight.length === 0)) return new Map()
  const exchanges = formerExchanges(manifest)
  const places = placesOf(exchanges, plan)
  checkReaders(manifest, exchanges, places)
  const deals = new Map<string, OpenDeal>()
  for (const task of plan.tasks) {
    // The operators in the middle of the chain, the last one first, and then what comes in over exchanges.
    for (const { id } of task.operators.toReversed()) {
      const former = exchanges.filter(({ reader }) => reader === id)
      if (!former.some(holdsAnything)) continue
      if (isAsBefore(former, places, plan, task)) putBack(former, places, task, deals)
      else {
        for (const exchange of former) {
          // An input that is gone had no record on its way: see `checkReaders`.
          const place = places.get(exchange)
          if (place !== undefined) putAnew(manifest, exchange, place, plan, deals)
        }
      }
    }
  }
  return new Map([...deals].map(([name, deal]) => [name, { ...deal, holdsRecords: holdsRecords(deal) }]))
}

function holdsAnything({ channels }: FormerExchange): boolean {
  return channels.some(({ batches }) => batches.length > 0)
}

function holdsRecords({ channels, chained }: OpenDeal): boolean {
  return [...channels, ...chained].some(({ batches }) => batches.some(({ timestamps }) => timestamps.length > 0))
}

/** What is on its way to an operator that is not there any more would be lost without a word. */
function checkReaders(
  manifest: Manifest,
  exchanges: readonly FormerExchange[],
  places: ReadonlyMap<FormerExchange, Place>,
): void {
  for (const { task, inFlight = [] } of manifest.subtasks) {
    const known = exchanges.filter((exchange) => exchange.reader === task && places.has(exchange))
    const lost = inFlight.filter(({ channel }) => !known.some(({ index }) => channel.startsWith(`${index}:`)))
    if (lost.some(({ batches }) => batches.some(({ timestamps }) => timestamps.length > 0))) {
      throw ofAnotherGraph(task, 'whose inputs are other ones now')
    }
  }
}

function ofAnotherGraph(operator: string, why: string): SluiceError {
  return new SluiceError('STATE_OF_ANOTHER_GRAPH', `the checkpoint holds records on their way to '${operator}', ${why}`, {
    operator,
    hint: 'start once with the job of before, stop it with a savepoint, and then change it',
  })
}

/** Whether the exchanges of an operator have the channels that they had, and no others. */
function isAsBefore(
  former: readonly FormerExchange[],
  places: ReadonlyMap<FormerExchange, Place>,
  plan: ExecutionPlan,
  task: TaskPlan,
): boolean {
  const before = new Set(
    former.flatMap((exchange) => exchange.channels.map(({ from, to }) => nameOf(places.get(exchange), from, to))),
  )
  const now = plan.edges.filter((edge) => edge.toTask === task.id).flatMap((edge) => channelsOfEdge(plan, edge))
  return now.length === before.size && now.every(({ id }) => before.has(id))
}

function nameOf(place: Place | undefined, from: number, to: number): string {
  return place?.kind === 'exchange' ? `${place.edge.index}:${from}:${to}` : ''
}

function putBack(
  former: readonly FormerExchange[],
  places: ReadonlyMap<FormerExchange, Place>,
  task: TaskPlan,
  deals: Map<string, OpenDeal>,
): void {
  for (const exchange of former) {
    for (const { from, to, batches } of exchange.channels) {
      if (batches.length === 0) continue
      dealOf(deals, task.id, to).channels.push({ channel: nameOf(places.get(exchange), from, to), batches })
    }
  }
}

function putAnew(
  manifest: Manifest,
  exchange: FormerExchange,
  place: Place,
  plan: ExecutionPlan,
  deals: Map<string, OpenDeal>,
): void {
  const { task } = place
  const isTimeless = place.kind === 'exchange' && place.edge.timeless
  const { shares, sent, isParted } = redeal(exchange, {
    parallelism: task.parallelism,
    maxParallelism: plan.maxParallelism,
    reached: isTimeless ? undefined : smallestReached(manifest.subtasks, exchange.reader),
    // The operator before it in the chain does not say again what it had sent: so the subtasks without a record hear it here.
    isToldToAll: place.kind === 'chain',
    withoutGroup: () =>
      ofAnotherGraph(exchange.reader, 'without their key groups: it was written by an earlier version, at parallelism 1'),
  })
  shares.forEach((batches, subtask) => {
    if (batches.length === 0) return
    const deal = dealOf(deals, task.id, subtask)
    deal.isParted ||= isParted
    if (place.kind === 'chain') deal.chained.push({ operator: exchange.reader, batches })
    else putInto(deal, place.edge, firstChannel(plan, place.edge, subtask), batches, sent)
  })
}

function putInto(deal: OpenDeal, edge: EdgePlan, channel: string, batches: readonly InFlightBatch[], sent: number): void {
  deal.channels.push({ channel, batches })
  deal.sent.set(edge.index, sent)
}

/** The watermark that all subtasks of an operator had reached. */
function smallestReached(subtasks: readonly StoredSubtask[], operator: string): number {
  const reached = subtasks.flatMap(({ operators }) => operators.filter((each) => each.operator === operator))
  return reached.length === 0 ? WATERMARK_NONE : Math.min(...reached.map(({ watermark }) => watermark))
}

function firstChannel(plan: ExecutionPlan, edge: EdgePlan, subtask: number): string {
  return channelsOfEdge(plan, edge).find(({ to }) => to === subtask)!.id
}

function dealOf(deals: Map<string, OpenDeal>, task: string, subtask: number): OpenDeal {
  const name = subtaskName(task, subtask)
  let deal = deals.get(name)
  if (deal === undefined) deals.set(name, (deal = { channels: [], chained: [], sent: new Map(), isParted: false }))
  return deal
}
