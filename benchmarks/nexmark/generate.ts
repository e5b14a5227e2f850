import { parseArgs } from 'node:util'
import type { NexmarkEvent } from './events.ts'
import { EventGenerator } from './generator/event-generator.ts'
import { constantRate, generatorRanges } from './generator/options.ts'

/*
 * The generator by itself, in one thread: what a run of a query pays for its events before the engine sees them.
 *
 *   node benchmarks/nexmark/generate.ts --events 10000000 --rate 100000
 *
 * Prints one JSON line.
 */

export interface GeneratorOutcome {
  readonly events: number
  readonly seconds: number
  /** Of all threads: the collector of the garbage has its own. */
  readonly cpuSeconds: number
}

/** As many as the engine asks a source for at a time. */
const BATCH = 512

const { values: flags } = parseArgs({ options: { events: { type: 'string' }, rate: { type: 'string' } } })
const options = constantRate(Number(flags.events), 1, Number(flags.rate))
const generator = new EventGenerator(options, generatorRanges(options)[0]!)

const cpuBefore = process.cpuUsage()
const startedMs = performance.now()
let made = 0
for (let first = 0; first < options.events; first += BATCH) {
  const batch: NexmarkEvent[] = []
  generator.append(batch, first, Math.min(BATCH, options.events - first))
  made += batch.length
}
const seconds = (performance.now() - startedMs) / 1000
const cpu = process.cpuUsage(cpuBefore)
const outcome: GeneratorOutcome = { events: made, seconds, cpuSeconds: (cpu.user + cpu.system) / 1e6 }
console.log(JSON.stringify(outcome))
