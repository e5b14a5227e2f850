import { closeSync, constants, lstatSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'

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
    // The folder may have been removed by whoever ran the job, there may be no room, or something else in the place of the file: without the mark
    // the next start comes to the same end at once.
    try {
      writeMark(join(directory, FILE), run)
    } catch {}
  }
  const timer = setTimeout(write, LIVES_ON_MS).unref()
  // One listener for all jobs of the process: it may run many.
  if (!process.listeners('exit').includes(writeAll)) process.on('exit', writeAll)
  unwritten.add(write)
}

const unwritten = new Set<() => void>()

/** A link would lead somewhere else, and a pipe would wait for somebody who reads it. */
const FLAGS = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW | constants.O_NONBLOCK
const MARK_BYTES_MAX = 1_000

function writeMark(path: string, run: string): void {
  const file = openSync(path, FLAGS, 0o600)
  try {
    writeSync(file, run)
  } finally {
    closeSync(file)
  }
}

function writeAll(): void {
  for (const write of [...unwritten]) write()
}

/** Whether the run has ended for good, and not only in the store. */
export function isMarkedFinished(directory: string, run: string): boolean {
  if (finishedHere.has(markOf(directory, run))) return true
  try {
    const path = join(directory, FILE)
    const stat = lstatSync(path)
    return stat.isFile() && stat.size <= MARK_BYTES_MAX && readFileSync(path, 'utf8') === run
  } catch {
    return false
  }
}

/** A new run begins. What is no file is no mark, and stays. */
export function removeFinishMark(directory: string): void {
  const path = join(directory, FILE)
  if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) rmSync(path, { force: true })
}

function markOf(directory: string, run: string): string {
  return `${run} ${directory}`
}
