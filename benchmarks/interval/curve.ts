import type { PhaseResult, PhaseRun } from '../support/phases.ts'
import type { Spread } from '../support/statistics.ts'
import { fitLine, spreadOf } from '../support/statistics.ts'

/** A case over all its rounds: what checkpoints cost at each interval. */
export interface Curve {
  readonly name: string
  readonly intervals: readonly IntervalPoint[]
  /** T(i) / T(off) = 1 + a / i + b over the medians. */
  readonly fit: { readonly aSeconds: number; readonly b: number }
  readonly recordsPerSecondOff: Spread
  /** One round each, with every phase. */
  readonly runs: readonly PhaseRun[]
}

export interface IntervalPoint {
  readonly seconds: number
  /** T(i) / T(off) - 1 of each phase. */
  readonly slowdown: Spread
  /** The same in processor time for each record. */
  readonly cpuSlowdown: Spread
  /** Throughput that is lost: 1 - T(off) / T(i). */
  readonly loss: Spread
  readonly recordsPerSecond: Spread
  /** From trigger to durable. */
  readonly checkpointMs: Spread
  readonly checkpointBytes: Spread
  readonly checkpointsPerSecond: number
  /** Work that one checkpoint cost, by the median slowdown. */
  readonly secondsPerCheckpoint: number
  /** Processor time that one took. */
  readonly cpuSecondsPerCheckpoint: Spread
  /** Phases in which other programs took more than a twentieth of the machine. */
  readonly disturbed: number
}

export function curveOf(name: string, runs: readonly PhaseRun[], othersShareMax: number): Curve {
  const phases = runs.flatMap((run) => run.phases)
  const lengths = [...new Set(phases.map(({ interval }) => interval))].sort((a, b) => b - a)
  const intervals = lengths.map((seconds) =>
    pointOf(
      seconds,
      phases.filter(({ interval }) => interval === seconds),
      othersShareMax,
    ),
  )
  return {
    name,
    intervals,
    fit: fitOf(intervals),
    recordsPerSecondOff: spreadOf(phases.map((phase) => phase.recordsPerSecondOff)),
    runs,
  }
}

function pointOf(seconds: number, phases: readonly PhaseResult[], othersShareMax: number): IntervalPoint {
  const slowdown = spreadOf(phases.map((phase) => phase.slowdown))
  const total = (of: (phase: PhaseResult) => number): number => phases.reduce((sum, phase) => sum + of(phase), 0)
  const checkpointsPerSecond = total((phase) => phase.checkpoints) / total((phase) => phase.seconds)
  return {
    seconds,
    slowdown,
    cpuSlowdown: spreadOf(phases.map((phase) => phase.cpuSlowdown)),
    loss: spreadOf(phases.map((phase) => 1 - 1 / (1 + phase.slowdown))),
    recordsPerSecond: spreadOf(phases.map((phase) => phase.recordsPerSecond)),
    checkpointMs: spreadOf(phases.flatMap((phase) => phase.durationsMs)),
    checkpointBytes: spreadOf(phases.flatMap((phase) => phase.bytes)),
    checkpointsPerSecond,
    secondsPerCheckpoint: slowdown.median / checkpointsPerSecond,
    cpuSecondsPerCheckpoint: spreadOf(phases.map((phase) => phase.cpuSecondsPerCheckpoint)),
    disturbed: phases.filter((phase) => phase.othersShare > othersShareMax).length,
  }
}

/** Over the checkpoints that were taken: where they take longer than the interval, there are fewer than it asks for. */
function fitOf(intervals: readonly IntervalPoint[]): Curve['fit'] {
  const [only, second] = intervals
  if (only === undefined) return { aSeconds: 0, b: 0 }
  if (second === undefined) return { aSeconds: only.secondsPerCheckpoint, b: 0 }
  const { slope, intercept } = fitLine(
    intervals.map(({ checkpointsPerSecond, slowdown }) => ({ x: checkpointsPerSecond, y: slowdown.median })),
  )
  return { aSeconds: slope, b: intercept }
}
