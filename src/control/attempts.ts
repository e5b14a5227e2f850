import type { CheckpointStore, Claim } from '../checkpoint/checkpoint-store.ts'
import { SluiceError } from '../core/errors.ts'
import type { Timers } from '../core/time.ts'
import type { ExecutionPlan } from '../graph/execution-plan.ts'
import type { StreamGraph } from '../graph/stream-graph.ts'
import { describeGraph } from '../graph/stream-graph.ts'
import type { AttemptObserver, RegionParts } from './attempt.ts'
import { Attempt } from './attempt.ts'
import type { Committers } from './committers.ts'
import type { RestartStrategy } from './restart-strategy.ts'
import { restartStrategy } from './restart-strategy.ts'
import type { Restoring } from './restoring.ts'
import type { JobSettings } from './settings.ts'
import type { WorkerListener, Workers } from './workers.ts'

/** What all attempts of a run work with. */
export interface AttemptsParts {
  readonly graph: StreamGraph
  readonly plan: ExecutionPlan
  readonly settings: JobSettings
  readonly store: CheckpointStore
  readonly committers: Committers
  readonly restoring: Restoring
  readonly timers: Timers
  readonly startWorkers: (listener: WorkerListener) => Workers
  readonly observer: AttemptsObserver
}

/** What the person who watches the job wants to know. */
export interface AttemptsObserver extends AttemptObserver {
  /** @param tasks those that start again, when the others run on */
  onFailed(error: SluiceError, delayMs: number, tasks?: readonly string[]): void
}

/**
 * One attempt after the other: restore the newest checkpoint, run; after a failure wait as the restart strategy says, take the next number and do it
 * again. A region that starts again inside an attempt asks the same strategy.
 */
export class Attempts {
  readonly #parts: AttemptsParts
  readonly #strategy: RestartStrategy
  #claim: Claim
  #current: Attempt | undefined
  #restarts = 0
  #lastFailure: SluiceError | undefined
  #restarting = false
  /** How somebody wants it to end. */
  #ending: 'stop' | 'drain' | undefined
  #hurry: () => void = () => undefined

  /** @param claim the state has been taken for the first attempt */
  constructor(parts: AttemptsParts, claim: Claim) {
    this.#parts = parts
    this.#claim = claim
    this.#strategy = restartStrategy(parts.settings.restart)
  }

  get current(): Attempt | undefined {
    return this.#current
  }

  /** The number of the newest attempt, or of a region in it. */
  get number(): number {
    return this.#claim.attempt
  }

  /** How often the job, or a part of it, has started again. */
  get restarts(): number {
    return this.#restarts
  }

  /** Whether the next attempt is being waited for, or a region of this one. */
  get restarting(): boolean {
    return this.#restarting || this.#current?.isMissingRegion === true
  }

  get lastFailure(): SluiceError | undefined {
    return this.#lastFailure
  }

  /** Returns when the final checkpoint of one of them is complete and committed. @throws SluiceError what made the job fail for good */
  async run(): Promise<void> {
    for (let isFirst = true; ; isFirst = false) {
      try {
        // Also this may find no room on the disk, and be tried again.
        if (!isFirst) this.#claimNext()
        this.#current = this.#start()
        if (this.#ending === 'stop') this.#current.requestStop()
        else if (this.#ending === 'drain') this.#current.requestDrain()
        return await this.#current.run()
      } catch (error) {
        const failure = error instanceof SluiceError ? error : new SluiceError('OPERATOR_FAILED', String(error), { cause: error })
        const delayMs = this.#decide(failure)
        if (delayMs === undefined) throw failure
        this.#restarting = true
        this.#parts.observer.onFailed(failure, delayMs)
        await this.#pause(delayMs)
        this.#restarting = false
      }
    }
  }

  /** One more checkpoint, and it is over. What fails after that ends the job. */
  requestStop(): void {
    this.#ending = 'stop'
    this.#hurry()
    this.#current?.requestStop()
  }

  /** Sources read no more; everything behind them comes to its end, and then the job. */
  requestDrain(): void {
    this.#ending = 'drain'
    this.#hurry()
    this.#current?.requestDrain()
  }

  async #pause(delayMs: number): Promise<void> {
    if (this.#ending !== undefined) return
    await new Promise<void>((resolve) => {
      const forgetTimer = this.#parts.timers.set(resolve, delayMs)
      this.#hurry = () => {
        forgetTimer()
        resolve()
      }
    })
    this.#hurry = () => undefined
  }

  /** Milliseconds to wait before what has failed starts again; `undefined`: it does not. */
  #decide(failure: SluiceError): number | undefined {
    const isHopeless = !failure.canRestart || this.#ending !== undefined
    const delayMs = isHopeless ? undefined : this.#strategy.onFailure(this.#parts.timers.nowMs())
    if (delayMs === undefined) return undefined
    this.#restarts++
    this.#lastFailure = failure
    return delayMs
  }

  #claimNext(): void {
    this.#claim = this.#parts.store.nextAttempt()
    this.#parts.store.sweep()
  }

  #start(): Attempt {
    const { restoring, graph, ...parts } = this.#parts
    const latest = parts.store.latest()
    return new Attempt({
      ...parts,
      graph: describeGraph(graph),
      run: this.#claim.run,
      attempt: this.#claim.attempt,
      prepared: restoring.prepare(latest, this.#claim, parts.committers),
      regions: this.#regionParts(),
    })
  }

  #regionParts(): RegionParts {
    const { store, committers, settings, observer, restoring } = this.#parts
    return {
      decide: (error, region) => {
        const delayMs = this.#decide(error)
        if (delayMs !== undefined) observer.onFailed(error, delayMs, [...region.tasks])
        return delayMs
      },
      sweep: async ({ operators }) => {
        // The number comes first: a process that another one has taken the state from is stopped here, before it touches an output.
        const attempt = store.raiseAttempt()
        this.#claim = { ...this.#claim, attempt }
        await committers.reopen(operators, { attempt, fresh: store.latest()!.initial, overwrite: settings.overwrite })
      },
      prepare: (region) => restoring.prepareRegion(region, store.raiseAttempt()),
    }
  }
}
