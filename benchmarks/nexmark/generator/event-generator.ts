import type { Auction, Bid, NexmarkEvent, Person } from '../events.ts'
import { JavaRandom } from './java-random.ts'
import type { GeneratorRange, NexmarkOptions } from './options.ts'
import { TextBlock } from './text-block.ts'
import { EventTimes } from './timing.ts'

/*
 * The event stream of Apache Beam's Nexmark suite (sdks/java/testing/nexmark), byte for byte. Every event is a function of its id alone, because
 * the random source is seeded with it: a reader that begins in the middle gives what one that came there would.
 *
 * Of 50 event ids in a row one is a person, three are auctions and 46 are bids. Bids and auctions may name people and auctions that come a little
 * later: that is meant. What counts is the order of the draws, which is that in which fields are computed here.
 */

const CYCLE = 50
const AUCTIONS_PER_CYCLE = 3
const FIRST_ID = 1000
const FIRST_CATEGORY = 10
const CATEGORIES = 5
/** One in so many people, and auctions, is hot: the first of a hundred; of bidders the second, so that they are not the hot sellers. */
const HOT_GROUP = 100
/** So many people and auctions that do not exist yet may be named. */
const LEAD = 10

const FIRST_NAMES = ['Peter', 'Paul', 'Luke', 'John', 'Saul', 'Vicky', 'Kate', 'Julie', 'Sarah', 'Deiter', 'Walter']
const LAST_NAMES = ['Shultz', 'Abrams', 'Spencer', 'White', 'Bartels', 'Walton', 'Smith', 'Jones', 'Noris']
const NAMES = FIRST_NAMES.map((first) => LAST_NAMES.map((last) => `${first} ${last}`))
const CITIES = ['Phoenix', 'Los Angeles', 'San Francisco', 'Boise', 'Portland', 'Bend', 'Redmond', 'Seattle', 'Kent', 'Cheyenne']
const STATES = ['AZ', 'CA', 'ID', 'OR', 'WA', 'WY']

/** Bytes that a record takes beside its texts, as Beam counts them. */
const PERSON_BYTES = 8
const AUCTION_BYTES = 48
const BID_BYTES = 32
const CREDIT_CARD_LENGTH = 19
/** Characters of the words in a record at most. */
const WORDS_LENGTH_MAX = 120

/** Events whose texts share a block: few, because a text that is kept keeps its block. */
const BLOCK = 16

type Mutable<T> = { -readonly [Name in keyof T]: T[Name] }

export class EventGenerator {
  readonly #options: NexmarkOptions
  readonly #firstEventId: number
  readonly #times: EventTimes
  readonly #random = new JavaRandom()
  readonly #texts: TextBlock
  readonly #eventsAhead: number
  /** Where the texts of the events of a block lie, in the order in which they were written. */
  readonly #bounds = new Int32Array(BLOCK * 6)
  #bound = 0

  constructor(options: NexmarkOptions, range: GeneratorRange) {
    this.#options = options
    this.#firstEventId = range.firstEventId
    this.#times = new EventTimes(options)
    // An auction is open until about this many events later.
    this.#eventsAhead = Math.floor((options.inFlightAuctions * CYCLE) / AUCTIONS_PER_CYCLE)
    const largest = Math.max(options.averagePersonBytes, options.averageAuctionBytes, options.averageBidBytes)
    this.#texts = new TextBlock(this.#random, BLOCK * (WORDS_LENGTH_MAX + Math.ceil(1.2 * largest)))
  }

  /** Appends the events number `first` to `first + count - 1` of this generator. */
  append(events: NexmarkEvent[], first: number, count: number): void {
    for (let at = first; at < first + count; at += BLOCK) this.#appendBlock(events, at, Math.min(BLOCK, first + count - at))
  }

  #appendBlock(events: NexmarkEvent[], first: number, count: number): void {
    const texts = this.#texts
    texts.clear()
    this.#bound = 0
    const from = events.length
    for (let number = first; number < first + count; number++) events.push(this.#eventWithoutTexts(number))
    texts.finish()
    this.#bound = 0
    for (let index = from; index < events.length; index++) this.#setTexts(events[index]!)
  }

  #eventWithoutTexts(number: number): NexmarkEvent {
    const group = this.#options.outOfOrderGroupSize
    const adjusted = group === 1 ? number : number - (number % group) + ((number * 953) % group)
    const id = this.#firstEventId + adjusted
    const time = this.#times.timeOf(adjusted)
    this.#random.seed(id)
    const place = id % CYCLE
    const cycle = (id - place) / CYCLE
    if (place > AUCTIONS_PER_CYCLE) return this.#bid(cycle, time)
    if (place === 0) return this.#person(cycle, time)
    return this.#auction(cycle, place - 1, adjusted, time)
  }

  /** Texts are set when those of the whole block have been written. */
  #setTexts(event: NexmarkEvent): void {
    if (event.kind === 'bid') (event as Mutable<Bid>).extra = this.#nextText()
    else if (event.kind === 'auction') this.#setAuctionTexts(event)
    else this.#setPersonTexts(event)
  }

  #nextText(): string {
    const bounds = this.#bounds
    const text = this.#texts.cut(bounds[this.#bound]!, bounds[this.#bound + 1]!)
    this.#bound += 2
    return text
  }

  #noteText(start: number): number {
    const { end } = this.#texts
    this.#bounds[this.#bound++] = start
    this.#bounds[this.#bound++] = end
    return end - start
  }

  #words(maxLength: number): number {
    return this.#noteText(this.#texts.words(maxLength))
  }

  #filler(size: number, averageSize: number): void {
    this.#noteText(this.#texts.filler(size, averageSize))
  }

  // Bids

  #bid(lastPerson: number, dateTime: number): Bid {
    const { hotAuctionRatio, hotBidderRatio, averageBidBytes } = this.#options
    const random = this.#random
    const lastAuction = lastPerson * AUCTIONS_PER_CYCLE + AUCTIONS_PER_CYCLE - 1
    const auction = random.nextInt(hotAuctionRatio) > 0 ? lastAuction - (lastAuction % HOT_GROUP) : this.#anyAuction(lastAuction)
    const bidder = random.nextInt(hotBidderRatio) > 0 ? lastPerson - (lastPerson % HOT_GROUP) + 1 : this.#anyPerson(lastPerson)
    const price = this.#price()
    this.#filler(BID_BYTES, averageBidBytes)
    return { kind: 'bid', auction: FIRST_ID + auction, bidder: FIRST_ID + bidder, price, dateTime, extra: '' }
  }

  #anyAuction(last: number): number {
    const least = Math.max(last - this.#options.inFlightAuctions, 0)
    return least + this.#random.nextInt(last - least + 1 + LEAD)
  }

  #anyPerson(last: number): number {
    const active = Math.min(last + 1, this.#options.activePeople)
    return last + 1 - active + this.#random.nextInt(active + LEAD)
  }

  /** From one to a million dollars, each order of magnitude as often as any other. */
  #price(): number {
    return Math.round(10 ** (this.#random.nextDouble() * 6) * 100)
  }

  // Auctions

  #auction(lastPerson: number, place: number, number: number, dateTime: number): Auction {
    const random = this.#random
    const { hotSellerRatio, averageAuctionBytes } = this.#options
    const seller = random.nextInt(hotSellerRatio) > 0 ? lastPerson - (lastPerson % HOT_GROUP) : this.#anyPerson(lastPerson)
    const category = FIRST_CATEGORY + random.nextInt(CATEGORIES)
    const initialBid = this.#price()
    const horizonMs = this.#times.timeOf(number + this.#eventsAhead) - dateTime
    const expires = dateTime + 1 + random.nextInt(Math.max(2 * horizonMs, 1))
    const length = this.#words(20) + this.#words(100)
    const reserve = initialBid + this.#price()
    this.#filler(AUCTION_BYTES + length, averageAuctionBytes)
    return {
      kind: 'auction',
      id: FIRST_ID + lastPerson * AUCTIONS_PER_CYCLE + place,
      itemName: '',
      description: '',
      initialBid,
      reserve,
      dateTime,
      expires,
      seller: FIRST_ID + seller,
      category,
      extra: '',
    }
  }

  #setAuctionTexts(auction: Mutable<Auction>): void {
    auction.itemName = this.#nextText()
    auction.description = this.#nextText()
    auction.extra = this.#nextText()
  }

  // People

  #person(id: number, dateTime: number): Person {
    const random = this.#random
    const name = NAMES[random.nextInt(FIRST_NAMES.length)]![random.nextInt(LAST_NAMES.length)]!
    const emailLength = this.#words(7) + this.#words(5) + '@.com'.length
    const creditCard = `${this.#fourDigits()} ${this.#fourDigits()} ${this.#fourDigits()} ${this.#fourDigits()}`
    const city = CITIES[random.nextInt(CITIES.length)]!
    const state = STATES[random.nextInt(STATES.length)]!
    const size = PERSON_BYTES + name.length + emailLength + CREDIT_CARD_LENGTH + city.length + state.length
    this.#filler(size, this.#options.averagePersonBytes)
    return { kind: 'person', id: FIRST_ID + id, name, emailAddress: '', creditCard, city, state, dateTime, extra: '' }
  }

  #fourDigits(): string {
    const number = this.#random.nextInt(10_000)
    return number >= 1000 ? `${number}` : `${number}`.padStart(4, '0')
  }

  #setPersonTexts(person: Mutable<Person>): void {
    person.emailAddress = `${this.#nextText()}@${this.#nextText()}.com`
    person.extra = this.#nextText()
  }
}
