import { setTimeout as pause } from 'node:timers/promises'
import type { Outcome } from '../jobs/parts/outcome.ts'
import type { Totals } from '../jobs/parts/tally.ts'
import { TENTH_MS } from '../jobs/parts/tally.ts'
import { Disturbance } from './budget.ts'
import type { JobSpec } from './job-process.ts'
import { JobProcess } from './job-process.ts'

/** Of a job whose sink is a tally. */
export type SeriesOutcome = Outcome & Totals

/** A stretch of time in the life of a job, and what the machine did meanwhile. */
export interface Window {
  readonly fromMs: number
  readonly toMs: number
  /** Of the job's process. */
  readonly cpuSeconds: number
  /** What other programs took of the machine, 0 to 1. */
  readonly othersShare: number
}

/** What came out of a job in a window. */
export interface Rate {
  readonly perSecond: number
  /** Processor seconds for one record, all threads of the process. */
  readonly cpuPerRecord: number
}

/** Waits until the window is over. */
export async function watch(job: Pick<JobProcess, 'cpuSeconds'>, fromMs: number, toMs: number): Promise<Window> {
  await pause(fromMs - Date.now())
  const disturbance = new Disturbance()
  const before = job.cpuSeconds()
  await pause(toMs - Date.now())
  const cpuSeconds = job.cpuSeconds() - before
  return { fromMs, toMs, cpuSeconds, othersShare: disturbance.share(cpuSeconds) }
}

/** @throws Error when nothing came out: such a stretch has no rate, and a ratio to it means nothing */
export function rateOf(outcome: SeriesOutcome, window: Window): Rate {
  const tenths = seriesIn(outcome, window)
  const records = tenths.reduce((sum, count) => sum + count, 0)
  if (records === 0) throw new Error(`no record came out between ${window.fromMs} and ${window.toMs}`)
  const perSecond = (records * 1000) / (tenths.length * TENTH_MS)
  return { perSecond, cpuPerRecord: window.cpuSeconds / (perSecond * ((window.toMs - window.fromMs) / 1000)) }
}

/** Records in each tenth of a second of the window. */
export function seriesIn({ series, seriesFrom }: SeriesOutcome, { fromMs, toMs }: Window): readonly number[] {
  const [from, to] = [fromMs, toMs].map((ms) => Math.round(ms / TENTH_MS) - seriesFrom) as [number, number]
  // Tenths in which nothing came at the end of the series are missing there, and count all the same.
  return Array.from({ length: to - from }, (_, index) => series[from + index] ?? 0)
}

export function isIn({ fromMs, toMs }: Window, ms: number): boolean {
  return ms >= fromMs && ms < toMs
}

/** One window of a job's steady life, once it is warm; the job ends with it. @throws Error when its output is wrong */
export async function runSteady(
  spec: JobSpec,
  seconds: { readonly warmup: number; readonly window: number },
  recordsBefore: number,
): Promise<Rate & { readonly othersShare: number; readonly records: number }> {
  const job = new JobProcess<SeriesOutcome>(spec)
  try {
    await job.reached(recordsBefore)
    const fromMs = Date.now() + 1000 * seconds.warmup
    const window = await watch(job, fromMs, fromMs + 1000 * seconds.window)
    job.finish()
    const outcome = await job.outcome
    return { ...rateOf(outcome, window), othersShare: window.othersShare, records: outcome.records }
  } finally {
    job.kill()
  }
}
