import { CheckpointStore } from '../../checkpoint/checkpoint-store.ts'
import type { Tables } from '../../checkpoint/environment.ts'
import type { StoreSizes } from '../../checkpoint/surroundings.ts'
import { USUAL_SIZES } from '../../checkpoint/surroundings.ts'
import { Attempts } from '../../control/attempts.ts'
import { Committers } from '../../control/committers.ts'
import { Restoring } from '../../control/restoring.ts'
import type { JobSettings } from '../../control/settings.ts'
import { messageOf, SluiceError } from '../../core/errors.ts'
import { planExecution } from '../../graph/execution-plan.ts'
import type { StreamGraph } from '../../graph/stream-graph.ts'
import type { FaultPlan } from './faults.ts'
import { Died } from './faults.ts'
import type { SeededRandom } from './random.ts'
import type { SimulatedDisk } from './simulated-tables.ts'
import { SimulatedWorkers } from './simulated-workers.ts'
import type { Violation } from './violation.ts'
import type { Lane, World } from './world.ts'

/** What a process is started with. */
export interface ProcessParts {
  readonly pid: number
  readonly world: World
  readonly disk: SimulatedDisk
  readonly faults: FaultPlan
  readonly random: SeededRandom
  readonly settings: JobSettings
  /** Threads; more than 1 have rings between them. */
  readonly threads: number
  /** The job, with its ends as this process sees them. */
  readonly graph: (process: SimulatedProcess) => StreamGraph
  readonly report: (invariant: Violation['invariant'], message: string) => void
  /** Something is on the disk that was not. True: a checkpoint has come to be complete. */
  readonly onWritten: () => boolean
  /** The machine loses power. */
  readonly onPowerLost: () => void
}

/** How much likelier a process dies behind a complete checkpoint than elsewhere. */
const COMPLETE_FACTOR = 10

/** So little of everything that work of the store comes in many pieces. */
const SMALL_SIZES: StoreSizes = { chunkFlushBytes: 256, reusedBytesMin: 1, removeAtOnce: 3, foldBytes: 512, rowsAtOnce: 5 }
/** Longer than any piece of work of the store. */
const STEP_MS = 1_000

/** How a process ended. */
export type Ending =
  | { readonly how: 'finished' }
  | { readonly how: 'failed'; readonly error: SluiceError }
  | { readonly how: 'died' }

/**
 * A process that runs the job: the engine's own store, committers, restore, attempts and workers, in a world that can take it away at any moment. What
 * it still does after that has no effect on anything that outlives it.
 */
export class SimulatedProcess {
  readonly pid: number
  readonly #parts: ProcessParts
  #isAlive = true
  #workers: readonly SimulatedWorkers[] = []
  #ending: Ending | undefined
  #dieing: () => void = () => undefined

  constructor(parts: ProcessParts) {
    this.#parts = parts
    this.pid = parts.pid
  }

  get isAlive(): boolean {
    return this.#isAlive
  }

  /** Set once it has come to its end. */
  get ending(): Ending | undefined {
    return this.#ending
  }

  get lanes(): readonly Lane[] {
    return this.#isAlive ? this.#workers.flatMap(({ threads }) => threads.flatMap(({ lanes }) => lanes)) : []
  }

  get workers(): SimulatedWorkers | undefined {
    return this.#workers.at(-1)
  }

  /** When one of its tasks wants to be asked again though nothing has happened, in virtual time. */
  get wakesAtMs(): number {
    if (!this.#isAlive) return Number.POSITIVE_INFINITY
    const wakeups = this.#workers.flatMap(({ threads }) => threads.map(({ nextWakeup }) => nextWakeup))
    return Math.min(Number.POSITIVE_INFINITY, ...wakeups) - this.wallMs + this.#parts.world.timeline.nowMs
  }

  /** Begins. What happens then is up to the world. */
  start(): void {
    this.#run().then(
      (ending) => this.#end(ending),
      (error: unknown) => this.#end(endingOf(error)),
    )
  }

  /** All is over for it, between two steps or inside of one. */
  die(): void {
    if (!this.#isAlive) return
    this.#isAlive = false
    for (const workers of this.#workers) for (const thread of workers.threads) thread.die()
    this.#ending = { how: 'died' }
    this.#dieing()
  }

  /** The process may die here. @param factor how much likelier than elsewhere @throws Died */
  point(name: string, factor = 1): void {
    if (!this.#isAlive) throw new Died()
    const cause = this.#parts.faults.diesHere(factor)
    if (cause === undefined) return
    this.#parts.world.note(() => `process ${this.pid} dies${cause === 'power' ? ', as all do, of lost power' : ''}: ${name}`)
    this.die()
    if (cause === 'power') this.#parts.onPowerLost()
    throw new Died()
  }

  #end(ending: Ending): void {
    if (this.#ending !== undefined) return
    this.#ending = ending
    this.#isAlive = false
  }

  async #run(): Promise<Ending> {
    const { world, settings, graph: build, threads, random, faults } = this.#parts
    const timers = world.timersOf(() => this.#isAlive)
    const graph = build(this)
    const plan = planExecution(graph, { ...settings, workers: threads, module: 'simulation:' })
    let storedMs = 0
    const store = CheckpointStore.over('simulated', this.#tables(), {
      nowMs: () => (storedMs += random.chance(0.05) ? STEP_MS : 0),
      isRoomLeft: () => !this.#diskIsFull,
      sizes: random.chance(0.5) ? SMALL_SIZES : USUAL_SIZES,
      identity: () => ({ pid: this.pid, host: 'simulated' }),
      isAlive: (owner) => owner.pid === this.pid,
    })
    const claim = store.claim(() => 'run')
    if (store.finished) return { how: 'finished' }
    const committers = new Committers(graph, claim.run, (message) => world.note(() => message), {
      commitTimeoutMs: settings.commitTimeoutMs,
      now: () => timers.nowMs(),
      sleep: (ms, signal) => this.#sleep(ms, signal),
    })
    store.sweep()
    // Each look at the clock finds that time has passed, now and then more than a slice takes, so that work is cut at any place.
    let workedMs = 0
    const clock = { now: () => this.wallMs, elapsed: () => (workedMs += random.chance(0.15) ? 2 : random.fraction() * 0.5) }
    const note = (words: () => string): void => world.note(words)
    const evicts = random.chance(0.2)
    const attempts = new Attempts(
      {
        graph,
        plan,
        settings,
        store,
        committers,
        restoring: new Restoring(graph, plan, settings, store, timers, (message) => note(() => message)),
        timers,
        startWorkers: (listener) => {
          const base = (operator: string) => store.base(operator)
          const point = (name: string): void => this.point(name)
          const workers = new SimulatedWorkers(
            Math.max(1, threads),
            { graph, clock, base, random, faults, evicts, point, report: this.#parts.report, note },
            listener,
            (stopped) => {
              this.#workers = this.#workers.filter((each) => each !== stopped)
            },
          )
          this.#workers = [...this.#workers, workers]
          return workers
        },
        observer: {
          onDeployed: () => undefined,
          onCheckpoint: ({ checkpoint }) => note(() => `checkpoint ${checkpoint} is complete`),
          onCheckpointAborted: ({ checkpoint, failure }) => note(() => `checkpoint ${checkpoint}: ${failure?.message}`),
          onBadRecord: ({ message }) => note(() => `bad record: ${message}`),
          onFailed: (error, delayMs) => note(() => `${error.code} ${error.message}, again in ${delayMs} ms`),
        },
      },
      claim,
    )
    await Promise.race([attempts.run(), this.#death()])
    await committers.close(true)
    await store.release(true)
    return { how: 'finished' }
  }

  /** Somebody has set the clock of the machine. */
  clockOffsetMs = 0

  /** By the clock on the wall. */
  get wallMs(): number {
    return Math.floor(1_700_000_000_000 + this.#parts.world.timeline.nowMs + this.clockOffsetMs)
  }

  #death(): Promise<never> {
    return new Promise((_, reject) => {
      this.#dieing = () => reject(new Died())
    })
  }

  async #sleep(ms: number, signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const forget = this.#parts.world.timeline.set(resolve, ms)
      signal.addEventListener('abort', () => {
        forget()
        resolve()
      })
    })
  }

  // The disk, as this process sees it

  #diskIsFull = false
  #diskIsFullUntilMs = 0

  #tables(): Tables {
    const { disk } = this.#parts
    const root = {
      transactionSync: (action: () => unknown) =>
        disk.transaction({ beforeTransaction: () => this.#beforeWrite(), afterTransaction: () => this.#afterWrite() }, action),
      resetReadTxn: () => undefined,
      getStats: () => ({ pageSize: 4096, lastPageNumber: 1 }),
      close: async () => undefined,
    }
    const { meta, checkpoints, deltas, state, history } = disk
    return { path: 'simulated', root, meta, checkpoints, deltas, state, history } as unknown as Tables
  }

  #beforeWrite(): void {
    this.point('before a transaction')
    const { faults, world } = this.#parts
    if (faults.happens('full')) this.#diskIsFullUntilMs = world.timeline.nowMs + faults.random.between(5, 200)
    this.#diskIsFull = world.timeline.nowMs < this.#diskIsFullUntilMs
    if (this.#diskIsFull) throw new Error('no space left on the simulated disk')
    if (faults.happens('disk')) throw new Error('the simulated disk fails before it writes')
  }

  #afterWrite(): void {
    const isComplete = this.#parts.onWritten()
    // What goes on behind a checkpoint is what a restore has to set right: it is the likeliest place to die.
    this.point('after a transaction', isComplete ? COMPLETE_FACTOR : 1)
    if (this.#parts.faults.happens('disk')) throw new Error('the simulated disk fails after it has written')
  }
}

function endingOf(error: unknown): Ending {
  if (error instanceof Died) return { how: 'died' }
  return { how: 'failed', error: error instanceof SluiceError ? error : new SluiceError('STORE_FAILED', messageOf(error)) }
}
