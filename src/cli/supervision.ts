/*
 * What a supervisor decides when the job's process has ended. Pure: the clock is given.
 *
 * - A process that ends by itself with an ordinary code has said what it had to say; only one that was torn down is started again.
 * - What the user asked for by a flag of the first start (forget the state, begin from a savepoint) is asked for until it has been done, and then
 *   never again: from there on a start after a death resumes. In doubt it counts as done, because doing it again would forget progress.
 */

/** How a process ended. */
export interface Ending {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface RestartLimits {
  /** `undefined`: as many as it takes, unless the process dies again and again at its start. */
  readonly maxRestarts: number | undefined
  readonly firstDelayMs: number
}

export type Decision = { readonly delayMs: number } | { readonly giveUp: string }

const LONGEST_DELAY_MS = 60_000
/** A process that dies younger than that has not come far. */
const YOUNG_MS = 10_000
const YOUNG_DEATHS = 5
const YOUNG_DEATHS_WITHIN_MS = 60_000

/** 128 and a signal's number, as shells say it: the process, or one between, has turned the signal into a code. */
const SIGNAL_NUMBERS: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGTRAP: 5,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGTERM: 15,
}

/** Native code gave up, memory ran out, or an internal error of the software (70, `EX_SOFTWARE`). */
const DEADLY_CODES = [
  70,
  ...['SIGILL', 'SIGTRAP', 'SIGABRT', 'SIGBUS', 'SIGFPE', 'SIGKILL', 'SIGSEGV'].map((s) => 128 + SIGNAL_NUMBERS[s]!),
]

/** Whether the process was torn down. `passedOn` are the signals that it was sent on behalf of the user, which it may die of. */
export function diedAbnormally({ code, signal }: Ending, passedOn: ReadonlySet<NodeJS.Signals>): boolean {
  return signal === null ? DEADLY_CODES.includes(code ?? 0) : !passedOn.has(signal)
}

/** What the supervisor ends with after a process that ended so. */
export function exitCodeAfter({ code, signal }: Ending): number {
  return signal === null ? (code ?? 1) : 128 + (SIGNAL_NUMBERS[signal] ?? 0)
}

/** `by SIGKILL`, `with exit code 134`. */
export function howItDied({ code, signal }: Ending): string {
  return signal === null ? `with exit code ${code}` : `by ${signal}`
}

/** Counts the deaths of one job's processes. */
export class RestartPolicy {
  readonly #limits: RestartLimits
  #restarts = 0
  #delayMs: number
  #youngDeathsMs: readonly number[] = []

  constructor(limits: RestartLimits) {
    this.#limits = limits
    this.#delayMs = limits.firstDelayMs
  }

  get restarts(): number {
    return this.#restarts
  }

  /** A process has died that had lived so long. */
  onDeath(nowMs: number, livedMs: number): Decision {
    const { maxRestarts, firstDelayMs } = this.#limits
    // It has done so well that what comes now is another trouble.
    if (livedMs >= LONGEST_DELAY_MS) this.#delayMs = firstDelayMs
    this.#youngDeathsMs =
      livedMs < YOUNG_MS ? [...this.#youngDeathsMs.filter((at) => nowMs - at < YOUNG_DEATHS_WITHIN_MS), nowMs] : []
    if (maxRestarts !== undefined && this.#restarts >= maxRestarts) {
      return { giveUp: `it has been started again ${maxRestarts} times, as many as --max-restarts allows` }
    }
    if (maxRestarts === undefined && this.#youngDeathsMs.length >= YOUNG_DEATHS) {
      return { giveUp: `it died ${YOUNG_DEATHS} times within a minute, each time soon after its start` }
    }
    this.#restarts++
    const delayMs = this.#delayMs
    this.#delayMs = Math.min(delayMs * 2, LONGEST_DELAY_MS)
    return { delayMs }
  }
}

/** How far a job has come since its first start, as far as its state tells. */
export interface Beginning {
  /** Where it begins is settled: the state is forgotten, the savepoint is imported, or the job has gone back. */
  readonly begun: boolean
  /** A checkpoint has been completed since. Until then its outputs may still hold what others left there. */
  readonly hasOwn: boolean
}

/** Flags that are about how a run begins; once it has begun, a start after a death goes on with it. */
const BEGINNING_SWITCHES = ['--fresh', '--claim']
const FROM = '--from'
const OVERWRITE = '--overwrite'

/** What the arguments say of the first start; `undefined` when that is nothing. */
export function firstStartOf(args: readonly string[]): { readonly from: string | undefined } | undefined {
  const flags = beginningFlags(args)
  if (flags.length === 0) return undefined
  return { from: flags.findLast(({ name }) => name === FROM)?.value }
}

/** The job's arguments for a start after a death: without the flags that have done what they are for. */
export function argumentsOfRestart(args: readonly string[], { begun, hasOwn }: Beginning): readonly string[] {
  const done = beginningFlags(args).filter(({ name }) => (name === OVERWRITE ? hasOwn : begun))
  const gone = new Set(done.flatMap(({ places }) => places))
  return args.filter((_, place) => !gone.has(place))
}

/** Whether these arguments say where a run begins; without that it resumes. */
export function saysWhereToBegin(args: readonly string[]): boolean {
  return beginningFlags(args).some(({ name }) => name !== OVERWRITE)
}

interface BeginningFlag {
  readonly name: string
  readonly value: string | undefined
  /** Where it stands among the arguments, with its value. */
  readonly places: readonly number[]
}

/** Behind `--` everything is the user's. */
function beginningFlags(args: readonly string[]): readonly BeginningFlag[] {
  const flags: BeginningFlag[] = []
  for (let place = 0; place < args.length && args[place] !== '--'; place++) {
    const arg = args[place]!
    if (arg === FROM) flags.push({ name: FROM, value: args[place + 1], places: [place, ++place] })
    else if (arg.startsWith(`${FROM}=`)) flags.push({ name: FROM, value: arg.slice(FROM.length + 1), places: [place] })
    else if ([...BEGINNING_SWITCHES, OVERWRITE].includes(arg)) flags.push({ name: arg, value: undefined, places: [place] })
  }
  return flags
}
