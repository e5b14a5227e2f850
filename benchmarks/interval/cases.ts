import { freemem } from 'node:os'
import type { BenchmarkOptions } from '../support/benchmark.ts'
import { chosen, UsageError } from '../support/benchmark.ts'
import type { JobSpec } from '../support/job-process.ts'
import type { PhaseLengths } from '../support/phases.ts'

/*
 * What is measured, by name: how barriers pass on the topology of the paper, and how much state there is. Each case is a process of its own and goes
 * through all intervals.
 */

export const PARTS = ['topology', 'state', 'empty'] as const
export const MODES = ['aligned', 'unaligned', 'stop-the-world'] as const
export const STATES = ['1mb', '16mb', '100mb', '1gb'] as const
export const CHANGES = ['all', 'tenth'] as const

export type Mode = (typeof MODES)[number]
export type Part = (typeof PARTS)[number]

/** One process that goes through the intervals. */
export interface Case {
  readonly name: string
  readonly spec: JobSpec
  readonly intervals: readonly number[]
  /** Records after which all state is there. */
  readonly loadedAfter: number
}

const TOPOLOGY_INTERVALS = [10, 5, 3, 2, 1, 0.5, 0.2, 0.1] as const
const STATE_INTERVALS = [10, 1, 0.5] as const
export const PARALLELISM = 2

/** Keys and what is kept for each: 16 bytes with the key, or about 100. */
const SIZES: Readonly<Record<(typeof STATES)[number], { readonly keys: number; readonly width: 'fixed' | 'wide' }>> = {
  '1mb': { keys: 65_536, width: 'fixed' },
  '16mb': { keys: 1_000_000, width: 'fixed' },
  '100mb': { keys: 1_000_000, width: 'wide' },
  '1gb': { keys: 10_000_000, width: 'wide' },
}
const GIGABYTE_NEEDS_BYTES = 10 * 2 ** 30
/** Loading a gigabyte takes longer than all that a short run measures. */
const LONG_RUN_MINUTES = 30

export const FLAGS = {
  part: `<names>   ${PARTS.join(', ')} (default: all)`,
  modes: `<names>  how barriers pass: ${MODES.join(', ')} (default: all in topology, aligned in state)`,
  intervals: '<seconds>  such as 1,0.5',
  state: `<names>  ${STATES.join(', ')}; 1gb only when it is named, or in ${LONG_RUN_MINUTES} minutes and more`,
  changes: `<names>  which keys change: ${CHANGES.join(', ')}`,
}

export function topologyCases({ quick, keys = quick ? 1000 : 10_000, flags }: BenchmarkOptions): readonly Case[] {
  const intervals = intervalsOf(flags['intervals']) ?? (quick ? [0.2] : TOPOLOGY_INTERVALS)
  return chosen(flags['modes'], '--modes', MODES).map((mode) => ({
    name: mode,
    spec: { job: 'snapshot-topology', flags: { mode, keys, parallelism: PARALLELISM } },
    intervals,
    loadedAfter: PARALLELISM * keys,
  }))
}

export function stateCases({ quick, keys: given, minutes = 0, flags }: BenchmarkOptions): readonly Case[] {
  const intervals = intervalsOf(flags['intervals']) ?? (quick ? [0.2] : STATE_INTERVALS)
  const usual = STATES.filter((state) =>
    quick ? state === '1mb' : state !== '1gb' || (minutes >= LONG_RUN_MINUTES && hasRoom()),
  )
  const states = flags['state'] === undefined ? usual : chosen(flags['state'], '--state', STATES)
  if (states.includes('1gb') && !hasRoom()) throw new UsageError('--state 1gb needs 10 GiB of free memory')
  const modes: readonly Mode[] = flags['modes'] === undefined ? ['aligned'] : chosen(flags['modes'], '--modes', MODES)
  return states.flatMap((state) =>
    chosen(flags['changes'], '--changes', CHANGES).flatMap((changes) => {
      const { width, keys = SIZES[state].keys } = { width: SIZES[state].width, ...(given === undefined ? {} : { keys: given }) }
      const hot = changes === 'all' ? keys : Math.ceil(keys / 10)
      return modes.map((mode) => ({
        name: nameOf(`${state}, ${changes} of the keys change`, mode),
        spec: { job: 'keyed-state', flags: { keys, hot, width, mode, parallelism: PARALLELISM } },
        intervals,
        loadedAfter: PARALLELISM * keys,
      }))
    }),
  )
}

function nameOf(state: string, mode: Mode): string {
  return mode === 'aligned' ? state : `${state}, ${mode}`
}

/** What a case is compared with in which all stand still: the same with barriers that are aligned. */
export function alignedFor(name: string): string | undefined {
  const stopped: Mode = 'stop-the-world'
  if (name === stopped) return 'aligned' satisfies Mode
  const state = name.slice(0, -`, ${stopped}`.length)
  return name === nameOf(state, stopped) ? state : undefined
}

function hasRoom(): boolean {
  return freemem() >= GIGABYTE_NEEDS_BYTES
}

/** @throws UsageError for what is no length of time */
function intervalsOf(value: string | undefined): readonly number[] | undefined {
  const intervals = value?.split(',').map(Number)
  if (intervals?.every((interval) => interval >= 0.01 && interval <= 3600) ?? true) return intervals
  throw new UsageError(`--intervals takes seconds from 0.01 to 3600 with commas between them, not '${value}'`)
}

export function lengthsOf({ quick }: BenchmarkOptions): PhaseLengths {
  return quick ? { warmup: 0.2, off: 0.4, on: 0.4, settle: 0.2 } : { warmup: 3, off: 2, on: 3, settle: 1 }
}
