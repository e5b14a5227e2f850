import type { NexmarkEvent } from '../events.ts'
import type { HotAuction } from '../queries/q5.ts'

export function* modelOfQ5(events: Iterable<NexmarkEvent>): Generator<HotAuction> {
  /** Bids on each auction, by the end of the window. */
  const windows = new Map<number, Map<number, number>>()
  for (const event of events) {
    if (event.kind !== 'bid') continue
    const firstEnd = (Math.floor(event.dateTime / 5000) + 1) * 5000
    for (const end of [firstEnd, firstEnd + 5000]) {
      let counts = windows.get(end)
      if (counts === undefined) windows.set(end, (counts = new Map()))
      counts.set(event.auction, (counts.get(event.auction) ?? 0) + 1)
    }
  }
  for (const [end, counts] of windows) {
    let most = 0
    for (const count of counts.values()) most = Math.max(most, count)
    for (const [auction, count] of counts) if (count === most) yield { auction, count, end }
  }
}
