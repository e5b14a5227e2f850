import { resolve } from 'node:path'
import type { AskOptions, ControlExchanges } from '../control/control-client.ts'
import { askJob } from '../control/control-client.ts'
import type { ControlCommand } from '../control/control-socket.ts'
import type { Arguments, Flag, Usage } from './arguments.ts'
import type { JobFolder } from './job-folder.ts'
import { findJobFolder, STATE_DIRECTORY_FLAG } from './job-folder.ts'

/*
 * What commands share that are about one job, `[<job>]`, and what those share that ask a running one.
 */

/** How a job is named. */
export const ONE_JOB: Pick<Usage, 'positionals' | 'minimum' | 'maximum'> = { positionals: '[<job>]', minimum: 0, maximum: 1 }

export const RUNNING_JOB_FLAGS = {
  'state-directory': STATE_DIRECTORY_FLAG,
  timeout: { value: 'duration', help: 'how long to wait; default: as long as it takes' },
} as const satisfies Readonly<Record<string, Flag>>

/** Where the savepoints go that a running job is asked for. */
export const SAVEPOINT_FLAGS = {
  directory: { value: 'directory', help: 'where the savepoint gets its folder' },
  ...RUNNING_JOB_FLAGS,
} as const satisfies Readonly<Record<string, Flag>>

/** The job that is meant. @throws SluiceError `JOB_UNKNOWN` */
export function jobOf(args: Arguments): JobFolder {
  return findJobFolder(args.positionals[0], args.text('state-directory'))
}

/** The folder as it is meant from here: the job runs in one of its own choice. */
export function savepointDirectory(args: Arguments): { readonly directory?: string } {
  const directory = args.text('directory')
  return directory === undefined ? {} : { directory: resolve(directory) }
}

/**
 * Asks the job for as long as `--timeout` allows, and gives its answer with its name.
 * @throws SluiceError `JOB_UNKNOWN`, `JOB_NOT_RUNNING`, `CONTROL_FAILED`, and whatever the job answers
 */
export async function askRunningJob<Asked extends ControlCommand>(
  args: Arguments,
  asked: Asked,
  how: ControlExchanges[Asked]['args'],
  options?: AskOptions,
): Promise<{ readonly job: string } & ControlExchanges[Asked]['result']> {
  const { job, path } = jobOf(args)
  const result = await askJob(path, asked, how, args.number('timeout') ?? Number.POSITIVE_INFINITY, options)
  return { job, ...result }
}
