import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RunOptions } from '../../src/index.ts'
import { expectedOutput } from './expected-output.ts'
import { FaultActions, FULL_DISK_CODES, passed, type Scene } from './fault-actions.ts'
import { JobRun } from './job-run.ts'
import { interruptedImport, leftSavepoint } from './judgement.ts'
import { withdrawOrder } from './ordered-fault.ts'
import { OutputWatcher } from './output-watcher.ts'
import { type PlanSettings, type Step, stepOf } from './plan.ts'
import type { InputShape } from './records.ts'
import { RoundBook, type RoundCounts } from './round-book.ts'
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

export interface RoundResult extends RoundCounts {
  readonly seed: number
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
const HANGS_MS = 300_000
/** Room for output, state and savepoints, with records of weight 1. */
const SMALL_DISK_MB = 400
/** So little that it is filled soon; large records take more of it. */
const HEAP_MB = { small: 160, large: 600 }
const ROOM_AFTER_MS = 1_000

export class Round {
  readonly #options: RoundOptions
  readonly #abort: AbortSignal | undefined
  readonly #folder: string
  readonly #book = new RoundBook()
  readonly #actions: FaultActions
  /** Processes that are still to end. */
  readonly #running = new Set<Promise<void>>()
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
    return this.#book.faults.kill ?? 0
  }

  async run(): Promise<RoundResult> {
    const { input, seed } = this.#options
    const { counts, faults, history, differences } = this.#book
    const splits = stepOf(this.#options, 0).options.parallelism!
    const { expected, differences: wrong } = await expectedOutput(join(this.#folder, 'undisturbed'), input, splits)
    differences.push(...wrong)
    const watcher = new OutputWatcher(join(this.#own, 'out'), expected)
    try {
      this.#prepare()
      await this.#runWatched(watcher)
    } catch (error) {
      // Also what the checker cannot read is a finding.
      differences.push(String((error as Error).stack))
    } finally {
      JobRun.killAll()
      await Promise.all(this.#running)
      this.#cleanUp()
    }
    return { seed, ...counts, looks: watcher.looks, lines: watcher.lines, faults, differences, history, folder: this.#folder }
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
    this.#book.differences.push(...watcher.differences)
    if (this.#goesOn(watcher)) this.#book.differences.push(...(await storeTroubles(this.#state)))
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
    const { history, differences } = this.#book
    const keeps = !this.#abort?.aborted && (this.#options.keep || differences.length > 0)
    if (keeps) this.#disk?.unmountAndKeep()
    else this.#disk?.unmount()
    if (keeps) writeFileSync(join(this.#folder, 'history.txt'), [...differences, ...history, ''].join('\n'))
    else rmSync(this.#folder, { recursive: true, force: true })
  }

  #goesOn(watcher: OutputWatcher): boolean {
    return this.#book.differences.length === 0 && watcher.differences.length === 0 && !this.#abort?.aborted
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
    this.#book.resumes(step.options, from === undefined ? await parallelismWithRecordsOnTheirWay(this.#state) : undefined)
    let run = this.#start(step.options, { from })
    const room = this.#makeRoomLater(run)
    for (const fault of this.#isEnough() ? [] : step.faults) {
      if (run.ending === undefined) run = await this.#actions.carryOut(run, fault)
    }
    await Promise.all([run.ended, room])
    // Nobody else may have the state by the time when it is judged.
    await Promise.all(this.#running)
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
    if (run.outcome?.code === 'CHECKPOINT_UNREADABLE') this.#book.happened('damage', run)
    else if (!run.wasSent('SIGKILL')) this.#book.differences.push(`a damaged checkpoint was not refused: ${damage.what}`)
    await damage.repair()
  }

  /** One that starts on a full disk gets room after a while. */
  async #makeRoomLater(run: JobRun): Promise<void> {
    if (!this.#disk?.isFull) return
    for (const code of FULL_DISK_CODES) run.excuses.add(code)
    await Promise.race([passed(ROOM_AFTER_MS), run.ended])
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
      happened: (kind, run) => this.#book.happened(kind, run),
    }
  }

  #start(options: RunOptions, more: { readonly from?: string | undefined; readonly isolated?: boolean }): JobRun {
    const { input, kinds } = this.#options
    const heapMb = kinds.includes('memory') ? HEAP_MB[input.weight === 1 ? 'small' : 'large'] : undefined
    withdrawOrder(this.#own)
    const run = new JobRun({ folder: this.#own, input, options, heapMb, ...more })
    // The others were killed before it was there.
    if (this.#abort?.aborted) run.signal('SIGKILL')
    this.#book.started(run)
    const hanging = setTimeout(() => {
      this.#book.differences.push(`process ${run.pid} hangs: ${JSON.stringify(run.events.slice(-5))}`)
      run.signal('SIGKILL')
    }, HANGS_MS)
    const ended = run.ended
      .then(() => this.#judge(run))
      .catch((error: Error) => void this.#book.differences.push(String(error.stack)))
      .finally(() => {
        clearTimeout(hanging)
        this.#running.delete(ended)
      })
    this.#running.add(ended)
    return run
  }

  async #judge(run: JobRun): Promise<void> {
    this.#book.ended(run, this.#isFinished)
    if (run.outcome?.status !== 'stopped') return
    // One that is stopped before it runs, also for the second time, has no checkpoint of its own and leaves the one that it began with.
    const last = run.events.findLast(({ event }) => event === 'checkpoint' || event === 'restart')
    if (last?.event !== 'checkpoint' || (await parallelismWithRecordsOnTheirWay(this.#state)) === undefined) return
    this.#book.differences.push('a savepoint holds records on their way, so it does not fit another parallelism')
  }
}
