import type { NexmarkEvent } from '../events.ts'
import type { EuroBid } from '../queries/q1.ts'

export function* modelOfQ1(events: Iterable<NexmarkEvent>): Generator<EuroBid> {
  for (const event of events) {
    if (event.kind !== 'bid') continue
    yield {
      auction: event.auction,
      bidder: event.bidder,
      price: event.price * 0.908,
      dateTime: event.dateTime,
      extra: event.extra,
    }
  }
}
