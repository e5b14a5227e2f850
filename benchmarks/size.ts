import type { ByteCase, GrowthPoint } from './size/measure.ts'
import { byteCases, growth, rowBytes } from './size/measure.ts'
import type { Benchmark, BenchmarkOptions } from './support/benchmark.ts'
import { chosen } from './support/benchmark.ts'
import type { Environment } from './support/environment.ts'
import { describeEnvironment, environmentLine } from './support/environment.ts'
import { lineChart } from './support/line-chart.ts'
import { writeResults } from './support/results.ts'
import { renderTable } from './support/table.ts'

/* How many bytes a checkpoint writes, against what has changed, and how the state file grows over a thousand of them. */

const PARTS = ['bytes', 'growth'] as const
const KEYS = 200_000
const FRACTIONS = [0.001, 0.01, 0.1, 0.63, 1] as const
/** Of the keys that change before each checkpoint while the file grows. */
const GROWING = 0.01

export interface SizeResult {
  readonly benchmark: 'size'
  readonly environment: Environment
  readonly parameters: {
    readonly quick: boolean
    readonly keys: number
    readonly repetitions: number
    /** Of one key with its value, encoded, without anything around it. */
    readonly rowBytes: number
    readonly growingFraction: number
  }
  readonly bytes: readonly ByteCase[]
  readonly growth: readonly GrowthPoint[]
}

export const size: Benchmark = {
  name: 'size',
  question: 'what does a checkpoint write, and how does the state file grow? Two minutes',
  flags: { part: `<names>   ${PARTS.join(', ')}` },
  run,
}

async function run(options: BenchmarkOptions): Promise<void> {
  const environment = describeEnvironment()
  process.stdout.write(`${environmentLine(environment)}\n\n`)
  const { quick } = options
  const parts = chosen(options.flags['part'], '--part', PARTS)
  const keys = options.keys ?? (quick ? 4_000 : KEYS)
  const repetitions = options.repetitions ?? (quick ? 1 : 5)
  const result: SizeResult = {
    benchmark: 'size',
    environment,
    parameters: { quick, keys, repetitions, rowBytes: rowBytes(keys), growingFraction: GROWING },
    bytes: parts.includes('bytes') ? await byteCases(keys, FRACTIONS, repetitions) : [],
    growth: parts.includes('growth') ? await growth(keys, GROWING, quick ? [3, 10] : [10, 100, 1000]) : [],
  }
  process.stdout.write(report(result))
  writeResults(options, result, pictures(result))
}

function report({ bytes, growth: points, parameters }: SizeResult): string {
  const written = bytes.map(({ fraction, changed, bytes: { median, min, max }, ofChanged, ofFull, durationMs }) => [
    `${(100 * fraction).toFixed(1)} %`,
    changed.toLocaleString('en-US'),
    `${kilobytes(median)} (${kilobytes(min)} - ${kilobytes(max)})`,
    ofChanged.toFixed(2),
    ofFull.toFixed(3),
    `${durationMs.median.toFixed(1)} ms`,
  ])
  const grown = points.map(({ checkpoints, fileBytes, baseBytes, liveBytes }) => [
    String(checkpoints),
    kilobytes(fileBytes),
    kilobytes(baseBytes),
    (fileBytes / baseBytes).toFixed(2),
    (fileBytes / liveBytes).toFixed(2),
  ])
  return [
    `${parameters.keys.toLocaleString('en-US')} keys, ${parameters.rowBytes.toFixed(0)} bytes each with their value\n`,
    written.length === 0 ? '' : renderTable(['changed', 'keys', 'kB written', 'of changed', 'of full', 'took'], written),
    grown.length === 0 ? '' : renderTable(['checkpoints', 'file kB', 'base kB', 'file / base', 'file / rows'], grown),
    'the output of every run was verified\n',
  ].join('\n')
}

function kilobytes(value: number): string {
  return (value / 1000).toFixed(value < 10_000 ? 1 : 0)
}

function pictures({ environment, bytes, growth: points, parameters }: SizeResult): Readonly<Record<string, string>> {
  const rows = `${parameters.keys.toLocaleString('en-US')} keys of about 100 bytes, spread over all key groups; exactly-once, synced to disk.`
  const percents = (fraction: number): string => `${Number((100 * fraction).toFixed(1))} %`
  return {
    ...(bytes.length === 0
      ? {}
      : {
          'size.svg': lineChart({
            title: 'Bytes of a checkpoint against what has changed',
            notes: [rows, 'Changed: the keys and values that changed, encoded, and nothing else.'],
            environment,
            x: { label: 'keys that changed since the last checkpoint (log scale)', log: true, format: percents },
            y: { label: 'kB (log scale)', log: true, format: String, ticks: [1, 10, 100, 1000, 10_000, 100_000] },
            series: [
              { name: 'written', points: bytes.map(({ fraction, bytes: { median } }) => ({ x: fraction, y: median / 1000 })) },
              {
                name: 'changed',
                points: bytes.map(({ fraction, changed }) => ({ x: fraction, y: (changed * parameters.rowBytes) / 1000 })),
              },
            ],
          }),
        }),
    ...(points.length === 0
      ? {}
      : {
          'size-growth.svg': lineChart({
            title: 'The state file against the number of checkpoints',
            notes: [rows, `Before each checkpoint another ${percents(parameters.growingFraction)} of the keys change.`],
            environment,
            x: { label: 'checkpoints (log scale)', log: true, format: String },
            y: { label: 'file against what is live in it', format: (ratio) => ratio.toFixed(1), include: [0] },
            series: [
              {
                name: 'against base',
                points: points.map(({ checkpoints, fileBytes, baseBytes }) => ({ x: checkpoints, y: fileBytes / baseBytes })),
              },
              {
                name: 'against rows',
                points: points.map(({ checkpoints, fileBytes, liveBytes }) => ({ x: checkpoints, y: fileBytes / liveBytes })),
              },
            ],
          }),
        }),
  }
}
