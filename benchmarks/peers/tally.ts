import type { PeerArguments } from './workload.ts'

/*
 * The sink of every peer in JavaScript, and its clock. The clock of a part (a thread, a subtask) starts when its own share of the warm-up
 * has come out, and ends with its last result; rates of the parts add up. The rule is the same for an interpreter that has just
 * started and for an engine with threads, files and a commit.
 */

/** What one thread's sink saw. */
export interface TallyPart {
  readonly results: number
  readonly sum: number
  /** Results after the clock had started. */
  readonly timed: number
  readonly startedMs: number
  readonly startedCpuSeconds: number
  readonly endedMs: number
  readonly endedCpuSeconds: number
}

/** What a peer prints. */
export interface PeerOutcome {
  readonly results: number
  readonly sum: number
  /** Results, sum and whatever else is known beforehand are right. */
  readonly verified: boolean
  /** Input records per second after the warm-up, all threads together. */
  readonly recordsPerSecond: number
  /** Processor time of the process in the same time, all its threads, for a million input records. */
  readonly cpuSecondsPerMillion: number
  /** From the start of the clock to the last result. */
  readonly seconds: number
  readonly checkpoints: number
  /** Of what was measured. */
  readonly versions: Readonly<Record<string, string>>
}

export class Tally {
  readonly #startAt: number
  #results = 0
  #sum = 0
  #startedMs = 0
  #startedCpuSeconds = 0

  /** @param startAt results before the clock starts */
  constructor(startAt: number) {
    this.#startAt = startAt
  }

  add(value: number): void {
    if (this.#results === this.#startAt) this.#startClock()
    this.#results++
    this.#sum += value
  }

  #startClock(): void {
    this.#startedMs = wallMs()
    this.#startedCpuSeconds = cpuSeconds()
  }

  part(): TallyPart {
    return {
      results: this.#results,
      sum: this.#sum,
      timed: Math.max(0, this.#results - this.#startAt),
      startedMs: this.#startedMs,
      startedCpuSeconds: this.#startedCpuSeconds,
      endedMs: wallMs(),
      endedCpuSeconds: cpuSeconds(),
    }
  }
}

/** @param expected what must have come out of `records` inputs */
export function outcomeOf(
  parts: readonly TallyPart[],
  { records }: PeerArguments,
  expected: { readonly results: number; readonly sum: number },
  more: { readonly verified?: boolean; readonly checkpoints?: number; readonly versions?: Readonly<Record<string, string>> } = {},
): PeerOutcome {
  const results = parts.reduce((total, part) => total + part.results, 0)
  const sum = parts.reduce((total, part) => total + part.sum, 0)
  const endedMs = Math.max(...parts.map((part) => part.endedMs))
  const inputsPerResult = records / results
  const resultsPerSecond = parts.reduce((rate, part) => rate + (1000 * part.timed) / (endedMs - part.startedMs), 0)
  const timed = parts.reduce((total, part) => total + part.timed, 0)
  const startedCpu = parts.reduce((total, part) => total + part.startedCpuSeconds, 0) / parts.length
  const cpu = Math.max(...parts.map((part) => part.endedCpuSeconds)) - startedCpu
  return {
    results,
    sum,
    verified: results === expected.results && sum === expected.sum && more.verified !== false,
    recordsPerSecond: resultsPerSecond * inputsPerResult,
    cpuSecondsPerMillion: cpu / ((timed * inputsPerResult) / 1e6),
    seconds: (endedMs - Math.min(...parts.map((part) => part.startedMs))) / 1000,
    checkpoints: more.checkpoints ?? 0,
    versions: { node: process.version, ...more.versions },
  }
}

/** The same clock in every thread. */
function wallMs(): number {
  return performance.timeOrigin + performance.now()
}

/** Of the process, also when a worker thread asks. */
function cpuSeconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}
