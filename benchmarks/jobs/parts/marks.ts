import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { isMainThread, threadId } from 'node:worker_threads'
import { monotonicMs } from './clock.ts'

/*
 * Moments in the life of a job, written to a file as they come: a process that is killed leaves behind what it had noted.
 */

export type MarkName =
  /** The job's module begins, in the main thread or in a worker. */
  | 'module'
  /** A split of the source is opened. */
  | 'opened'
  /** A subtask has its first record since it was opened. */
  | 'first-record'
  /** A source has no more records that were due long ago. */
  | 'caught-up'
  /** The operator throws. */
  | 'throws'

export interface Mark {
  readonly name: MarkName
  readonly atMs: number
  readonly pid: number
  readonly thread: number
  readonly isMainThread: boolean
}

export function mark(file: string, name: MarkName): void {
  const noted: Mark = { name, atMs: monotonicMs(), pid: process.pid, thread: threadId, isMainThread }
  appendFileSync(file, `${JSON.stringify(noted)}\n`)
}

export function readMarks(file: string): readonly Mark[] {
  if (!existsSync(file)) return []
  const lines = readFileSync(file, 'utf8').split('\n')
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Mark)
}
