import { isMainThread } from 'node:worker_threads'
import type { WireError } from '../core/errors.ts'
import { fromWireError } from '../core/errors.ts'
import type { StreamGraph } from './stream-graph.ts'

/**
 * Gives the graph that a job module builds to the worker that imported it. In a worker `run()` does not run: it calls `handOver` and
 * never settles, so that nothing after it in the module happens twice.
 *
 * One module may run several jobs one after the other. A worker that waits for the second gets the first one's result from the main
 * thread, where that job has ended long ago, and so comes past it.
 */
type EarlierOutcomes = Readonly<Record<string, { readonly result: unknown } | { readonly error: WireError }>>

interface Expectation {
  readonly job: string
  readonly earlierOutcomes: EarlierOutcomes
  readonly receive: (graph: StreamGraph) => void
}

let expectation: Expectation | undefined
const handedOver = new Map<string, StreamGraph>()

/** In a worker, before the job module is imported. */
export function expectGraph(job: string, earlierOutcomes: EarlierOutcomes): Promise<StreamGraph> {
  const known = handedOver.get(job)
  if (known !== undefined) return Promise.resolve(known)
  return new Promise((resolve) => {
    expectation = { job, earlierOutcomes, receive: resolve }
  })
}

/** Whether this thread is a worker of a job, where `run()` only hands over. */
export function isWorkerOfJob(): boolean {
  return !isMainThread && expectation !== undefined
}

/** In a worker, instead of running: the job's earlier result, or a promise that never settles. */
export function handOver(graph: StreamGraph): Promise<unknown> {
  handedOver.set(graph.job, graph)
  if (expectation?.job === graph.job) {
    expectation.receive(graph)
    return new Promise(() => {})
  }
  const earlier = expectation?.earlierOutcomes[graph.job]
  if (earlier === undefined) return new Promise(() => {})
  return 'error' in earlier ? Promise.reject(fromWireError(earlier.error)) : Promise.resolve(earlier.result)
}
