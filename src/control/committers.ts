import { setTimeout as delay } from 'node:timers/promises'
import { CommitLedger, type DueCommit } from '../checkpoint/commit-ledger.ts'
import type { StoredCommittable } from '../checkpoint/manifest.ts'
import { locateError, messageOf, SluiceError } from '../core/errors.ts'
import type { SinkCommitter, SinkOpening } from '../core/sink.ts'
import { decodeValue } from '../core/value-codec.ts'
import type { StreamGraph } from '../graph/stream-graph.ts'
import { nodeIds } from '../graph/stream-graph.ts'

/** How commits that fail are tried again. */
export interface CommitRetries {
  /** From the first failure of a commit until it is given up; `0` for one try. Default: 10 m. */
  readonly commitTimeoutMs?: number
  /** Milliseconds on a clock that never goes back. */
  readonly now?: () => number
  /** Waits; comes back early, in whatever way, when the signal is aborted. */
  readonly sleep?: (ms: number, signal: AbortSignal) => Promise<unknown>
}

const DEFAULT_TIMEOUT_MS = 600_000
const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 10_000
const REPORT_EVERY_MS = 10_000

/**
 * Carries out what the ledger says is due. After completion every error leads forward: a commit that fails is tried again, and if that
 * does not help it ends the attempt, and the next one commits again what the manifest lists. What always holds:
 *
 * 1. Commits of one sink never overlap, also across attempts, and are made in the order of their checkpoints: what is due later waits.
 * 2. Sinks do not wait for each other.
 * 3. `committedThrough` never names a checkpoint of which any sink has something left to commit.
 */
export class Committers {
  readonly #committers = new Map<string, SinkCommitter>()
  readonly #warn: (message: string) => void
  readonly #retries: Required<CommitRetries>
  #ledger = new WatchedLedger([], -1)
  /** One for each sink that had something to commit in this attempt. */
  #lanes = new Map<string, CommitLane>()
  #givingUp = new AbortController()

  constructor(graph: StreamGraph, run: string, warn: (message: string) => void, retries: CommitRetries = {}) {
    this.#warn = warn
    this.#retries = {
      commitTimeoutMs: retries.commitTimeoutMs ?? DEFAULT_TIMEOUT_MS,
      now: retries.now ?? (() => performance.now()),
      sleep: retries.sleep ?? ((ms, signal) => delay(ms, undefined, { signal })),
    }
    const ids = nodeIds(graph)
    for (const node of graph.nodes) {
      if (node.body.type !== 'sink') continue
      const operator = ids[node.index]!
      this.#committers.set(operator, node.body.sink.createCommitter({ job: graph.job, run, operator, warn }))
    }
  }

  get ledger(): CommitLedger {
    return this.#ledger
  }

  /**
   * The newest completed checkpoint of which, and of everything before it, no sink has anything left to commit: the caller may note that
   * and let go of what older ones kept, also while a sink is behind. -1 before the first.
   */
  get committedThrough(): number {
    return this.#ledger.committedThrough
  }

  /** Asks every sink whether it would refuse a fresh start, before anything is forgotten. */
  async checkFresh(overwrite: boolean, attempt: number): Promise<void> {
    for (const [operator, committer] of this.#committers) {
      await located(operator, 'OUTPUT_UNWRITABLE', () => committer.check?.({ attempt, fresh: true, overwrite, pending: [] }))
    }
  }

  /** Before an attempt: checks the outputs, sweeps leftovers, and commits what the restored checkpoint lists. */
  async open(how: Omit<SinkOpening, 'pending'>, pending: readonly StoredCommittable[], completed: number): Promise<void> {
    // An attempt that failed may have left a commit under way; two for the same sink must not overlap.
    const over = this.abandon()
    // Before the wait, so that this attempt too can be given up meanwhile.
    this.#givingUp = new AbortController()
    await over
    this.#lanes = new Map()
    this.#ledger = new WatchedLedger(pending, completed)
    for (const [operator, committer] of this.#committers) {
      const own = pending.filter((committable) => committable.operator === operator)
      await located(operator, 'OUTPUT_UNWRITABLE', () => committer.open({ ...how, pending: decoded(own) }))
    }
    await this.commitDue()
  }

  /**
   * Before these sinks start again, while the others go on: what is due is committed, and what nobody will commit is swept.
   * @throws SluiceError what a commit or the sweeping failed with
   */
  async reopen(sinks: ReadonlySet<string>, how: Omit<SinkOpening, 'pending'>): Promise<void> {
    const own = [...this.#committers].filter(([operator]) => sinks.has(operator))
    await Promise.all(
      own.map(async ([operator, committer]) => {
        // Calls of one committer never overlap.
        await this.#lanes.get(operator)?.through
        await located(operator, 'OUTPUT_UNWRITABLE', () => committer.open({ ...how, pending: [] }))
      }),
    )
  }

  /**
   * Commits what is due now. Settles when that and all that was due before is committed, or as soon as one sink has failed for good, which
   * ends the attempt. What becomes due later is waited for by later calls.
   */
  async commitDue(): Promise<void> {
    for (const due of this.#ledger.due()) this.#lane(due.operator).add(due, this.#ledger)
    await Promise.all([...this.#lanes.values()].map((lane) => lane.through))
  }

  /**
   * The attempt is over: what waits to be tried again is given up at once, and what waits behind it. Settles when no commit is under way
   * any more. What is not committed stays listed in the manifest, for the next attempt.
   */
  async abandon(): Promise<void> {
    this.#givingUp.abort()
    await Promise.allSettled([...this.#lanes.values()].map((lane) => lane.through))
  }

  async close(finished: boolean): Promise<void> {
    await this.abandon()
    for (const committer of this.#committers.values()) await committer.close?.(finished)
  }

  #lane(operator: string): CommitLane {
    const known = this.#lanes.get(operator)
    if (known !== undefined) return known
    const committer = this.#committers.get(operator)
    const lane = new CommitLane(operator, committer, this.#retries, this.#warn, this.#givingUp.signal)
    this.#lanes.set(operator, lane)
    return lane
  }
}

/** A ledger that also knows which completed checkpoints are committed. */
class WatchedLedger extends CommitLedger {
  /** Completed checkpoints from `#committedThrough` on, oldest first. */
  #completed: number[]
  #committedThrough = -1

  constructor(restored: readonly StoredCommittable[], completed: number) {
    super(restored, completed)
    this.#completed = [completed]
  }

  override onCompleted(checkpoint: number): void {
    super.onCompleted(checkpoint)
    this.#completed.push(checkpoint)
  }

  get committedThrough(): number {
    const oldestDue = Math.min(...this.due().flatMap(({ committables }) => committables.map(({ checkpoint }) => checkpoint)))
    for (const checkpoint of this.#completed) if (checkpoint < oldestDue) this.#committedThrough = checkpoint
    this.#completed = this.#completed.filter((checkpoint) => checkpoint >= this.#committedThrough)
    return this.#committedThrough
  }
}

/** The commits of one sink in one attempt, one after the other. After one that failed for good nothing is committed any more. */
class CommitLane {
  readonly #operator: string
  readonly #committer: SinkCommitter | undefined
  readonly #retries: Required<CommitRetries>
  readonly #warn: (message: string) => void
  readonly #givenUp: AbortSignal
  /** The newest checkpoint of which something was added. Whatever becomes due later belongs to newer ones. */
  #addedThrough = -1

  /** Settles when everything that was added is committed. */
  through: Promise<void> = Promise.resolve()

  constructor(
    operator: string,
    committer: SinkCommitter | undefined,
    retries: Required<CommitRetries>,
    warn: (message: string) => void,
    givenUp: AbortSignal,
  ) {
    this.#operator = operator
    this.#committer = committer
    this.#retries = retries
    this.#warn = warn
    this.#givenUp = givenUp
  }

  /** @param due all that is due for the sink, also what was added before and is not committed yet */
  add(due: DueCommit, ledger: CommitLedger): void {
    const committables = due.committables.filter(({ checkpoint }) => checkpoint > this.#addedThrough)
    if (committables.length === 0) return
    this.#addedThrough = Math.max(...committables.map(({ checkpoint }) => checkpoint))
    this.through = this.through.then(async () => {
      await this.#commit(committables)
      ledger.onCommitted({ operator: due.operator, committables })
    })
    // Whoever waits for it is told; nobody has to.
    this.through.catch(() => undefined)
  }

  async #commit(committables: readonly StoredCommittable[]): Promise<void> {
    const committer = this.#committer
    if (committer === undefined) {
      throw new SluiceError('COMMIT_LOST', `the checkpoint holds output of '${this.#operator}', which is no sink of this job`)
    }
    let handles: readonly unknown[] = []
    await located(this.#operator, 'COMMIT_FAILED', () => {
      handles = decoded(committables)
    })
    const trouble = new CommitTrouble(this.#operator, this.#retries, this.#warn)
    while (!(await this.#try(committer, handles, trouble))) {
      // Cut short when the attempt is given up, which the next round notices.
      await this.#retries.sleep(trouble.nextPauseMs(), this.#givenUp).catch(() => undefined)
    }
    trouble.over()
  }

  /** @throws SluiceError when there is no use in trying again */
  async #try(committer: SinkCommitter, handles: readonly unknown[], trouble: CommitTrouble): Promise<boolean> {
    if (this.#givenUp.aborted) throw trouble.abandoned()
    const sinceMs = this.#retries.now()
    // One that never comes back cannot be tried again, because two must not overlap; but it does not hang in silence.
    const reminder = setInterval(() => this.#warn(this.#underWay(sinceMs)), REPORT_EVERY_MS).unref()
    try {
      await committer.commit(handles)
      return true
    } catch (error) {
      trouble.add(error)
      return false
    } finally {
      clearInterval(reminder)
    }
  }

  #underWay(sinceMs: number): string {
    return `'${this.#operator}' has been committing for ${seconds(this.#retries.now() - sinceMs)} and has not come back`
  }
}

/** What went wrong with one commit so far: when to try again, when to say something, when to stop. */
class CommitTrouble {
  readonly #operator: string
  readonly #retries: Required<CommitRetries>
  readonly #warn: (message: string) => void
  #tries = 0
  #sinceMs = 0
  #reportedMs = 0
  #pauseMs = FIRST_PAUSE_MS
  #last: unknown

  constructor(operator: string, retries: Required<CommitRetries>, warn: (message: string) => void) {
    this.#operator = operator
    this.#retries = retries
    this.#warn = warn
  }

  /** @throws SluiceError when trying again cannot help, or has not helped for too long */
  add(error: unknown): void {
    if (error instanceof SluiceError && !error.canRestart) throw locateError(error, { operator: this.#operator })
    this.#last = error
    this.#tries++
    const nowMs = this.#retries.now()
    if (this.#tries === 1) this.#sinceMs = nowMs
    if (nowMs - this.#sinceMs >= this.#retries.commitTimeoutMs) throw this.#failure()
    if (this.#tries > 1 && nowMs - this.#reportedMs < REPORT_EVERY_MS) return
    this.#reportedMs = nowMs
    const until = this.#tries === 1 ? `trying again for up to ${seconds(this.#retries.commitTimeoutMs)}` : this.#soFar()
    this.#warn(`'${this.#operator}' cannot commit, ${until}: ${messageOf(error)}`)
  }

  /** Doubled each time, and so that the last try is made when the time is up. */
  nextPauseMs(): number {
    const pauseMs = this.#pauseMs
    this.#pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)
    return Math.max(0, Math.min(pauseMs, this.#sinceMs + this.#retries.commitTimeoutMs - this.#retries.now()))
  }

  /** The commit was made. */
  over(): void {
    if (this.#tries > 0) this.#warn(`'${this.#operator}' has committed, ${this.#soFar()} that failed`)
  }

  /** The attempt is over before the commit was made. */
  abandoned(): SluiceError {
    const tried = this.#tries === 0 ? '' : `, ${this.#soFar()}`
    return this.#error(`'${this.#operator}' has not committed${tried}: the attempt is over, and the next one commits again`)
  }

  #failure(): SluiceError {
    return this.#error(`'${this.#operator}' could not commit, ${this.#soFar()}: ${messageOf(this.#last)}`)
  }

  #soFar(): string {
    const tries = this.#tries === 1 ? '1 try' : `${this.#tries} tries`
    return `after ${seconds(this.#retries.now() - this.#sinceMs)} and ${tries}`
  }

  #error(message: string): SluiceError {
    const own = this.#last instanceof SluiceError ? this.#last.hint : undefined
    const hint =
      own ?? 'what is staged is not lost: the next attempt commits it again. How long one attempt tries is commitTimeout'
    return new SluiceError('COMMIT_FAILED', message, { operator: this.#operator, cause: this.#last, hint })
  }
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`
}

function decoded(committables: readonly StoredCommittable[]): readonly unknown[] {
  return committables.map((committable) => decodeValue(committable.bytes))
}

async function located(
  operator: string,
  code: 'COMMIT_FAILED' | 'OUTPUT_UNWRITABLE',
  action: () => void | Promise<void>,
): Promise<void> {
  try {
    await action()
  } catch (error) {
    throw locateError(error, { operator }, code, `'${operator}'`)
  }
}
