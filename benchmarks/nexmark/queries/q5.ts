import type { Stream } from 'sluice'
import { slidingWindow, tumblingWindow } from 'sluice'
import type { NexmarkEvent } from '../events.ts'
import { isBid } from '../events.ts'

export interface HotAuction {
  readonly auction: number
  readonly count: number
  /** When the window ended. */
  readonly end: number
}

/** Hot items: the auctions with the most bids in ten seconds, every five seconds, as in Beam; all of them when several have as many. */
export function q5(events: Stream<NexmarkEvent>): Stream<HotAuction> {
  const counts = events
    .filter(isBid)
    // What is not needed does not travel.
    .map(({ auction }) => auction)
    .keyBy((auction) => auction)
    .window(slidingWindow('10s', '5s'))
    .count()
  // A count bears the last instant of its window, so all counts of a window fall into the same five seconds.
  return counts
    .keyBy(({ window }) => window.end)
    .window(tumblingWindow('5s'))
    .aggregate({
      create: (): Top => ({ count: 0, auctions: [] }),
      add: (top, { key, count }) => higher(top, { count, auctions: [key] }),
      merge: higher,
      result: (top, { key }) => ({ ...top, end: key }),
    })
    .flatMap(({ auctions, count, end }) => auctions.map((auction) => ({ auction, count, end })))
}

interface Top {
  readonly count: number
  readonly auctions: readonly number[]
}

function higher(a: Top, b: Top): Top {
  if (a.count !== b.count) return a.count > b.count ? a : b
  return { count: a.count, auctions: [...a.auctions, ...b.auctions] }
}
