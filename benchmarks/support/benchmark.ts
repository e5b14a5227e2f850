/** A question, and a program that answers it with figures. */
export interface Benchmark {
  readonly name: string
  readonly question: string
  run(options: BenchmarkOptions): Promise<void>
}

/** The command line of `run.ts`. What is undefined is the benchmark's to choose. */
export interface BenchmarkOptions {
  readonly quick: boolean
  /** Write files also where a benchmark would not. */
  readonly json: boolean
  /** The folder of the files. */
  readonly out: string
  readonly records: number | undefined
  readonly keys: number | undefined
  readonly repetitions: number | undefined
  /** How long it may take in all. */
  readonly minutes: number | undefined
}

/** The command line is wrong; the message says how. */
export class UsageError extends Error {}

/** @throws UsageError when the value of a flag is not a whole number of 1 or more */
export function whole(value: string | undefined, flag: string): number | undefined {
  if (value === undefined) return undefined
  if (/^[1-9]\d{0,14}$/.test(value)) return Number(value)
  throw new UsageError(`${flag} takes a whole number of 1 or more, not '${value}'`)
}
