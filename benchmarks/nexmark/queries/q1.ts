import type { Stream } from 'sluice'
import type { NexmarkEvent } from '../events.ts'
import { isBid } from '../events.ts'

export interface EuroBid {
  readonly auction: number
  readonly bidder: number
  readonly price: number
  readonly dateTime: number
  readonly extra: string
}

/** Currency conversion: the price of each bid in euros, at the rate of the SQL suite. */
export function q1(events: Stream<NexmarkEvent>): Stream<EuroBid> {
  return events.filter(isBid).map(({ auction, bidder, price, dateTime, extra }) => ({
    auction,
    bidder,
    price: 0.908 * price,
    dateTime,
    extra,
  }))
}
