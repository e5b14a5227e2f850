import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { JobResult } from 'sluice'

/** What the sink was given and committed. */
export interface Sums {
  readonly records: number
  readonly sum: number
}

/** What a run of a job says about itself, beside what its sink measured: the last line on its stdout, as JSON. */
export interface Outcome extends Sums {
  /** The file that the engine was loaded from, seen from the repository: a build of another day must not pass for the sources. */
  readonly engine: string
  /** The whole of `run()`: threads started, state opened, everything closed. */
  readonly wallSeconds: number
  /** Processor time of the process, all its threads, from its start. */
  readonly cpuSeconds: number
  /** Completed checkpoints, the final one included. */
  readonly checkpoints: number
  /** What `sum` must be, by a model that counts without the engine. */
  readonly expectedSum: number
  /** Both totals are what they must be. */
  readonly verified: boolean
}

const ROOT = join(import.meta.dirname, '..', '..', '..')

/** Runs the job and prints its outcome. `expectedSum` is told how many records the sources have read. */
export async function runAndTell(
  run: () => Promise<JobResult>,
  totals: () => Sums,
  expectedSum: (recordsRead: number) => number,
): Promise<void> {
  const startedMs = performance.now()
  const result = await run()
  const wallSeconds = (performance.now() - startedMs) / 1000
  const cpu = process.cpuUsage()
  const seen = totals()
  const expected = expectedSum(result.recordsIn)
  const outcome: Outcome = {
    engine: relative(ROOT, fileURLToPath(import.meta.resolve('sluice'))).replaceAll(sep, '/'),
    ...seen,
    wallSeconds,
    cpuSeconds: (cpu.user + cpu.system) / 1e6,
    checkpoints: result.checkpoints,
    expectedSum: expected,
    verified: seen.records === result.recordsIn && result.recordsOut === result.recordsIn && seen.sum === expected,
  }
  console.log(JSON.stringify(outcome))
}
