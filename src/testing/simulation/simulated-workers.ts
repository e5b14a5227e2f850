import type { WorkerListener, Workers } from '../../control/workers.ts'
import { SluiceError } from '../../core/errors.ts'
import type { Clock } from '../../core/time.ts'
import type { StreamGraph } from '../../graph/stream-graph.ts'
import type { FromWorker, ToWorker } from '../../protocol/messages.ts'
import type { Task } from '../../runtime/task.ts'
import type { Loop, LoopParts, LoopTask } from '../../runtime/task-loop.ts'
import { WorkerHost } from '../../runtime/worker-host.ts'
import type { BaseOf } from '../../state/state-base.ts'
import type { FaultPlan } from './faults.ts'
import type { SeededRandom } from './random.ts'
import type { Violation } from './violation.ts'
import type { Lane } from './world.ts'

/** What simulated threads work with. */
export interface ThreadParts {
  readonly graph: StreamGraph
  readonly clock: Clock
  readonly base: BaseOf
  readonly random: SeededRandom
  readonly faults: FaultPlan
  /** State does not fit in memory: it is evicted at any moment. */
  readonly evicts: boolean
  /** Somebody may die at this point; throws when the whole process does. */
  readonly point: (name: string) => void
  readonly report: (invariant: Violation['invariant'], message: string) => void
  readonly note: (words: () => string) => void
}

/**
 * A worker thread that runs when it is told: a real host with real tasks, whose messages wait until somebody delivers them, in their order. A thread
 * that is dead does nothing any more; what it had said may still come.
 */
export class SimulatedThread implements Loop {
  readonly worker: number
  readonly #parts: ThreadParts
  readonly #inbox: ToWorker[] = []
  readonly #outbox: FromWorker[] = []
  readonly #listener: WorkerListener
  #hear: (message: ToWorker) => void = () => undefined
  #loop: LoopParts | undefined
  #tasks: readonly LoopTask[] = []
  #runs = false
  #isAlive = true
  #ended: () => void = () => undefined
  #idle = false
  #slow: Task | undefined
  /** The lane in which its tasks work, and those of its messages. */
  readonly lanes: readonly Lane[]

  constructor(worker: number, parts: ThreadParts, listener: WorkerListener) {
    this.worker = worker
    this.#parts = parts
    this.#listener = listener
    this.lanes = [
      { name: `worker ${worker} works`, act: () => this.#work() },
      { name: `worker ${worker} hears`, act: () => this.#takeMessage() },
      { name: `main hears worker ${worker}`, act: () => this.#deliver() },
    ]
    const port = {
      on: (_: 'message', hear: (message: ToWorker) => void) => {
        this.#hear = hear
      },
      postMessage: (message: FromWorker) => {
        if (this.#isAlive) this.#send(this.#outbox, withoutHeap(message))
      },
      close: () => undefined,
    }
    const host = new WorkerHost(port, worker, parts.graph, parts.clock, parts.base, (loop) => {
      this.#loop = loop
      return this
    })
    host.serve().catch((error: unknown) => this.die(error))
  }

  post(message: ToWorker): void {
    if (this.#isAlive) this.#send(this.#inbox, message)
  }

  /** What nobody can do without arrives once; of the rest the protocol has to bear it when it does not, or twice. */
  #send<M extends ToWorker | FromWorker>(box: M[], message: M): void {
    const { faults, random, note } = this.#parts
    if (!BEARABLE.has(message.type) || !faults.happens('notice')) return void box.push(message)
    const isLost = random.chance(0.5)
    note(() => `worker ${this.worker}: ${describe(message)} comes ${isLost ? 'never' : 'twice'}`)
    if (!isLost) box.push(message, message)
  }

  /** When its tasks want to be asked again though nothing has happened, by the clock of the job. */
  get nextWakeup(): number {
    if (!this.#isAlive || !this.#runs) return Number.POSITIVE_INFINITY
    return Math.min(Number.POSITIVE_INFINITY, ...this.#tasks.map(({ task }) => task.nextWakeup()))
  }

  /** All tasks that run here. */
  get tasks(): readonly Task[] {
    return this.#tasks.map(({ task }) => task)
  }

  /** Ends at once, in the middle of whatever it did. @param told whether anybody is told */
  die(error?: unknown): void {
    if (!this.#isAlive) return
    this.#isAlive = false
    this.#inbox.length = 0
    this.#ended()
    if (error === undefined) return
    const lost = error instanceof SluiceError ? error : new SluiceError('WORKER_LOST', `worker ${this.worker}: ${String(error)}`)
    this.#listener.onLost(this.worker, lost)
  }

  /** What it has said and nobody has heard is lost. */
  forget(): void {
    this.#outbox.length = 0
  }

  #work(): boolean {
    if (!this.#isAlive || !this.#runs || this.#tasks.length === 0) return false
    if (this.#idle && !this.#tasks.some(({ task }) => task.ready) && this.nextWakeup > this.#parts.clock.now()) return false
    if (this.#parts.evicts && this.#parts.random.chance(0.05)) this.#runShort()
    this.#idle = !this.#stepAny()
    return !this.#idle
  }

  #stepAny(): boolean {
    const { random } = this.#parts
    const tasks = this.#tasks
    // One of them is slow for a while: what is on its way to it, and nothing else, comes to lie in the channels.
    if (random.chance(0.05)) this.#slow = random.chance(0.7) ? random.pick(tasks).task : undefined
    const first = random.below(tasks.length)
    for (let index = 0; index < tasks.length; index++) {
      const { task } = tasks[(first + index) % tasks.length]!
      if (task === this.#slow && random.chance(0.95)) continue
      if (this.#step(task)) return true
    }
    return this.#slow !== undefined && this.#slow.state !== 'closed' && this.#step(this.#slow)
  }

  /** Memory is short. */
  #runShort(): void {
    const { random } = this.#parts
    for (const { task } of this.#tasks) for (const backend of task.backends) backend.evict(random.between(0, 20))
    if (random.chance(0.1)) this.#loop!.memory.complain(random.chance(0.5))
  }

  #step(task: Task): boolean {
    try {
      const worked = task.step()
      if (task.waiting > WAITING_MAX) {
        const where = `an output of '${task.name}'`
        this.#parts.report(
          'queues are bounded',
          `${task.waiting} elements wait in ${where}, and more than ${WAITING_MAX} never should`,
        )
      }
      return worked
    } catch (error) {
      this.#loop!.onFailed(task, task.locate(error))
      return true
    }
  }

  #takeMessage(): boolean {
    const message = this.#inbox.shift()
    if (message === undefined || !this.#isAlive) return false
    this.#parts.note(() => `worker ${this.worker} hears ${describe(message)}`)
    this.#idle = false
    this.#hear(message)
    return true
  }

  #deliver(): boolean {
    const message = this.#outbox.shift()
    if (message === undefined) return false
    this.#parts.note(() => `main hears worker ${this.worker}: ${describe(message)}`)
    this.#parts.point(`main hears ${message.type}`)
    this.#listener.onMessage(message)
    this.#parts.point(`main has heard ${message.type}`)
    return true
  }

  // The loop, as the host sees it

  add(tasks: readonly LoopTask[]): void {
    this.#tasks = [...this.#tasks, ...tasks]
    this.#idle = false
  }

  remove(tasks: readonly Task[]): void {
    this.#tasks = this.#tasks.filter(({ task }) => !tasks.includes(task))
  }

  wake(): void {
    this.#idle = false
  }

  stop(): void {
    this.#runs = false
    this.#ended()
  }

  async run(): Promise<void> {
    this.#runs = true
    await new Promise<void>((resolve) => {
      this.#ended = resolve
    })
  }
}

/** A channel is full at 8; the rest is what one step may add to it: a batch, watermarks, a barrier. */
const WAITING_MAX = 10

/** Messages without which a job comes on, sooner or later, and which may come twice. An acknowledgement is none: it brings what was prepared. */
const BEARABLE: ReadonlySet<(ToWorker | FromWorker)['type']> = new Set([
  'trigger-checkpoint',
  'abort-checkpoint',
  'folded',
  'progress',
] as const)

/** The threads of one attempt. */
export class SimulatedWorkers implements Workers {
  readonly threads: readonly SimulatedThread[]
  readonly #stopped: (workers: SimulatedWorkers) => void

  /** @param stopped is told when no thread runs any more */
  constructor(count: number, parts: ThreadParts, listener: WorkerListener, stopped: (workers: SimulatedWorkers) => void) {
    this.threads = Array.from({ length: count }, (_, worker) => new SimulatedThread(worker, parts, listener))
    this.#stopped = stopped
  }

  get count(): number {
    return this.threads.length
  }

  post(worker: number, message: ToWorker): void {
    this.threads[worker]!.post(message)
  }

  async stop(): Promise<void> {
    await this.kill()
  }

  async kill(): Promise<void> {
    for (const thread of this.threads) thread.die()
    this.#stopped(this)
  }
}

/** How full the heap of the real thread is has nothing to do with the simulated one. */
function withoutHeap(message: FromWorker): FromWorker {
  return message.type === 'acknowledge' ? { ...message, timing: { ...message.timing, heapBytes: 0 } } : message
}

/** The words of a message that tell it from others of its type. */
function describe(message: ToWorker | FromWorker): string {
  const named = message as unknown as Readonly<Record<string, unknown>>
  const words = ['checkpoint', 'subtask', 'operator', 'phase', 'region', 'round'].flatMap((name) =>
    typeof named[name] === 'string' || typeof named[name] === 'number' ? [`${name} ${named[name]}`] : [],
  )
  if (message.type === 'acknowledge') words.push(`${message.snapshot.task}/${message.snapshot.subtask}`)
  return [message.type, ...words].join(' ')
}
