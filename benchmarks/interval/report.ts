import type { IntervalResult } from '../interval.ts'
import type { Environment } from '../support/environment.ts'
import { lineChart } from '../support/line-chart.ts'
import { percent, perSecond, renderTable, spreadIn } from '../support/table.ts'
import { alignedFor } from './cases.ts'
import type { Curve, IntervalPoint } from './curve.ts'

/* The figures of `interval` as text and pictures. */

const HEADER = ['every', 'records', 'lost', 'min - max', 'cpu', 'took', 'size', 'a second', 'each cost', 'cpu each', 'disturbed']

export function report({ environment, revisionAtEnd, topology, state, empty }: IntervalResult): string {
  const edited = revisionAtEnd === environment.revision ? '' : `the engine was edited meanwhile: ${revisionAtEnd} at the end\n`
  const curves = [...topology, ...state].map(section)
  const nothing =
    empty === null
      ? ''
      : `\nan empty checkpoint of ${empty.tasks} tasks: ${empty.durationMs.median.toFixed(1)} ms from trigger to durable ` +
        `(${empty.durationMs.min.toFixed(1)} - ${empty.durationMs.max.toFixed(1)}, p99 ${empty.p99Ms.toFixed(1)}), ` +
        `${empty.cpuMs.toFixed(1)} ms of processor time, over ${empty.checkpoints}\n`
  return `${curves.join('\n')}${versus([...topology, ...state])}${nothing}\nthe output of every run was verified\n${edited}`
}

function section({ name, intervals, fit, recordsPerSecondOff, runs }: Curve): string {
  const rows = intervals.map((point) => [
    `${point.seconds} s`,
    `${perSecond(point.recordsPerSecond.median)}/s`,
    percent(point.loss.median),
    `${percent(point.loss.min)} - ${percent(point.loss.max)}`,
    percent(point.cpuSlowdown.median),
    `${point.checkpointMs.median.toFixed(0)} ms`,
    `${(point.checkpointBytes.median / 1e6).toFixed(2)} MB`,
    point.checkpointsPerSecond.toFixed(1),
    `${(1000 * point.secondsPerCheckpoint).toFixed(1)} ms`,
    `${(1000 * point.cpuSecondsPerCheckpoint.median).toFixed(1)} ms`,
    `${point.disturbed} of ${runs.length}`,
  ])
  return (
    `${name}: ${spreadIn(recordsPerSecondOff, perSecond)} records/s without checkpoints, rounds: ${runs.length}\n` +
    `${renderTable(HEADER, rows)}T(i) / T(off) = 1 + a / i + b:  a = ${(1000 * fit.aSeconds).toFixed(1)} ms, b = ${percent(fit.b)}\n`
  )
}

/** How much less asynchronous barriers cost than standing still, at each interval that both have. */
function versus(curves: readonly Curve[]): string {
  const lines = curves.flatMap(({ name, intervals }) => {
    const aligned = curves.find((curve) => curve.name === alignedFor(name))
    return intervals.map(({ seconds, loss }) => {
      const own = aligned?.intervals.find((point) => point.seconds === seconds)
      if (own === undefined) return ''
      return `every ${seconds} s, ${name}: loses ${percent(loss.median)}, aligned ${percent(own.loss.median)}: ${timesOf(loss.median, own.loss.median)}\n`
    })
  })
  return lines.every((line) => line === '') ? '' : `\n${lines.join('')}`
}

function timesOf(more: number, less: number): string {
  return less > 0 ? `${(more / less).toFixed(1)} times` : 'no loss to compare with'
}

/** By the names of their files. */
export function pictures({ environment, topology, state }: IntervalResult): Readonly<Record<string, string>> {
  const throughTime = topology.filter(({ runs }) => runs.some(({ series }) => series.length > 0))
  return {
    ...(topology.length === 0
      ? {}
      : { 'interval.svg': slowdowns('Runtime against the interval between checkpoints', PAPER, topology, environment) }),
    ...(state.length === 0
      ? {}
      : { 'interval-state.svg': slowdowns('Runtime against the interval, by size of state', STATE, state, environment) }),
    ...(throughTime.length === 0 ? {} : { 'interval-time.svg': overTime(throughTime, environment) }),
  }
}

const PAPER = [
  'Six operators, three full shuffles, 12 tasks on two threads, exactly-once, synced to disk: the topology of Carbone et al. 2015.',
  'T(i) / T(off) within one process, medians and extremes. Shape only: the paper ran on ten machines and printed no figures.',
]
const STATE = [
  'An aggregate for each key behind one exchange, parallelism 2, exactly-once, synced to disk.',
  'T(i) / T(off) within one process, medians and extremes.',
]

function slowdowns(title: string, notes: readonly string[], curves: readonly Curve[], environment: Environment): string {
  const point = ({ seconds, slowdown }: IntervalPoint) => ({
    x: seconds,
    y: 1 + slowdown.median,
    low: 1 + slowdown.min,
    high: 1 + slowdown.max,
  })
  return lineChart({
    title,
    notes,
    environment,
    x: { label: 'interval between checkpoints, seconds (log scale)', log: true, format: String },
    y: { label: 'runtime against that without checkpoints', format: (value) => value.toFixed(2), include: [1, 1.1] },
    series: curves.map(({ name, intervals }) => ({ name, points: intervals.map(point) })),
  })
}

/** One phase of each mode with a checkpoint every second, as shares of its own mean. */
function overTime(curves: readonly Curve[], environment: Environment): string {
  return lineChart({
    title: 'Throughput over time, one checkpoint a second',
    notes: ['Records that came out in each tenth of a second against the mean of the stretch; topology of Carbone et al. 2015.'],
    environment,
    x: { label: 'seconds', format: String },
    y: { label: 'share of the mean', format: (value) => value.toFixed(1), include: [0] },
    series: curves.map(({ name, runs }) => {
      const { series } = runs.find((run) => run.series.length > 0)!
      const mean = series.reduce((sum, count) => sum + count, 0) / series.length
      return { name, thin: true, points: series.map((count, index) => ({ x: index / 10, y: count / mean })) }
    }),
  })
}
