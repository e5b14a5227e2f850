import type { Stream } from 'sluice'
import { valueState } from 'sluice'
import { beats } from '../bid-order.ts'
import type { Change } from '../change.ts'
import type { Bid, NexmarkEvent } from '../events.ts'
import { isBid } from '../events.ts'

const TOP = 10

/** The ten highest bids on each auction, as a stream of changes. */
export function q19(events: Stream<NexmarkEvent>): Stream<Change<Bid>> {
  return events
    .filter(isBid)
    .keyBy((bid) => bid.auction)
    .process({
      // The price that a bid must reach is looked at for each bid, the ten themselves only when one reaches it.
      state: { least: valueState<number>(), top: valueState<readonly Bid[]>() },
      *onRecord(bid, ctx) {
        if (bid.price < (ctx.state.least.get() ?? 0)) return
        const top = [...(ctx.state.top.get() ?? []), bid].sort((a, b) => (beats(a, b) ? -1 : 1))
        const before = top.length > TOP ? top.pop() : undefined
        if (before === bid) return
        ctx.state.top.set(top)
        if (top.length === TOP) ctx.state.least.set(top[TOP - 1]!.price)
        yield { before, after: bid }
      },
    })
}
