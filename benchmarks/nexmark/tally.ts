import type { Sink } from 'sluice'
import type { NexmarkQuery } from './catalogue.ts'

/** A result in two figures: how many rows, and the sum of their digests modulo 2^32. */
export interface Total {
  readonly rows: number
  readonly checksum: number
}

/** What the sink of one subtask saw between two checkpoints. */
interface Seen extends Total {
  readonly subtask: number
  readonly checkpoint: number
  /** When the writer was made, which is when the first event is about to be read; in milliseconds since 1970. */
  readonly openedAtMs: number
}

/** What was committed, as the main thread knows it. */
export class Tally implements Sink<unknown, Seen> {
  readonly kind = 'tally'
  lastCommitMs = 0
  readonly #query: NexmarkQuery
  readonly #committed = new Map<string, Seen>()

  constructor(query: NexmarkQuery) {
    this.#query = query
  }

  get total(): Total {
    return [...this.#committed.values()].reduce((a, b) => plus(a, b.rows, b.checksum), { rows: 0, checksum: 0 })
  }

  get openedAtMs(): number {
    return Math.min(...[...this.#committed.values()].map((seen) => seen.openedAtMs))
  }

  createWriter({ subtask }: { readonly subtask: number }) {
    const { digest, rows } = this.#query
    const openedAtMs = Date.now()
    let [count, checksum] = [0, 0]
    return {
      write(row: unknown) {
        count += rows === undefined ? 1 : rows(row)
        checksum = (checksum + digest(row)) | 0
      },
      // Also of no rows: a run that gives none began at some time too.
      prepareCommit(checkpoint: number) {
        const seen: Seen = { subtask, checkpoint, openedAtMs, rows: count, checksum: checksum >>> 0 }
        count = checksum = 0
        return [seen]
      },
      close() {},
    }
  }

  createCommitter() {
    return {
      open() {},
      commit: (committables: readonly Seen[]) => {
        for (const seen of committables) this.#committed.set(`${seen.checkpoint}/${seen.subtask}`, seen)
        this.lastCommitMs = Date.now()
      },
    }
  }
}

/** The total of rows that nobody has put through a sink. */
export function totalOf(query: NexmarkQuery, rows: Iterable<unknown>): Total {
  let total: Total = { rows: 0, checksum: 0 }
  for (const row of rows) total = plus(total, query.rows?.(row) ?? 1, query.digest(row))
  return total
}

function plus(total: Total, rows: number, digest: number): Total {
  return { rows: total.rows + rows, checksum: (total.checksum + digest) >>> 0 }
}
