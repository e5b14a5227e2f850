import { beats } from '../bid-order.ts'
import type { Auction, Bid, NexmarkEvent } from '../events.ts'
import type { WinningBid } from '../queries/winning-bids.ts'

const TEN_SECONDS = 10_000

interface Lot {
  readonly auction: Auction
  best: Bid | undefined
}

export function* modelOfWinningBids(events: Iterable<NexmarkEvent>): Generator<WinningBid> {
  const lots = new Map<number, Lot>()
  const bidsBefore = new Map<number, Bid[]>()
  for (const event of events) {
    if (event.kind === 'auction') {
      const lot: Lot = { auction: event, best: undefined }
      lots.set(event.id, lot)
      for (const bid of bidsBefore.get(event.id) ?? []) offer(lot, bid)
      bidsBefore.delete(event.id)
    } else if (event.kind === 'bid') {
      const lot = lots.get(event.auction)
      if (lot !== undefined) offer(lot, event)
      else if (bidsBefore.has(event.auction)) bidsBefore.get(event.auction)!.push(event)
      else bidsBefore.set(event.auction, [event])
    }
  }
  for (const { auction, best } of lots.values()) if (best !== undefined) yield { auction, bid: best }
}

function offer(lot: Lot, bid: Bid): void {
  const { expires, dateTime, reserve } = lot.auction
  if (bid.price < reserve || bid.dateTime >= expires || bid.dateTime <= dateTime - TEN_SECONDS) return
  if (lot.best === undefined || beats(bid, lot.best)) lot.best = bid
}
