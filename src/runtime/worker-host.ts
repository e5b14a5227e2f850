import type { MessagePort } from 'node:worker_threads'
import { toWireError } from '../core/errors.ts'
import type { Clock } from '../core/time.ts'
import type { StreamGraph } from '../graph/stream-graph.ts'
import { describeGraph } from '../graph/stream-graph.ts'
import { Doorbells } from '../protocol/doorbell.ts'
import type { FromWorker, SubtaskSnapshot, ToWorker } from '../protocol/messages.ts'
import { buildTasks } from './build-tasks.ts'
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
  #attempt = 0
  #tasks: readonly Task[] = []
  #loop: TaskLoop | undefined
  #finish: (() => void) | undefined

  constructor(port: MessagePort, worker: number, graph: StreamGraph, clock: Clock) {
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
        for (const task of this.#tasks) task.trigger(message.checkpoint)
        break
      case 'abort-checkpoint':
        for (const task of this.#tasks) task.abort(message.checkpoint)
        break
    }
    this.#loop?.wake()
  }

  #deploy({ attempt, deployment }: Extract<ToWorker, { type: 'deploy' }>): void {
    this.#attempt = attempt
    const doorbells = new Doorbells(deployment.doorbells)
    this.#tasks = buildTasks(deployment, attempt, this.#graph, this.#clock, doorbells, {
      acknowledge: (checkpoint, snapshot) => this.#acknowledge(checkpoint, snapshot),
      ended: (subtask) => this.#send({ type: 'ended', attempt, subtask }),
      fail: (error) => this.#fail(error),
      wake: () => this.#loop?.wake(),
    })
    this.#loop = new TaskLoop(this.#tasks, doorbells, this.#worker, () => this.#clock.now())
    for (const task of this.#tasks) task.open()
    this.#send({ type: 'deployed', worker: this.#worker, attempt })
  }

  #start(): void {
    this.#loop!.run().catch((error: unknown) => this.#fail(error))
  }

  #acknowledge(checkpoint: number, snapshot: SubtaskSnapshot): void {
    const buffers = snapshot.operators.flatMap((operator) => operator.chunks.map((chunk) => chunk.bytes.buffer))
    this.#send({ type: 'acknowledge', attempt: this.#attempt, checkpoint, snapshot }, buffers)
  }

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
