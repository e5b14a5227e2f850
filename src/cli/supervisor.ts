import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { FirstStart } from './beginning.ts'
import type { Beginning, Decision, Ending, RestartLimits } from './supervision.ts'
import {
  argumentsOfRestart,
  diedAbnormally,
  exitCodeAfter,
  firstStartOf,
  howItDied,
  RestartPolicy,
  saysWhereToBegin,
} from './supervision.ts'
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
/** Named by its URL, because it is the entry of a process. */
const PROBE_FILE = new URL(import.meta.url.endsWith('.ts') ? './beginning-probe.ts' : './beginning-probe.js', import.meta.url)
const PROBE_TIMEOUT_MS = 90_000
const SETTLED: Beginning = { begun: true, hasOwn: true }

/** What the supervisor tells; `--json` prints it as it is. */
export type SupervisorEvent =
  | {
      readonly event: 'died'
      readonly how: string
      readonly code: number | null
      readonly signal: string | null
      readonly livedMs: number
    }
  | {
      readonly event: 'restart'
      readonly restarts: number
      readonly delayMs: number
      /** Whether it goes on from where it was, and does not begin as the first start did. */
      readonly resumes: boolean
    }
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
  readonly #startedAtMs = Date.now()
  readonly #startedMs = performance.now()
  #child: ChildProcess | undefined
  /** The first signal that asked this process to end. */
  #stoppedBy: NodeJS.Signals | undefined

  constructor(options: SupervisorOptions) {
    this.#options = options
    this.#policy = new RestartPolicy(options.limits)
  }

  async run(): Promise<number> {
    const { args } = this.#options
    let beginning: Beginning = { begun: false, hasOwn: false }
    for (let next = args; ; next = argumentsOfRestart(args, beginning)) {
      const startedMs = performance.now()
      const ending = await this.#runOnce(next)
      const nowMs = performance.now()
      if (this.#stoppedBy !== undefined || !diedAbnormally(ending, this.#passedOn)) return exitCodeAfter(ending)
      const livedMs = Math.round(nowMs - startedMs)
      this.#options.tell({ event: 'died', how: howItDied(ending), ...ending, livedMs })
      const decision = this.#policy.onDeath(nowMs, livedMs)
      if ('giveUp' in decision) return this.#giveUp(decision.giveUp)
      if (!beginning.hasOwn) beginning = await this.#lookAtBeginning()
      await this.#pause(decision, !saysWhereToBegin(argumentsOfRestart(args, beginning)))
      if (this.#stoppedBy !== undefined) return exitCodeAfter({ code: null, signal: this.#stoppedBy })
    }
  }

  /** What cannot be found out counts as done. */
  async #lookAtBeginning(): Promise<Beginning> {
    const { job, args } = this.#options
    const first = firstStartOf(args)
    if (first === undefined) return SETTLED
    // When the clock was set back meanwhile, the job's checkpoints say that they were completed before its start.
    const startedAtMs = Math.min(this.#startedAtMs, Date.now() - (performance.now() - this.#startedMs))
    const question: FirstStart = { job, args, from: first.from, startedAtMs }
    return (await probed(question, this.#interruptPause.signal)) ?? SETTLED
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

  async #pause({ delayMs }: Extract<Decision, { delayMs: number }>, resumes: boolean): Promise<void> {
    if (this.#stoppedBy !== undefined) return
    this.#options.tell({ event: 'restart', restarts: this.#policy.restarts, delayMs, resumes })
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

/** Asks in a process of its own; `undefined` when that does not say. */
function probed(question: FirstStart, signal: AbortSignal): Promise<Beginning | undefined> {
  return new Promise((resolve) => {
    const args = [...process.execArgv, fileURLToPath(PROBE_FILE), JSON.stringify(question)]
    // What the job's module prints while it is imported once more is of no use to anybody.
    const probe = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'], timeout: PROBE_TIMEOUT_MS, signal })
    let said = ''
    probe.stdout.on('data', (data: Buffer) => {
      said += data.toString()
    })
    probe.once('error', () => resolve(undefined))
    probe.once('close', () => resolve(beginningIn(said)))
  })
}

/** The last line, should the module have got at stdout too. */
function beginningIn(said: string): Beginning | undefined {
  try {
    const { begun, hasOwn } = JSON.parse(said.trimEnd().split('\n').at(-1)!) as Partial<Beginning>
    return typeof begun === 'boolean' && typeof hasOwn === 'boolean' ? { begun, hasOwn } : undefined
  } catch {
    return undefined
  }
}
