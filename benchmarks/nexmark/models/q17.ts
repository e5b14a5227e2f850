import type { Change } from '../change.ts'
import type { NexmarkEvent } from '../events.ts'
import type { AuctionDay } from '../queries/q17.ts'

/** The table as it is in the end, each row as one change. */
export function* modelOfQ17(events: Iterable<NexmarkEvent>): Generator<Change<AuctionDay>> {
  const prices = new Map<number, Map<number, number[]>>()
  for (const event of events) {
    if (event.kind !== 'bid') continue
    const day = Math.floor(event.dateTime / (24 * 3600 * 1000))
    let ofDay = prices.get(day)
    if (ofDay === undefined) prices.set(day, (ofDay = new Map()))
    const ofAuction = ofDay.get(event.auction)
    if (ofAuction === undefined) ofDay.set(event.auction, [event.price])
    else ofAuction.push(event.price)
  }
  for (const [day, ofDay] of prices) {
    for (const [auction, all] of ofDay) yield { before: undefined, after: rowOf(auction, day, all) }
  }
}

function rowOf(auction: number, day: number, prices: readonly number[]): AuctionDay {
  return {
    auction,
    day,
    bids: prices.length,
    low: prices.filter((price) => price < 10_000).length,
    middle: prices.filter((price) => price >= 10_000 && price < 1_000_000).length,
    high: prices.filter((price) => price >= 1_000_000).length,
    least: prices.reduce((least, price) => Math.min(least, price)),
    most: prices.reduce((most, price) => Math.max(most, price)),
    sum: prices.reduce((sum, price) => sum + price, 0),
  }
}
