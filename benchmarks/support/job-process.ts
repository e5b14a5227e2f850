import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { askJob } from '../../src/control/control-client.ts'
import { SluiceError } from '../../src/core/errors.ts'
import type { Outcome } from '../jobs/parts/outcome.ts'

/*
 * One run of a job in a process of its own, with a state folder of its own. What the job prints last is its outcome; a run whose outcome is not
 * verified, or that loaded another engine than the sources, ends the benchmark.
 */

/** What is measured: the sources, whatever a build has left behind. */
const ENGINE = 'src/index.ts'
const JOBS = join(import.meta.dirname, '..', 'jobs')
/** What a job is given to answer a question. */
const ANSWER_MS = 600_000

export interface JobSpec {
  /** File in `benchmarks/jobs`, without its ending; also the name of the job. */
  readonly job: string
  /** Flags of the job and of the engine, without their dashes. */
  readonly flags: Readonly<Record<string, string | number>>
  /** Where the state is to be, and to stay; without it a folder that is removed at the end. */
  readonly stateDirectory?: string
}

/** A checkpoint that was completed, as the job told it. */
export interface CheckpointNote {
  readonly checkpoint: number
  readonly durationMs: number
  readonly bytes: number
  /** When this process heard of it, in milliseconds since 1970. */
  readonly atMs: number
}

export class JobProcess<O extends Outcome = Outcome> {
  readonly checkpoints: CheckpointNote[] = []
  /** When the job said that it begins again, in milliseconds since 1970. */
  readonly restartsAtMs: number[] = []
  /** Settles when the process has ended. @throws Error when it failed or its output is wrong */
  readonly outcome: Promise<O>
  readonly #child: ChildProcess
  readonly #stateFolder: string
  readonly #endFile: string
  #ended = false

  constructor(spec: JobSpec) {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'))
    const stateDirectory = spec.stateDirectory ?? join(folder, 'state')
    this.#stateFolder = join(stateDirectory, spec.job)
    this.#endFile = join(folder, 'end')
    const args = Object.entries({ ...spec.flags, end: this.#endFile }).flatMap(([name, value]) => [`--${name}`, String(value)])
    this.#child = spawn(
      process.execPath,
      ['--conditions=@sluice/source', join(JOBS, `${spec.job}.ts`), ...args, '--state-directory', stateDirectory, '--json'],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    )
    const killOnExit = (): void => this.kill()
    process.once('exit', killOnExit)
    this.outcome = this.#run(spec.job).finally(() => {
      this.#ended = true
      process.off('exit', killOnExit)
      rmSync(folder, { recursive: true, force: true })
    })
    // Whoever started it waits for it in the end; until then nobody is missing.
    this.outcome.catch(() => undefined)
  }

  get ended(): boolean {
    return this.#ended
  }

  get pid(): number {
    return this.#child.pid!
  }

  async #run(job: string): Promise<O> {
    const [stdout, stderr, code] = await Promise.all([
      this.#lines(this.#child.stdout!, () => undefined),
      this.#lines(this.#child.stderr!, (line) => this.#note(line)),
      new Promise<number | null>((resolve, reject) => this.#child.on('error', reject).on('close', resolve)),
    ])
    if (code !== 0) throw new Error(`${job} ended with exit code ${code}:\n${stderr.join('\n')}`)
    const outcome = JSON.parse(stdout.at(-1) ?? 'null') as O
    if (outcome.engine !== ENGINE)
      throw new Error(`${job} ran ${outcome.engine}, not ${ENGINE}: its figures would be those of another engine`)
    const { records, sum, expectedSum, verified } = outcome
    if (!verified) throw new Error(`the output of ${job} is wrong: ${JSON.stringify({ records, sum, expectedSum })}`)
    return outcome
  }

  async #lines(stream: NodeJS.ReadableStream, each: (line: string) => void): Promise<readonly string[]> {
    const lines: string[] = []
    for await (const line of createInterface({ input: stream })) {
      lines.push(line)
      each(line)
    }
    return lines
  }

  #note(line: string): void {
    if (!line.startsWith('{')) return
    const { event, checkpoint, durationMs, bytes } = JSON.parse(line) as { event: string } & CheckpointNote
    if (event === 'restart') this.restartsAtMs.push(Date.now())
    if (event === 'checkpoint') this.checkpoints.push({ checkpoint, durationMs, bytes, atMs: Date.now() })
  }

  /** Settles when so many records have been read, or a first one. @throws Error when the job ended before that */
  async reached(records: number): Promise<void> {
    // Soon at first, because it may be a matter of milliseconds, and not for ever so often: the one who asks takes time from the job.
    for (let waitMs = 2; !this.#ended; waitMs = Math.min(100, 1.5 * waitMs)) {
      const status = await askJob(this.#stateFolder, 'status', {}, ANSWER_MS).catch(notRunningYet)
      if (status?.state === 'running' && status.tasks[0]!.recordsIn > records) return
      await pause(waitMs)
    }
    await this.outcome
    throw new Error(`the job ended before it had read ${records} records`)
  }

  /** The input is to end where it may. */
  finish(): void {
    writeFileSync(this.#endFile, '')
  }

  /** Has the job take a checkpoint now. Settles when it is complete. */
  async checkpoint(): Promise<void> {
    await askJob(this.#stateFolder, 'checkpoint', {}, ANSWER_MS)
  }

  /** Processor time of the process so far, of all its threads; the clock of Linux counts it in hundredths of a second. */
  cpuSeconds(): number {
    return cpuSecondsOf(this.pid)
  }

  /** Ends it at once, if it has not ended. */
  kill(): void {
    if (!this.#ended) this.#child.kill('SIGKILL')
  }
}

/** A job that is being started cannot be asked. */
function notRunningYet(error: unknown): undefined {
  if (error instanceof SluiceError && ['JOB_UNKNOWN', 'JOB_NOT_RUNNING'].includes(error.code)) return undefined
  throw error
}

/** A whole run, from start to end. */
export async function runJob<O extends Outcome = Outcome>(
  spec: JobSpec,
): Promise<{ readonly outcome: O; readonly job: JobProcess<O> }> {
  const job = new JobProcess<O>(spec)
  return { outcome: await job.outcome, job }
}

function cpuSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}
