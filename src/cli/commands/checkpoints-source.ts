import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { StoredCheckpoints } from '../../checkpoint/stored-checkpoints.ts'
import type { Arguments } from '../arguments.ts'
import type { JobFolder } from '../job-folder.ts'
import { findJobFolder } from '../job-folder.ts'

/** The file by which a folder is known as a savepoint. */
const SAVEPOINT_FILE = 'savepoint.json'

export const CHECKPOINT_EXPLANATION =
  'A checkpoint is named by its number, and the job before or behind it when there are several: 12, 12 words, or words@12.'

/** What a command about one checkpoint was called with. */
export interface CheckpointSource extends JobFolder {
  readonly checkpoint: number | undefined
}

/** @throws SluiceError `JOB_UNKNOWN` */
export function checkpointSource(args: Arguments): CheckpointSource {
  const { checkpoint, job } = namesOf(args.positionals)
  const folder = findJobFolder(job, args.text('state-directory'))
  return { ...folder, checkpoint }
}

/** A folder of that name is one, whatever it looks like. */
function namesOf(given: readonly string[]): { readonly checkpoint: number | undefined; readonly job: string | undefined } {
  const number = given.find((each) => /^\d{1,15}$/.test(each))
  const job = given.find((each) => each !== number)
  if (number !== undefined) return { checkpoint: Number(number), job }
  const [, name, checkpoint] = (job === undefined || existsSync(job) ? null : /^(.*)@(\d{1,15})$/.exec(job)) ?? []
  if (checkpoint === undefined) return { checkpoint: undefined, job }
  return { checkpoint: Number(checkpoint), job: name === '' ? undefined : name }
}

/** The folder of a savepoint, when that is what was given. */
export function savepointSource({ positionals: [given, more] }: Arguments): string | undefined {
  return given !== undefined && more === undefined && existsSync(join(resolve(given), SAVEPOINT_FILE)) ? given : undefined
}

/** Does something with the checkpoints of a job, which may be running. The store is loaded only here, and only when it is asked. */
export async function withCheckpoints<R>(stateFolder: string, action: (store: StoredCheckpoints) => R): Promise<R> {
  const { StoredCheckpoints: Stored } = await import('../../checkpoint/stored-checkpoints.ts')
  const store = Stored.openForReading(stateFolder)
  try {
    return action(store)
  } finally {
    await store.close()
  }
}
