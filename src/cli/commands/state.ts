import type { Arguments, Usage } from '../arguments.ts'
import { helpOf, nearest, parseArguments } from '../arguments.ts'
import type { Command } from '../command.ts'
import { UsageError } from '../exit-codes.ts'
import type { Output } from '../output.ts'
import { compareStates, DIFF_USAGE } from './state-diff.ts'
import { EXPORT_USAGE, exportStates } from './state-export.ts'
import { GET_USAGE, getState } from './state-get.ts'
import { LS_USAGE, listStates } from './state-ls.ts'

interface Subcommand {
  readonly usage: Usage
  readonly run: (args: Arguments, output: Output) => Promise<number>
}

const SUBCOMMANDS: Readonly<Record<string, Subcommand>> = {
  ls: { usage: LS_USAGE, run: listStates },
  get: { usage: GET_USAGE, run: getState },
  export: { usage: EXPORT_USAGE, run: exportStates },
  diff: { usage: DIFF_USAGE, run: compareStates },
}

export const stateCommand: Command = {
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
  const hint = likely === undefined ? `there are: ${names.join(', ')}` : `did you mean 'sluice state ${likely}'?`
  return new UsageError(name === undefined ? 'state needs a command' : `state has no command '${name}'`, hint)
}
