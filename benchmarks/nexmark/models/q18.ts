import { isLater } from '../bid-order.ts'
import type { Change } from '../change.ts'
import type { Bid, NexmarkEvent } from '../events.ts'

/** The table as it is in the end, each row as one change. */
export function* modelOfQ18(events: Iterable<NexmarkEvent>): Generator<Change<Bid>> {
  const last = new Map<number, Map<number, Bid>>()
  for (const event of events) {
    if (event.kind !== 'bid') continue
    let ofBidder = last.get(event.bidder)
    if (ofBidder === undefined) last.set(event.bidder, (ofBidder = new Map()))
    const before = ofBidder.get(event.auction)
    if (before === undefined || isLater(event, before)) ofBidder.set(event.auction, event)
  }
  for (const ofBidder of last.values()) for (const bid of ofBidder.values()) yield { before: undefined, after: bid }
}
