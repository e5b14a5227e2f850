import { beats } from '../bid-order.ts'
import type { Bid, NexmarkEvent } from '../events.ts'
import type { HighestBid } from '../queries/q7.ts'

export function* modelOfQ7(events: Iterable<NexmarkEvent>): Generator<HighestBid> {
  const highest = new Map<number, Bid>()
  for (const event of events) {
    if (event.kind !== 'bid') continue
    const window = Math.floor(event.dateTime / 10_000)
    const top = highest.get(window)
    if (top === undefined || beats(event, top)) highest.set(window, event)
  }
  for (const { kind: _, ...bid } of highest.values()) yield bid
}
