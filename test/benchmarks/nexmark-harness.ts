import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { JobResult, Sink, Source } from 'sluice'
import { collect, job } from 'sluice'
import type { NexmarkQuery } from '../../benchmarks/nexmark/catalogue.ts'
import { QUERIES } from '../../benchmarks/nexmark/catalogue.ts'
import type { NexmarkEvent } from '../../benchmarks/nexmark/events.ts'
import { EventGenerator } from '../../benchmarks/nexmark/generator/event-generator.ts'
import type { GeneratorRange, NexmarkOptions } from '../../benchmarks/nexmark/generator/options.ts'
import { DEFAULTS, generatorRanges } from '../../benchmarks/nexmark/generator/options.ts'
import { nexmarkEvents } from '../../benchmarks/nexmark/source.ts'

type EventSource = Source<NexmarkEvent, GeneratorRange, number>

export function queryNamed(name: string): NexmarkQuery {
  return QUERIES.find((query) => query.name === name)!
}

/** The first events of one generator with the defaults. */
export function firstEvents(count: number, options: Partial<NexmarkOptions> = {}): readonly NexmarkEvent[] {
  const all = { ...DEFAULTS, events: count, ...options }
  const events: NexmarkEvent[] = []
  new EventGenerator(all, generatorRanges(all)[0]!).append(events, 0, count)
  return events
}

/** Rows that do not care for their order. Of changes only the last ones count: a row that was replaced is gone. */
export function sorted(rows: Iterable<unknown>): readonly string[] {
  const table = new Map<string, number>()
  const count = (row: unknown, by: number): unknown => table.set(JSON.stringify(row), (table.get(JSON.stringify(row)) ?? 0) + by)
  for (const row of rows as Iterable<{ before?: unknown; after?: unknown }>) {
    if (row.after === undefined) count(row, 1)
    else {
      count(row.after, 1)
      if (row.before !== undefined) count(row.before, -1)
    }
  }
  return [...table].flatMap(([row, times]) => Array.from({ length: times }, () => row)).sort()
}

export interface QueryOutcome {
  readonly rows: readonly string[]
  readonly result: JobResult
}

/** Runs a query in this thread. */
export function runQuery(query: NexmarkQuery, options: NexmarkOptions, parallelism: number): Promise<QueryOutcome> {
  return run(query, parallelism, nexmarkEvents(options), new Interruption(false))
}

/** The same, but at three quarters of the events it fails, and starts again at a checkpoint of half of them. */
export function runInterruptedQuery(query: NexmarkQuery, options: NexmarkOptions, parallelism: number): Promise<QueryOutcome> {
  const interruption = new Interruption(true)
  return run(query, parallelism, interruption.halting(options), interruption)
}

async function run(
  query: NexmarkQuery,
  parallelism: number,
  source: EventSource,
  interruption: Interruption,
): Promise<QueryOutcome> {
  const stateDirectory = mkdtempSync(join(tmpdir(), 'sluice-nexmark-'))
  const rows: unknown[] = []
  try {
    const nexmark = job(`nexmark-${query.name}`, {
      parallelism,
      workers: 0,
      stateDirectory,
      checkpoint: { every: interruption.wanted ? 20 : 'off' },
      restart: { strategy: 'fixed', delay: 1, attempts: 1 },
    })
    const events = nexmark.from(source).map((event) => interruption.pass(event))
    if (interruption.wanted) events.to(interruption)
    query.build(events.withTimestamps((event) => event.dateTime)).to(collect(rows))
    const result = await nexmark.run({ quiet: true })
    return { rows: sorted(rows), result }
  } finally {
    rmSync(stateDirectory, { recursive: true, force: true })
  }
}

/** Stops the sources at half of the events until a checkpoint is complete, and fails once, half of the rest further on. As a sink it learns of checkpoints. */
class Interruption implements Sink<NexmarkEvent, number> {
  readonly kind = 'interruption'
  readonly wanted: boolean
  #failAt = Number.POSITIVE_INFINITY
  #passed = 0
  #checkpointed = false

  constructor(wanted: boolean) {
    this.wanted = wanted
  }

  halting(options: NexmarkOptions): EventSource {
    this.#failAt = Math.floor(options.events * 0.75)
    const source = nexmarkEvents(options)
    return {
      ...source,
      open: async (split, position, context) => {
        const reader = await source.open(split, position, context)
        const half = Math.floor(split.events / 2)
        return {
          poll: (max) => {
            const left = half - reader.position()
            if (this.#checkpointed || left > 0) return reader.poll(left > 0 ? Math.min(max, left) : max)
            return []
          },
          position: () => reader.position(),
        }
      },
    }
  }

  pass(event: NexmarkEvent): NexmarkEvent {
    if (++this.#passed !== this.#failAt) return event
    throw new Error('it is interrupted')
  }

  createWriter() {
    return { write() {}, prepareCommit: (checkpoint: number) => [checkpoint], close() {} }
  }

  createCommitter() {
    return {
      open() {},
      commit: () => {
        this.#checkpointed = true
      },
    }
  }
}
