import { askJob } from '../../control/control-client.ts'
import type { CompletedCheckpoint, InFlightCheckpoint, JobStatus } from '../../control/job-control.ts'
import { SluiceError } from '../../core/errors.ts'
import { jobOf, ONE_JOB } from '../asked-job.ts'
import { commandOf } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { STATE_DIRECTORY_FLAG } from '../job-folder.ts'
import { bytes, count, instant, table } from '../output.ts'
import type { StoredJob } from '../stored.ts'
import { readStoredJob } from '../stored.ts'

const TIMEOUT_MS = 10_000

export const statusCommand = commandOf({
  usage: {
    command: 'status',
    ...ONE_JOB,
    summary: 'How a job is: asked of its process when it runs, else read from its state.',
    flags: {
      'state-directory': STATE_DIRECTORY_FLAG,
      timeout: { value: 'duration', help: 'how long to wait for the answer; default: 10s' },
    },
  },
  async run(args, output) {
    const { job, path } = jobOf(args)
    const status = await askIfRunning(path, args.number('timeout') ?? TIMEOUT_MS)
    if (status !== undefined) {
      output.result({ running: true, ...status }, () => described(status))
    } else {
      const stored = await readStoredJob(path)
      const { ownerPid, finished } = stored
      const lastCheckpoint = stored.checkpoints.at(-1) ?? null
      output.result({ running: false, job, ownerPid, finished, lastCheckpoint }, () => describedAtRest(job, stored))
    }
    return EXIT.ok
  },
})

async function askIfRunning(stateFolder: string, timeoutMs: number): Promise<JobStatus | undefined> {
  try {
    return await askJob(stateFolder, 'status', {}, timeoutMs)
  } catch (error) {
    if (error instanceof SluiceError && error.code === 'JOB_NOT_RUNNING') return undefined
    throw error
  }
}

function describedAtRest(job: string, { ownerPid, finished, checkpoints }: StoredJob): string {
  const last = checkpoints.at(-1)
  const state =
    ownerPid === null
      ? `is not running${finished ? ': it has finished' : ''}`
      : `belongs to process ${ownerPid}, which does not answer: it is starting or ending, or its control socket could not be opened`
  const rest =
    last === undefined
      ? 'no checkpoint is stored'
      : `its newest checkpoint is ${last.id}, of ${instant(last.completedAtMs)}, ${bytes(last.bytes)}`
  return `'${job}' ${state}; ${rest}`
}

function described(status: JobStatus): string {
  const { job, state, pid, attempt, restarts, startedAtMs, parallelism, workers, lastFailure } = status
  const anyBad = status.tasks.some(({ bad }) => bad > 0)
  const counts = ['late', ...(anyBad ? ['bad'] : [])]
  const tasks = status.tasks.map((task) => [
    task.operators.join(' > '),
    count(task.recordsIn),
    count(task.recordsOut),
    `${task.busyPercent.toFixed(0)} %`,
    task.watermark === null ? '-' : task.watermark === 'end' ? 'end' : instant(task.watermark),
    count(task.late),
    ...(anyBad ? [count(task.bad)] : []),
  ])
  return [
    `'${job}' is ${state}: process ${pid} since ${instant(startedAtMs)}, attempt ${attempt}, ${plural(restarts, 'restart')}`,
    `parallelism ${parallelism}, ${workers === 0 ? 'no threads' : plural(workers, 'worker thread')}`,
    lastLine(status.lastCheckpoint),
    ...inFlightLine(status.inFlightCheckpoint),
    ...(lastFailure === null ? [] : [`last failure: ${lastFailure.code}: ${lastFailure.message}`]),
    '',
    table(['operators', 'in', 'out', 'busy', 'watermark', ...counts], tasks, ['in', 'out', 'busy', ...counts]),
  ].join('\n')
}

function lastLine(last: CompletedCheckpoint | null): string {
  if (last === null) return 'no checkpoint yet'
  const { id, completedAtMs, durationMs } = last
  return `checkpoint ${id} completed at ${instant(completedAtMs)}, took ${Math.round(durationMs)} ms, ${bytes(last.bytes)}`
}

function inFlightLine(pending: InFlightCheckpoint | null): readonly string[] {
  if (pending === null) return []
  const some = pending.missing.slice(0, 5).join(', ')
  const more = pending.missing.length > 5 ? ` and ${pending.missing.length - 5} more` : ''
  return [`checkpoint ${pending.id} waits for ${some}${more}`]
}

function plural(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`
}
