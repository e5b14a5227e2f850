import { existsSync, readdirSync } from 'node:fs'
import { basename, join, resolve, sep } from 'node:path'
import { messageOf, SluiceError } from '../core/errors.ts'
import type { Flag } from './arguments.ts'
import { fileAt } from './files.ts'

/** The file by which a folder is known as a job's. */
const STATE_FILE = 'checkpoints.mdb'
/** The file by which a folder is known as a savepoint. */
const SAVEPOINT_FILE = 'savepoint.json'
const DEFAULT_STATE_DIRECTORY = '.sluice'

export const STATE_DIRECTORY_FLAG: Flag = {
  value: 'directory',
  help: `where the states of jobs are; default: ${DEFAULT_STATE_DIRECTORY}`,
}

export interface JobFolder {
  /** The job's name. */
  readonly job: string
  /** Where its state is, absolute. */
  readonly path: string
}

/**
 * The state folder of the job that the user means: by its name, by the path of the folder, or, without either, the only one there is.
 * @throws SluiceError `JOB_UNKNOWN`
 */
export function findJobFolder(given: string | undefined, stateDirectory = DEFAULT_STATE_DIRECTORY): JobFolder {
  const directory = resolve(stateDirectory)
  if (given === undefined) return onlyJob(directory)
  const isPath = given.includes('/') || given.includes(sep) || given === '.' || given === '..'
  const path = isPath ? resolve(given) : join(directory, given)
  if (isJobFolder(path)) return { job: basename(path), path }
  const hint = isPath ? `the folder of a job's state has a file ${STATE_FILE}` : there(directory)
  throw new SluiceError('JOB_UNKNOWN', `there is no state of a job in ${path}`, { hint })
}

function onlyJob(directory: string): JobFolder {
  const jobs = jobsIn(directory)
  if (jobs.length === 1) return { job: jobs[0]!, path: join(directory, jobs[0]!) }
  const message =
    jobs.length === 0 ? `there is no job in ${directory}` : `there are ${jobs.length} jobs in ${directory}: say which`
  throw new SluiceError('JOB_UNKNOWN', message, { hint: there(directory) })
}

function there(directory: string): string {
  const jobs = jobsIn(directory)
  return jobs.length === 0
    ? 'go to the folder in which the job was started, or give its --state-directory'
    : `there are: ${jobs.join(', ')}`
}

function jobsIn(directory: string): readonly string[] {
  if (!existsSync(directory)) return []
  return foldersIn(directory)
    .filter((name) => isJobFolder(join(directory, name)))
    .sort()
}

function foldersIn(directory: string): readonly string[] {
  try {
    const entries = readdirSync(directory, { withFileTypes: true })
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name)
  } catch (error) {
    throw new SluiceError('JOB_UNKNOWN', `cannot look for jobs in ${directory}: ${messageOf(error)}`, {
      cause: error,
      hint: 'give as --state-directory the folder in which the states of jobs are',
    })
  }
}

/** Whether a folder holds the state of a job. An empty file is what a process leaves that ended before it had written anything. */
export function isJobFolder(path: string): boolean {
  return (fileAt(join(path, STATE_FILE))?.size ?? 0) > 0
}

/** Whether a folder is a savepoint. */
export function isSavepoint(path: string): boolean {
  return existsSync(join(path, SAVEPOINT_FILE))
}

/** A job, or a folder, and one of its checkpoints. */
export interface NamedCheckpoint {
  readonly name: string | undefined
  readonly checkpoint: number | undefined
}

/** `words@12`, `words`, or `@12`, with which the only job is meant. A folder may have an @ in its name. */
export function namedCheckpoint(given: string | undefined): NamedCheckpoint {
  const [, name, checkpoint] = (given === undefined || existsSync(given) ? null : /^(.*)@(\d{1,15})$/.exec(given)) ?? []
  if (checkpoint === undefined) return { name: given, checkpoint: undefined }
  return { name: name === '' ? undefined : name, checkpoint: Number(checkpoint) }
}
