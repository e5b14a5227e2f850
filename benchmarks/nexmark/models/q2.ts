import type { NexmarkEvent } from '../events.ts'
import type { AuctionPrice } from '../queries/q2.ts'

export function* modelOfQ2(events: Iterable<NexmarkEvent>): Generator<AuctionPrice> {
  for (const event of events) {
    if (event.kind === 'bid' && event.auction % 123 === 0) yield { auction: event.auction, price: event.price }
  }
}
