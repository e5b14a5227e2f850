import type { Auction, NexmarkEvent, Person } from '../events.ts'
import type { LocalItem } from '../queries/q3.ts'

/** Of streams of up to ten minutes: nobody is forgotten. */
export function* modelOfQ3(events: Iterable<NexmarkEvent>): Generator<LocalItem> {
  const sellers = new Map<number, Person>()
  const auctions: Auction[] = []
  for (const event of events) {
    if (event.kind === 'person' && (event.state === 'OR' || event.state === 'ID' || event.state === 'CA'))
      sellers.set(event.id, event)
    else if (event.kind === 'auction' && event.category === 10) auctions.push(event)
  }
  for (const { id, seller } of auctions) {
    const person = sellers.get(seller)
    if (person !== undefined) yield { name: person.name, city: person.city, state: person.state, auction: id }
  }
}
