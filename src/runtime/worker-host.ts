import { openInThread } from '../checkpoint/environment.ts'
import { StoredOperatorBase } from '../checkpoint/stored-base.ts'
import { toWireError } from '../core/errors.ts'
import type { Clock } from '../core/time.ts'
import type { ExecutionPlan } from '../graph/execution-plan.ts'
import { subtaskNames } from '../graph/execution-plan.ts'
import type { Region } from '../graph/regions.ts'
import { regionsOf } from '../graph/regions.ts'
import type { StreamGraph } from '../graph/stream-graph.ts'
import { describeGraph } from '../graph/stream-graph.ts'
import { Doorbells } from '../protocol/doorbell.ts'
import type { Deployment, FromWorker, StoredStates, ToWorker } from '../protocol/messages.ts'
import { Signals } from '../protocol/signals.ts'
import { reuse } from '../state/chunk-memory.ts'
import type { KeyedBackend } from '../state/keyed-backend.ts'
import type { BaseOf } from '../state/state-base.ts'
import type { WorkerReports } from './build-tasks.ts'
import { buildTasks } from './build-tasks.ts'
import { StateMemory, stateMemoryLimit } from './state-memory.ts'
import type { Task } from './task.ts'
import type { Loop, LoopParts, LoopTask } from './task-loop.ts'
import { TaskLoop } from './task-loop.ts'

/** The end of the conversation that a host holds: a message port, or what takes its place. */
export interface HostPort {
  on(event: 'message', listener: (message: ToWorker) => void): unknown
  postMessage(message: FromWorker, transfer: readonly ArrayBuffer[]): void
  close(): void
}

/** What runs here of a region. */
interface RunningRegion {
  readonly plan: ExecutionPlan
  tasks: readonly Task[]
  /** False: it is closed, and whatever its tasks still tell is of the past. */
  isOpen: boolean
}

/**
 * The worker's side of the conversation with the main thread: takes messages, runs tasks, reports. The same host runs in a worker thread
 * and, for `workers: 0`, in the main thread at the other end of a message channel.
 */
export class WorkerHost {
  readonly #port: HostPort
  readonly #worker: number
  readonly #graph: StreamGraph
  readonly #clock: Clock
  readonly #ownBase: BaseOf | undefined
  #registry: StoredStates = []
  /** Sources that wait until it is noted how far they have read. */
  readonly #unnoted = new Map<string, (sequence: number) => void>()
  #attempt = 0
  #regions: readonly Region[] = []
  /** By number of the region. */
  readonly #running = new Map<number, RunningRegion>()
  #isolatesRegions = false
  #signals: Signals | undefined
  readonly #createLoop: (parts: LoopParts) => Loop
  #loop: Loop | undefined
  #finish: (() => void) | undefined

  /** @param ownBase where the thread has the base at hand: one that writes it, too, does not open it a second time */
  constructor(
    port: HostPort,
    worker: number,
    graph: StreamGraph,
    clock: Clock,
    ownBase?: BaseOf,
    createLoop: (parts: LoopParts) => Loop = (parts) => new TaskLoop(parts),
  ) {
    this.#createLoop = createLoop
    this.#ownBase = ownBase
    this.#port = port
    this.#worker = worker
    this.#graph = graph
    this.#clock = clock
  }

  /** Serves messages until told to stop. A task that fails is reported, and its region, or everything here, stops running. */
  async serve(): Promise<void> {
    const stopped = new Promise<void>((resolve) => {
      this.#finish = resolve
    })
    this.#port.on('message', (message: ToWorker) => this.#onMessage(message))
    this.#send({ type: 'graph-built', worker: this.#worker, description: JSON.stringify(describeGraph(this.#graph)) })
    await stopped
    this.#closeAll()
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
      case 'close-region':
        this.#closeRegion(message.region)
        return this.#tellRegion('region-closed', message)
      case 'deploy-region':
        return this.#deployRegion(message)
      case 'start-region':
        return this.#startRegion(message.region)
      case 'drain':
        for (const task of this.#tasks) task.drain()
        break
      case 'chunk-memory':
        return reuse(message.pieces)
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

  get #tasks(): readonly Task[] {
    return [...this.#running.values()].flatMap(({ tasks }) => tasks)
  }

  #deploy({ attempt, deployment }: Extract<ToWorker, { type: 'deploy' }>): void {
    const { plan, worker } = deployment
    this.#attempt = attempt
    this.#registry = deployment.registry
    this.#isolatesRegions = deployment.isolatesRegions === true
    this.#regions = regionsOf(plan)
    this.#signals = new Signals(deployment.signals, worker)
    const backends = (): readonly KeyedBackend[] => this.#tasks.flatMap((task) => task.backends)
    const memoryBytes = stateMemoryLimit(deployment.stateMemoryBytes)
    this.#loop = this.#createLoop({
      doorbells: new Doorbells(deployment.doorbells),
      worker,
      now: () => this.#clock.now(),
      signals: this.#signals,
      memory: new StateMemory(backends, memoryBytes, (severe) => this.#send({ type: 'memory-pressure', attempt, severe })),
      onFailed: (task, error) => this.#failRegion(this.#regionOf(task), error),
    })
    const regions = this.#regions.keys().map((region) => this.#build(region, deployment, attempt))
    for (const region of [...regions]) this.#open(region)
    this.#send({ type: 'deployed', worker: this.#worker, attempt })
  }

  #build(region: number, deployment: Deployment, stagingAttempt: number): RunningRegion {
    const { tasks } = this.#regions[region]!
    const running: RunningRegion = { tasks: [], isOpen: true, plan: deployment.plan }
    this.#running.set(region, running)
    running.tasks = buildTasks(
      { ...deployment, tasks },
      stagingAttempt,
      this.#graph,
      this.#clock,
      new Doorbells(deployment.doorbells),
      this.#baseOf(deployment),
      this.#reportsOf(region, running),
    )
    return running
  }

  /** What the tasks of a region tell. Once it is closed nobody hears of it any more: what was under way then is not to be mixed with what comes. */
  #reportsOf(region: number, running: RunningRegion): WorkerReports {
    const attempt = this.#attempt
    const send = (message: FromWorker, transfer?: readonly ArrayBuffer[]): void => {
      if (running.isOpen) this.#send(message, transfer)
    }
    return {
      deltas: (checkpoint, operator, chunks) => {
        const buffers = chunks.map(({ bytes }) => bytes.buffer)
        send({ type: 'deltas', worker: this.#worker, attempt, checkpoint, operator, chunks }, buffers)
      },
      acknowledge: (checkpoint, snapshot, timing) => send({ type: 'acknowledge', attempt, checkpoint, snapshot, timing }),
      progress: (checkpoint, subtask, phase) => send({ type: 'progress', attempt, checkpoint, subtask, phase }),
      ended: (subtask) => send({ type: 'ended', attempt, subtask }),
      read: (subtask, sequence, splits, noted) => {
        this.#unnoted.set(subtask, noted)
        send({ type: 'read', attempt, subtask, sequence, splits })
      },
      badRecord: (error) => send({ type: 'bad-record', attempt, error: toWireError(error) }),
      fail: (error) => {
        if (running.isOpen) this.#failRegion(region, error)
      },
      wake: () => this.#loop?.wake(),
    }
  }

  #open(running: RunningRegion): void {
    for (const { task, place } of placesOf(running)) {
      // What the job does when it opens may hang as well as what it does with a record.
      this.#signals!.beginStep(this.#worker, place)
      task.open()
      this.#signals!.endRound(this.#worker)
    }
  }

  #start(): void {
    for (const region of this.#regions.keys()) this.#startRegion(region)
    this.#loop!.run().catch((error: unknown) => this.#fail(error))
  }

  // Regions

  #deployRegion(message: Extract<ToWorker, { type: 'deploy-region' }>): void {
    const { region, deployment, stagingAttempt } = message
    this.#registry = deployment.registry
    // What the base has taken over since this thread last looked is not among the changes that come with the deployment.
    this.#tables?.root.resetReadTxn()
    try {
      this.#open(this.#build(region, deployment, stagingAttempt))
    } catch (error) {
      return this.#failRegion(region, error)
    }
    this.#tellRegion('region-deployed', message)
  }

  #startRegion(region: number): void {
    const running = this.#running.get(region)
    if (running !== undefined) this.#loop!.add(placesOf(running))
  }

  #tellRegion(type: 'region-closed' | 'region-deployed', { region, round }: { region: number; round: number }): void {
    this.#send({ type, attempt: this.#attempt, worker: this.#worker, region, round })
  }

  #regionOf(task: Task): number {
    return this.#regions.findIndex(({ tasks }) => tasks.has(task.id))
  }

  #failRegion(region: number, error: unknown): void {
    if (!this.#isolatesRegions) return this.#fail(error)
    this.#closeRegion(region)
    this.#send({ type: 'failed', attempt: this.#attempt, worker: this.#worker, region, error: toWireError(error) })
  }

  #closeRegion(region: number): void {
    const running = this.#running.get(region)
    if (running === undefined) return
    this.#running.delete(region)
    running.isOpen = false
    this.#loop?.remove(running.tasks)
    closeTasks(running.tasks)
  }

  /** The thread opens the base once, and for reading only: it may be ended at any time. */
  #baseOf({ stateFile }: Deployment): BaseOf {
    if (this.#ownBase !== undefined) return this.#ownBase
    if (stateFile === undefined) return () => undefined
    const tables = (this.#tables ??= openInThread(stateFile))
    return (operator) => new StoredOperatorBase(tables, operator, () => this.#registry)
  }

  #tables: ReturnType<typeof openInThread> | undefined

  #fail(error: unknown): void {
    this.#loop?.stop()
    this.#closeAll()
    this.#send({ type: 'failed', attempt: this.#attempt, worker: this.#worker, error: toWireError(error) })
  }

  #closeAll(): void {
    for (const region of [...this.#running.keys()]) this.#closeRegion(region)
  }

  #send(message: FromWorker, transfer: readonly ArrayBuffer[] = []): void {
    this.#port.postMessage(message, transfer)
  }
}

/** What happens while tasks are given up changes nothing any more; the error that ended them has been sent. */
function closeTasks(tasks: readonly Task[]): void {
  for (const task of tasks) {
    try {
      task.close()
    } catch (error) {
      process.emitWarning(`closing ${task.name}: ${String(error)}`)
    }
  }
}

function placesOf({ tasks, plan }: RunningRegion): readonly LoopTask[] {
  const names = subtaskNames(plan)
  return tasks.map((task) => ({ task, place: names.indexOf(task.name) }))
}
