import type { Stream } from 'sluice'
import type { NexmarkEvent } from '../events.ts'
import { isBid } from '../events.ts'

export interface AuctionPrice {
  readonly auction: number
  readonly price: number
}

/** Selection: the bids on one auction in 123. */
export function q2(events: Stream<NexmarkEvent>): Stream<AuctionPrice> {
  return events
    .filter(isBid)
    .filter((bid) => bid.auction % 123 === 0)
    .map(({ auction, price }) => ({ auction, price }))
}
