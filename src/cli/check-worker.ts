import { parentPort, workerData } from 'node:worker_threads'
import type { WireError } from '../core/errors.ts'
import { messageOf, SluiceError, toWireError } from '../core/errors.ts'
import { planExecution } from '../graph/execution-plan.ts'
import type { HandedOverJob, HandedOverSettings } from '../graph/handover.ts'
import { expectFirstJob } from '../graph/handover.ts'
import type { NodeDescription } from '../graph/stream-graph.ts'
import { describeGraph, validateGraph } from '../graph/stream-graph.ts'

/*
 * The thread in which `sluice check` imports a job: there `run()` hands the job over instead of running it, as in the threads of a running
 * job.
 */

export interface CheckAssignment {
  /** URL of the job's module. */
  readonly module: string
  /** The command line that the module sees, from its own file on. */
  readonly argv: readonly string[]
}

/** The job as written, without its code. */
export interface DescribedJob {
  readonly job: string
  readonly graph: readonly NodeDescription[]
  readonly settings: HandedOverSettings
}

export type CheckAnswer = { readonly described: DescribedJob } | { readonly error: WireError }

const assignment = workerData as CheckAssignment
parentPort!.postMessage(await answer())

async function answer(): Promise<CheckAnswer> {
  try {
    return { described: describe(await buildJob(assignment), assignment.module) }
  } catch (error) {
    return { error: toWireError(error, 'MODULE_FAILED') }
  }
}

function describe({ graph, settings }: HandedOverJob, module: string): DescribedJob {
  validateGraph(graph)
  // What only the plan can refuse.
  planExecution(graph, { ...settings, module })
  const { parallelism, maxParallelism, workers, stateDirectory } = settings
  return { job: graph.job, graph: describeGraph(graph), settings: { parallelism, maxParallelism, workers, stateDirectory } }
}

async function buildJob({ module, argv }: CheckAssignment): Promise<HandedOverJob> {
  const expected = expectFirstJob()
  process.argv.splice(1, process.argv.length, ...argv)
  const imported = import(module).then(
    // A module may call `run()` a moment after its import, from a promise that it does not wait for.
    () => new Promise((resolve) => setTimeout(resolve, 500)),
    (error: unknown) => {
      if (error instanceof SluiceError) throw error
      throw new SluiceError('MODULE_FAILED', `the job module failed: ${messageOf(error)}`, { cause: error })
    },
  )
  const notReached = imported.then((): never => {
    throw new SluiceError('JOB_NOT_REACHED', `${module} runs no job when it is imported`, {
      hint: 'call run() while the module is imported, without a condition that only holds in the main thread',
    })
  })
  return await Promise.race([expected, notReached])
}
