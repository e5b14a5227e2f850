import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const CHILD = fileURLToPath(new URL('folder-child.ts', import.meta.url))
const LONGEST_MS = 60_000

/** What became of one folder: an outcome for each action, `ok`, a code, or what should never be. */
export type Outcomes = ReadonlyMap<string, string>

/** Whether it is one that may be: everything went well, or an error with a code. */
export function isAllowed(outcome: string): boolean {
  return /^(ok|damaged|[A-Z]+(_[A-Z]+)*)$/.test(outcome)
}

interface Said {
  readonly begins?: string
  readonly action?: string
  readonly outcome?: string
  readonly unhandled?: string
  readonly done?: string
}

/** Gives folders to a process that reads and runs them, and to a new one when that has died. */
export class FolderRunner {
  #process: ChildProcess | undefined
  #stderr = ''

  async try(folder: string, actions: readonly string[]): Promise<Outcomes> {
    const outcomes = new Map<string, string>()
    let left = actions
    while (left.length > 0) {
      const ended = await this.#part(folder, left, outcomes)
      if (ended === undefined) break
      outcomes.set(ended.action, ended.how)
      left = left.slice(left.indexOf(ended.action) + 1)
    }
    return outcomes
  }

  /** Returns how the process ended when it did. */
  async #part(folder: string, actions: readonly string[], outcomes: Map<string, string>) {
    const child = (this.#process ??= this.#start())
    const timer = setTimeout(() => child.kill('SIGKILL'), LONGEST_MS)
    let action = actions[0]!
    const lines = createInterface({ input: child.stdout! })
    child.stdin!.write(`${JSON.stringify({ folder, actions })}\n`)
    try {
      for await (const line of lines) {
        const said = JSON.parse(line) as Said
        if (said.begins !== undefined) action = said.begins
        else if (said.unhandled !== undefined) outcomes.set(`${action}, unhandled`, said.unhandled)
        else if (said.done !== undefined) return undefined
        else outcomes.set(said.action!, said.outcome!)
      }
    } finally {
      clearTimeout(timer)
      lines.close()
    }
    return { action, how: await this.#ended(child) }
  }

  #start(): ChildProcess {
    this.#stderr = ''
    const child = spawn(process.execPath, ['--conditions=@sluice/source', '--no-warnings', CHILD], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, NODE_OPTIONS: '' },
    })
    child.stderr!.on('data', (data: Buffer) => {
      this.#stderr = `${this.#stderr}${data.toString()}`.slice(-2_000)
    })
    child.stdin!.on('error', () => undefined)
    return child
  }

  async #ended(child: ChildProcess): Promise<string> {
    this.#process = undefined
    if (child.exitCode === null && child.signalCode === null) await once(child, 'close')
    return `the process ended by ${child.signalCode ?? `exit code ${child.exitCode}`}: ${this.#stderr.trim()}`
  }

  close(): void {
    this.#process?.kill('SIGKILL')
    this.#process = undefined
  }
}
