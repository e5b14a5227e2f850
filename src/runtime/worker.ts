import type { WireError } from '../core/errors.ts'
import { messageOf, SluiceError, toWireError } from '../core/errors.ts'
import { systemClock } from '../core/time.ts'
import { expectGraph } from '../graph/handover.ts'
import type { StreamGraph } from '../graph/stream-graph.ts'
import type { WorkerAssignment } from '../protocol/messages.ts'
import { WorkerHost } from './worker-host.ts'

/**
 * A worker thread's whole life, as one task of the pool: import the job module, which builds the same graph as in the main thread, and
 * serve the main thread's messages until the job is over. The pool's promise is the failure detector.
 */
export default async function work(assignment: WorkerAssignment): Promise<WireError | undefined> {
  const { port, worker } = assignment
  let graph: StreamGraph
  try {
    graph = await buildGraph(assignment)
  } catch (error) {
    return toWireError(error, 'MODULE_FAILED')
  }
  await new WorkerHost(port, worker, graph, systemClock).serve()
  return undefined
}

async function buildGraph(assignment: WorkerAssignment): Promise<StreamGraph> {
  const expected = expectGraph(assignment.job, assignment.earlierOutcomes)
  // The module sees the command line it was written for, not the pool's.
  process.argv.splice(1, process.argv.length, ...assignment.argv)
  const imported = import(assignment.module).then(
    () => nextTurns(),
    (error: unknown) => {
      throw new SluiceError('MODULE_FAILED', `the job module failed in a worker: ${messageOf(error)}`, { cause: error })
    },
  )
  const notReached = imported.then(() => {
    throw new SluiceError(
      'JOB_NOT_REACHED',
      `${assignment.module} does not run the job '${assignment.job}' when it is imported`,
      {
        hint: 'that module must build the job and call run() at its top level: worker threads import it and call nothing of it. So it may be no condition that only holds in the main thread, nor a function that another module calls; if it is not the entry of the program, run({ module: import.meta.url }) names it',
      },
    )
  })
  return await Promise.race([expected, notReached])
}

/** A module may call `run()` a moment after its import, from a promise that it does not wait for. */
async function nextTurns(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 500))
}
