import type { Arguments, Usage } from '../arguments.ts'
import { askRunningJob, ONE_JOB, RUNNING_JOB_FLAGS } from '../asked-job.ts'
import { EXIT } from '../exit-codes.ts'
import type { Output } from '../output.ts'

export const TRIGGER_USAGE: Usage = {
  command: 'checkpoints trigger',
  ...ONE_JOB,
  summary: 'Has a running job take a checkpoint now, and waits until it is complete.',
  flags: RUNNING_JOB_FLAGS,
}

export async function triggerCheckpoint(args: Arguments, output: Output): Promise<number> {
  const { job, checkpoint } = await askRunningJob(args, 'checkpoint', {})
  output.result({ job, checkpoint }, () => `checkpoint ${checkpoint} of '${job}' is complete`)
  return EXIT.ok
}
