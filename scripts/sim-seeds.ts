import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { FaultKind, JobBuilder, Verdict } from 'sluice/testing'
import { simulate } from 'sluice/testing'
import { CHECKS, JOBS } from '../test/simulation/jobs.ts'

// Thousands of errors are thrown on purpose, and nobody looks at where.
Error.stackTraceLimit = 0

/** What one thread is to simulate at a time. */
export interface Seeds {
  readonly from: number
  readonly count: number
  /** Name of a job of this repository, or a file; absent for all jobs in turn. */
  readonly job: string | undefined
  readonly faults: readonly FaultKind[]
  readonly parallelism: number | undefined
  readonly history: boolean
}

/** What came of it. */
export interface Simulated {
  readonly steps: number
  readonly starts: number
  readonly checkpoints: number
  readonly violated: readonly { readonly job: string; readonly verdict: Verdict }[]
  /** Of every seed, when they were asked for. */
  readonly histories: readonly (readonly string[])[]
}

/** Simulates some seeds one after the other. */
export default async function simulateSeeds(seeds: Seeds): Promise<Simulated> {
  const jobs = await jobsOf(seeds.job)
  const totals = { steps: 0, starts: 0, checkpoints: 0 }
  const violated: { readonly job: string; readonly verdict: Verdict }[] = []
  const histories: (readonly string[])[] = []
  for (let seed = seeds.from; seed < seeds.from + seeds.count; seed++) {
    // Each job in its turn, so that few seeds meet all of them.
    const [job, build] = jobs[seed % jobs.length]!
    const atCheckpoint = job in JOBS ? CHECKS[job] : undefined
    const verdict = await simulate(build, {
      seed,
      faults: seeds.faults,
      history: seeds.history,
      ...(seeds.parallelism === undefined ? {} : { parallelism: seeds.parallelism }),
      ...(atCheckpoint === undefined ? {} : { atCheckpoint }),
    })
    totals.steps += verdict.steps
    totals.starts += verdict.starts
    totals.checkpoints += verdict.checkpoints
    if (!verdict.ok) violated.push({ job, verdict })
    if (seeds.history) histories.push(verdict.history)
  }
  return { ...totals, violated, histories }
}

async function jobsOf(named: string | undefined): Promise<readonly (readonly [string, JobBuilder])[]> {
  if (named === undefined) return Object.entries(JOBS)
  const known = JOBS[named]
  if (known !== undefined) return [[named, known]]
  const module = (await import(pathToFileURL(resolve(named)).href)) as { readonly default?: unknown }
  if (typeof module.default === 'function') return [[named, module.default as JobBuilder]]
  throw new Error(`${named} exports no function that builds a job, by default`)
}
