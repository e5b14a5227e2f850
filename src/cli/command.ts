import type { Arguments, Usage } from './arguments.ts'
import { helpOf, nearest, parseArguments } from './arguments.ts'
import { UsageError } from './exit-codes.ts'
import type { Output } from './output.ts'

/** A command, or a group of them such as `checkpoints`. */
export interface Command {
  /** The text of `--help`. */
  readonly help: string
  /** Does it. `args` are those behind the command's name. Returns what the process ends with; what it throws is shown, and decides that too. */
  run(args: readonly string[], output: Output): Promise<number>
}

/** What a command does with arguments that are as its usage says. */
export interface Action {
  readonly usage: Usage
  run(args: Arguments, output: Output): Promise<number>
}

export function commandOf({ usage, run }: Action): Command {
  return { help: helpOf(usage), run: (args, output) => run(parseArguments(args, usage), output) }
}

/** Commands of one name and a second one, such as `checkpoints ls`. */
export function commandGroup(group: string, actions: Readonly<Record<string, Action>>): Command {
  const help = Object.values(actions).map(({ usage }) => helpOf(usage))
  return {
    help: help.join('\n\n'),
    async run([name, ...args], output) {
      if (name === undefined || !Object.hasOwn(actions, name)) throw unknown(group, name, Object.keys(actions))
      return await commandOf(actions[name]!).run(args, output)
    },
  }
}

function unknown(group: string, name: string | undefined, names: readonly string[]): UsageError {
  const likely = name === undefined ? undefined : nearest(name, names)
  const hint = likely === undefined ? `there are: ${names.join(', ')}` : `did you mean 'sluice ${group} ${likely}'?`
  return new UsageError(name === undefined ? `${group} needs a command` : `${group} has no command '${name}'`, hint)
}
