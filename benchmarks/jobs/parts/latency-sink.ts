import type { Sink } from 'sluice'
import { monotonicMs } from './clock.ts'
import type { SparseCounts } from './latency-counts.ts'
import { LatencyCounts } from './latency-counts.ts'

/*
 * A sink that notes when each result came, counted from when its record was due, and when it was committed. The second is known in the committer: with the
 * committables go the milliseconds in which their records were due.
 */

/** The result of a record that was due then. */
export interface Timed {
  readonly dueMs: number
  readonly value: number
}

interface Measured {
  readonly subtask: number
  readonly checkpoint: number
  readonly records: number
  readonly sum: number
  readonly output: SparseCounts
  /** When the first and the last record came that were measured. */
  readonly fromMs: number
  readonly toMs: number
  /** A millisecond and the records that were due in it, and so on. */
  readonly due: SparseCounts
}

export interface Latencies {
  /** Measured records per second. */
  readonly recordsPerSecond: number
  readonly output: SparseCounts
  readonly committed: SparseCounts
}

export interface LatencySink {
  readonly sink: Sink<Timed, Measured>
  /** On the main thread, when the job is over. */
  totals(): { readonly records: number; readonly sum: number } & Latencies
}

/** @param warmupMs what comes in so long after the first result is not measured */
export function latencySink(warmupMs: number): LatencySink {
  const [output, committed] = [new LatencyCounts(), new LatencyCounts()]
  const seen = new Set<string>()
  let [records, sum] = [0, 0]
  let [fromMs, toMs] = [Number.POSITIVE_INFINITY, 0]
  const sink: Sink<Timed, Measured> = {
    kind: 'latency',
    createWriter: ({ subtask }) => new LatencyWriter(subtask, warmupMs),
    createCommitter: () => ({
      open() {},
      commit(committables) {
        const nowMs = monotonicMs()
        for (const part of committables) {
          const name = `${part.checkpoint}/${part.subtask}`
          if (seen.has(name)) continue
          seen.add(name)
          records += part.records
          sum += part.sum
          output.add(part.output)
          fromMs = Math.min(fromMs, part.fromMs)
          toMs = Math.max(toMs, part.toMs)
          for (let index = 0; index < part.due.length; index += 2) {
            // In the middle of its millisecond.
            committed.record(nowMs - part.due[index]! - 0.5, part.due[index + 1]!)
          }
        }
      },
    }),
  }
  const totals = (): ReturnType<LatencySink['totals']> => {
    const recordsPerSecond = (1000 * output.total) / (toMs - fromMs)
    return { records, sum, recordsPerSecond, output: output.take(), committed: committed.take() }
  }
  return { sink, totals }
}

/** What is known of the records of a stretch of time. */
class Stretch {
  readonly output = new LatencyCounts()
  /** When the first and the last of them came; 0 for none. */
  fromMs = 0
  toMs = 0
  due: number[] = []
  #millisecond = 0
  #inMillisecond = 0

  record(nowMs: number, dueMs: number): void {
    if (this.fromMs === 0) this.fromMs = nowMs
    this.toMs = nowMs
    this.output.record(nowMs - dueMs)
    const millisecond = Math.floor(dueMs)
    if (millisecond !== this.#millisecond) this.nextMillisecond(millisecond)
    this.#inMillisecond++
  }

  /** Of two senders the records come in turns, so a millisecond may come up again: both are counted. */
  nextMillisecond(millisecond: number): void {
    if (this.#inMillisecond > 0) this.due.push(this.#millisecond, this.#inMillisecond)
    this.#millisecond = millisecond
    this.#inMillisecond = 0
  }
}

/**
 * Records of the warm-up are measured as all others, and left out of what is said: code that began with the measurement would be compiled in it, and with it
 * the loop that it is part of, which made a hole of 50 ms.
 */
class LatencyWriter {
  readonly #subtask: number
  readonly #warmupMs: number
  /** The warm-up, and what is measured. */
  readonly #stretches = [new Stretch(), new Stretch()] as const
  #measureFromMs = 0
  #records = 0
  #sum = 0

  constructor(subtask: number, warmupMs: number) {
    this.#subtask = subtask
    this.#warmupMs = warmupMs
  }

  write({ dueMs, value }: Timed): void {
    this.#records++
    this.#sum += value
    const nowMs = monotonicMs()
    if (this.#measureFromMs === 0) this.#measureFromMs = nowMs + this.#warmupMs
    this.#stretches[nowMs < this.#measureFromMs ? 0 : 1].record(nowMs, dueMs)
  }

  prepareCommit(checkpoint: number): readonly Measured[] {
    const [warmup, measured] = this.#stretches
    for (const stretch of this.#stretches) stretch.nextMillisecond(0)
    warmup.due = []
    if (this.#records === 0) return []
    const part = {
      subtask: this.#subtask,
      checkpoint,
      records: this.#records,
      sum: this.#sum,
      output: Float64Array.from(measured.output.take()),
      // Of what was not measured there are none.
      fromMs: measured.fromMs === 0 ? Number.MAX_VALUE : measured.fromMs,
      toMs: measured.toMs,
      due: Float64Array.from(measured.due),
    }
    this.#records = this.#sum = 0
    measured.due = []
    return [part]
  }

  close(): void {}
}
