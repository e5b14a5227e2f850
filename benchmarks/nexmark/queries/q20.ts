import type { Stream } from 'sluice'
import { listState, valueState } from 'sluice'
import type { Auction, Bid, NexmarkEvent } from '../events.ts'
import { isPerson } from '../events.ts'

export interface AuctionedBid {
  readonly auction: Auction
  readonly bid: Bid
}

/**
 * Bids with their auctions, of category 10 alone, whenever they come. Auctions are kept for ever, of other categories only that they are there;
 * bids until their auction comes.
 */
export function q20(events: Stream<NexmarkEvent>): Stream<AuctionedBid> {
  return events
    .filter((event): event is Auction | Bid => !isPerson(event))
    .keyBy((event) => (event.kind === 'bid' ? event.auction : event.id))
    .process({
      state: { wanted: valueState<boolean>(), auction: valueState<Auction>(), early: listState<Bid>() },
      *onRecord(event, ctx) {
        const { wanted, auction, early } = ctx.state
        if (event.kind === 'bid') {
          const known = wanted.get()
          if (known === undefined) early.add(event)
          else if (known) yield { auction: auction.get()!, bid: event }
          return
        }
        wanted.set(event.category === 10)
        if (event.category === 10) {
          auction.set(event)
          for (const bid of early.get()) yield { auction: event, bid }
        }
        early.clear()
      },
    })
}
