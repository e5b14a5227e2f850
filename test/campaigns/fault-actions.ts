import { setTimeout as delay } from 'node:timers/promises'
import type { RunOptions } from '../../src/index.ts'
import type { JobRun } from './job-run.ts'
import { isOrderLeft, leaveOrder, type Order, type OrderedKind, withdrawOrder } from './ordered-fault.ts'
import type { Fault, FaultKind, Moment } from './plan.ts'
import type { SmallDisk } from './small-disk.ts'

/** Where faults take place. */
export interface Scene {
  readonly folder: string
  readonly disk: SmallDisk | undefined
  /** Starts the job once more, as it is stored. */
  start(options: RunOptions, isolated: boolean): JobRun
  /** It has really happened. */
  happened(kind: FaultKind, run: JobRun): void
}

type FaultOf<K extends FaultKind> = Fault & { readonly kind: K }

/** With what a job may restart, or end, when that has happened to it. */
const CODES: Readonly<Record<OrderedKind, readonly string[]>> = {
  throw: ['OPERATOR_FAILED'],
  exit: ['WORKER_LOST'],
  loop: ['TASK_STUCK'],
  // A heap that fills takes its time, and the watchdog may be the first to see it; and in a large one a map comes to its own end before.
  memory: ['OUT_OF_MEMORY', 'WORKER_LOST', 'TASK_STUCK', 'OPERATOR_FAILED'],
}
export const FULL_DISK_CODES = ['DISK_FULL', 'CHECKPOINT_FAILED', 'OUTPUT_UNWRITABLE', 'COMMIT_FAILED', 'STORE_FAILED']

const ORDER_WAITS_MS = 8_000
/** A process that is halted in the midst of a write of the store holds every other one up, until it goes on. */
const ANSWER_WAITS_MS = 10_000

/** Carries faults out. Each gives back the process that has the job from then on. */
export class FaultActions {
  readonly #scene: Scene

  constructor(scene: Scene) {
    this.#scene = scene
  }

  async carryOut(run: JobRun, fault: Fault): Promise<JobRun> {
    await reach(run, fault.moment)
    if (run.ending !== undefined) return run
    switch (fault.kind) {
      case 'kill':
        return await this.kill(run)
      case 'savepoint':
        return await this.#savepoint(run, fault)
      case 'pause':
        return await this.#pause(run, fault.forMs)
      case 'rival':
        return await this.#rival(run, fault)
      case 'takeover':
        return await this.#takeover(run, fault)
      case 'disk':
        return await this.#fillDisk(run, fault)
      default:
        return await this.#order(run, fault.kind, fault.order)
    }
  }

  async kill(run: JobRun): Promise<JobRun> {
    run.signal('SIGKILL')
    if ((await run.ended).signal === 'SIGKILL') this.#scene.happened('kill', run)
    return run
  }

  async #savepoint(run: JobRun, { cutShortMs }: FaultOf<'savepoint'>): Promise<JobRun> {
    if (run.signal('SIGINT')) this.#scene.happened('savepoint', run)
    if (cutShortMs === undefined) return run
    await Promise.race([passed(cutShortMs), run.ended])
    return run.ending === undefined ? await this.kill(run) : run
  }

  async #pause(run: JobRun, forMs: number): Promise<JobRun> {
    if (!run.signal('SIGSTOP')) return run
    await passed(forMs)
    if (run.signal('SIGCONT')) this.#scene.happened('pause', run)
    return run
  }

  /**
   * Of two that see each other the later one is refused. That is the first, when it was halted before it had taken the state. So it is with two that are
   * isolated from each other and have one number.
   */
  async #rival(run: JobRun, { options }: FaultOf<'rival'>): Promise<JobRun> {
    const { isolated = false } = run.settings
    // Those meet where the first one reads, so for a moment behind its claim it can be taken over.
    if (isolated) run.excuses.add('FENCED')
    const goesOn = { checkpoints: 1, delayMs: 0 }
    return await this.#meet(run, 'rival', 'JOB_ALREADY_RUNNING', { options, isolated, goesOn })
  }

  /** Of two that do not see each other the later one takes over; the other writes no more, and says so. */
  async #takeover(run: JobRun, { options, goesOn }: FaultOf<'takeover'>): Promise<JobRun> {
    return await this.#meet(run, 'takeover', 'FENCED', { options, isolated: !run.settings.isolated, goesOn })
  }

  /** Halts it, starts the job once more, and lets the first go on. One of both must go, with this code, unless the job comes to its end. */
  async #meet(
    run: JobRun,
    kind: FaultKind,
    code: string,
    { options, isolated, goesOn }: { readonly options: RunOptions; readonly isolated: boolean; readonly goesOn: Moment },
  ): Promise<JobRun> {
    if (!run.signal('SIGSTOP')) return run
    const other = this.#scene.start(options, isolated)
    for (const each of [run, other]) each.excuses.add(code)
    await Promise.race([reach(other, goesOn), passed(ANSWER_WAITS_MS)])
    run.signal('SIGCONT')
    await Promise.race([other.ended, run.ended])
    const gone = run.ending === undefined ? other : run
    if (gone.outcome?.code === code) this.#scene.happened(kind, gone)
    return gone === run ? other : run
  }

  /** The disk may still be full when the next process starts. */
  async #fillDisk(run: JobRun, { forMs, killed }: FaultOf<'disk'>): Promise<JobRun> {
    for (const code of FULL_DISK_CODES) run.excuses.add(code)
    this.#scene.disk!.fill()
    await Promise.race([passed(forMs), run.ended])
    this.#scene.happened('disk', run)
    if (killed && run.ending === undefined) return await this.kill(run)
    this.#scene.disk!.makeRoom()
    return run
  }

  /** Done by a function of the job; then its failure must have been noticed. */
  async #order(run: JobRun, kind: OrderedKind, order: Order): Promise<JobRun> {
    const { folder, disk } = this.#scene
    const restarts = run.count('restart')
    disk?.makeRoom()
    leaveOrder(folder, order)
    const until = performance.now() + ORDER_WAITS_MS
    while (isOrderLeft(folder) && run.ending === undefined && performance.now() < until) await delay(10)
    const taken = !isOrderLeft(folder)
    withdrawOrder(folder)
    if (!taken) return run
    for (const code of CODES[kind]) run.excuses.add(code)
    run.mayDie ||= kind === 'memory'
    await run.until('restart', restarts + 1)
    this.#scene.happened(kind, run)
    return run
  }
}

async function reach(run: JobRun, { checkpoints, delayMs }: Moment): Promise<void> {
  if (checkpoints > 0) await run.until('checkpoint', run.count('checkpoint') + checkpoints)
  if (run.ending === undefined) await Promise.race([passed(delayMs), run.ended])
}

/** A while that nobody waits for when all processes have ended. */
export async function passed(milliseconds: number): Promise<void> {
  await delay(milliseconds, undefined, { ref: false })
}
