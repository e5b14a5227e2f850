import { setTimeout as pause } from 'node:timers/promises'
import type { CheckpointNote, JobSpec } from './job-process.ts'
import { JobProcess } from './job-process.ts'
import type { Rate, SeriesOutcome, Window } from './window.ts'
import { isIn, rateOf, seriesIn, watch } from './window.ts'

/*
 * What checkpoints cost, found within one process. Two processes of the same job differ by a tenth, because the compiler decides otherwise, or because
 * of where their memory lies; more than a checkpoint costs. So one process goes through phases: without checkpoints, with one every second,
 * without, with one every tenth of a second, and so on. Each phase is compared with those without checkpoints on both its sides.
 *
 * - The job runs without an interval of its own, and is asked for checkpoints over its control socket: coordinator, barriers, snapshots and store do
 *   what they do for a checkpoint by the clock.
 * - A phase begins with a stretch that is not counted: what the one before has left behind (rows that go into the base) comes to its end, and the
 *   first checkpoint writes all that changed in the meantime.
 * - Records are counted by the sink in tenths of a second, so a phase is a slice of that series.
 */

/** A phase of a run, with what it brought. */
export interface PhaseResult {
  readonly interval: number
  /** Records per second, with checkpoints and around them without. */
  readonly recordsPerSecond: number
  readonly recordsPerSecondOff: number
  /** T(i) / T(off) - 1: the share by which the work takes longer. */
  readonly slowdown: number
  /** The same in processor time for each record, of the whole process. */
  readonly cpuSlowdown: number
  /** Processor time of the process beyond what its records take without checkpoints, for each checkpoint. */
  readonly cpuSecondsPerCheckpoint: number
  readonly seconds: number
  /** Checkpoints, each by the share of it that lies in the phase: fewer than asked for where they take longer than the interval. */
  readonly checkpoints: number
  readonly durationsMs: readonly number[]
  readonly bytes: readonly number[]
  readonly othersShare: number
}

export interface PhaseLengths {
  /** Before anything is measured, in seconds. */
  readonly warmup: number
  /** Of a phase without checkpoints. */
  readonly off: number
  /** Of a phase with checkpoints, at least; whole intervals. */
  readonly on: number
  /** Not counted at the beginning of each. */
  readonly settle: number
}

export interface PhaseRun {
  readonly phases: readonly PhaseResult[]
  /** Records in each tenth of a second of a phase with one checkpoint a second, when there was one, from its beginning. */
  readonly series: readonly number[]
  /** Milliseconds from there at which checkpoints were complete. */
  readonly completions: readonly number[]
  readonly records: number
}

interface PhaseWindow extends Window {
  /** `null` for none. */
  readonly interval: number | null
}

/** Whole intervals. */
function windowSeconds(interval: number, { on }: PhaseLengths): number {
  return interval * Math.max(1, Math.ceil(on / interval - 1e-9))
}

function settleSeconds(interval: number, { settle }: PhaseLengths): number {
  return Math.min(settle, interval)
}

/** Starts a job, takes it through its phases, and ends it. @throws Error when its output is wrong */
export async function runPhases(
  spec: JobSpec,
  intervals: readonly number[],
  lengths: PhaseLengths,
  records = 0,
): Promise<PhaseRun> {
  const job = new JobProcess<SeriesOutcome>({ ...spec, flags: { ...spec.flags, 'checkpoint-every': 'off' } })
  try {
    await job.reached(records)
    // All state goes to disk once, and is no part of what is measured.
    await job.checkpoint()
    await pause(1000 * lengths.warmup)
    const windows: PhaseWindow[] = [await offWindow(job, lengths)]
    for (const interval of intervals) windows.push(await onWindow(job, interval, lengths), await offWindow(job, lengths))
    job.finish()
    return resultOf(await job.outcome, windows, job.checkpoints)
  } finally {
    job.kill()
  }
}

async function offWindow(job: JobProcess<SeriesOutcome>, { off, settle }: PhaseLengths): Promise<PhaseWindow> {
  const fromMs = Date.now() + 1000 * settle
  return { interval: null, ...(await watch(job, fromMs, fromMs + 1000 * off)) }
}

async function onWindow(job: JobProcess<SeriesOutcome>, interval: number, lengths: PhaseLengths): Promise<PhaseWindow> {
  const beganMs = Date.now()
  const fromMs = beganMs + 1000 * settleSeconds(interval, lengths)
  const toMs = fromMs + 1000 * windowSeconds(interval, lengths)
  const window = watch(job, fromMs, toMs)
  for (let nextMs = beganMs; nextMs < toMs; nextMs = slotBehind(nextMs, 1000 * interval)) {
    await pause(Math.max(0, nextMs - Date.now()))
    await job.checkpoint()
  }
  return { interval, ...(await window) }
}

/** The next multiple of the interval that has not passed: who is late does not make up for it. */
function slotBehind(slotMs: number, intervalMs: number): number {
  return slotMs + intervalMs * Math.max(1, Math.ceil((Date.now() - slotMs) / intervalMs))
}

// Figures

function resultOf(outcome: SeriesOutcome, windows: readonly PhaseWindow[], notes: readonly CheckpointNote[]): PhaseRun {
  const phases = windows.flatMap((window, index): PhaseResult[] => {
    if (window.interval === null) return []
    const own = rateOf(outcome, window)
    const [before, after] = [windows[index - 1]!, windows[index + 1]!].map((each) => rateOf(outcome, each)) as [Rate, Rate]
    const off = (before.perSecond + after.perSecond) / 2
    const taken = notes.filter((note) => shareIn(window, note) > 0)
    const checkpoints = taken.reduce((sum, note) => sum + shareIn(window, note), 0)
    const seconds = (window.toMs - window.fromMs) / 1000
    const cpuPerRecordOff = (before.cpuPerRecord + after.cpuPerRecord) / 2
    return [
      {
        interval: window.interval,
        recordsPerSecond: own.perSecond,
        recordsPerSecondOff: off,
        slowdown: off / own.perSecond - 1,
        cpuSlowdown: own.cpuPerRecord / cpuPerRecordOff - 1,
        cpuSecondsPerCheckpoint: (window.cpuSeconds - own.perSecond * seconds * cpuPerRecordOff) / checkpoints,
        seconds,
        checkpoints,
        durationsMs: taken.map(({ durationMs }) => durationMs),
        bytes: taken.map(({ bytes }) => bytes),
        othersShare: Math.max(...[-1, 0, 1].map((step) => windows[index + step]!.othersShare)),
      },
    ]
  })
  const second = windows.find(({ interval }) => interval === 1)
  if (second === undefined) return { phases, series: [], completions: [], records: outcome.records }
  const completions = notes.filter(({ atMs }) => isIn(second, atMs)).map(({ atMs }) => atMs - second.fromMs)
  return { phases, series: seriesIn(outcome, second), completions, records: outcome.records }
}

/** How much of the time of a checkpoint lies in a window, 0 to 1. */
function shareIn({ fromMs, toMs }: Window, { atMs, durationMs }: CheckpointNote): number {
  const overlapMs = Math.min(atMs, toMs) - Math.max(atMs - durationMs, fromMs)
  return Math.max(0, overlapMs) / Math.max(durationMs, 0.1)
}
