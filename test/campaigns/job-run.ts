import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { ChaosSettings } from '../fixtures/jobs/chaos.ts'

const JOB = fileURLToPath(new URL('../fixtures/jobs/chaos.ts', import.meta.url))
/** A process that sees no other, as one in a container of its own; it dies with its parent. */
const ISOLATION = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc']

/** What Node has compiled once it need not compile at every start: a campaign mostly starts processes. */
const COMPILED = fileURLToPath(new URL('../../node_modules/.cache/sluice-chaos', import.meta.url))

export interface Ending {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** A line that the job says on stderr. */
export interface JobEvent {
  readonly event?: string
  readonly code?: string
  readonly message?: string
  readonly status?: string
  readonly savepoint?: string
  readonly hint?: string
}

export interface RunSettings extends ChaosSettings {
  readonly from?: string | undefined
  readonly isolated?: boolean
  /** Megabytes of heap. */
  readonly heapMb?: number | undefined
}

/** A process of the job: what it said so far, and how it ended. */
export class JobRun {
  static readonly #living = new Set<JobRun>()

  readonly settings: RunSettings
  readonly ended: Promise<Ending>
  readonly events: JobEvent[] = []
  /** Lines that are no events: a job that is only killed has none. */
  readonly complaints: string[] = []
  /** Codes of failures that were brought about: it may restart or end with them. */
  readonly excuses = new Set<string>()
  /** Its process may die by itself. */
  mayDie = false
  readonly #sent = new Set<NodeJS.Signals>()
  readonly #process: ChildProcess
  readonly #waiting = new Set<() => void>()
  #stdout = ''
  ending: Ending | undefined

  constructor(settings: RunSettings) {
    this.settings = settings
    const { folder, input, options, from, isolated = false, heapMb } = settings
    const heap = heapMb === undefined ? [] : [`--max-old-space-size=${heapMb}`]
    const origin = from === undefined ? [] : ['--from', from]
    const words = [process.execPath, '--conditions=@sluice/source', ...heap, JOB, '--json', ...origin]
    const [command, ...args] = isolated ? [...ISOLATION, ...words] : words
    this.#process = spawn(command!, args, {
      cwd: folder,
      env: {
        ...process.env,
        NODE_OPTIONS: '',
        NODE_COMPILE_CACHE: COMPILED,
        CHAOS: JSON.stringify({ folder, input, options } satisfies ChaosSettings),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      // A group of its own: a Ctrl-C of the terminal is the campaign's business alone.
      detached: true,
    })
    JobRun.#living.add(this)
    this.#process.stdout!.on('data', (data: Buffer) => {
      this.#stdout += data.toString()
    })
    createInterface(this.#process.stderr!).on('line', (line) => this.#onLine(line))
    this.ended = this.#end()
  }

  /** Ends whatever still runs of all that were started. */
  static killAll(): void {
    for (const run of JobRun.#living) run.signal('SIGKILL')
  }

  /** Whether processes can be isolated from each other here. */
  static canIsolate(): boolean {
    try {
      execFileSync(ISOLATION[0]!, [...ISOLATION.slice(1), 'true'], { stdio: 'ignore' })
      return true
    } catch {
      return false
    }
  }

  async #end(): Promise<Ending> {
    const [code, signal] = (await once(this.#process, 'close')) as [number | null, NodeJS.Signals | null]
    JobRun.#living.delete(this)
    this.ending = { code, signal }
    return this.ending
  }

  get pid(): number {
    return this.#process.pid!
  }

  /** Sends it to the process and, if it is isolated, to what isolates it. False when it has ended. */
  signal(signal: NodeJS.Signals): boolean {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return false
    try {
      process.kill(-this.pid, signal)
    } catch {
      return false
    }
    this.#sent.add(signal)
    return true
  }

  wasSent(signal: NodeJS.Signals): boolean {
    return this.#sent.has(signal)
  }

  /** What the job says at its end: its result or its error. */
  get outcome(): JobEvent | undefined {
    try {
      return JSON.parse(this.#stdout) as JobEvent
    } catch {
      return undefined
    }
  }

  count(event: string): number {
    return this.events.filter((each) => each.event === event).length
  }

  /** Settles when there are so many events of that name in all, or with the end of the process. */
  async until(event: string, number: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const look = (): void => {
      if (this.count(event) >= number) resolve()
    }
    this.#waiting.add(look)
    look()
    await Promise.race([promise, this.ended])
    this.#waiting.delete(look)
  }

  #onLine(line: string): void {
    try {
      this.events.push(JSON.parse(line) as JobEvent)
    } catch {
      this.complaints.push(line)
    }
    for (const look of this.#waiting) look()
  }
}
