import type { StateReader } from '../../checkpoint/state-reader.ts'
import { findJobFolder, isSavepoint, namedCheckpoint } from '../job-folder.ts'

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
  const { name, checkpoint } = namedCheckpoint(given)
  const options = checkpoint === undefined ? {} : { checkpoint }
  const isFolder = name !== undefined && isSavepoint(name)
  return await openState(isFolder ? name : findJobFolder(name, stateDirectory).path, options)
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
