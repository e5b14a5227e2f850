import type { NexmarkEvent } from '../events.ts'
import type { BidderSession } from '../queries/q11.ts'

const GAP_MS = 10_000

/** Of events in the order of their times. */
export function* modelOfQ11(events: Iterable<NexmarkEvent>): Generator<BidderSession> {
  const sessions = new Map<number, { start: number; last: number; bids: number }>()
  for (const event of events) {
    if (event.kind !== 'bid') continue
    const { bidder, dateTime } = event
    const session = sessions.get(bidder)
    if (session !== undefined && dateTime - session.last <= GAP_MS) {
      session.last = dateTime
      session.bids++
      continue
    }
    if (session !== undefined) yield { bidder, bids: session.bids, start: session.start, end: session.last + GAP_MS }
    sessions.set(bidder, { start: dateTime, last: dateTime, bids: 1 })
  }
  for (const [bidder, { start, last, bids }] of sessions) yield { bidder, bids, start, end: last + GAP_MS }
}
