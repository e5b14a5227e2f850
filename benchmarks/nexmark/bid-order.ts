import type { Bid } from './events.ts'

/*
 * Both orders are complete: two bids that differ are never equal in them, so what wins does not depend on who came first. Beam compares no further than
 * price and time, and takes any of several that are equal in both.
 */

/** Whether a bid wins against another one of the same auction: the higher, then the earlier one. */
export function beats(bid: Bid, other: Bid): boolean {
  if (bid.price !== other.price) return bid.price > other.price
  if (bid.dateTime !== other.dateTime) return bid.dateTime < other.dateTime
  return isSmaller(bid, other)
}

/** Whether a bid takes the place of an earlier one by the same bidder. */
export function isLater(bid: Bid, other: Bid): boolean {
  if (bid.dateTime !== other.dateTime) return bid.dateTime > other.dateTime
  if (bid.price !== other.price) return bid.price > other.price
  return isSmaller(bid, other)
}

function isSmaller(bid: Bid, other: Bid): boolean {
  if (bid.auction !== other.auction) return bid.auction < other.auction
  if (bid.bidder !== other.bidder) return bid.bidder < other.bidder
  return bid.extra < other.extra
}
