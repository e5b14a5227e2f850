import type { Arguments } from '../arguments.ts'
import { UsageError } from '../exit-codes.ts'
import type { JobFolder, NamedCheckpoint } from '../job-folder.ts'
import { findJobFolder, isSavepoint, namedCheckpoint } from '../job-folder.ts'

export const CHECKPOINT_EXPLANATION =
  'A checkpoint is named by its number, and the job before or behind it when there are several: 12, 12 words, or words@12.'

/** What a command about one checkpoint was called with. */
export interface CheckpointSource extends JobFolder {
  readonly checkpoint: number | undefined
}

/** @throws SluiceError `JOB_UNKNOWN`, and UsageError when two jobs are named */
export function checkpointSource(args: Arguments): CheckpointSource {
  const { checkpoint, name } = namesOf(args.positionals)
  return { ...findJobFolder(name, args.text('state-directory')), checkpoint }
}

/** A folder of that name is one, whatever it looks like. */
function namesOf(given: readonly string[]): NamedCheckpoint {
  const number = given.find((each) => /^\d{1,15}$/.test(each))
  const [name, ...more] = given.filter((each) => each !== number)
  if (more.length > 0)
    throw new UsageError(`neither '${name}' nor '${more[0]}' is the number of a checkpoint`, CHECKPOINT_EXPLANATION)
  return number === undefined ? namedCheckpoint(name) : { name, checkpoint: Number(number) }
}

/** The folder of a savepoint, when that is what was given. */
export function savepointSource({ positionals: [given, more] }: Arguments): string | undefined {
  return given !== undefined && more === undefined && isSavepoint(given) ? given : undefined
}
