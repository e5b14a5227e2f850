import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { StateReader } from '../../checkpoint/state-reader.ts'
import { findJobFolder } from '../job-folder.ts'

/** The file by which a folder is known as a savepoint. */
const SAVEPOINT_FILE = 'savepoint.json'

export const SOURCE_EXPLANATION = [
  'A state is that of a job, by its name or the path of its state folder, or the folder of a savepoint. The job may be running. Behind an @',
  'stands the number of a checkpoint that is kept, as in words@12; without it the newest one is meant.',
].join('\n')

/**
 * Opens the state that the user means. The store is loaded only here, and only when it is asked.
 * @throws SluiceError `JOB_UNKNOWN`, `INVALID_OPTION`, `CHECKPOINT_UNREADABLE`, `SAVEPOINT_UNREADABLE`, `FORMAT_UNKNOWN`
 */
export async function openStateOf(given: string | undefined, stateDirectory: string | undefined): Promise<StateReader> {
  const { openState } = await import('../../checkpoint/state-reader.ts')
  if (given !== undefined && isSavepoint(given)) return await openState(given)
  // A folder may have an @ in its name.
  const [, name, checkpoint] = (given === undefined || existsSync(given) ? null : /^(.*)@(\d{1,15})$/.exec(given)) ?? [
    given,
    given,
  ]
  const options = checkpoint === undefined ? {} : { checkpoint: Number(checkpoint) }
  if (name !== undefined && isSavepoint(name)) return await openState(name, options)
  // Without a name before the @ the only job is meant.
  return await openState(findJobFolder(name === '' ? undefined : name, stateDirectory).path, options)
}

function isSavepoint(path: string): boolean {
  return existsSync(join(resolve(path), SAVEPOINT_FILE))
}

/** Does something with a state that is closed when it is done. */
export async function withState<R>(
  given: string | undefined,
  stateDirectory: string | undefined,
  action: (reader: StateReader) => Promise<R>,
): Promise<R> {
  const reader = await openStateOf(given, stateDirectory)
  try {
    return await action(reader)
  } finally {
    await reader.close()
  }
}
