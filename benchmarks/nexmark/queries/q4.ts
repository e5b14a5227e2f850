import type { Stream } from 'sluice'
import { slidingWindow } from 'sluice'
import type { NexmarkEvent } from '../events.ts'
import { winningBids } from './winning-bids.ts'

export interface CategoryPrice {
  readonly category: number
  /** When the window ended. */
  readonly end: number
  readonly price: number
}

/** Average price for a category: of the auctions that closed in the last ten seconds, every five seconds, as in Beam. */
export function q4(events: Stream<NexmarkEvent>): Stream<CategoryPrice> {
  return winningBids(events)
    .keyBy(({ auction }) => auction.category)
    .window(slidingWindow('10s', '5s'))
    .aggregate({
      create: () => ({ count: 0, total: 0 }),
      add: (sum, { bid }) => ({ count: sum.count + 1, total: sum.total + bid.price }),
      merge: (a, b) => ({ count: a.count + b.count, total: a.total + b.total }),
      result: ({ count, total }, { key, window }) => ({ category: key, end: window.end, price: Math.round(total / count) }),
    })
}
