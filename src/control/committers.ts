import { CommitLedger } from '../checkpoint/commit-ledger.ts'
import type { StoredCommittable } from '../checkpoint/manifest.ts'
import { locateError, SluiceError } from '../core/errors.ts'
import type { SinkCommitter } from '../core/sink.ts'
import { decodeValue } from '../core/value-codec.ts'
import type { StreamGraph } from '../graph/stream-graph.ts'
import { nodeIds } from '../graph/stream-graph.ts'

/**
 * Carries out what the ledger says is due. Commits of one sink never overlap; sinks do not wait for each other. A commit that fails ends
 * the attempt, and the next one commits again what the manifest lists: after completion every error leads forward.
 */
export class Committers {
  readonly #committers = new Map<string, SinkCommitter>()
  #ledger: CommitLedger = new CommitLedger([], -1)
  #running: Promise<void> | undefined

  constructor(graph: StreamGraph, run: string, warn: (message: string) => void) {
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

  /** Asks every sink whether it would refuse a fresh start, before anything is forgotten. */
  async checkFresh(overwrite: boolean): Promise<void> {
    for (const [operator, committer] of this.#committers) {
      await located(operator, 'OUTPUT_UNWRITABLE', () => committer.check?.({ fresh: true, overwrite, pending: [] }))
    }
  }

  /** Before an attempt: checks the outputs, sweeps leftovers, and commits what the restored checkpoint lists. */
  async open(fresh: boolean, overwrite: boolean, pending: readonly StoredCommittable[], completed: number): Promise<void> {
    // An attempt that failed may have left a commit under way; two for the same sink must not overlap.
    await this.#running?.catch(() => undefined)
    this.#ledger = new CommitLedger(pending, completed)
    for (const [operator, committer] of this.#committers) {
      const own = pending.filter((committable) => committable.operator === operator)
      await located(operator, 'OUTPUT_UNWRITABLE', () => committer.open({ fresh, overwrite, pending: decoded(own) }))
    }
    await this.commitDue()
  }

  /** Commits all that is due, now and by the time it is through. Concurrent calls share one run. */
  commitDue(): Promise<void> {
    this.#running ??= this.#commitAll().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  async #commitAll(): Promise<void> {
    for (let due = this.#ledger.due(); due.length > 0; due = this.#ledger.due()) {
      const ledger = this.#ledger
      // All of them are waited for, also when one fails: none may still run when the next attempt begins.
      const outcomes = await Promise.allSettled(
        due.map(async (sink) => {
          const committer = this.#committers.get(sink.operator)
          if (committer === undefined)
            throw new SluiceError(
              'COMMIT_LOST',
              `the checkpoint holds output of '${sink.operator}', which is no sink of this job`,
            )
          await located(sink.operator, 'COMMIT_FAILED', () => committer.commit(decoded(sink.committables)))
          ledger.onCommitted(sink)
        }),
      )
      const failed = outcomes.find((outcome) => outcome.status === 'rejected')
      if (failed !== undefined) throw failed.reason
    }
  }

  async close(finished: boolean): Promise<void> {
    await this.#running?.catch(() => undefined)
    for (const committer of this.#committers.values()) await committer.close?.(finished)
  }
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
