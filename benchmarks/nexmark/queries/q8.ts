import type { Stream } from 'sluice'
import { tumblingWindow } from 'sluice'
import type { NexmarkEvent } from '../events.ts'
import { isAuction, isPerson } from '../events.ts'

export interface NewSeller {
  readonly id: number
  readonly name: string
  readonly reserve: number
}

/** New users who sell: whoever opened an auction in the ten seconds in which he registered; a row for each auction, as in Beam. */
export function q8(events: Stream<NexmarkEvent>): Stream<NewSeller> {
  const people = events.filter(isPerson).map(({ id, name }) => ({ id, name }))
  const auctions = events.filter(isAuction).map(({ seller, reserve }) => ({ seller, reserve }))
  return people
    .keyBy((person) => person.id)
    .windowJoin(
      auctions.keyBy((auction) => auction.seller),
      tumblingWindow('10s'),
      ({ id, name }, { reserve }) => ({ id, name, reserve }),
    )
}
