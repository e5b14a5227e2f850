import type { Stream } from 'sluice'
import { listState, valueState } from 'sluice'
import type { NexmarkEvent } from '../events.ts'
import { isAuction, isPerson } from '../events.ts'

export interface LocalItem {
  readonly name: string
  readonly city: string
  readonly state: string
  readonly auction: number
}

interface Seller {
  readonly name: string
  readonly city: string
  readonly state: string
}

const STATES: readonly string[] = ['OR', 'ID', 'CA']

/** Local items: who sells in Oregon, Idaho or California in category 10. A seller may turn up after the auction, up to ten minutes, as in Beam. */
export function q3(events: Stream<NexmarkEvent>): Stream<LocalItem> {
  const sellers = events
    .filter(isPerson)
    .filter((person) => STATES.includes(person.state))
    .map(({ id, name, city, state }) => ({ id, name, city, state }))
  const auctions = events
    .filter(isAuction)
    .filter((auction) => auction.category === 10)
    .map(({ id, seller }) => ({ id, seller }))
  return sellers
    .keyBy((person) => person.id)
    .connect(auctions.keyBy((auction) => auction.seller))
    .process({
      state: { seller: valueState<Seller>(), waiting: listState<number>({ ttl: '10m', ttlTime: 'event' }) },
      *onLeft({ name, city, state }, ctx) {
        ctx.state.seller.set({ name, city, state })
        for (const auction of ctx.state.waiting.get()) yield { name, city, state, auction }
        ctx.state.waiting.clear()
      },
      *onRight(auction, ctx) {
        const seller = ctx.state.seller.get()
        if (seller === undefined) ctx.state.waiting.add(auction.id)
        else yield { ...seller, auction: auction.id }
      },
    })
}
