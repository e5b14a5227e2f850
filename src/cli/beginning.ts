import { join, resolve } from 'node:path'
import type { Manifest } from '../checkpoint/manifest.ts'
import { describeJob } from './describe-job.ts'
import { isJobFolder } from './job-folder.ts'
import { withCheckpoints } from './stored.ts'
import type { Beginning } from './supervision.ts'

/*
 * Whether a job that was torn down has done what the flags of its first start asked for, by what its state says:
 *
 * - An import that is under way has taken the newest checkpoint away, and gives it back in its last transaction: then it is the one that the
 *   savepoint holds. Going back to an older checkpoint makes that the newest one.
 * - A checkpoint that was completed since the first start is the job's own, and comes after all that.
 * - As long as there is none of the job's own, doing again what was asked for loses nothing.
 */

/** Where the job is to be found, and what it was asked for. */
export interface FirstStart {
  /** Its file and its arguments. */
  readonly job: string
  readonly args: readonly string[]
  /** The value of `--from`, if it was given. */
  readonly from: string | undefined
  readonly startedAtMs: number
}

const NOT_BEGUN: Beginning = { begun: false, hasOwn: false }
/** How long the module may take to come to `run()`. */
const TIMEOUT_MS = 60_000

/** @throws SluiceError when the job cannot be built, or its state cannot be read */
export async function beginningOf({ job, args, from, startedAtMs }: FirstStart): Promise<Beginning> {
  const described = await describeJob(job, args, TIMEOUT_MS)
  const stateFolder = join(described.settings.stateDirectory, described.job)
  if (!isJobFolder(stateFolder)) return NOT_BEGUN
  const newest = await withCheckpoints(stateFolder, (store) => store.latest())
  if (newest === undefined) return NOT_BEGUN
  const hasOwn = newest.completedAtMs >= startedAtMs
  return { begun: hasOwn || (from !== undefined && (await isWhereItBegins(newest, from))), hasOwn }
}

async function isWhereItBegins(newest: Manifest, from: string): Promise<boolean> {
  if (/^\d+$/.test(from)) return newest.checkpoint === Number(from)
  const { openSavepoint } = await import('../checkpoint/savepoint.ts')
  const { manifest } = openSavepoint(resolve(from))
  return (['checkpoint', 'attempt', 'completedAtMs', 'fingerprint'] as const).every((field) => manifest[field] === newest[field])
}
