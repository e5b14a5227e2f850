import { resolve } from 'node:path'
import { askJob } from '../../control/control-client.ts'
import type { Usage } from '../arguments.ts'
import { helpOf, parseArguments } from '../arguments.ts'
import type { Command } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { findJobFolder, STATE_DIRECTORY_FLAG } from '../job-folder.ts'

const USAGE: Usage = {
  command: 'savepoint',
  positionals: '[<job>]',
  minimum: 0,
  maximum: 1,
  summary:
    'Writes the state of a running job to a folder of its own, from which a job can be started with --from. The job goes on.',
  flags: {
    directory: { value: 'directory', help: 'where the savepoint gets its folder' },
    'state-directory': STATE_DIRECTORY_FLAG,
    timeout: { value: 'duration', help: 'how long to wait; default: as long as it takes' },
  },
}

export const savepointCommand: Command = {
  help: helpOf(USAGE),
  async run(args, output) {
    const own = parseArguments(args, USAGE)
    const { job, path } = findJobFolder(own.positionals[0], own.text('state-directory'))
    const directory = own.text('directory')
    // The job runs in a folder of its own choice.
    const options = directory === undefined ? {} : { directory: resolve(directory) }
    const result = await askJob(path, 'savepoint', options, own.number('timeout') ?? Number.POSITIVE_INFINITY)
    output.result({ job, ...result }, () =>
      [
        `savepoint of '${job}' at checkpoint ${result.checkpoint}: ${result.path}`,
        `start from it with: node <job file> --from ${result.path}`,
      ].join('\n'),
    )
    return EXIT.ok
  },
}
