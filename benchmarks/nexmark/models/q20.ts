import type { Auction, Bid, NexmarkEvent } from '../events.ts'
import type { AuctionedBid } from '../queries/q20.ts'

export function* modelOfQ20(events: Iterable<NexmarkEvent>): Generator<AuctionedBid> {
  const auctions = new Map<number, Auction | undefined>()
  const bidsBefore: Bid[] = []
  for (const event of events) {
    if (event.kind === 'auction') auctions.set(event.id, event.category === 10 ? event : undefined)
    else if (event.kind === 'bid') {
      const auction = auctions.get(event.auction)
      if (auction !== undefined) yield { auction, bid: event }
      else if (!auctions.has(event.auction)) bidsBefore.push(event)
    }
  }
  for (const bid of bidsBefore) {
    const auction = auctions.get(bid.auction)
    if (auction !== undefined) yield { auction, bid }
  }
}
