import { describe, expect, test } from 'vitest'
import type { Auction, NexmarkEvent } from '../../benchmarks/nexmark/events.ts'
import { isAuction, isBid, isPerson } from '../../benchmarks/nexmark/events.ts'
import { EventGenerator } from '../../benchmarks/nexmark/generator/event-generator.ts'
import { JavaRandom } from '../../benchmarks/nexmark/generator/java-random.ts'
import { constantRate, DEFAULTS, generatorRanges } from '../../benchmarks/nexmark/generator/options.ts'
import { EventTimes } from '../../benchmarks/nexmark/generator/timing.ts'
import { eventsInOrder } from '../../benchmarks/nexmark/source.ts'
import { firstEvents } from './nexmark-harness.ts'

const BASE = Date.UTC(2015, 6, 15)

describe('the random source', () => {
  // What `new java.util.Random(seed)` of a Java virtual machine gives.
  test('draws as java.util.Random does', () => {
    const random = new JavaRandom()
    random.seed(0)
    expect([random.nextInt32(), random.nextInt32(), random.nextInt32()]).toEqual([-1155484576, -723955400, 1033096058])
    random.seed(42)
    expect([random.nextInt(10), random.nextInt(10), random.nextInt(16), random.nextInt(1)]).toEqual([0, 3, 10, 0])
    random.seed(123_456_789_012)
    expect([random.nextInt(1_500_000_000), random.nextInt(1_500_000_000), random.nextDouble()]).toEqual([
      29_712_462, 237_551_847, 0.5246133121787082,
    ])
  })
})

describe('the stream', () => {
  const events = firstEvents(100_000)

  test('begins with the events that Beam begins with', () => {
    expect(events[0]).toMatchObject({
      kind: 'person',
      id: 1000,
      name: 'Peter Jones',
      emailAddress: 'nhd@xcat.com',
      creditCard: '7241 7320 9143 4888',
      city: 'Portland',
      state: 'WY',
      dateTime: BASE,
    })
    expect(events[1]).toMatchObject({
      kind: 'auction',
      id: 1000,
      itemName: 'wkx mgee',
      description: 'eszpqxtdxrvwmmywkmogoahf',
      initialBid: 28_873,
      reserve: 29_448,
      seller: 1000,
      category: 13,
      dateTime: BASE,
    })
    expect(events[4]).toMatchObject({ kind: 'bid', auction: 1000, bidder: 1001, price: 32_530_001, dateTime: BASE })
  })

  test('has one person and three auctions to 46 bids, with ids in a row', () => {
    const [people, auctions, bids] = [events.filter(isPerson), events.filter(isAuction), events.filter(isBid)]
    expect([people.length, auctions.length, bids.length]).toEqual([2000, 6000, 92_000])
    expect(people.every(({ id }, index) => id === 1000 + index)).toBe(true)
    expect(auctions.every(({ id }, index) => id === 1000 + index)).toBe(true)
  })

  test('fills records up to about the size that is asked for', () => {
    const lengths = events.filter(isBid).map(({ extra }) => extra.length)
    expect([Math.min(...lengths), Math.max(...lengths)]).toEqual([54, 81])
    const sizes = events.filter(isAuction).map(auctionSize)
    expect(Math.min(...sizes)).toBeGreaterThan(0.8 * 500)
    expect(Math.max(...sizes)).toBeLessThan(1.2 * 500)
    expect(sizes.reduce((sum, size) => sum + size, 0) / sizes.length).toBeCloseTo(500, -1)
  })

  test('is in every byte what a Java program of the same rules makes', () => {
    // benchmarks/nexmark/EventHash.java, which takes random numbers and powers from Java: a hash over all fields of the first 100,000 events.
    const hash = events.reduce((sum, event) => (Math.imul(sum, 31) + hashCode(Object.values(event).join('|'))) | 0, 1)
    expect(hash).toBe(-2_137_787_867)
  })

  test('goes on in the middle as one that came there', () => {
    const some: NexmarkEvent[] = []
    new EventGenerator(DEFAULTS, generatorRanges(DEFAULTS)[0]!).append(some, 77_777, 333)
    expect(some).toEqual(events.slice(77_777, 78_110))
  })

  test('is the same when it is asked for piece by piece', () => {
    const generator = new EventGenerator(DEFAULTS, generatorRanges(DEFAULTS)[0]!)
    const pieces: NexmarkEvent[] = []
    for (let size = 1; pieces.length < 1000; size++) generator.append(pieces, pieces.length, size)
    expect(pieces).toEqual(events.slice(0, pieces.length))
  })

  test('can mix the events of a group', () => {
    const mixed = firstEvents(1000, { outOfOrderGroupSize: 10 })
    expect(mixed).not.toEqual(events.slice(0, 1000))
    const byTime = (all: readonly NexmarkEvent[]): readonly string[] => all.map((event) => JSON.stringify(event)).sort()
    for (let group = 0; group < 1000; group += 10)
      expect(byTime(mixed.slice(group, group + 10))).toEqual(byTime(events.slice(group, group + 10)))
    // 953 modulo 10 is 3.
    expect(mixed[1]).toEqual(events[3])
  })
})

describe('several generators', () => {
  test('share the ids, and begin at the same time', () => {
    const options = constantRate(1001, 2, 1000)
    expect(generatorRanges(options)).toEqual([
      { firstEventId: 0, events: 500 },
      { firstEventId: 500, events: 501 },
    ])
    const events = [...eventsInOrder(options)]
    expect(events).toHaveLength(1001)
    expect(events[0]).toMatchObject({ kind: 'person', id: 1000, dateTime: BASE })
    expect(events[1]).toMatchObject({ kind: 'person', id: 1010, dateTime: BASE })
    expect(events.every(({ dateTime }, index) => index === 0 || dateTime >= events[index - 1]!.dateTime)).toBe(true)
    expect(events.at(-1)).toMatchObject({ dateTime: BASE + 500 })
  })
})

describe('event time', () => {
  test('goes on evenly under a constant rate', () => {
    const times = new EventTimes({ ...DEFAULTS, rate: 3000, nextRate: 3000, generators: 2 })
    // A third of a millisecond is rounded to 333 microseconds, and there are two generators.
    expect([0, 1, 2, 1000].map((number) => times.timeOf(number) - BASE)).toEqual([0, 0, 1, 666])
  })

  test('takes two steps in a square, ten in a wave', () => {
    const square = new EventTimes({ ...DEFAULTS, rate: 1000, nextRate: 500, shape: 'square', periodSeconds: 10 })
    // 5 s of 1000 events a second, 5 s of 500, and again.
    expect([0, 5000, 5001, 7499, 7500, 7501].map((number) => square.timeOf(number) - BASE)).toEqual([
      0, 5000, 5002, 9998, 10_000, 10_001,
    ])
    const wave = new EventTimes({ ...DEFAULTS, rate: 1000, nextRate: 500, shape: 'sine', periodSeconds: 10 })
    // Steps of one second; the second one has 750 + 250 * cos(36 degrees) = 952 events a second, 1050 microseconds apart.
    expect([999, 1000, 1001, 1951, 1952].map((number) => wave.timeOf(number) - BASE)).toEqual([999, 1000, 1001, 1998, 1999])
  })
})

function auctionSize({ itemName, description, extra }: Auction): number {
  return 48 + itemName.length + description.length + extra.length
}

/** `String.hashCode()` of Java. */
function hashCode(words: string): number {
  let hash = 0
  for (let index = 0; index < words.length; index++) hash = (Math.imul(hash, 31) + words.charCodeAt(index)) | 0
  return hash
}
