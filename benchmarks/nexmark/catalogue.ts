import type { Stream } from 'sluice'
import type { Change } from './change.ts'
import { withNumber, withText } from './digest.ts'
import type { Auction, Bid, NexmarkEvent } from './events.ts'
import { modelOfQ0 } from './models/q0.ts'
import { modelOfQ1 } from './models/q1.ts'
import { modelOfQ2 } from './models/q2.ts'
import { modelOfQ3 } from './models/q3.ts'
import { modelOfQ4 } from './models/q4.ts'
import { modelOfQ5 } from './models/q5.ts'
import { modelOfQ7 } from './models/q7.ts'
import { modelOfQ8 } from './models/q8.ts'
import { modelOfQ9 } from './models/q9.ts'
import { modelOfQ11 } from './models/q11.ts'
import { modelOfQ17 } from './models/q17.ts'
import { modelOfQ18 } from './models/q18.ts'
import { modelOfQ19 } from './models/q19.ts'
import { modelOfQ20 } from './models/q20.ts'
import { q0 } from './queries/q0.ts'
import { q1 } from './queries/q1.ts'
import { q2 } from './queries/q2.ts'
import { q3 } from './queries/q3.ts'
import { q4 } from './queries/q4.ts'
import { q5 } from './queries/q5.ts'
import { q7 } from './queries/q7.ts'
import { q8 } from './queries/q8.ts'
import { q9 } from './queries/q9.ts'
import { q11 } from './queries/q11.ts'
import type { AuctionDay } from './queries/q17.ts'
import { q17 } from './queries/q17.ts'
import { q18 } from './queries/q18.ts'
import { q19 } from './queries/q19.ts'
import { q20 } from './queries/q20.ts'

/** A query, what it must give, and how its rows are told apart. */
export interface NexmarkQuery<R = unknown> {
  readonly name: string
  /** In the words of the suite. */
  readonly meaning: string
  /** Events of a full run: as many as take some seconds. */
  readonly events: number
  readonly build: (events: Stream<NexmarkEvent>) => Stream<R>
  readonly model: (events: Iterable<NexmarkEvent>) => Iterable<R>
  readonly digest: (row: R) => number
  /** How many rows of the result it stands for: a row that takes the place of another one counts for none. Default: one. */
  readonly rows?: (row: R) => number
}

const MILLION = 1_000_000

function bidDigest(bid: Bid): number {
  const { auction, bidder, price, dateTime, extra } = bid
  return withText(withNumber(withNumber(withNumber(withNumber(1, auction), bidder), price), dateTime), extra)
}

function auctionDigest(auction: Auction): number {
  const { id, itemName, description, initialBid, reserve, dateTime, expires, seller, category, extra } = auction
  const texts = withText(withText(withText(2, itemName), description), extra)
  const money = withNumber(withNumber(texts, initialBid), reserve)
  return withNumber(withNumber(withNumber(withNumber(withNumber(money, id), dateTime), expires), seller), category)
}

function eventDigest(event: NexmarkEvent): number {
  if (event.kind === 'bid') return bidDigest(event)
  if (event.kind === 'auction') return auctionDigest(event)
  const { id, name, emailAddress, creditCard, city, state, dateTime, extra } = event
  const person = withText(withText(withText(withNumber(3, id), name), emailAddress), creditCard)
  return withNumber(withText(withText(withText(person, city), state), extra), dateTime)
}

function numbersDigest(...numbers: readonly number[]): number {
  return numbers.reduce(withNumber, 4)
}

/** Changes count for what is left in the end: the former row is taken out of the sum again. */
function changesOf<T>(digest: (row: T) => number) {
  return {
    digest: ({ before, after }: Change<T>): number => digest(after) - (before === undefined ? 0 : digest(before)),
    rows: ({ before }: Change<T>): number => (before === undefined ? 1 : 0),
  }
}

/** Forgets the type of the rows: whoever runs a query hands on what one of its functions gives to another one. */
function query<R>(query: NexmarkQuery<R>): NexmarkQuery {
  return query as unknown as NexmarkQuery
}

export const QUERIES: readonly NexmarkQuery[] = [
  query({ name: 'q0', meaning: 'pass through', events: 10 * MILLION, build: q0, model: modelOfQ0, digest: eventDigest }),
  query({
    name: 'q1',
    meaning: 'currency conversion',
    events: 10 * MILLION,
    build: q1,
    model: modelOfQ1,
    digest: ({ auction, bidder, price, dateTime, extra }) =>
      withText(withNumber(withNumber(withNumber(withNumber(1, auction), bidder), price), dateTime), extra),
  }),
  query({
    name: 'q2',
    meaning: 'selection',
    events: 10 * MILLION,
    build: q2,
    model: modelOfQ2,
    digest: ({ auction, price }) => numbersDigest(auction, price),
  }),
  query({
    name: 'q3',
    meaning: 'local items',
    events: 10 * MILLION,
    build: q3,
    model: modelOfQ3,
    digest: ({ name, city, state, auction }) => withNumber(withText(withText(withText(3, name), city), state), auction),
  }),
  query({
    name: 'q4',
    meaning: 'average price for a category',
    events: 4 * MILLION,
    build: q4,
    model: modelOfQ4,
    digest: ({ category, end, price }) => numbersDigest(category, end, price),
  }),
  query({
    name: 'q5',
    meaning: 'hot items',
    events: 6 * MILLION,
    build: q5,
    model: modelOfQ5,
    digest: ({ auction, count, end }) => numbersDigest(auction, count, end),
  }),
  query({
    name: 'q7',
    meaning: 'highest bid',
    events: 6 * MILLION,
    build: q7,
    model: modelOfQ7,
    digest: ({ auction, bidder, price, dateTime, extra }) => withText(numbersDigest(auction, bidder, price, dateTime), extra),
  }),
  query({
    name: 'q8',
    meaning: 'new users who sell',
    events: 10 * MILLION,
    build: q8,
    model: modelOfQ8,
    digest: ({ id, name, reserve }) => withNumber(withText(withNumber(3, id), name), reserve),
  }),
  query({
    name: 'q9',
    meaning: 'winning bids',
    events: 4 * MILLION,
    build: q9,
    model: modelOfQ9,
    digest: ({ auction, bid }) => withNumber(auctionDigest(auction), bidDigest(bid)),
  }),
  query({
    name: 'q11',
    meaning: 'user sessions',
    events: 6 * MILLION,
    build: q11,
    model: modelOfQ11,
    digest: ({ bidder, bids, start, end }) => numbersDigest(bidder, bids, start, end),
  }),
  query({
    name: 'q17',
    meaning: 'statistics of an auction',
    events: 4 * MILLION,
    build: q17,
    model: modelOfQ17,
    ...changesOf(({ auction, day, bids, low, middle, high, least, most, sum }: AuctionDay) =>
      numbersDigest(auction, day, bids, low, middle, high, least, most, sum),
    ),
  }),
  query({
    name: 'q18',
    meaning: 'last bids',
    events: 2 * MILLION,
    build: q18,
    model: modelOfQ18,
    ...changesOf(bidDigest),
  }),
  query({
    name: 'q19',
    meaning: 'ten highest bids',
    events: 4 * MILLION,
    build: q19,
    model: modelOfQ19,
    ...changesOf(bidDigest),
  }),
  query({
    name: 'q20',
    meaning: 'bids with their auctions',
    events: 4 * MILLION,
    build: q20,
    model: modelOfQ20,
    digest: ({ auction, bid }) => withNumber(auctionDigest(auction), bidDigest(bid)),
  }),
]
