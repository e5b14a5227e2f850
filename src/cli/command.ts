import type { Output } from './output.ts'

/** A command, or one of a group such as `checkpoints ls`. */
export interface Command {
  /** The text of `--help`. */
  readonly help: string
  /** Does it. `args` are those behind the command's name. Returns what the process ends with; what it throws is shown, and decides that too. */
  run(args: readonly string[], output: Output): Promise<number>
}
