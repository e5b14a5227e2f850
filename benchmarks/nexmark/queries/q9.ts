import type { Stream } from 'sluice'
import type { NexmarkEvent } from '../events.ts'
import type { WinningBid } from './winning-bids.ts'
import { winningBids } from './winning-bids.ts'

/** Winning bids: the auction and its winner, once, when it closes. */
export function q9(events: Stream<NexmarkEvent>): Stream<WinningBid> {
  return winningBids(events)
}
