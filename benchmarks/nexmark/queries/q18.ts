import type { Stream } from 'sluice'
import { valueState } from 'sluice'
import { isLater } from '../bid-order.ts'
import type { Change } from '../change.ts'
import type { Bid, NexmarkEvent } from '../events.ts'
import { isBid } from '../events.ts'

/** Last bids: the latest bid of each bidder on each auction, as a stream of changes. */
export function q18(events: Stream<NexmarkEvent>): Stream<Change<Bid>> {
  return events
    .filter(isBid)
    .keyBy((bid) => `${bid.bidder}/${bid.auction}`)
    .process({
      state: { last: valueState<Bid>() },
      *onRecord(bid, ctx) {
        const before = ctx.state.last.get()
        if (before !== undefined && !isLater(bid, before)) return
        ctx.state.last.set(bid)
        yield { before, after: bid }
      },
    })
}
