import { beats } from '../bid-order.ts'
import type { Change } from '../change.ts'
import type { Bid, NexmarkEvent } from '../events.ts'

/** The table as it is in the end, each row as one change. */
export function* modelOfQ19(events: Iterable<NexmarkEvent>): Generator<Change<Bid>> {
  const bids = new Map<number, Bid[]>()
  for (const event of events) {
    if (event.kind !== 'bid') continue
    const ofAuction = bids.get(event.auction)
    if (ofAuction === undefined) bids.set(event.auction, [event])
    else ofAuction.push(event)
  }
  for (const ofAuction of bids.values()) {
    const sorted = ofAuction.sort((a, b) => (beats(a, b) ? -1 : 1))
    for (const bid of sorted.slice(0, 10)) yield { before: undefined, after: bid }
  }
}
