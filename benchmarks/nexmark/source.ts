import type { Source } from 'sluice'
import type { NexmarkEvent } from './events.ts'
import { EventGenerator } from './generator/event-generator.ts'
import type { GeneratorRange, NexmarkOptions } from './generator/options.ts'
import { generatorRanges } from './generator/options.ts'

/**
 * The generators as a source: a split for each, at a position that is the number of its next event. They cover the same stretch of event time, so a
 * subtask that has several reads them in turn.
 */
export function nexmarkEvents(options: NexmarkOptions): Source<NexmarkEvent, GeneratorRange, number> {
  const { events, generators, rate } = options
  return {
    kind: 'nexmark',
    settings: { events, generators, rate },
    inTurn: true,
    enumerate: () => generatorRanges(options),
    open(range, position = 0) {
      const generator = new EventGenerator(options, range)
      let next = position
      return {
        poll(max) {
          if (next >= range.events) return null
          const batch: NexmarkEvent[] = []
          const count = Math.min(max, range.events - next)
          generator.append(batch, next, count)
          next += count
          return batch
        },
        position: () => next,
      }
    },
  }
}

/** All events in the order of their times, for those who do without an engine. */
export function* eventsInOrder(options: NexmarkOptions): Generator<NexmarkEvent> {
  const ranges = generatorRanges(options)
  const generators = ranges.map((range) => new EventGenerator(options, range))
  const batches: NexmarkEvent[][] = ranges.map(() => [])
  const longest = Math.max(...ranges.map((range) => range.events))
  for (let first = 0; first < longest; first += BATCH) {
    for (const [index, range] of ranges.entries()) {
      batches[index] = []
      generators[index]!.append(batches[index], first, Math.max(0, Math.min(BATCH, range.events - first)))
    }
    for (let place = 0; place < BATCH; place++) {
      for (const batch of batches) if (place < batch.length) yield batch[place]!
    }
  }
}

const BATCH = 512
