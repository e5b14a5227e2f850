import { resolve } from 'node:path'
import { askJob } from '../../control/control-client.ts'
import type { StopResult } from '../../control/job-control.ts'
import type { Usage } from '../arguments.ts'
import { helpOf, parseArguments } from '../arguments.ts'
import type { Command } from '../command.ts'
import { EXIT, UsageError } from '../exit-codes.ts'
import { findJobFolder, STATE_DIRECTORY_FLAG } from '../job-folder.ts'

const USAGE: Usage = {
  command: 'stop',
  positionals: '[<job>]',
  minimum: 0,
  maximum: 1,
  summary:
    'Ends a running job behind one more checkpoint, which is written as a savepoint too, and waits until its state is free.',
  flags: {
    drain: { help: 'let time run to its end first: windows and timers fire, and the job is not meant to be resumed' },
    'no-savepoint': { help: 'only the checkpoint' },
    directory: { value: 'directory', help: 'where the savepoint gets its folder' },
    'state-directory': STATE_DIRECTORY_FLAG,
    timeout: { value: 'duration', help: 'how long to wait; default: as long as it takes' },
  },
}

export const stopCommand: Command = {
  help: helpOf(USAGE),
  async run(args, output) {
    const own = parseArguments(args, USAGE)
    const directory = own.text('directory')
    const savepoint = !own.has('no-savepoint')
    if (directory !== undefined && !savepoint) {
      throw new UsageError('stop: --directory says where the savepoint goes, --no-savepoint that there is none', 'leave one out')
    }
    const { job, path } = findJobFolder(own.positionals[0], own.text('state-directory'))
    const options = { savepoint, drain: own.has('drain'), ...(directory === undefined ? {} : { directory: resolve(directory) }) }
    const timeoutMs = own.number('timeout') ?? Number.POSITIVE_INFINITY
    const result = await askJob(path, 'stop', options, timeoutMs, { untilEnd: true })
    output.result({ job, ...result }, () => described(job, result, options.drain))
    return EXIT.ok
  },
}

function described(job: string, { status, checkpoint, savepoint }: StopResult, drained: boolean): string {
  const lines = [`'${job}' has ${status}${checkpoint === undefined ? '' : ` at checkpoint ${checkpoint}`}`]
  if (savepoint !== undefined) lines.push(`savepoint: ${savepoint}`)
  if (drained) lines.push('its windows and timers have fired: what is started from here begins after the end of time')
  else if (savepoint === undefined) lines.push('go on with: node <job file>')
  else lines.push(`go on with: node <job file>, or, also elsewhere: node <job file> --from ${savepoint}`)
  return lines.join('\n')
}
