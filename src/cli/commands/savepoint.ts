import { askRunningJob, ONE_JOB, SAVEPOINT_FLAGS, savepointDirectory } from '../asked-job.ts'
import { commandOf } from '../command.ts'
import { EXIT } from '../exit-codes.ts'

export const savepointCommand = commandOf({
  usage: {
    command: 'savepoint',
    ...ONE_JOB,
    summary:
      'Writes the state of a running job to a folder of its own, from which a job can be started with --from. The job goes on.',
    flags: SAVEPOINT_FLAGS,
  },
  async run(args, output) {
    const answer = await askRunningJob(args, 'savepoint', savepointDirectory(args))
    const { job, checkpoint, path } = answer
    output.result(answer, () =>
      [`savepoint of '${job}' at checkpoint ${checkpoint}: ${path}`, `start from it with: node <job file> --from ${path}`].join(
        '\n',
      ),
    )
    return EXIT.ok
  },
})
