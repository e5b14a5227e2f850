import type { Manifest } from '../../checkpoint/manifest.ts'
import { decodeManifest } from '../../checkpoint/manifest.ts'
import type { JobSettings } from '../../control/settings.ts'
import { resolveSettings } from '../../control/settings.ts'
import { SluiceError } from '../../core/errors.ts'
import { decodeValue } from '../../core/value-codec.ts'
import type { Job } from '../../dsl/job.ts'
import { graphOf, optionsOf } from '../../dsl/job.ts'
import { validateGraph } from '../../graph/stream-graph.ts'
import type { CheckpointView } from './checkpoint-view.ts'
import type { FaultKind } from './faults.ts'
import { FAULT_KINDS, FaultPlan } from './faults.ts'
import type { Outputs } from './invariants.ts'
import { ManifestCheck, OutputCheck } from './invariants.ts'
import { SeededRandom } from './random.ts'
import { SimulatedFolders } from './simulated-folders.ts'
import { simulatedGraph } from './simulated-job.ts'
import type { Ending } from './simulated-process.ts'
import { SimulatedProcess } from './simulated-process.ts'
import type { Outside } from './simulated-services.ts'
import { SimulatedServices } from './simulated-services.ts'
import { SimulatedDisk } from './simulated-tables.ts'
import { SimulatedTarget } from './simulated-target.ts'
import { differenceOfRows, rowsOf, StateCheck, viewOf } from './state-check.ts'
import type { Violation } from './violation.ts'
import { World } from './world.ts'

/** What a simulation is told. */
export interface SimulateOptions {
  /** Decides everything: interleaving, delays, faults, modes, parallelism. The same seed comes to the same history. */
  readonly seed: number
  /** What may go wrong. Default: everything. */
  readonly faults?: readonly FaultKind[]
  /** The parallelism of every start. Default: the seed decides, from 1 to 4. */
  readonly parallelism?: number
  /** The first process dies at this point, counted from 1, and at no other; `Verdict.points` of a run without says how many there are. */
  readonly crashAt?: number
  /** Keeps a line for each thing that happens. Default: false; a verdict with violations has it in any case. */
  readonly history?: boolean
  /** What holds of the whole output; returns what is wrong. Default: it must be that of an undisturbed run, in any order. */
  readonly check?: (outputs: ReadonlyMap<string, readonly unknown[]>) => string | undefined
  /** What holds of each complete checkpoint; returns what is wrong. Such as: a state is what follows from the records before the positions of the sources. */
  readonly atCheckpoint?: (checkpoint: CheckpointView) => string | undefined
}

/** Builds the job; every start of a process does. */
export type JobBuilder = (outside: Outside) => Job

/** What a simulation came to. */
export interface Verdict {
  readonly seed: number
  /** True: nothing was violated. */
  readonly ok: boolean
  readonly violations: readonly Violation[]
  readonly steps: number
  readonly virtualMs: number
  /** Processes that were started. */
  readonly starts: number
  /** Complete checkpoints. */
  readonly checkpoints: number
  /** Points at which the process could have died. */
  readonly points: number
  /** The same for the same order of steps. */
  readonly fingerprint: string
  readonly history: readonly string[]
}

/** A job that has not come to its end after so many steps without any fault never will. */
const STEPS_MAX = 400_000
/** Faults cease after this, so that it can be seen whether the job comes to its end. */
const FAULTY_STEPS = 20_000
const STARTS_MAX = 40
/** It is likeliest that somebody else takes the state while a call hangs, and while a checkpoint is committed: there it matters most, too. */
const SUSPECT_STEPS = 20
/** How a start refuses what is damaged. */
const DAMAGE_CODES: ReadonlySet<string> = new Set(['CHECKPOINT_UNREADABLE', 'FORMAT_UNKNOWN'])
/** In so many simulations the whole state is looked at with each checkpoint. */
const STATE_CHECKS = 0.3

/** What a run shows, and which rows of state are left at its end. */
interface Undisturbed {
  readonly outputs: Outputs
  readonly rows: ReadonlySet<string>
}

const undisturbed = new WeakMap<object, Promise<Undisturbed>>()

/**
 * Runs a job under a seeded scheduler, in one thread and in virtual time, with faults, and says whether what the engine promises held: the engine's own
 * coordinator, tasks, alignment, watermarks, ledger, store, restore and restarts, on a simulated disk, with simulated files under folder sinks, and simulated targets in the place of other sinks.
 *
 * ```ts
 * const verdict = await simulate(() => buildJob(), { seed: 7 })
 * if (!verdict.ok) console.log(verdict.violations, verdict.history)
 * ```
 *
 * Sources are the job's own and must give the same records again. What the job shows must not depend on the order in which records of different
 * splits come, or `check` has to say what holds. What user code awaits must not depend on real time.
 *
 * @param job a function that builds it: every start of a process does; or a job whose functions keep nothing between two runs
 * @throws SluiceError when the job cannot be run at all
 */
export async function simulate(job: Job | JobBuilder, options: SimulateOptions): Promise<Verdict> {
  const expected = options.check === undefined ? await outputsOf(job) : undefined
  const verdict = await new Simulation(job, options, expected, options.history === true).run()
  if (verdict.ok || options.history === true) return verdict
  // The words of a history are made only for one that somebody will read.
  return await new Simulation(job, options, expected, true).run()
}

/** What the job shows when nothing goes wrong. */
function outputsOf(job: Job | JobBuilder): Promise<Undisturbed> {
  let known = undisturbed.get(job)
  if (known === undefined) undisturbed.set(job, (known = runUndisturbed(job)))
  return known
}

async function runUndisturbed(job: Job | JobBuilder): Promise<Undisturbed> {
  const simulation = new Simulation(job, { seed: 0, faults: [] }, undefined, false)
  const { violations } = await simulation.run()
  const [violation] = violations
  if (violation === undefined) return { outputs: simulation.outputs, rows: simulation.rows }
  throw new SluiceError('OPERATOR_FAILED', `the job does not run without any fault: ${violation.message}`)
}

/**
 * One seed's life of a job: starts of processes until one comes to the end of the job, and what goes wrong in between. What always holds:
 *
 * 1. What outlives a process is here (disk, targets, folders), and what dies with it is in `SimulatedProcess`.
 * 2. Everything that is drawn is drawn from the seed, and no draw depends on whether a history is kept or a check was given.
 * 3. The first violation ends it: what follows from a broken promise says nothing new.
 */
class Simulation {
  readonly #job: Job | JobBuilder
  readonly #options: SimulateOptions
  readonly #world: World
  readonly #faults: FaultPlan
  readonly #random: SeededRandom
  readonly #disk = new SimulatedDisk()
  readonly #targets = new Map<string, SimulatedTarget>()
  readonly #folders: SimulatedFolders
  readonly #output: OutputCheck
  readonly #manifests: ManifestCheck
  readonly #states: StateCheck | undefined
  readonly #violations: Violation[] = []
  #processes: readonly SimulatedProcess[] = []
  #starts = 0
  #checkpoints = 0
  #parallelism: number
  #hasTakeover = false
  #suspectAtStep = Number.NEGATIVE_INFINITY
  /** Turns back what the disk has turned. */
  #mend: (() => void) | undefined
  #latest: string | undefined
  readonly #expectedRows: ReadonlySet<string> | undefined

  constructor(job: Job | JobBuilder, options: SimulateOptions, expected: Undisturbed | undefined, keepsHistory: boolean) {
    this.#expectedRows = expected?.rows
    this.#job = job
    this.#options = options
    this.#world = new World(options.seed, keepsHistory)
    this.#random = new SeededRandom(options.seed, 'job')
    const kinds = new Set<FaultKind>(options.faults ?? FAULT_KINDS)
    this.#faults = new FaultPlan(new SeededRandom(options.seed, 'faults'), kinds, options.crashAt)
    const report = (invariant: Violation['invariant'], message: string): void => this.#report(invariant, message)
    this.#output = new OutputCheck(expected?.outputs, report)
    this.#manifests = new ManifestCheck(report)
    this.#folders = new SimulatedFolders({
      world: this.#world,
      faults: this.#faults,
      output: this.#output,
      report,
      latest: () => this.#latestOnDisk,
      isAlone: () => this.#processes.length === 1,
      onStalled: () => {
        this.#suspectAtStep = this.#world.steps
      },
    })
    const looksAtState = this.#random.chance(STATE_CHECKS)
    if (looksAtState || options.atCheckpoint !== undefined) this.#states = new StateCheck(this.#disk, report)
    this.#parallelism = options.parallelism ?? this.#random.between(1, 4)
  }

  /** Of keyed state, as a restore of the last checkpoint would find them. */
  get rows(): ReadonlySet<string> {
    return rowsOf(this.#disk, this.#latestOnDisk)
  }

  get outputs(): Outputs {
    return this.#output.outputs
  }

  async run(): Promise<Verdict> {
    this.#start()
    while (this.#violations.length === 0 && this.#processes.length > 0) {
      const ended = this.#processes.find(({ ending }) => ending !== undefined)
      if (ended !== undefined) await this.#afterEnd(ended, ended.ending!)
      else await this.#step()
    }
    return {
      seed: this.#options.seed,
      ok: this.#violations.length === 0,
      violations: this.#violations,
      steps: this.#world.steps,
      virtualMs: Math.round(this.#world.timeline.nowMs),
      starts: this.#starts,
      checkpoints: this.#checkpoints,
      points: this.#faults.points,
      fingerprint: this.#world.fingerprint,
      history: this.#world.history,
    }
  }

  #report(invariant: Violation['invariant'], message: string): void {
    this.#world.note(() => `VIOLATED: ${invariant}: ${message}`)
    this.#violations.push({ invariant, message, step: this.#world.steps })
  }

  async #step(): Promise<void> {
    const lanes = this.#processes.flatMap((process) => process.lanes)
    if (lanes.length > 0) this.#trouble()
    const wakes = (): number => Math.min(...this.#processes.map((process) => process.wakesAtMs))
    const comesOn = await this.#world.step(lanes, wakes)
    if (!comesOn && this.#processes.every(({ ending }) => ending === undefined))
      this.#report('the job comes on', 'nothing will ever happen by itself any more')
    if (this.#world.steps === FAULTY_STEPS) this.#faults.cease()
    if (this.#world.steps > STEPS_MAX) this.#report('the job comes on', `it has not come to its end after ${STEPS_MAX} steps`)
  }

  /** What goes wrong between two steps. */
  #trouble(): void {
    const process = this.#processes.at(-1)!
    const { threads = [] } = process.workers ?? {}
    if (threads.length > 0 && this.#faults.happens('thread', 0.1)) {
      const thread = this.#faults.random.pick(threads)
      this.#world.note(() => `worker ${thread.worker} dies`)
      thread.die(new SluiceError('WORKER_LOST', 'injected: the thread dies'))
    }
    if (this.#faults.happens('pause', 0.1)) {
      const ms = this.#faults.random.between(10, 2_000)
      this.#world.note(() => `everything stands still for ${ms} ms`)
      this.#world.timeline.pass(ms)
    }
    if (this.#faults.happens('clock', 0.1)) {
      // Whoever waits by the clock waits so much longer, and has to come to its end.
      process.clockOffsetMs += this.#faults.random.between(-10_000, 100_000)
      this.#world.note(() => `the clock is set to ${process.wallMs}`)
    }
    const isSuspect = this.#world.steps - this.#suspectAtStep < SUSPECT_STEPS
    if (this.#processes.length === 1 && this.#faults.happens('takeover', isSuspect ? 2 : 0.1)) {
      this.#world.note(() => `process ${process.pid} is thought to be dead`)
      this.#hasTakeover = true
      this.#start()
    }
  }

  #start(): void {
    this.#starts++
    const settings = this.#settings()
    const isAlive = (): boolean => process.isAlive
    const process: SimulatedProcess = new SimulatedProcess({
      pid: this.#starts,
      world: this.#world,
      disk: this.#disk,
      faults: this.#faults,
      random: this.#random,
      settings,
      threads: this.#random.chance(0.25) ? this.#random.between(1, 3) : 0,
      graph: (own) => {
        const graph = graphOf(this.#build(isAlive))
        validateGraph(graph)
        return simulatedGraph(graph, {
          world: this.#world,
          faults: this.#faults,
          process: own,
          target: (sink) => this.#target(sink),
          folders: this.#folders,
        })
      },
      report: (invariant, message) => this.#report(invariant, message),
      onWritten: () => this.#seeManifest(),
      onPowerLost: () => {
        for (const each of this.#processes) each.die()
        this.#folders.failPower()
      },
    })
    this.#world.note(() => `process ${process.pid} starts, parallelism ${settings.parallelism}, ${settings.checkpoint.mode}`)
    this.#processes = [...this.#processes, process]
    process.start()
  }

  #build(isAlive: () => boolean): Job {
    return typeof this.#job === 'function' ? this.#job(new SimulatedServices(this.#world, this.#faults, isAlive)) : this.#job
  }

  /** The job's own settings, and what the seed makes of those that must not matter. */
  #settings(): JobSettings {
    const options = optionsOf(this.#build(() => false))
    const random = this.#random
    const mode = random.pick(['aligned', 'unaligned', 'aligned-then-unaligned'] as const)
    const settings = resolveSettings(
      options,
      {
        parallelism: this.#parallelism,
        workers: 0,
        watchdog: 'off',
        quiet: true,
        checkpoint: {
          every: random.chance(0.4) ? 1 : random.between(1, 20),
          mode,
          ...(mode === 'aligned-then-unaligned' ? { alignmentTimeout: random.between(1, 10) } : {}),
          timeout: random.pick([50, 1_000, 60_000]),
          maxConcurrent: mode === 'aligned' ? random.pick([1, 1, 2, 3]) : 1,
          retain: random.between(1, 3),
          tolerableFailures: random.between(0, 5),
        },
        restart: { strategy: 'fixed', delay: random.between(0, 20), attempts: 4 },
        commitTimeout: random.pick(['0ms', '1s', '1m'] as const),
      },
      {},
    )
    return settings
  }

  #target(sink: string): SimulatedTarget {
    let target = this.#targets.get(sink)
    if (target === undefined) {
      target = new SimulatedTarget(sink, {
        onVisible: (name, { id, checkpoint, records }) => {
          this.#world.note(() => `'${name}' shows ${records.length} records of ${id}`)
          const latest = this.#latestOnDisk
          if (checkpoint > latest) {
            this.#report(
              'nothing uncommitted is visible',
              `'${name}' shows records of checkpoint ${checkpoint}, and the newest on the disk is ${latest}`,
            )
          }
          this.#output.onVisible(name, records)
        },
        onMisuse: (name, what) => this.#report('nothing is lost', `'${name}': ${what}`),
      })
      this.#targets.set(sink, target)
    }
    return target
  }

  get #latestOnDisk(): number {
    const bytes = this.#disk.meta.get('latest')
    return bytes === undefined ? -1 : (decodeValue(bytes) as number)
  }

  /** True: there is a checkpoint that was not there before. */
  #seeManifest(): boolean {
    const bytes = this.#disk.meta.get('latest')
    const text = bytes?.toString('latin1')
    if (bytes === undefined || text === this.#latest) return false
    this.#latest = text
    const checkpoint = decodeValue(bytes) as number
    this.#checkpoints++
    this.#suspectAtStep = this.#world.steps
    const manifest = decodeManifest(this.#disk.checkpoints.get(checkpoint)!, checkpoint)
    this.#manifests.onManifest(manifest)
    this.#seeState(manifest)
    return true
  }

  #seeState(manifest: Manifest): void {
    // What is damaged reads as it likes, until somebody refuses it.
    const entries = this.#states?.onManifest(manifest, this.#mend === undefined)
    if (entries === undefined) return
    const wrong = this.#options.atCheckpoint?.(viewOf(manifest, entries))
    if (wrong !== undefined) this.#report('the check of the job', `in checkpoint ${manifest.checkpoint} ${wrong}`)
  }

  async #afterEnd(process: SimulatedProcess, ending: Ending): Promise<void> {
    this.#world.note(
      () =>
        `process ${process.pid} has ${ending.how}${ending.how === 'failed' ? `: ${ending.error.code} ${ending.error.message}` : ''}`,
    )
    this.#processes = this.#processes.filter((each) => each !== process)
    const isRefused = this.#mend !== undefined && ending.how === 'failed' && DAMAGE_CODES.has(ending.error.code)
    // Who runs on may have read it already.
    if (this.#processes.length === 0) {
      this.#mend?.()
      this.#mend = undefined
    }
    if (ending.how === 'finished') return this.#finished()
    if (ending.how === 'failed' && !isRefused && !this.#isExpected(process, ending.error)) {
      this.#report('errors are those of the faults', `${ending.error.code}: ${ending.error.message}`)
    }
    // The one that took over runs on.
    if (this.#processes.length > 0) return
    if (ending.how === 'failed') this.#folders.tampering.putRight()
    if (this.#starts >= STARTS_MAX) this.#faults.cease()
    this.#world.timeline.pass(this.#random.between(1, 1_000))
    if (this.#options.parallelism === undefined && this.#faults.happens('rescale', 100))
      this.#parallelism = this.#otherParallelism()
    if (this.#faults.happens('damage', 100)) this.#damage()
    this.#start()
  }

  #isExpected({ pid }: SimulatedProcess, error: SluiceError): boolean {
    // A first start finds something in its folder: it is of the process that has taken over.
    const isSupplanted = pid < this.#starts && error.code === 'OUTPUT_OF_ANOTHER_RUN' && error.message.includes('already holds')
    return isOfFaults(error) || isSupplanted || this.#folders.tampering.explains(error)
  }

  #damage(): void {
    const { random } = this.#faults
    const isChunk = random.chance(0.7)
    this.#mend = (isChunk ? this.#disk.deltas : this.#disk.checkpoints).damage(random)
    if (this.#mend !== undefined) this.#world.note(() => `a bit of a ${isChunk ? 'chunk' : 'manifest'} has turned`)
  }

  /** Often 1, where exchanges fall away and tasks become one. */
  #otherParallelism(): number {
    const { random } = this.#faults
    return this.#parallelism > 1 && random.chance(0.4) ? 1 : random.between(1, 4)
  }

  /** What has fired is forgotten, and what is kept is there. */
  #checkRows(): void {
    // What is damaged cannot be read.
    if (this.#expectedRows === undefined || this.#mend !== undefined) return
    const wrong = differenceOfRows(this.#expectedRows, this.rows)
    if (wrong !== undefined) this.#report('state is that of an undisturbed run', `at the end ${wrong}`)
  }

  #finished(): void {
    // Whoever was thought to be dead has nothing to do any more.
    for (const process of this.#processes) process.die()
    this.#processes = []
    const wrong = this.#options.check?.(this.#output.values)
    if (wrong !== undefined) this.#report('the check of the job', wrong)
    this.#output.atEnd()
    this.#checkRows()
    // What a process prepared from which the state had been taken is swept by the next start only.
    const left = this.#hasTakeover ? [] : [...this.#targets.values()].flatMap(({ pending }) => pending)
    if (left.length > 0) this.#report('nothing is left behind', `staged, and neither shown nor swept: ${left.join(', ')}`)
    this.#folders.atEnd(this.#hasTakeover)
  }
}

/** What may come out of a run in which such things go wrong. */
function isOfFaults({ code, message }: SluiceError): boolean {
  return (
    message.includes('injected') ||
    message.includes('simulated disk') ||
    ['FENCED', 'DISK_FULL', 'WORKER_LOST', 'CHECKPOINT_FAILED', 'ASYNC_TIMEOUT'].includes(code)
  )
}
