import { lineChart } from '../support/line-chart.ts'
import { percent, perSecond, renderTable, spreadIn } from '../support/table.ts'
import type { LatencyResult, Percentiles } from './result.ts'

/* The figures of `latency` as text and as a picture. */

const HEADER = ['', 'records/s', 'p50', 'p90', 'p99', 'p99.9', 'p99.99', 'max', 'p99 of rounds', 'checkpoint', 'others']

export function report({ cases }: LatencyResult): string {
  const rows = cases.map((each) => [
    `${each.state}, ${each.load}, ${each.every}`,
    perSecond(each.rate),
    ...cellsOf(each.output),
    spreadIn(each.outputP99, ms),
    `${ms(each.checkpointMs.median)} ms`,
    percent(each.othersShare.max),
  ])
  const committed = cases.flatMap((each) =>
    each.committed === null ? [] : [[`${each.state}, ${each.load}, ${each.every}`, ...cellsOf(each.committed)]],
  )
  return (
    `output latency, ms: from when a record was due to when the sink was given its result\n${renderTable(HEADER, rows)}\n` +
    `committed latency, ms: to the commit\n${renderTable(['', 'p50', 'p90', 'p99', 'p99.9', 'p99.99', 'max'], committed)}\n` +
    'the output of every run was verified\n'
  )
}

function cellsOf({ p50, p90, p99, p999, p9999, max }: Percentiles): readonly string[] {
  return [p50, p90, p99, p999, p9999, max].map(ms)
}

function ms(value: number): string {
  return value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0)
}

/** Places on the axis: how many nines. */
const NINES = { 0.3: '50 %', 1: '90 %', 2: '99 %', 3: '99.9 %', 4: '99.99 %' } as const

export function picture({ environment, cases, parameters }: LatencyResult): string {
  const states = Object.keys(parameters.maxima)
  const state = states.at(-1)!
  const shown = cases.filter((each) => each.state === state)
  const load = shown[0]!.load
  return lineChart({
    title: 'Latency of results, counted from the schedule',
    notes: [
      `A count for each of many keys behind one exchange, parallelism 2; ${state} of state, load ${load}, an open loop.`,
      'Each curve is one interval between checkpoints; committed: to where the sink has committed the result.',
    ],
    environment,
    x: {
      label: 'share of the records',
      format: (nines) => NINES[nines as keyof typeof NINES],
      ticks: Object.keys(NINES).map(Number),
    },
    y: { label: 'milliseconds (log scale)', log: true, format: String, ticks: [0.1, 1, 10, 100, 1000] },
    series: shown
      .filter((each) => each.load === load)
      .flatMap(({ every, output, committed }) => [
        { name: `output, ${every}`, points: pointsOf(output) },
        ...(committed === null ? [] : [{ name: `committed, ${every}`, points: pointsOf(committed) }]),
      ]),
  })
}

function pointsOf({ p50, p90, p99, p999, p9999 }: Percentiles) {
  return [p50, p90, p99, p999, p9999].map((y, index) => ({
    x: Number(
      Object.keys(NINES)
        .map(Number)
        .sort((a, b) => a - b)[index],
    ),
    y,
  }))
}
