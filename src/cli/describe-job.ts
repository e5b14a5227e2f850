import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { fromWireError, messageOf, SluiceError } from '../core/errors.ts'
import type { CheckAnswer, CheckAssignment, DescribedJob } from './check-worker.ts'

/** Named by its URL, because it is the entry of a thread. */
const WORKER_FILE = new URL(import.meta.url.endsWith('.ts') ? './check-worker.ts' : './check-worker.js', import.meta.url)

/**
 * Imports a job's module in a thread of its own, where it builds its graph and does not run.
 * @throws SluiceError what is wrong with the job, `MODULE_FAILED`, `JOB_NOT_REACHED`
 */
export async function describeJob(file: string, args: readonly string[], timeoutMs: number): Promise<DescribedJob> {
  const path = resolve(file)
  const assignment: CheckAssignment = { module: pathToFileURL(path).href, argv: [path, ...args] }
  const worker = new Worker(WORKER_FILE, { workerData: assignment, stdout: true })
  // stdout is the command's; what the module prints while it builds the job is for people.
  worker.stdout.pipe(process.stderr, { end: false })
  const timer = setTimeout(() => void worker.terminate(), timeoutMs)
  try {
    const answer = await answerOf(worker, path, timeoutMs)
    if ('error' in answer) throw fromWireError(answer.error)
    return answer.described
  } finally {
    clearTimeout(timer)
    await worker.terminate()
  }
}

function answerOf(worker: Worker, path: string, timeoutMs: number): Promise<CheckAnswer> {
  return new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', (error) => {
      reject(new SluiceError('MODULE_FAILED', `the job module failed: ${messageOf(error)}`, { cause: error }))
    })
    worker.once('exit', () => {
      reject(
        new SluiceError(
          'JOB_NOT_REACHED',
          `${path} runs no job: it ended its thread, or did not come to run() in ${timeoutMs} ms`,
          {
            hint: 'what the module waits for before run() must come without the job; a longer --timeout may help',
          },
        ),
      )
    })
  })
}
