import type { MessagePort } from 'node:worker_threads'
import { openForReading } from '../checkpoint/environment.ts'
import { StoredOperatorBase } from '../checkpoint/stored-base.ts'
import { toWireError } from '../core/errors.ts'
import type { Clock } from '../core/time.ts'
import { subtaskNames } from '../graph/execution-plan.ts'
import type { StreamGraph } from '../graph/stream-graph.ts'
import { describeGraph } from '../graph/stream-graph.ts'
import { Doorbells } from '../protocol/doorbell.ts'
import type { Deployment, FromWorker, StoredStates, ToWorker } from '../protocol/messages.ts'
import { Signals } from '../protocol/signals.ts'
import type { DeltaChunk } from '../state/delta-chunk.ts'
import type { BaseOf } from '../state/state-base.ts'
import { buildTasks } from './build-tasks.ts'
import { StateMemory, stateMemoryLimit } from './state-memory.ts'
import type { Task } from './task.ts'
import { TaskLoop } from './task-loop.ts'

/**
 * The worker's side of the conversation with the main thread: takes messages, runs tasks, reports. The same host runs in a worker thread
 * and, for `workers: 0`, in the main thread at the other end of a message channel.
 */
export class WorkerHost {
  readonly #port: MessagePort
  readonly #worker: number
  readonly #graph: StreamGraph
  readonly #clock: Clock
  readonly #ownBase: BaseOf | undefined
  #registry: StoredStates = []
  /** Sources that wait until it is noted how far they have read. */
  readonly #unnoted = new Map<string, (sequence: number) => void>()
  #attempt = 0
  #tasks: readonly Task[] = []
  #loop: TaskLoop | undefined
  #finish: (() => void) | undefined

  /** @param ownBase where the thread has the base at hand: one that writes it, too, does not open it a second time */
  constructor(port: MessagePort, worker: number, graph: StreamGraph, clock: Clock, ownBase?: BaseOf) {
    this.#ownBase = ownBase
    this.#port = port
    this.#worker = worker
    this.#graph = graph
    this.#clock = clock
  }

  /** Serves messages until told to stop. A task that fails is reported, and everything here stops running. */
  async serve(): Promise<void> {
    const stopped = new Promise<void>((resolve) => {
      this.#finish = resolve
    })
    this.#port.on('message', (message: ToWorker) => this.#onMessage(message))
    this.#send({ type: 'graph-built', worker: this.#worker, description: JSON.stringify(describeGraph(this.#graph)) })
    await stopped
    this.#closeTasks()
    this.#port.close()
  }

  #onMessage(message: ToWorker): void {
    try {
      this.#handle(message)
    } catch (error) {
      this.#fail(error)
    }
  }

  #handle(message: ToWorker): void {
    if (message.type === 'stop') {
      this.#loop?.stop()
      this.#finish?.()
      return
    }
    if (message.type === 'deploy') return this.#deploy(message)
    if (message.attempt !== this.#attempt) return
    switch (message.type) {
      case 'start':
        return this.#start()
      case 'trigger-checkpoint':
        for (const task of this.#tasks) task.trigger(message.checkpoint, message.final)
        break
      case 'abort-checkpoint':
        for (const task of this.#tasks) task.abort(message.checkpoint)
        break
      case 'drain':
        for (const task of this.#tasks) task.drain()
        break
      case 'go-on':
        for (const task of this.#tasks) task.goOn(message.checkpoint)
        break
      case 'read-noted':
        this.#unnoted.get(message.subtask)?.(message.sequence)
        break
      case 'folded':
        this.#registry = message.registry
        for (const task of this.#tasks) task.onFolded(message.checkpoint)
        break
    }
    this.#loop?.wake()
  }

  #deploy({ attempt, deployment }: Extract<ToWorker, { type: 'deploy' }>): void {
    this.#attempt = attempt
    this.#registry = deployment.registry
    const doorbells = new Doorbells(deployment.doorbells)
    const { plan, worker } = deployment
    this.#tasks = buildTasks(deployment, attempt, this.#graph, this.#clock, doorbells, this.#baseOf(deployment), {
      deltas: (checkpoint, operator, chunks) => this.#sendDeltas(checkpoint, operator, chunks),
      acknowledge: (checkpoint, snapshot, timing) => this.#send({ type: 'acknowledge', attempt, checkpoint, snapshot, timing }),
      progress: (checkpoint, subtask, phase) => this.#send({ type: 'progress', attempt, checkpoint, subtask, phase }),
      ended: (subtask) => this.#send({ type: 'ended', attempt, subtask }),
      read: (subtask, sequence, splits, noted) => {
        this.#unnoted.set(subtask, noted)
        this.#send({ type: 'read', attempt, subtask, sequence, splits })
      },
      fail: (error) => this.#fail(error),
      wake: () => this.#loop?.wake(),
    })
    const names = subtaskNames(plan)
    const signals = new Signals(deployment.signals, worker)
    const places = this.#tasks.map((task) => names.indexOf(task.name))
    const backends = this.#tasks.flatMap((task) => task.backends)
    this.#loop = new TaskLoop({
      tasks: this.#tasks,
      doorbells,
      worker,
      now: () => this.#clock.now(),
      signals,
      places,
      memory: new StateMemory(backends, stateMemoryLimit(deployment.stateMemoryBytes), (severe) =>
        this.#send({ type: 'memory-pressure', attempt, severe }),
      ),
    })
    this.#tasks.forEach((task, index) => {
      // What the job does when it opens may hang as well as what it does with a record.
      signals.beginStep(worker, places[index]!)
      task.open()
      signals.endRound(worker)
    })
    this.#send({ type: 'deployed', worker: this.#worker, attempt })
  }

  #start(): void {
    this.#loop!.run().catch((error: unknown) => this.#fail(error))
  }

  #sendDeltas(checkpoint: number, operator: string, chunks: readonly DeltaChunk[]): void {
    const buffers = chunks.map(({ bytes }) => bytes.buffer)
    this.#send({ type: 'deltas', attempt: this.#attempt, checkpoint, operator, chunks }, buffers)
  }

  /** The thread opens the base once, and for reading only: it may be ended at any time. */
  #baseOf({ stateFile }: Deployment): BaseOf {
    if (this.#ownBase !== undefined) return this.#ownBase
    if (stateFile === undefined) return () => undefined
    const tables = (this.#tables ??= openForReading(stateFile))
    return (operator) => new StoredOperatorBase(tables, operator, () => this.#registry)
  }

  #tables: ReturnType<typeof openForReading> | undefined

  #fail(error: unknown): void {
    this.#loop?.stop()
    this.#closeTasks()
    this.#send({ type: 'failed', attempt: this.#attempt, worker: this.#worker, error: toWireError(error) })
  }

  /** What happens while an attempt is given up changes nothing any more; the error that ended it has been sent. */
  #closeTasks(): void {
    for (const task of this.#tasks) {
      try {
        task.close()
      } catch (error) {
        process.emitWarning(`closing ${task.name}: ${String(error)}`)
      }
    }
  }

  #send(message: FromWorker, transfer: readonly ArrayBuffer[] = []): void {
    this.#port.postMessage(message, transfer as ArrayBuffer[])
  }
}
