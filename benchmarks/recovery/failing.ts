import { spawnSync } from 'node:child_process'
import { globSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { monotonicMs } from '../jobs/parts/clock.ts'
import { readMarks } from '../jobs/parts/marks.ts'
import type { JobSpec } from '../support/job-process.ts'
import { JobProcess } from '../support/job-process.ts'
import { storeSizes } from '../support/store-sizes.ts'
import type { Failure, Stages } from './stages.ts'
import { stagesOf } from './stages.ts'

/*
 * One failure and what follows. The state is brought into being, the schedule begins, some checkpoints pass; then the process is killed or a thread
 * throws. The job goes on to the end of its input, and its committed output is compared with the model: nothing lost, nothing twice.
 */

export const FAILURES = ['kill', 'kill-cold', 'throw'] as const
export type FailureKind = (typeof FAILURES)[number]

export interface Scenario {
  readonly failure: FailureKind
  readonly keys: number
  readonly rate: number
  /** From the begin of the schedule to the failure, and to the end of the input. */
  readonly seconds: { readonly before: number; readonly all: number }
}

export interface Recovery {
  readonly stages: Stages
  readonly stateFileBytes: number
  readonly records: number
  /** Pages of the state file that were in memory when it was opened again, 0 to 1; `null` where that cannot be asked. */
  readonly cachedShare: number | null
}

const JOB = 'recovering-state'
/** Twice what the engine lets wait before it takes it into the base. */
const WAITING_BYTES_MAX = 32 << 20

export async function failAndRecover(scenario: Scenario): Promise<Recovery> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-recovery-'))
  try {
    return await new Trial(scenario, folder).run()
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

class Trial {
  readonly #scenario: Scenario
  readonly #folder: string
  #startMs = 0

  constructor(scenario: Scenario, folder: string) {
    this.#scenario = scenario
    this.#folder = folder
  }

  get #spec(): JobSpec {
    const { failure, keys, rate, seconds } = this.#scenario
    const throwAt = failure === 'throw' ? keys + Math.round(rate * seconds.before) : -1
    const count = keys + Math.round(rate * seconds.all)
    const flags = { keys, rate, count, folder: this.#folder, 'throw-at': throwAt, parallelism: 2, 'checkpoint-every': '1s' }
    return { job: JOB, flags, stateDirectory: this.#stateDirectory }
  }

  async run(): Promise<Recovery> {
    const job = new JobProcess(this.#spec)
    try {
      await job.reached(this.#scenario.keys - 1)
      // All of the state is in a checkpoint, so that the failure does not begin with bringing it into being once more.
      await job.checkpoint()
      await this.#folded()
      this.#startMs = monotonicMs()
      writeFileSync(join(this.#folder, 'schedule'), String(this.#startMs))
      return this.#scenario.failure === 'throw' ? await this.#throw(job) : await this.#kill(job)
    } finally {
      job.kill()
    }
  }

  /** What was written at once is in the base, as it is in a job that has run for a while. */
  async #folded(): Promise<void> {
    while (storeSizes(this.#stateDirectory).deltaBytes > WAITING_BYTES_MAX) await pause(500)
  }

  async #throw(job: JobProcess): Promise<Recovery> {
    const { records } = await job.outcome
    const [restartAtMs] = job.restartsAtMs
    if (restartAtMs === undefined) throw new Error('the job was to throw once, and did not')
    const marks = readMarks(this.#marks)
    const atMs = marks.find(({ name }) => name === 'throws')!.atMs
    const failure = { atMs, detectedAtMs: restartAtMs - Date.now() + monotonicMs(), spawnedAtMs: undefined }
    return { ...this.#recovery(failure, records), cachedShare: null }
  }

  async #kill(job: JobProcess): Promise<Recovery> {
    // Somewhere between two checkpoints, and not always in the same place.
    await pause(1000 * (this.#scenario.seconds.before + Math.random()))
    const atMs = monotonicMs()
    job.kill()
    await job.outcome.catch(() => undefined)
    const detectedAtMs = monotonicMs()
    if (this.#scenario.failure === 'kill-cold') forgetPages(this.#stateFile)
    const cachedShare = cachedShareOf(this.#stateFile)
    const spawnedAtMs = monotonicMs()
    const next = new JobProcess(this.#spec)
    try {
      const { records } = await next.outcome
      return { ...this.#recovery({ atMs, detectedAtMs, spawnedAtMs }, records), cachedShare }
    } finally {
      next.kill()
    }
  }

  #recovery(failure: Failure, records: number): Omit<Recovery, 'cachedShare'> {
    return {
      stages: stagesOf(failure, readMarks(this.#marks)),
      stateFileBytes: statSync(this.#stateFile).size,
      records,
    }
  }

  get #stateDirectory(): string {
    return join(this.#folder, 'state')
  }

  get #marks(): string {
    return join(this.#folder, 'marks')
  }

  get #stateFile(): string {
    const [file] = globSync(join(this.#stateDirectory, JOB, 'checkpoints.mdb'))
    if (file === undefined) throw new Error(`there is no state file in ${this.#folder}`)
    return file
  }
}

/** The kernel writes the file's pages to disk and forgets them; `dd` is what asks it to without being root. */
function forgetPages(file: string): void {
  const sync = spawnSync('dd', ['if=/dev/null', `of=${file}`, 'conv=notrunc,fdatasync', 'count=0'], { encoding: 'utf8' })
  const drop = spawnSync('dd', [`if=${file}`, 'iflag=nocache', 'count=0'], { encoding: 'utf8' })
  if (sync.status !== 0 || drop.status !== 0)
    throw new Error(`the pages of the state file cannot be dropped: ${sync.stderr}${drop.stderr}`)
}

function cachedShareOf(file: string): number | null {
  const { status, stdout } = spawnSync('fincore', ['--bytes', '--noheadings', '--output', 'RES,SIZE', file], { encoding: 'utf8' })
  if (status !== 0) return null
  const [resident, size] = stdout.trim().split(/\s+/).map(Number)
  return resident! / size!
}
