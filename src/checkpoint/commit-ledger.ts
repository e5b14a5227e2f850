import { assert } from '../core/assert.ts'
import type { StoredCommittable } from './manifest.ts'

/** Committables of one sink that are due together, oldest checkpoint first. */
export interface DueCommit {
  readonly operator: string
  readonly committables: readonly StoredCommittable[]
}

/**
 * The book of what sinks have prepared. It decides what a manifest lists and what may be committed; the committing is done elsewhere.
 * What always holds:
 *
 * 1. A committable is due only once a checkpoint at or after its own is complete.
 * 2. What was prepared for an aborted checkpoint stays in the book and goes with the next one: its records were cut off from that one's.
 * 3. Every manifest lists all that is prepared up to its checkpoint and not known to be committed, so no crash loses a commit.
 * 4. The same (sink, subtask, checkpoint) may be prepared twice with the same meaning, but is in the book once.
 * 5. What a sink prepared after the last complete checkpoint is forgotten when its region starts again: those records come once more.
 */
export class CommitLedger {
  readonly #prepared = new Map<string, readonly StoredCommittable[]>()
  #completed: number

  /** @param restored what the manifest of the restored checkpoint lists */
  constructor(restored: readonly StoredCommittable[], completed: number) {
    this.#completed = completed
    for (const committable of restored) {
      const id = entryId(committable.operator, committable.subtask, committable.checkpoint)
      this.#prepared.set(id, [...(this.#prepared.get(id) ?? []), committable])
    }
  }

  /** A subtask has acknowledged `checkpoint` with these. */
  onPrepared(operator: string, subtask: number, checkpoint: number, committables: readonly Uint8Array[]): void {
    assert(checkpoint > this.#completed, `prepared for checkpoint ${checkpoint} after ${this.#completed} was complete`)
    if (committables.length === 0) return
    const stored = committables.map((bytes) => ({ operator, subtask, checkpoint, bytes }))
    this.#prepared.set(entryId(operator, subtask, checkpoint), stored)
  }

  /** What the manifest of `checkpoint` lists. */
  listedBy(checkpoint: number): readonly StoredCommittable[] {
    return this.#entries().filter((committable) => committable.checkpoint <= checkpoint)
  }

  /** The checkpoint is complete: its manifest is durable. */
  onCompleted(checkpoint: number): void {
    assert(checkpoint > this.#completed, `checkpoint ${checkpoint} completed after ${this.#completed}`)
    this.#completed = checkpoint
  }

  /** These sinks start again from the last complete checkpoint. */
  onRestarted(sinks: ReadonlySet<string>): void {
    for (const [id, committables] of this.#prepared) {
      const [first] = committables
      if (first !== undefined && sinks.has(first.operator) && first.checkpoint > this.#completed) this.#prepared.delete(id)
    }
  }

  /** What may be committed now, by sink. */
  due(): readonly DueCommit[] {
    const bySink = new Map<string, StoredCommittable[]>()
    for (const committable of this.#entries()) {
      if (committable.checkpoint > this.#completed) continue
      const due = bySink.get(committable.operator) ?? []
      due.push(committable)
      bySink.set(committable.operator, due)
    }
    return [...bySink].map(([operator, committables]) => ({ operator, committables }))
  }

  /** The sink has made these visible. */
  onCommitted(due: DueCommit): void {
    for (const { operator, subtask, checkpoint } of due.committables)
      this.#prepared.delete(entryId(operator, subtask, checkpoint))
  }

  #entries(): readonly StoredCommittable[] {
    const all = [...this.#prepared.values()].flat()
    return all.sort((a, b) => a.checkpoint - b.checkpoint || a.operator.localeCompare(b.operator) || a.subtask - b.subtask)
  }
}

function entryId(operator: string, subtask: number, checkpoint: number): string {
  return `${checkpoint}/${subtask}/${operator}`
}
