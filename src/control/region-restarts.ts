import { assert } from '../core/assert.ts'

/** What is to be done with the regions of a running attempt. */
export type RegionCommand =
  /** The first region is lost: no checkpoint can be taken, those in flight are given up. */
  | { readonly type: 'pause' }
  /** What the region has prepared or written since the last complete checkpoint counts for nothing; its tasks are closed, wherever they run. */
  | { readonly type: 'close'; readonly region: number; readonly round: number }
  /** Nothing of the region runs any more: say `onWaited` after the pause that the restart strategy wants. */
  | { readonly type: 'wait'; readonly region: number; readonly round: number; readonly delayMs: number }
  /** Build the region's tasks again, from the last complete checkpoint. */
  | { readonly type: 'deploy'; readonly region: number; readonly round: number }
  /** All workers have: their records flow. */
  | { readonly type: 'start'; readonly region: number; readonly round: number }
  /** All regions run again: checkpoints may be taken. */
  | { readonly type: 'resume' }

/** What one region is doing. */
type Life =
  | { readonly state: 'running' }
  /** Workers close its tasks. */
  | { readonly state: 'closing'; readonly round: number; readonly delayMs: number; readonly missing: Set<number> }
  | { readonly state: 'waiting'; readonly round: number }
  /** Workers build its tasks. */
  | { readonly state: 'deploying'; readonly round: number; readonly missing: Set<number> }

/**
 * Decides how a region that has failed comes back while the others run on. It has no hands: messages go in, commands come out. What always holds:
 *
 * 1. A region is deployed only after every worker has said that it has closed what it ran of it; so nothing of two rounds runs at a time, and
 *    what a worker tells of the region between `close` and its answer is of the past.
 * 2. Rounds rise, and an answer of an older round counts for nothing.
 * 3. A region starts only when every worker has built its share: its channels have both ends.
 * 4. Between `pause` and `resume` at least one region is not running.
 */
export class RegionRestarts {
  readonly #workers: number
  readonly #lives: Life[]
  #round = 0

  constructor(regions: number, workers: number) {
    this.#workers = workers
    this.#lives = Array.from({ length: regions }, () => ({ state: 'running' }))
  }

  isRunning(region: number): boolean {
    return this.#lives[region]!.state === 'running'
  }

  get allRunning(): boolean {
    return this.#lives.every(({ state }) => state === 'running')
  }

  /** Whether a failure that is told now is a new one. While a region is being closed its other workers tell what they ran into before. */
  canFail(region: number): boolean {
    const { state } = this.#lives[region]!
    return state === 'running' || state === 'deploying'
  }

  /** Something of the region has failed, in whichever worker, and is to be tried again so long after its end. */
  onFailed(region: number, delayMs: number): readonly RegionCommand[] {
    assert(this.canFail(region), `region ${region} fails while it is ${this.#lives[region]!.state}`)
    const pause = this.allRunning
    const round = ++this.#round
    this.#lives[region] = { state: 'closing', round, delayMs, missing: this.#everyone() }
    return [...(pause ? [{ type: 'pause' } as const] : []), { type: 'close', region, round }]
  }

  onClosed(region: number, round: number, worker: number): readonly RegionCommand[] {
    const life = this.#lives[region]!
    if (life.state !== 'closing' || life.round !== round) return []
    life.missing.delete(worker)
    if (life.missing.size > 0) return []
    this.#lives[region] = { state: 'waiting', round }
    return [{ type: 'wait', region, round, delayMs: life.delayMs }]
  }

  onWaited(region: number, round: number): readonly RegionCommand[] {
    const life = this.#lives[region]!
    if (life.state !== 'waiting' || life.round !== round) return []
    this.#lives[region] = { state: 'deploying', round, missing: this.#everyone() }
    return [{ type: 'deploy', region, round }]
  }

  onDeployed(region: number, round: number, worker: number): readonly RegionCommand[] {
    const life = this.#lives[region]!
    if (life.state !== 'deploying' || life.round !== round) return []
    life.missing.delete(worker)
    if (life.missing.size > 0) return []
    this.#lives[region] = { state: 'running' }
    return [{ type: 'start', region, round }, ...(this.allRunning ? [{ type: 'resume' } as const] : [])]
  }

  #everyone(): Set<number> {
    return new Set(Array.from({ length: this.#workers }, (_, worker) => worker))
  }
}
