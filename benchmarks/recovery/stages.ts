import type { Mark, MarkName } from '../jobs/parts/marks.ts'

/** How long each step of a recovery took, in milliseconds; they follow one another. */
export interface Stages {
  /** From the failure until whoever starts again knows: the end of the process, or the job's own word. */
  readonly detect: number
  /** The process begins and has loaded the engine; nothing when it lives on. */
  readonly spawn: number
  /** State opened and looked at, checkpoint read, threads started, subtasks built: to where the sources are opened. */
  readonly open: number
  /** From there to the first record that has gone through the operator. */
  readonly firstRecord: number
  /** From there until no record is late any more. */
  readonly catchUp: number
}

export const STAGES = ['detect', 'spawn', 'open', 'firstRecord', 'catchUp'] as const

/** What happened, on the clock of the marks. */
export interface Failure {
  readonly atMs: number
  readonly detectedAtMs: number
  /** The process that is to recover was started then; `undefined` when it lives on. */
  readonly spawnedAtMs: number | undefined
}

/** @throws Error when a step has left no mark: there was no recovery to measure */
export function stagesOf({ atMs, detectedAtMs, spawnedAtMs }: Failure, marks: readonly Mark[]): Stages {
  const after = marks.filter((mark) => mark.atMs > atMs)
  const first = (name: MarkName): number => timesOf(after, name).at(0)!
  const last = (name: MarkName): number => timesOf(after, name).at(-1)!
  const openedMs = first('opened')
  const firstMs = first('first-record')
  // The job may be further already when its word is heard.
  const knownMs = spawnedAtMs === undefined ? Math.min(detectedAtMs, openedMs) : detectedAtMs
  const loadedMs = spawnedAtMs === undefined ? knownMs : first('module')
  return {
    detect: knownMs - atMs,
    spawn: spawnedAtMs === undefined ? 0 : loadedMs - spawnedAtMs,
    open: openedMs - loadedMs,
    firstRecord: firstMs - openedMs,
    // A source that never was behind says so before its first record has gone through.
    catchUp: Math.max(0, last('caught-up') - firstMs),
  }
}

/** In the order of time. */
function timesOf(marks: readonly Mark[], name: MarkName): readonly number[] {
  const times = marks.filter((mark) => mark.name === name).map(({ atMs }) => atMs)
  if (times.length === 0) throw new Error(`the job has left no mark '${name}' behind its failure`)
  return times.toSorted((a, b) => a - b)
}

/** From the failure to the first record, without what the cold start is prepared with. */
export function downtimeOf({ detect, spawn, open, firstRecord }: Stages): number {
  return detect + spawn + open + firstRecord
}
