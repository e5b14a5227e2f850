import { parseArgs } from 'node:util'
import type { Usage } from '../arguments.ts'
import { helpOf, parseArguments } from '../arguments.ts'
import type { Command } from '../command.ts'
import { checkJobFile } from '../files.ts'
import type { SupervisorEvent } from '../supervisor.ts'
import { supervise } from '../supervisor.ts'

const FIRST_DELAY_MS = 1_000

const USAGE: Usage = {
  command: 'run',
  positionals: '<job file> [arguments of the job]',
  minimum: 1,
  maximum: 1,
  summary: 'Runs a job in a process of its own, and starts it again when that dies.',
  explanation: [
    'What is started again: a process that was ended by a signal, or with the exit code of one (132 to 137, 139) or 70. A job that ends with any',
    'other code has ended: sluice run ends with the same. --fresh, --overwrite, --from and --claim are given to it until they are done; then it resumes.',
    'Without --max-restarts it gives up when the process dies five times within a minute, each time in its first ten seconds.',
    'Ctrl-C is passed on; a second one kills the process. Flags of sluice run come before the job file, everything behind it is the job’s.',
  ].join('\n'),
  flags: {
    'max-restarts': { value: 'number', help: 'how often it is started again; default: as often as it takes' },
    'restart-delay': {
      value: 'duration',
      help: 'before the first restart, twice as long before each further one, at most 1m; default: 1s',
    },
  },
}

/** Prints to stderr alone, because stdout is the job's; `--json` makes lines of JSON there. */
export const runCommand: Command = {
  help: helpOf(USAGE),
  async run(args) {
    const place = placeOfJob(args)
    const own = parseArguments(args.slice(0, place + 1), USAGE)
    const [job] = own.positionals as readonly [string]
    checkJobFile(job)
    const json = own.has('json')
    return await supervise({
      job,
      args: args.slice(place + 1),
      limits: {
        maxRestarts: own.number('max-restarts'),
        firstDelayMs: own.number('restart-delay') ?? FIRST_DELAY_MS,
      },
      tell: (event) => process.stderr.write(json ? `${JSON.stringify(event)}\n` : `sluice: ${lineOf(event)}\n`),
    })
  },
}

/** The first argument that is neither a flag nor the value of one. */
function placeOfJob(args: readonly string[]): number {
  const options = Object.fromEntries(Object.keys(USAGE.flags).map((name) => [name, { type: 'string' as const }]))
  const { tokens } = parseArgs({ args: [...args], options, strict: false, allowPositionals: true, tokens: true })
  const found = tokens.find((token) => token.kind === 'positional')
  return found?.index ?? args.length
}

function howItBegins(resumes: boolean): string {
  return resumes ? 'it resumes from its last checkpoint' : 'it has not come to a beginning yet, and begins as it was told to'
}

function lineOf(event: SupervisorEvent): string {
  switch (event.event) {
    case 'died':
      return `the job's process ended ${event.how}, after ${(event.livedMs / 1000).toFixed(1)} s`
    case 'restart':
      return `starting it again in ${(event.delayMs / 1000).toFixed(1)} s (restart ${event.restarts}); ${howItBegins(event.resumes)}`
    case 'gave-up':
      return `not starting it again: ${event.reason}`
  }
}
