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

/** What a job would run with, as far as those who only look at it want to know. */
export interface HandedOverSettings {
  readonly parallelism: number
  readonly maxParallelism: number
  readonly workers: number
  readonly stateDirectory: string
}

/** A job as the module has built it. */
export interface HandedOverJob {
  readonly graph: StreamGraph
  readonly settings: HandedOverSettings
}

interface Expectation {
  /** `undefined` takes the first job that comes. */
  readonly job: string | undefined
  readonly earlierOutcomes: EarlierOutcomes
  readonly receive: (graph: StreamGraph, settings: () => HandedOverSettings) => void
}

/**
 * In one place for the whole thread: the job module may import another copy of this package than the program that looks at it, and must not
 * begin to run because of that.
 */
const PLACE = Symbol.for('sluice.handover.expectation')
const thread = globalThis as { [PLACE]?: Expectation }
const handedOver = new Map<string, StreamGraph>()

/** In a worker, before the job module is imported. */
export function expectGraph(job: string, earlierOutcomes: EarlierOutcomes): Promise<StreamGraph> {
  const known = handedOver.get(job)
  if (known !== undefined) return Promise.resolve(known)
  return new Promise((resolve) => {
    thread[PLACE] = { job, earlierOutcomes, receive: resolve }
  })
}

/** In a thread that only looks at a job, before the module is imported: the first job that it runs. Rejects when its options are wrong. */
export function expectFirstJob(): Promise<HandedOverJob> {
  return new Promise((resolve, reject) => {
    const receive: Expectation['receive'] = (graph, settings) => {
      try {
        resolve({ graph, settings: settings() })
      } catch (error) {
        reject(error)
      }
    }
    thread[PLACE] = { job: undefined, earlierOutcomes: {}, receive }
  })
}

/** Whether this thread is a worker of a job, where `run()` only hands over. */
export function isWorkerOfJob(): boolean {
  return !isMainThread && thread[PLACE] !== undefined
}

/** In a worker, instead of running: the job's earlier result, or a promise that never settles. */
export function handOver(graph: StreamGraph, settings: () => HandedOverSettings): Promise<unknown> {
  const expectation = thread[PLACE]
  handedOver.set(graph.job, graph)
  if (expectation !== undefined && (expectation.job ?? graph.job) === graph.job) {
    expectation.receive(graph, settings)
    return new Promise(() => {})
  }
  const earlier = expectation?.earlierOutcomes[graph.job]
  if (earlier === undefined) return new Promise(() => {})
  return 'error' in earlier ? Promise.reject(fromWireError(earlier.error)) : Promise.resolve(earlier.result)
}
