import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))

export const FIXTURES = fileURLToPath(new URL('../fixtures/cli/', import.meta.url))

/** How a call of the command line ended, and what it said. */
export interface Said {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface Surroundings {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
}

/** `sluice ...` in a process and a session of its own: a terminal from which tests are run is not its terminal. */
export class CommandLine {
  readonly process: ChildProcess
  readonly ended: Promise<Said>
  #stdout = ''
  #stderr = ''

  constructor(args: readonly string[], { cwd, env = {} }: Surroundings = {}) {
    this.process = spawn(process.execPath, ['--conditions=@sluice/source', MAIN, ...args], {
      env: { ...process.env, NODE_OPTIONS: '', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      ...(cwd === undefined ? {} : { cwd }),
    })
    this.process.stdout!.on('data', (data: Buffer) => {
      this.#stdout += data.toString()
    })
    this.process.stderr!.on('data', (data: Buffer) => {
      this.#stderr += data.toString()
    })
    this.ended = this.#end()
  }

  async #end(): Promise<Said> {
    const [code, signal] = (await once(this.process, 'close')) as [number | null, NodeJS.Signals | null]
    return { code, signal, stdout: this.#stdout, stderr: this.#stderr }
  }

  /** Waits until stdout or stderr has what is looked for. */
  async until(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.#stdout) ?? pattern.exec(this.#stderr)
      if (found !== null) return found
      await Promise.race([
        once(this.process.stdout!, 'data'),
        once(this.process.stderr!, 'data'),
        this.ended.then(() => {
          throw new Error(`ended without ${pattern}: ${this.#stdout}${this.#stderr}`)
        }),
      ])
    }
  }
}

/** Calls the command line and waits for its end. */
export async function sluice(args: readonly string[], surroundings?: Surroundings): Promise<Said> {
  return await new CommandLine(args, surroundings).ended
}
