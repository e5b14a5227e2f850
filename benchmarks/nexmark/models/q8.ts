import type { Auction, NexmarkEvent, Person } from '../events.ts'
import type { NewSeller } from '../queries/q8.ts'

export function* modelOfQ8(events: Iterable<NexmarkEvent>): Generator<NewSeller> {
  const people = new Map<number, Person>()
  const auctions: Auction[] = []
  for (const event of events) {
    if (event.kind === 'person') people.set(event.id, event)
    else if (event.kind === 'auction') auctions.push(event)
  }
  for (const { seller, dateTime, reserve } of auctions) {
    const person = people.get(seller)
    if (person !== undefined && windowOf(person.dateTime) === windowOf(dateTime)) yield { id: seller, name: person.name, reserve }
  }
}

function windowOf(time: number): number {
  return Math.floor(time / 10_000)
}
