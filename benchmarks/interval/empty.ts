import { setTimeout as pause } from 'node:timers/promises'
import { JobProcess } from '../support/job-process.ts'
import type { Spread } from '../support/statistics.ts'
import { spreadOf } from '../support/statistics.ts'
import { PARALLELISM } from './cases.ts'

/*
 * What a checkpoint costs in which nothing has changed: the job of the paper with twelve tasks, whose sources have nothing to read. Barriers pass through
 * all tasks, all of them answer, and a manifest is written and synced.
 */

export interface EmptyCheckpoints {
  readonly checkpoints: number
  readonly tasks: number
  /** From trigger to durable. */
  readonly durationMs: Spread
  /** Of all, and of the slowest hundredth. */
  readonly p99Ms: number
  /** Processor time of the process for each, beyond that of a job which waits. */
  readonly cpuMs: number
}

const TASKS = 6
/** Between two checkpoints: whatever the last one left behind is over. */
const PAUSE_MS = 20

export async function emptyCheckpoints(checkpoints: number): Promise<EmptyCheckpoints> {
  const flags = { keys: 1000, parallelism: PARALLELISM, idle: 1, 'checkpoint-every': 'off' }
  const job = new JobProcess({ job: 'snapshot-topology', flags })
  try {
    await job.reached(2 * 1000 - 1)
    const warmup = Math.ceil(checkpoints / 4)
    await take(job, warmup)
    const before = job.cpuSeconds()
    await take(job, checkpoints)
    const busy = job.cpuSeconds() - before
    const idle = await idleSeconds(job, checkpoints * PAUSE_MS)
    job.finish()
    await job.outcome
    const durations = job.checkpoints.slice(warmup, warmup + checkpoints).map(({ durationMs }) => durationMs)
    const sorted = durations.toSorted((a, b) => a - b)
    return {
      checkpoints,
      tasks: TASKS * PARALLELISM,
      durationMs: spreadOf(durations),
      p99Ms: sorted[Math.ceil(0.99 * sorted.length) - 1]!,
      cpuMs: (1000 * (busy - idle)) / checkpoints,
    }
  } finally {
    job.kill()
  }
}

async function take(job: JobProcess, checkpoints: number): Promise<void> {
  for (let taken = 0; taken < checkpoints; taken++) {
    await job.checkpoint()
    await pause(PAUSE_MS)
  }
}

/** What the process takes in so long without any checkpoint. */
async function idleSeconds(job: JobProcess, ms: number): Promise<number> {
  const before = job.cpuSeconds()
  await pause(ms)
  return job.cpuSeconds() - before
}
