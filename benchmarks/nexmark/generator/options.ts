import type { RateOptions } from './timing.ts'

/** What decides the whole stream. The defaults are Beam's, but for the number of generators, which are 100 there. */
export interface NexmarkOptions extends RateOptions {
  /** Of all generators together. */
  readonly events: number
  /** Events of so many numbers in a row come in another order; 1: none do. */
  readonly outOfOrderGroupSize: number
  /** One bid in so many is for any auction, the others for a hot one; the same for sellers and bidders. */
  readonly hotAuctionRatio: number
  readonly hotSellerRatio: number
  readonly hotBidderRatio: number
  readonly inFlightAuctions: number
  readonly activePeople: number
  /** `extra` fills records up to about so many bytes. */
  readonly averagePersonBytes: number
  readonly averageAuctionBytes: number
  readonly averageBidBytes: number
}

export const DEFAULTS: NexmarkOptions = {
  events: 100_000,
  generators: 1,
  rate: 10_000,
  nextRate: 10_000,
  shape: 'sine',
  periodSeconds: 600,
  baseTimeMs: Date.UTC(2015, 6, 15),
  outOfOrderGroupSize: 1,
  hotAuctionRatio: 2,
  hotSellerRatio: 4,
  hotBidderRatio: 4,
  inFlightAuctions: 100,
  activePeople: 1000,
  averagePersonBytes: 200,
  averageAuctionBytes: 500,
  averageBidBytes: 100,
}

/** The defaults with a constant rate of so many events a second for each generator. */
export function constantRate(events: number, generators: number, ratePerGenerator: number): NexmarkOptions {
  const rate = generators * ratePerGenerator
  return { ...DEFAULTS, events, generators, rate, nextRate: rate }
}

/** The events of one generator: a stretch of event ids. All stretches begin at the same event time. */
export interface GeneratorRange {
  readonly firstEventId: number
  readonly events: number
}

/** The stretches of all generators, of equal length but for the last one, which takes what is left. */
export function generatorRanges({ events, generators }: NexmarkOptions): readonly GeneratorRange[] {
  const each = Math.floor(events / generators)
  return Array.from({ length: generators }, (_, index) => ({
    firstEventId: index * each,
    events: index === generators - 1 ? events - each * index : each,
  }))
}
