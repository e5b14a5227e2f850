import type { RunOptions } from '../../src/index.ts'
import type { JobRun } from './job-run.ts'
import { troublesOf } from './judgement.ts'
import type { FaultKind } from './plan.ts'

/** What was counted in a round. */
export interface RoundCounts {
  readonly starts: number
  readonly restarts: number
  readonly checkpoints: number
  /** Checkpoints with records on their way that a start began with. */
  readonly unalignedStarts: number
  /** Those of them that had another parallelism than the checkpoint. */
  readonly rescaledUnalignedStarts: number
  readonly evictingStarts: number
}

/** What happened in a round, and what was wrong with it. */
export class RoundBook {
  readonly #begunMs = performance.now()
  readonly history: string[] = []
  readonly differences: string[] = []
  /** Of each kind, those that have really happened. */
  readonly faults: Partial<Record<FaultKind, number>> = {}
  readonly counts = { starts: 0, restarts: 0, checkpoints: 0, unalignedStarts: 0, rescaledUnalignedStarts: 0, evictingStarts: 0 }

  happened(kind: FaultKind, run: JobRun): void {
    this.faults[kind] = (this.faults[kind] ?? 0) + 1
    this.#note(`${kind}: process ${run.pid}`)
  }

  started({ pid, settings: { options, from, isolated } }: JobRun): void {
    this.counts.starts++
    this.#note(`process ${pid} starts: ${JSON.stringify({ ...options, from, isolated })}`)
  }

  /** @param isFinished whether the job has come to its end */
  ended(run: JobRun, isFinished: boolean): void {
    const { code, signal } = run.ending!
    const [restarts, checkpoints] = [run.count('restart'), run.count('checkpoint')]
    this.counts.restarts += restarts
    this.counts.checkpoints += checkpoints
    const how = run.outcome?.code ?? run.outcome?.status ?? code ?? signal
    this.#note(`process ${run.pid} ended: ${how} after ${checkpoints} checkpoints, ${restarts} restarts`)
    this.differences.push(...troublesOf(run, isFinished))
  }

  /** @param before the parallelism of the checkpoint that it begins with, when that holds records on their way */
  resumes({ parallelism, stateMemory }: RunOptions, before: number | undefined): void {
    if (before !== undefined) this.counts.unalignedStarts++
    if (before !== undefined && before !== parallelism) this.counts.rescaledUnalignedStarts++
    if (stateMemory !== undefined) this.counts.evictingStarts++
  }

  #note(what: string): void {
    this.history.push(`${((performance.now() - this.#begunMs) / 1000).toFixed(2)} s: ${what}`)
  }
}
