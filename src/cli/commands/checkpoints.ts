import { askJob } from '../../control/control-client.ts'
import type { Arguments, Usage } from '../arguments.ts'
import { helpOf, nearest, parseArguments } from '../arguments.ts'
import type { Command } from '../command.ts'
import { EXIT, UsageError } from '../exit-codes.ts'
import { findJobFolder, STATE_DIRECTORY_FLAG } from '../job-folder.ts'
import type { Output } from '../output.ts'
import { GC_USAGE, tidyCheckpoints } from './checkpoints-gc.ts'
import { LS_USAGE, listCheckpoints } from './checkpoints-ls.ts'
import { SHOW_USAGE, showCheckpoint } from './checkpoints-show.ts'
import { VERIFY_USAGE, verifyCheckpoints } from './checkpoints-verify.ts'

interface Subcommand {
  readonly usage: Usage
  run(args: Arguments, output: Output): Promise<number>
}

const SUBCOMMANDS: Readonly<Record<string, Subcommand>> = {
  ls: { usage: LS_USAGE, run: listCheckpoints },
  show: { usage: SHOW_USAGE, run: showCheckpoint },
  verify: { usage: VERIFY_USAGE, run: verifyCheckpoints },
  gc: { usage: GC_USAGE, run: tidyCheckpoints },
  trigger: {
    usage: {
      command: 'checkpoints trigger',
      positionals: '[<job>]',
      minimum: 0,
      maximum: 1,
      summary: 'Has a running job take a checkpoint now, and waits until it is complete.',
      flags: {
        'state-directory': STATE_DIRECTORY_FLAG,
        timeout: { value: 'duration', help: 'how long to wait; default: as long as it takes' },
      },
    },
    async run(args, output) {
      const { job, path } = findJobFolder(args.positionals[0], args.text('state-directory'))
      const { checkpoint } = await askJob(path, 'checkpoint', {}, args.number('timeout') ?? Number.POSITIVE_INFINITY)
      output.result({ job, checkpoint }, () => `checkpoint ${checkpoint} of '${job}' is complete`)
      return EXIT.ok
    },
  },
}

export const checkpointsCommand: Command = {
  help: Object.values(SUBCOMMANDS)
    .map(({ usage }) => helpOf(usage))
    .join('\n\n'),
  async run([name, ...args], output) {
    if (name === undefined || !Object.hasOwn(SUBCOMMANDS, name)) throw unknown(name)
    const { usage, run } = SUBCOMMANDS[name]!
    return await run(parseArguments(args, usage), output)
  },
}

function unknown(name: string | undefined): UsageError {
  const names = Object.keys(SUBCOMMANDS)
  const likely = name === undefined ? undefined : nearest(name, names)
  const hint = likely === undefined ? `there are: ${names.join(', ')}` : `did you mean 'sluice checkpoints ${likely}'?`
  return new UsageError(name === undefined ? 'checkpoints needs a command' : `checkpoints has no command '${name}'`, hint)
}
