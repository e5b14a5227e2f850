import type { Stream } from 'sluice'
import { sessionWindow } from 'sluice'
import type { NexmarkEvent } from '../events.ts'
import { isBid } from '../events.ts'

export interface BidderSession {
  readonly bidder: number
  readonly bids: number
  readonly start: number
  readonly end: number
}

/** User sessions: how many bids somebody made before he made none for ten seconds, once the session is over. */
export function q11(events: Stream<NexmarkEvent>): Stream<BidderSession> {
  return (
    events
      .filter(isBid)
      // What is not needed does not travel.
      .map(({ bidder }) => bidder)
      .keyBy((bidder) => bidder)
      .window(sessionWindow('10s'))
      .count()
      .map(({ key, window, count }) => ({ bidder: key, bids: count, start: window.start, end: window.end }))
  )
}
