import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { isAbsolute } from 'node:path'
import { fileURLToPath } from 'node:url'

const JOBS = new URL('../fixtures/jobs/', import.meta.url)

/** How a job process ended, and what it said. */
export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** A job in a process of its own, as a user would start it. */
export class JobProcess {
  readonly process: ChildProcess
  readonly ended: Promise<Ended>

  constructor(job: string, args: readonly string[], env: Readonly<Record<string, string>>) {
    const file = isAbsolute(job) ? job : fileURLToPath(new URL(job, JOBS))
    this.process = spawn(process.execPath, ['--conditions=@sluice/source', file, ...args], {
      env: { ...process.env, ...env, NODE_OPTIONS: '' },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.ended = this.#end()
  }

  async #end(): Promise<Ended> {
    let [stdout, stderr] = ['', '']
    this.process.stdout!.on('data', (data: Buffer) => {
      stdout += data.toString()
    })
    this.process.stderr!.on('data', (data: Buffer) => {
      stderr += data.toString()
    })
    const [code, signal] = (await once(this.process, 'close')) as [number | null, NodeJS.Signals | null]
    return { code, signal, stdout, stderr }
  }
}

/** Runs a job process to its end. */
export async function runJob(job: string, args: readonly string[], env: Readonly<Record<string, string>>): Promise<Ended> {
  return await new JobProcess(job, args, env).ended
}
