import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import type { Decision, Ending, RestartLimits } from './supervision.ts'
import { argumentsOfRestart, diedAbnormally, exitCodeAfter, howItDied, RestartPolicy } from './supervision.ts'
import { terminalReachesGroup } from './terminal.ts'

/*
 * Runs a job in a process of its own and starts it again when that is torn down: by the kernel for want of memory, by a crash in native code.
 * What always holds:
 *
 * - This process loads no native code, so what kills the job does not kill it.
 * - It never ends before the job's process: a signal is passed on, and waited for.
 * - stdin, stdout and stderr are the job's; this process writes whole lines to stderr, and only when something has died.
 */

const PASSED_ON = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** What the supervisor tells; `--json` prints it as it is. */
export type SupervisorEvent =
  | {
      readonly event: 'died'
      readonly how: string
      readonly code: number | null
      readonly signal: string | null
      readonly livedMs: number
    }
  | { readonly event: 'restart'; readonly restarts: number; readonly delayMs: number }
  | { readonly event: 'gave-up'; readonly reason: string }

export interface SupervisorOptions {
  /** The job's file and its arguments. */
  readonly job: string
  readonly args: readonly string[]
  readonly limits: RestartLimits
  readonly tell: (event: SupervisorEvent) => void
}

/** Runs the job until it has ended by itself, was stopped, or is given up. Returns what this process is to end with. */
export async function supervise(options: SupervisorOptions): Promise<number> {
  const supervisor = new Supervisor(options)
  for (const signal of PASSED_ON) process.on(signal, supervisor.onSignal)
  try {
    return await supervisor.run()
  } finally {
    for (const signal of PASSED_ON) process.off(signal, supervisor.onSignal)
  }
}

class Supervisor {
  readonly #options: SupervisorOptions
  readonly #policy: RestartPolicy
  readonly #passedOn = new Set<NodeJS.Signals>()
  readonly #interruptPause = new AbortController()
  #child: ChildProcess | undefined
  /** The first signal that asked this process to end. */
  #stoppedBy: NodeJS.Signals | undefined

  constructor(options: SupervisorOptions) {
    this.#options = options
    this.#policy = new RestartPolicy(options.limits)
  }

  async run(): Promise<number> {
    let args = this.#options.args
    for (;;) {
      const startedMs = performance.now()
      const ending = await this.#runOnce(args)
      const nowMs = performance.now()
      if (this.#stoppedBy !== undefined || !diedAbnormally(ending, this.#passedOn)) return exitCodeAfter(ending)
      const livedMs = Math.round(nowMs - startedMs)
      this.#options.tell({ event: 'died', how: howItDied(ending), ...ending, livedMs })
      const decision = this.#policy.onDeath(nowMs, livedMs)
      if ('giveUp' in decision) return this.#giveUp(decision.giveUp)
      await this.#pause(decision)
      if (this.#stoppedBy !== undefined) return exitCodeAfter({ code: null, signal: this.#stoppedBy })
      args = argumentsOfRestart(this.#options.args)
    }
  }

  async #runOnce(args: readonly string[]): Promise<Ending> {
    const child = spawn(process.execPath, [...process.execArgv, this.#options.job, ...args], { stdio: 'inherit' })
    this.#child = child
    try {
      return await new Promise<Ending>((resolve, reject) => {
        child.once('error', reject)
        child.once('exit', (code, signal) => resolve({ code, signal }))
      })
    } finally {
      this.#child = undefined
    }
  }

  #giveUp(reason: string): number {
    this.#options.tell({ event: 'gave-up', reason })
    return 1
  }

  async #pause({ delayMs }: Extract<Decision, { delayMs: number }>): Promise<void> {
    this.#options.tell({ event: 'restart', restarts: this.#policy.restarts, delayMs })
    await delay(delayMs, undefined, { signal: this.#interruptPause.signal }).catch(() => undefined)
  }

  readonly onSignal = (signal: NodeJS.Signals): void => {
    this.#interruptPause.abort()
    if (this.#stoppedBy !== undefined) {
      // Asked twice, the job is not waited for. That loses nothing: it resumes from its last checkpoint.
      this.#child?.kill('SIGKILL')
      return
    }
    this.#stoppedBy = signal
    this.#passedOn.add(signal)
    if (signal !== 'SIGINT' || !terminalReachesGroup()) this.#child?.kill(signal)
  }
}
