import type { SparseCounts } from '../jobs/parts/latency-counts.ts'
import { LatencyCounts } from '../jobs/parts/latency-counts.ts'
import type { Environment } from '../support/environment.ts'
import type { Spread } from '../support/statistics.ts'
import { spreadOf } from '../support/statistics.ts'

/** Keys with a number each: 16 bytes with the key. */
export const STATES = { '1.6mb': 100_000, '16mb': 1_000_000 } as const
/** Shares of what the job can take at most, and a rate that is the same everywhere. */
export const LOADS = ['50%', '80%', 'absolute'] as const
export const CHECKPOINTS = ['off', '1s', '100ms'] as const

export interface LatencyResult {
  readonly benchmark: 'latency'
  readonly environment: Environment
  readonly parameters: {
    readonly quick: boolean
    readonly parallelism: number
    readonly seconds: { readonly warmup: number; readonly measured: number }
    /** Records per second when all are due at once, by state. */
    readonly maxima: Readonly<Record<string, number>>
  }
  readonly cases: readonly LatencyCase[]
}

export interface LatencyRun {
  readonly round: number
  readonly state: string
  readonly load: string
  readonly every: string
  readonly rate: number
  readonly records: number
  readonly output: SparseCounts
  readonly committed: SparseCounts
  readonly checkpointMs: readonly number[]
  readonly othersShare: number
}

/** In milliseconds. */
export interface Percentiles {
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly p999: number
  readonly p9999: number
  readonly max: number
}

/** All rounds of one setting; percentiles are those of all records together. */
export interface LatencyCase {
  readonly state: string
  readonly load: string
  readonly every: string
  readonly rate: number
  readonly measured: number
  readonly output: Percentiles
  /** From the schedule to the commit; without checkpoints there is only the final one. */
  readonly committed: Percentiles | null
  /** Of the single rounds. */
  readonly outputP99: Spread
  readonly outputP999: Spread
  readonly checkpointMs: Spread
  readonly othersShare: Spread
}

export function rateOfLoad(load: (typeof LOADS)[number], most: number, absolute: number): number {
  return load === 'absolute' ? absolute : Math.round((most * Number.parseInt(load, 10)) / 100)
}

export function latencyCase(runs: readonly LatencyRun[]): LatencyCase {
  const { state, load, every, rate } = runs[0]!
  const output = merged(runs.map((run) => run.output))
  const single = runs.map((run) => percentilesOf(merged([run.output])))
  return {
    state,
    load,
    every,
    rate,
    measured: output.total,
    output: percentilesOf(output),
    committed: every === 'off' ? null : percentilesOf(merged(runs.map((run) => run.committed))),
    outputP99: spreadOf(single.map(({ p99 }) => p99)),
    outputP999: spreadOf(single.map(({ p999 }) => p999)),
    checkpointMs: spreadOf(runs.flatMap((run) => run.checkpointMs)),
    othersShare: spreadOf(runs.map((run) => run.othersShare)),
  }
}

function merged(parts: readonly SparseCounts[]): LatencyCounts {
  const counts = new LatencyCounts()
  for (const part of parts) counts.add(part)
  return counts
}

function percentilesOf(counts: LatencyCounts): Percentiles {
  return {
    p50: counts.quantile(0.5),
    p90: counts.quantile(0.9),
    p99: counts.quantile(0.99),
    p999: counts.quantile(0.999),
    p9999: counts.quantile(0.9999),
    max: counts.max,
  }
}
