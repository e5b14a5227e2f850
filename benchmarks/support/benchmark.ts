/** A question, and a program that answers it with figures. */
export interface Benchmark {
  readonly name: string
  readonly question: string
  /** Flags that only this benchmark takes, each with a value: name without dashes, and what it does. */
  readonly flags?: Readonly<Record<string, string>>
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
  /** What the benchmark's own flags were given. */
  readonly flags: Readonly<Record<string, string | undefined>>
}

/** The command line is wrong; the message says how. */
export class UsageError extends Error {}

/** @throws UsageError when the value of a flag is not a whole number of 1 or more */
export function whole(value: string | undefined, flag: string): number | undefined {
  if (value === undefined) return undefined
  if (/^[1-9]\d{0,14}$/.test(value)) return Number(value)
  throw new UsageError(`${flag} takes a whole number of 1 or more, not '${value}'`)
}

/**
 * The items that a flag names, separated by commas, in the order of `all`; all of them without the flag.
 * @throws UsageError for one that there is not
 */
export function chosen<T extends string>(value: string | undefined, flag: string, all: readonly T[]): readonly T[] {
  if (value === undefined) return all
  const names = value.split(',')
  const unknown = names.find((name) => !all.includes(name as T))
  if (unknown !== undefined) throw new UsageError(`${flag} knows ${all.join(', ')}, not '${unknown}'`)
  return all.filter((name) => names.includes(name))
}
