import type { Stream } from 'sluice'
import { valueState } from 'sluice'
import type { Change } from '../change.ts'
import type { NexmarkEvent } from '../events.ts'
import { isBid } from '../events.ts'

export interface AuctionDay {
  readonly auction: number
  /** Days since 1970. */
  readonly day: number
  readonly bids: number
  /** Bids below a hundred dollars, below ten thousand, and all others. */
  readonly low: number
  readonly middle: number
  readonly high: number
  readonly least: number
  readonly most: number
  readonly sum: number
}

const DAY_MS = 86_400_000

/** Statistics of each auction and day, as a stream of changes. */
export function q17(events: Stream<NexmarkEvent>): Stream<Change<AuctionDay>> {
  return events
    .filter(isBid)
    .map(({ auction, price, dateTime }) => ({ auction, price, day: Math.floor(dateTime / DAY_MS) }))
    .keyBy(({ auction, day }) => [auction, day])
    .process({
      state: { row: valueState<AuctionDay>() },
      *onRecord({ auction, day, price }, ctx) {
        const before = ctx.state.row.get()
        const row = before ?? { auction, day, bids: 0, low: 0, middle: 0, high: 0, least: price, most: price, sum: 0 }
        const after: AuctionDay = {
          auction,
          day,
          bids: row.bids + 1,
          low: row.low + (price < 10_000 ? 1 : 0),
          middle: row.middle + (price >= 10_000 && price < 1_000_000 ? 1 : 0),
          high: row.high + (price >= 1_000_000 ? 1 : 0),
          least: Math.min(row.least, price),
          most: Math.max(row.most, price),
          sum: row.sum + price,
        }
        ctx.state.row.set(after)
        yield { before, after }
      },
    })
}
