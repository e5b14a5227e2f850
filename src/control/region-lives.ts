import type { SluiceError } from '../core/errors.ts'
import type { Timers } from '../core/time.ts'
import { taskOfSubtask } from '../graph/execution-plan.ts'
import type { Region } from '../graph/regions.ts'
import type { RegionCommand } from './region-restarts.ts'
import { RegionRestarts } from './region-restarts.ts'

/** The hands of the restarts of regions, as the attempt lends them. */
export interface RegionHands {
  readonly workers: number
  readonly timers: Timers
  /** How long to wait before the region starts again; `undefined`: it does not, and the whole attempt fails with the error. */
  decide(error: SluiceError, region: Region): number | undefined
  fail(error: unknown): void
  /** No checkpoint can be taken from now on. */
  pause(): void
  /** Takes back what the region did since the last complete checkpoint, and tells the workers to close it. */
  close(region: number, round: number): void
  /** The outputs of the region are made ready for its next start. */
  sweep(region: Region): Promise<void>
  /** Tells the workers to build it again. */
  deploy(region: number, round: number): void
  start(region: number, round: number): void
  resume(): void
}

/**
 * Carries out what `RegionRestarts` decides, in one attempt. After `stop` has settled nothing of it touches the store or an output.
 */
export class RegionLives {
  readonly #regions: readonly Region[]
  readonly #hands: RegionHands
  readonly #restarts: RegionRestarts
  /** By region: cuts its pause short. */
  readonly #waiting = new Map<number, () => void>()
  #sweeping: Promise<unknown> = Promise.resolve()
  #hurries = false
  #over = false

  constructor(regions: readonly Region[], hands: RegionHands) {
    this.#regions = regions
    this.#hands = hands
    this.#restarts = new RegionRestarts(regions.length, hands.workers)
  }

  /** Whether what is told of this task comes from one that runs: while its region is away it is of the past. */
  isRunning(task: string): boolean {
    return this.#restarts.isRunning(this.#regionOf(({ tasks }) => tasks.has(task)))
  }

  isRunningSubtask(subtask: string): boolean {
    return this.isRunning(taskOfSubtask(subtask))
  }

  isRunningOperator(operator: string): boolean {
    return this.#restarts.isRunning(this.#regionOf(({ operators }) => operators.has(operator)))
  }

  /** Whether all regions run. */
  get allRunning(): boolean {
    return this.#restarts.allRunning
  }

  onFailed(region: number, error: SluiceError): void {
    if (!this.#restarts.canFail(region)) return
    const delayMs = this.#hands.decide(error, this.#regions[region]!)
    if (delayMs === undefined) this.#hands.fail(error)
    else this.#obey(this.#restarts.onFailed(region, delayMs))
  }

  onClosed(region: number, round: number, worker: number): void {
    this.#obey(this.#restarts.onClosed(region, round, worker))
  }

  onDeployed(region: number, round: number, worker: number): void {
    this.#obey(this.#restarts.onDeployed(region, round, worker))
  }

  /** Somebody waits for the job to stop: nobody waits before a restart any more. */
  hurry(): void {
    this.#hurries = true
    for (const go of [...this.#waiting.values()]) go()
  }

  async stop(): Promise<void> {
    this.#over = true
    for (const go of [...this.#waiting.values()]) go()
    await this.#sweeping
  }

  #regionOf(isIt: (region: Region) => boolean): number {
    return this.#regions.findIndex(isIt)
  }

  #obey(commands: readonly RegionCommand[]): void {
    for (const command of commands) if (!this.#over) this.#carryOut(command)
  }

  #carryOut(command: RegionCommand): void {
    switch (command.type) {
      case 'pause':
        return this.#hands.pause()
      case 'close':
        return this.#hands.close(command.region, command.round)
      case 'wait':
        // Without their values: each would hold those of all before it.
        this.#sweeping = Promise.all([this.#sweeping, this.#wait(command.region, command.round, command.delayMs)]).then(
          () => undefined,
        )
        return
      case 'deploy':
        return this.#hands.deploy(command.region, command.round)
      case 'start':
        return this.#hands.start(command.region, command.round)
      case 'resume':
        return this.#hands.resume()
    }
  }

  async #wait(region: number, round: number, delayMs: number): Promise<void> {
    try {
      await Promise.all([this.#pause(region, delayMs), this.#hands.sweep(this.#regions[region]!)])
      this.#obey(this.#restarts.onWaited(region, round))
    } catch (error) {
      this.#hands.fail(error)
    }
  }

  async #pause(region: number, delayMs: number): Promise<void> {
    if (this.#hurries || this.#over) return
    await new Promise<void>((resolve) => {
      const forgetTimer = this.#hands.timers.set(resolve, delayMs)
      this.#waiting.set(region, () => {
        forgetTimer()
        resolve()
      })
    })
    this.#waiting.delete(region)
  }
}
