import type { Stream } from 'sluice'
import { tumblingWindow } from 'sluice'
import { beats } from '../bid-order.ts'
import type { Bid, NexmarkEvent } from '../events.ts'
import { isBid } from '../events.ts'

export interface HighestBid {
  readonly auction: number
  readonly bidder: number
  readonly price: number
  readonly dateTime: number
  readonly extra: string
}

/** So many subtasks at most look for the highest bid side by side. */
const SHARES = 16

/** Highest bid of each ten seconds, in two steps, so that not all bids go through one subtask. */
export function q7(events: Stream<NexmarkEvent>): Stream<HighestBid> {
  return events
    .filter(isBid)
    .keyBy((bid) => bid.price % SHARES)
    .window(tumblingWindow('10s'))
    .reduce(higher)
    .keyBy(({ window }) => window.end)
    .window(tumblingWindow('10s'))
    .reduce((a, b) => (beats(a.value, b.value) ? a : b))
    .map(({ value: { value } }) => ({
      auction: value.auction,
      bidder: value.bidder,
      price: value.price,
      dateTime: value.dateTime,
      extra: value.extra,
    }))
}

function higher(a: Bid, b: Bid): Bid {
  return beats(a, b) ? a : b
}
