import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isNoSpace } from '../core/disk-full.ts'

/*
 * A job that finished starts afresh the next time. But a process that is killed between the job's end and its own, while it prints what the
 * job found, has not finished for the person who started it: started again, it resumes from the final checkpoint, comes to the same end at
 * once and prints. So the end is marked when the process exits by itself, or when it has lived on for a while.
 */
const FILE = 'finished'
const LIVES_ON_MS = 5_000

const finishedHere = new Set<string>()

/** The run has come to its end in this process. */
export function markFinished(directory: string, run: string): void {
  finishedHere.add(markOf(directory, run))
  const write = (): void => {
    unwritten.delete(write)
    clearTimeout(timer)
    // The folder may have been removed by whoever ran the job; then there is nothing to mark. And without room for it, the next start comes to
    // the same end at once.
    try {
      writeFileSync(join(directory, FILE), run, { mode: 0o600 })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' && !isNoSpace(error)) throw error
    }
  }
  const timer = setTimeout(write, LIVES_ON_MS).unref()
  // One listener for all jobs of the process: it may run many.
  if (!process.listeners('exit').includes(writeAll)) process.on('exit', writeAll)
  unwritten.add(write)
}

const unwritten = new Set<() => void>()

function writeAll(): void {
  for (const write of [...unwritten]) write()
}

/** Whether the run has ended for good, and not only in the store. */
export function isMarkedFinished(directory: string, run: string): boolean {
  if (finishedHere.has(markOf(directory, run))) return true
  try {
    return readFileSync(join(directory, FILE), 'utf8') === run
  } catch {
    return false
  }
}

/** A new run begins. */
export function removeFinishMark(directory: string): void {
  rmSync(join(directory, FILE), { force: true })
}

function markOf(directory: string, run: string): string {
  return `${run} ${directory}`
}
