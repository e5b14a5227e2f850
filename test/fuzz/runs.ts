import type { Parameters } from 'fast-check'

/*
 * How long to look, and where. In the usual run of the tests all of this takes less than a minute and is the same every time; a campaign
 * (`npm run fuzz`) looks longer, and elsewhere.
 */

const USUAL = 1_000

/** So many runs, or as many times more as a campaign asks for: `SLUICE_FUZZ_RUNS` are the runs of what has 1,000 here. */
export function runsOf(usual: number): number {
  return Math.max(1, Math.round((usual * Number(process.env['SLUICE_FUZZ_RUNS'] ?? USUAL)) / USUAL))
}

export const SEED: number = Number(process.env['SLUICE_FUZZ_SEED'] ?? 1)

/** What a property is given. */
export function fuzzing<T>(usual: number = USUAL): Parameters<T> {
  return { numRuns: runsOf(usual), seed: SEED, endOnFailure: true }
}

/** A long campaign in one test must not end by the time that a test may take. */
export function timeoutOf(usualMs: number): number {
  return Math.max(usualMs, runsOf(usualMs))
}
