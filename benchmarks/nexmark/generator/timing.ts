/** How the rate goes from one extreme to the other and back, if there are two. */
export type RateShape = 'square' | 'sine'

export interface RateOptions {
  /** Events per second of all generators together. */
  readonly rate: number
  /** The other extreme; equal to `rate` means that the rate is constant. */
  readonly nextRate: number
  readonly shape: RateShape
  /** From one extreme to the other and back. */
  readonly periodSeconds: number
  readonly generators: number
  readonly baseTimeMs: number
}

const STEPS: Readonly<Record<RateShape, number>> = { square: 2, sine: 10 }

/**
 * The event time of each event number of one generator. All is whole numbers, rounded where Beam rounds: the delay between two events to
 * microseconds, then times to milliseconds downwards.
 */
export class EventTimes {
  readonly #baseTimeMs: number
  readonly #steps: readonly { readonly delayUs: number; readonly events: number; readonly startMs: number }[]
  readonly #delayUs: number
  readonly #periodMs: number
  readonly #eventsPerPeriod: number

  constructor(options: RateOptions) {
    const delays = delaysUs(options)
    const stepSeconds = Math.ceil(options.periodSeconds / STEPS[options.shape])
    let [startMs, eventsPerPeriod] = [0, 0]
    this.#steps = delays.map((delayUs) => {
      const events = Math.floor((stepSeconds * 1e6) / delayUs)
      const step = { delayUs, events, startMs }
      startMs += Math.floor((events * delayUs) / 1000)
      eventsPerPeriod += events
      return step
    })
    this.#baseTimeMs = options.baseTimeMs
    this.#delayUs = delays.length === 1 ? delays[0]! : Number.NaN
    this.#periodMs = startMs
    this.#eventsPerPeriod = eventsPerPeriod
  }

  timeOf(eventNumber: number): number {
    const delayUs = this.#delayUs
    // Under a constant rate there are no periods.
    if (delayUs > 0) return this.#baseTimeMs + Math.floor((eventNumber * delayUs) / 1000)
    return this.#timeInPeriod(Math.floor(eventNumber / this.#eventsPerPeriod), eventNumber % this.#eventsPerPeriod)
  }

  #timeInPeriod(period: number, eventNumber: number): number {
    let left = eventNumber
    for (const { delayUs, events, startMs } of this.#steps) {
      if (left < events) return this.#baseTimeMs + period * this.#periodMs + startMs + Math.floor((left * delayUs) / 1000)
      left -= events
    }
    throw new RangeError(`event ${eventNumber} lies in no step of its period`)
  }
}

/** Microseconds between two events of one generator, for each step of the period. */
function delaysUs({ rate, nextRate, shape, generators }: RateOptions): readonly number[] {
  const delayOf = (eventsPerSecond: number): number =>
    Math.floor((1e6 + Math.floor(eventsPerSecond / 2)) / eventsPerSecond) * generators
  if (rate === nextRate) return [delayOf(rate)]
  if (shape === 'square') return [delayOf(rate), delayOf(nextRate)]
  const [middle, amplitude] = [(rate + nextRate) / 2, (rate - nextRate) / 2]
  return Array.from({ length: STEPS.sine }, (_, step) =>
    delayOf(Math.round(middle + amplitude * Math.cos((2 * Math.PI * step) / STEPS.sine))),
  )
}
