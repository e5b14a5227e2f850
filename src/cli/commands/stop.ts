import type { StopResult } from '../../control/job-control.ts'
import { askRunningJob, ONE_JOB, SAVEPOINT_FLAGS, savepointDirectory } from '../asked-job.ts'
import { commandOf } from '../command.ts'
import { EXIT, UsageError } from '../exit-codes.ts'

export const stopCommand = commandOf({
  usage: {
    command: 'stop',
    ...ONE_JOB,
    summary:
      'Ends a running job behind one more checkpoint, which is written as a savepoint too, and waits until its state is free.',
    flags: {
      drain: { help: 'let time run to its end first: windows and timers fire, and the job is not meant to be resumed' },
      'no-savepoint': { help: 'only the checkpoint' },
      ...SAVEPOINT_FLAGS,
    },
  },
  async run(args, output) {
    const [savepoint, drain] = [!args.has('no-savepoint'), args.has('drain')]
    if (args.text('directory') !== undefined && !savepoint) {
      throw new UsageError('stop: --directory says where the savepoint goes, --no-savepoint that there is none', 'leave one out')
    }
    const options = { savepoint, drain, ...savepointDirectory(args) }
    const answer = await askRunningJob(args, 'stop', options, { untilEnd: true })
    output.result(answer, () => described(answer.job, answer, drain))
    return EXIT.ok
  },
})

function described(job: string, { status, checkpoint, savepoint }: StopResult, drained: boolean): string {
  const lines = [`'${job}' has ${status}${checkpoint === undefined ? '' : ` at checkpoint ${checkpoint}`}`]
  if (savepoint !== undefined) lines.push(`savepoint: ${savepoint}`)
  if (drained) lines.push('its windows and timers have fired: what is started from here begins after the end of time')
  else if (savepoint === undefined) lines.push('go on with: node <job file>')
  else lines.push(`go on with: node <job file>, or, also elsewhere: node <job file> --from ${savepoint}`)
  return lines.join('\n')
}
