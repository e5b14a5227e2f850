import { SluiceError } from '../../core/errors.ts'
import type { Sink, SinkCommitter, SinkOpening, SinkWriter, SinkWriterContext } from '../../core/sink.ts'

/** What a sink has staged between two barriers: a transaction of the target. */
interface Transaction {
  readonly id: string
  readonly records: readonly unknown[]
  readonly checkpoint: number
  readonly attempt: number
  /** A later attempt had swept already when it came: a call of a thread that was dead by then. */
  readonly isStray: boolean
  state: 'prepared' | 'committed' | 'aborted'
}

/** How a sink names a transaction. */
interface Handle {
  readonly id: string
}

/** What may go wrong at a target. */
export interface TargetFaults {
  /** Before a call takes effect: may throw, may take its time. */
  before(call: TargetCall, target: string): Promise<void> | void
  /** It has taken effect, and the caller does not know it yet. */
  after(call: TargetCall, target: string): Promise<void> | void
}

export type TargetCall = 'prepare' | 'open' | 'commit'

/** Whoever watches what becomes visible. */
export interface TargetWatch {
  onVisible(
    target: string,
    transaction: { readonly id: string; readonly checkpoint: number; readonly records: readonly unknown[] },
  ): void
  /** The target was asked for what a right engine never asks for. */
  onMisuse(target: string, what: string): void
}

/**
 * A system outside that knows two phases: what is prepared survives its writer, and becomes visible when it is committed, once. It outlives the
 * processes that write to it. What a process that is dead asks for has no effect: `isAlive` is asked at each call.
 */
export class SimulatedTarget {
  readonly name: string
  readonly #watch: TargetWatch
  readonly #transactions = new Map<string, Transaction>()
  #prepared = 0
  /** The newest attempt that has swept. */
  #sweptBy = 0

  constructor(name: string, watch: TargetWatch) {
    this.name = name
    this.#watch = watch
  }

  /** Transactions that are neither committed nor aborted, and should be. */
  get pending(): readonly string[] {
    return [...this.#transactions.values()].filter(({ state, isStray }) => state === 'prepared' && !isStray).map(({ id }) => id)
  }

  /** The sink of one process. */
  sink(kind: string, isAlive: () => boolean, faults: TargetFaults): Sink<unknown, Handle> {
    return {
      kind,
      createWriter: (context) => this.#writer(context, isAlive, faults),
      createCommitter: () => this.#committer(isAlive, faults),
    }
  }

  #writer(
    { run, attempt, subtask }: SinkWriterContext,
    isAlive: () => boolean,
    faults: TargetFaults,
  ): SinkWriter<unknown, Handle> {
    let open: unknown[] = []
    return {
      write: (record) => void open.push(record),
      prepareCommit: async (checkpoint) => {
        // The cut is made at once; what takes its time comes after it.
        const records = open
        open = []
        if (records.length === 0) return []
        await faults.before('prepare', this.name)
        if (!isAlive()) return []
        const id = `${run}.${attempt}.${subtask}.${this.#prepared++}`
        this.#transactions.set(id, { id, records, checkpoint, attempt, isStray: attempt < this.#sweptBy, state: 'prepared' })
        await faults.after('prepare', this.name)
        return [{ id }]
      },
      close: () => {
        open = []
      },
    }
  }

  #committer(isAlive: () => boolean, faults: TargetFaults): SinkCommitter<Handle> {
    return {
      open: async (opening) => {
        await faults.before('open', this.name)
        if (isAlive()) this.#sweep(opening)
        await faults.after('open', this.name)
      },
      commit: async (handles) => {
        await faults.before('commit', this.name)
        if (isAlive()) for (const { id } of handles) this.#commit(id)
        await faults.after('commit', this.name)
      },
    }
  }

  /** What nobody will commit is aborted: all but what the newest checkpoint lists, and what a later attempt has prepared. */
  #sweep({ pending, attempt }: SinkOpening<Handle>): void {
    const kept = new Set(pending.map(({ id }) => id))
    this.#sweptBy = Math.max(this.#sweptBy, attempt)
    for (const transaction of this.#transactions.values()) {
      const isLeft = transaction.state === 'prepared' && transaction.attempt <= attempt
      if (isLeft && !kept.has(transaction.id)) transaction.state = 'aborted'
    }
  }

  #commit(id: string): void {
    const transaction = this.#transactions.get(id)
    // Once more, after a crash or an error that came too late.
    if (transaction?.state === 'committed') return
    if (transaction?.state !== 'prepared') {
      const what = transaction === undefined ? 'was never prepared' : 'was aborted'
      this.#watch.onMisuse(this.name, `transaction ${id} is committed, which ${what}`)
      throw new SluiceError('COMMIT_LOST', `transaction ${id} ${what}`)
    }
    transaction.state = 'committed'
    this.#watch.onVisible(this.name, transaction)
  }
}
