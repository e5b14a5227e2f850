import type { Stream } from 'sluice'
import { listState, output, valueState } from 'sluice'
import { beats } from '../bid-order.ts'
import type { Auction, Bid, NexmarkEvent } from '../events.ts'
import { isPerson } from '../events.ts'

export interface WinningBid {
  readonly auction: Auction
  readonly bid: Bid
}

/** Bids may come before their auction, and some name one that never comes. */
const WAIT_MS = 10_000
/** No price reaches it. */
const CLOSED = Number.POSITIVE_INFINITY

/**
 * The winner of each auction, when it closes: the highest bid before its end that is not below the reserve. As in Beam a bid may also be
 * older than the auction; not by more than `WAIT_MS`, so that waiting comes to an end.
 *
 * `toBeat` is what nearly all bids are compared with and nothing else: the reserve of an open auction, then the highest price; for a while
 * after its end `CLOSED`, so that bids that come too late do not wait for an auction that has been.
 */
export function winningBids(events: Stream<NexmarkEvent>): Stream<WinningBid> {
  return events
    .filter((event): event is Auction | Bid => !isPerson(event))
    .keyBy((event) => (event.kind === 'bid' ? event.auction : event.id))
    .process({
      state: {
        toBeat: valueState<number>(),
        auction: valueState<Auction>(),
        best: valueState<Bid>(),
        early: listState<Bid>(),
      },
      out: output<WinningBid>(),
      onRecord(event, ctx) {
        const { toBeat, auction, best, early } = ctx.state
        if (event.kind === 'bid') {
          const price = toBeat.get()
          if (price === undefined) {
            if (early.get().length === 0) ctx.timers.eventTime(event.dateTime + WAIT_MS)
            early.add(event)
          } else if (event.price >= price && wins(event, auction.get()!, best.get())) {
            best.set(event)
            toBeat.set(event.price)
          }
          return
        }
        auction.set(event)
        const winner = early.get().reduce<Bid | undefined>((top, bid) => (wins(bid, event, top) ? bid : top), undefined)
        if (winner !== undefined) best.set(winner)
        toBeat.set(winner?.price ?? event.reserve)
        early.clear()
        ctx.timers.eventTime(event.expires)
      },
      onTimer(time, ctx) {
        const { toBeat, auction, best, early } = ctx.state
        const open = auction.get()
        if (open === undefined) {
          toBeat.clear()
          const waiting = early.get().filter((bid) => bid.dateTime + WAIT_MS > time)
          early.set(waiting)
          if (waiting.length > 0) ctx.timers.eventTime(Math.max(...waiting.map((bid) => bid.dateTime)) + WAIT_MS)
        } else if (time >= open.expires) {
          const bid = best.get()
          if (bid !== undefined) ctx.emit({ auction: open, bid })
          auction.clear()
          best.clear()
          toBeat.set(CLOSED)
          ctx.timers.eventTime(open.expires + WAIT_MS)
        }
      },
    })
}

function wins(bid: Bid, auction: Auction, best: Bid | undefined): boolean {
  const inTime = bid.dateTime < auction.expires && bid.dateTime > auction.dateTime - WAIT_MS
  return inTime && bid.price >= auction.reserve && (best === undefined || beats(bid, best))
}
