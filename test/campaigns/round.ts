import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { RunOptions } from '../../src/index.ts'
import { expectedOutput } from './expected-output.ts'
import { FaultActions, FULL_DISK_CODES, type Scene } from './fault-actions.ts'
import { JobRun } from './job-run.ts'
import { interruptedImport, leftSavepoint, troublesOf } from './judgement.ts'
import { withdrawOrder } from './ordered-fault.ts'
import { OutputWatcher } from './output-watcher.ts'
import { type FaultKind, type PlanSettings, type Step, stepOf } from './plan.ts'
import type { InputShape } from './records.ts'
import { SmallDisk } from './small-disk.ts'
import { damageNewestCheckpoint, parallelismWithRecordsOnTheirWay, storeTroubles } from './stored-state.ts'

/*
 * One job from its beginning to its end, killed again and again, disturbed in between, and started anew under other settings. Its committed output is
 * read all the while, and must be what a model and an undisturbed run say.
 *
 * The parallelism changes at every start, also from a checkpoint with records on their way: one subtask reads the stream in which records are late,
 * so which of them are follows from its order alone, whoever handles them.
 */

export interface RoundOptions extends PlanSettings {
  readonly input: InputShape
  /** After so many the job is left to come to its end. */
  readonly kills: number
  /** So it is after this time, as `performance.now()` tells it. */
  readonly untilMs?: number
  /** The folder stays, for looking into it. */
  readonly keep?: boolean
}

export interface RoundResult {
  readonly seed: number
  readonly starts: number
  readonly restarts: number
  readonly checkpoints: number
  /** Checkpoints with records on their way that a start began with. */
  readonly unalignedStarts: number
  /** Those of them that had another parallelism than the checkpoint. */
  readonly rescaledUnalignedStarts: number
  readonly evictingStarts: number
  /** How often the output was looked at, and what was read. */
  readonly looks: number
  readonly lines: number
  /** Of each kind, those that have really happened. */
  readonly faults: Readonly<Record<string, number>>
  /** Empty when everything is as it must be. */
  readonly differences: readonly string[]
  readonly history: readonly string[]
  readonly folder: string
}

/** Nothing here takes that long; a job that hangs is a finding. */
const HANGS_MS = 120_000
/** Room for output, state and savepoints, with records of weight 1. */
const SMALL_DISK_MB = 400
const HEAP_MB = 160
const ROOM_AFTER_MS = 1_000

export class Round {
  readonly #options: RoundOptions
  readonly #abort: AbortSignal | undefined
  readonly #folder: string
  readonly #begunMs = performance.now()
  readonly #history: string[] = []
  readonly #differences: string[] = []
  readonly #faults: Partial<Record<FaultKind, number>> = {}
  readonly #counts = { starts: 0, restarts: 0, checkpoints: 0, unalignedStarts: 0, rescaledUnalignedStarts: 0, evictingStarts: 0 }
  readonly #actions: FaultActions
  #disk: SmallDisk | undefined
  /** What the last stop has left. */
  #savepoint: string | undefined
  /** It must be imported again. */
  #interruptedImport: string | undefined

  constructor(options: RoundOptions, abort?: AbortSignal) {
    this.#options = options
    this.#abort = abort
    this.#folder = mkdtempSync(join(tmpdir(), 'sluice-chaos-'))
    this.#actions = new FaultActions(this.#scene())
  }

  /** Kills so far. */
  get kills(): number {
    return this.#faults.kill ?? 0
  }

  async run(): Promise<RoundResult> {
    const { input, seed } = this.#options
    const splits = stepOf(this.#options, 0).options.parallelism!
    const { expected, differences } = await expectedOutput(join(this.#folder, 'undisturbed'), input, splits)
    this.#differences.push(...differences)
    const watcher = new OutputWatcher(join(this.#own, 'out'), expected)
    try {
      this.#prepare()
      await this.#runWatched(watcher)
    } finally {
      this.#cleanUp()
    }
    const { looks, lines } = watcher
    const told = { faults: this.#faults, differences: this.#differences, history: this.#history, folder: this.#folder }
    return { seed, ...this.#counts, looks, lines, ...told }
  }

  async #runWatched(watcher: OutputWatcher): Promise<void> {
    const watching = new AbortController()
    const watched = watcher.watch(watching.signal)
    try {
      await this.#startUntilTheEnd(watcher)
    } finally {
      watching.abort()
      await watched
    }
    if (this.#goesOn(watcher)) watcher.finish()
    this.#differences.push(...watcher.differences)
    if (this.#goesOn(watcher)) this.#differences.push(...storeTroubles(this.#state))
  }

  /** Where the job works. */
  get #own(): string {
    return join(this.#folder, 'run')
  }

  get #state(): string {
    return join(this.#own, 'state/chaos')
  }

  /** Its process had come to its end by itself. */
  get #isFinished(): boolean {
    return existsSync(join(this.#state, 'finished'))
  }

  #prepare(): void {
    mkdirSync(this.#own, { recursive: true })
    const { onSmallDisk, input } = this.#options
    if (onSmallDisk) this.#disk = SmallDisk.mount(this.#own, SMALL_DISK_MB * Math.max(1, input.weight / 5))
  }

  #cleanUp(): void {
    const keeps = !this.#abort?.aborted && (this.#options.keep || this.#differences.length > 0)
    if (keeps) this.#disk?.unmountAndKeep()
    else this.#disk?.unmount()
    if (keeps) writeFileSync(join(this.#folder, 'history.txt'), [...this.#differences, ...this.#history, ''].join('\n'))
    else rmSync(this.#folder, { recursive: true, force: true })
  }

  #goesOn(watcher: OutputWatcher): boolean {
    return this.#differences.length === 0 && watcher.differences.length === 0 && !this.#abort?.aborted
  }

  async #startUntilTheEnd(watcher: OutputWatcher): Promise<void> {
    for (let number = 0, over = false; !over && this.#goesOn(watcher); number++) {
      over = await this.#take(stepOf(this.#options, number))
      // Behind each process, too: what it has shown stays.
      watcher.look()
    }
  }

  /** True when the job has come to its end. */
  async #take(step: Step): Promise<boolean> {
    const from = this.#interruptedImport ?? (step.fromSavepoint ? this.#savepoint : undefined)
    if (from === undefined && step.damaged) await this.#startDamaged(step)
    if (this.#abort?.aborted) return false
    this.#countStart(step.options, from)
    let run = this.#start(step.options, { from })
    const room = this.#makeRoomLater(run)
    for (const fault of this.#isEnough() ? [] : step.faults) {
      if (run.ending === undefined) run = await this.#actions.carryOut(run, fault)
    }
    await Promise.all([run.ended, room])
    this.#savepoint = leftSavepoint(run)
    this.#interruptedImport = interruptedImport(run)
    return run.outcome?.status === 'finished' || this.#isFinished
  }

  #isEnough(): boolean {
    const { kills, untilMs = Number.POSITIVE_INFINITY } = this.#options
    return this.kills >= kills || performance.now() >= untilMs
  }

  /** What is damaged is refused, and nothing is done in its place. */
  async #startDamaged({ options }: Step): Promise<void> {
    this.#disk?.makeRoom()
    const damage = await damageNewestCheckpoint(this.#state)
    if (damage === undefined) return
    const run = this.#start(options, {})
    run.excuses.add('CHECKPOINT_UNREADABLE')
    await run.ended
    if (run.outcome?.code === 'CHECKPOINT_UNREADABLE') this.#happened('damage', run)
    else if (!run.wasSent('SIGKILL')) this.#differences.push(`a damaged checkpoint was not refused: ${damage.what}`)
    await damage.repair()
  }

  /** One that starts on a full disk gets room after a while. */
  async #makeRoomLater(run: JobRun): Promise<void> {
    if (!this.#disk?.isFull) return
    for (const code of FULL_DISK_CODES) run.excuses.add(code)
    await Promise.race([delay(ROOM_AFTER_MS), run.ended])
    this.#disk.makeRoom()
  }

  #scene(): Scene {
    const disk = (): SmallDisk | undefined => this.#disk
    return {
      folder: this.#own,
      get disk() {
        return disk()
      },
      start: (options, isolated) => this.#start(options, { isolated }),
      happened: (kind, run) => this.#happened(kind, run),
    }
  }

  #start(options: RunOptions, more: { readonly from?: string | undefined; readonly isolated?: boolean }): JobRun {
    const { input, kinds } = this.#options
    const heapMb = kinds.includes('memory') && input.weight === 1 ? HEAP_MB : undefined
    withdrawOrder(this.#own)
    const run = new JobRun({ folder: this.#own, input, options, heapMb, ...more })
    // The others were killed before it was there.
    if (this.#abort?.aborted) run.signal('SIGKILL')
    this.#counts.starts++
    this.#note(`process ${run.pid} starts: ${JSON.stringify({ ...options, ...more })}`)
    const hanging = setTimeout(() => {
      this.#differences.push(`process ${run.pid} hangs: ${JSON.stringify(run.events.slice(-5))}`)
      run.signal('SIGKILL')
    }, HANGS_MS)
    void run.ended.then(() => {
      clearTimeout(hanging)
      this.#onEnded(run)
    })
    return run
  }

  #onEnded(run: JobRun): void {
    const { code, signal } = run.ending!
    const [restarts, checkpoints] = [run.count('restart'), run.count('checkpoint')]
    this.#counts.restarts += restarts
    this.#counts.checkpoints += checkpoints
    const how = run.outcome?.code ?? run.outcome?.status ?? code ?? signal
    this.#note(`process ${run.pid} ended: ${how} after ${checkpoints} checkpoints, ${restarts} restarts`)
    this.#differences.push(...troublesOf(run, this.#isFinished))
    // A run that is stopped before it runs has no checkpoint of its own, and leaves the one that it began with.
    if (run.outcome?.status === 'stopped' && checkpoints > 0 && parallelismWithRecordsOnTheirWay(this.#state) !== undefined) {
      this.#differences.push('a savepoint holds records on their way, so it does not fit another parallelism')
    }
  }

  #countStart({ parallelism, stateMemory }: RunOptions, from: string | undefined): void {
    const before = from === undefined ? parallelismWithRecordsOnTheirWay(this.#state) : undefined
    if (before !== undefined) this.#counts.unalignedStarts++
    if (before !== undefined && before !== parallelism) this.#counts.rescaledUnalignedStarts++
    if (stateMemory !== undefined) this.#counts.evictingStarts++
  }

  #happened(kind: FaultKind, run: JobRun): void {
    this.#faults[kind] = (this.#faults[kind] ?? 0) + 1
    this.#note(`${kind}: process ${run.pid}`)
  }

  #note(what: string): void {
    this.#history.push(`${((performance.now() - this.#begunMs) / 1000).toFixed(2)} s: ${what}`)
  }
}
