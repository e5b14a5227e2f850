import { fileURLToPath } from 'node:url'
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { Piscina } from 'piscina'
import type { WireError } from '../core/errors.ts'
import { fromWireError, messageOf, SluiceError } from '../core/errors.ts'
import type { Clock } from '../core/time.ts'
import type { StreamGraph } from '../graph/stream-graph.ts'
import type { FromWorker, ToWorker, WorkerAssignment } from '../protocol/messages.ts'
import { WorkerHost } from '../runtime/worker-host.ts'
import type { BaseOf } from '../state/state-base.ts'

/** The workers of one attempt, whatever they run on. */
export interface Workers {
  readonly count: number
  post(worker: number, message: ToWorker, transfer?: readonly ArrayBuffer[]): void
  /** Lets every worker return by itself, and waits for it. */
  stop(): Promise<void>
  /** Ends every worker at once, and waits until none runs any more. */
  kill(): Promise<void>
}

/** What the workers tell: messages, and that one of them is gone. */
export interface WorkerListener {
  onMessage(message: FromWorker): void
  onLost(worker: number, error: SluiceError): void
}

/** What a worker thread needs to build the graph. */
export interface ModuleReference {
  readonly job: string
  readonly module: string
  readonly earlierOutcomes: WorkerAssignment['earlierOutcomes']
}

/** TypeScript in the source tree, JavaScript in the package: the worker's file has the ending of this one. */
const WORKER_FILE = new URL(import.meta.url.endsWith('.ts') ? '../runtime/worker.ts' : '../runtime/worker.js', import.meta.url)

/** Semi-spaces of 32 MB, for records that live a little longer than their batch. Where none does, sizes from 16 to 192 MB cost the same. */
const YOUNG_GENERATION_MB = 96

/** A heap that the user has given to the program is meant for its threads too, which would not take it over by themselves. */
function heapLimit(): { readonly maxOldGenerationSizeMb?: number } {
  const words = [...process.execArgv, ...(process.env['NODE_OPTIONS'] ?? '').split(/\s+/)]
  const given = words
    .map((word) => /^--max[-_]old[-_]space[-_]size=(\d+)$/.exec(word)?.[1])
    .findLast((each) => each !== undefined)
  return given === undefined ? {} : { maxOldGenerationSizeMb: Number(given) }
}

/** What to do about a heap that is full, of whomever it is found. */
export const MEMORY_HINT =
  'keep less in variables of the job, set stateMemory lower, or give Node a larger heap: --max-old-space-size'

/** Threads of a pool, one long task each. The task's promise is the failure detector: it settles when the thread throws, exits or dies. */
export function startThreads(count: number, reference: ModuleReference, listener: WorkerListener): Workers {
  const pool = new Piscina({
    filename: WORKER_FILE.href,
    minThreads: count,
    maxThreads: count,
    concurrentTasksPerWorker: 1,
    idleTimeout: Number.POSITIVE_INFINITY,
    // The default would freeze the worker's event loop between tasks.
    atomics: 'disabled',
    recordTiming: false,
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB, ...heapLimit() },
  })
  const ports: MessagePort[] = []
  let ending = false
  // A thread that dies when its task is over already, or while the pool is being ended, is told here and nowhere else. Unheard it would be
  // an uncaught exception of the whole process.
  pool.on('error', (error: unknown) => {
    if (!ending) listener.onLost(-1, lost(undefined, messageOf(error), error))
  })
  const argv = [fileURLToPath(reference.module), ...process.argv.slice(2)]
  const tasks = Array.from({ length: count }, async (_, worker) => {
    const { port1, port2 } = new MessageChannel()
    ports[worker] = port1
    port1.on('message', (message: FromWorker) => listener.onMessage(message))
    const assignment: WorkerAssignment = { ...reference, argv, worker, port: port2 }
    try {
      // What keeps a worker from serving at all is the value of its task: a message might be lost with the port.
      const failure = (await pool.run(assignment, { transferList: [port2] })) as WireError | undefined
      if (!ending) listener.onLost(worker, failure === undefined ? lost(worker, 'its task returned') : fromWireError(failure))
    } catch (error) {
      if (!ending) listener.onLost(worker, lost(worker, messageOf(error), error))
    } finally {
      port1.close()
    }
  })
  const end = async (): Promise<void> => {
    ending = true
    await pool.destroy()
    await Promise.all(tasks)
  }
  return {
    count,
    post: (worker, message, transfer = []) => ports[worker]!.postMessage(message, transfer as ArrayBuffer[]),
    async stop() {
      ending = true
      for (const port of ports) port.postMessage({ type: 'stop' } satisfies ToWorker)
      await Promise.all(tasks)
      await pool.destroy()
    },
    kill: end,
  }
}

/** How a worker thread came to its end when nobody had asked for it. */
function lost(worker: number | undefined, why: string, cause?: unknown): SluiceError {
  const thread = worker === undefined ? 'a worker thread' : `worker thread ${worker}`
  if ((cause as NodeJS.ErrnoException | undefined)?.code === 'ERR_WORKER_OUT_OF_MEMORY') {
    return new SluiceError('OUT_OF_MEMORY', `${thread} is gone: its heap is full`, { cause, hint: MEMORY_HINT })
  }
  return new SluiceError('WORKER_LOST', `${thread} is gone: ${why}`, {
    ...(cause === undefined ? {} : { cause }),
    hint: 'code of the job that runs beside its records ended the thread: an error that nobody caught, a rejected promise, process.exit()',
  })
}

/** The same host in the calling thread, at the other end of a message channel. */
export function startInline(graph: StreamGraph, clock: Clock, base: BaseOf, listener: WorkerListener): Workers {
  const { port1, port2 } = new MessageChannel()
  port1.on('message', (message: FromWorker) => listener.onMessage(message))
  const served = new WorkerHost(port2, 0, graph, clock, base).serve()
  const stop = async (): Promise<void> => {
    port1.postMessage({ type: 'stop' } satisfies ToWorker)
    await served
    port1.close()
  }
  return {
    count: 1,
    post: (_, message, transfer = []) => port1.postMessage(message, transfer as ArrayBuffer[]),
    stop,
    kill: stop,
  }
}
