import type { NexmarkEvent } from '../events.ts'
import type { CategoryPrice } from '../queries/q4.ts'
import { modelOfWinningBids } from './winning-bids.ts'

export function* modelOfQ4(events: Iterable<NexmarkEvent>): Generator<CategoryPrice> {
  const prices = new Map<string, { end: number; category: number; prices: number[] }>()
  for (const { auction, bid } of modelOfWinningBids(events)) {
    const { expires, category } = auction
    const firstEnd = (Math.floor(expires / 5000) + 1) * 5000
    for (const end of [firstEnd, firstEnd + 5000]) {
      const name = `${end} ${category}`
      const entry = prices.get(name) ?? { end, category, prices: [] }
      entry.prices.push(bid.price)
      prices.set(name, entry)
    }
  }
  for (const entry of prices.values()) {
    const total = entry.prices.reduce((sum, price) => sum + price, 0)
    yield { category: entry.category, end: entry.end, price: Math.round(total / entry.prices.length) }
  }
}
