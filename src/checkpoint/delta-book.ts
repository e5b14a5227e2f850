import type { StoredDelta } from './manifest.ts'

/**
 * The book of changed state that is stored and not in the base yet. It decides what a manifest lists. What always holds:
 *
 * 1. A manifest lists every change up to its checkpoint that the base does not hold, in an order in which it applies: checkpoint by
 *    checkpoint, and of one subtask as it sent them.
 * 2. What was sent for an aborted checkpoint stays in the book: a subtask that has cut off its changes does not send them again.
 * 3. What an attempt sent after its last complete checkpoint is worth nothing to the next one, which begins with a new book; nor what the
 *    operators of a region sent before it starts again.
 */
export class DeltaBook {
  #deltas: readonly StoredDelta[]

  /** @param restored what the manifest of the restored checkpoint lists and the base does not hold */
  constructor(restored: readonly StoredDelta[]) {
    this.#deltas = restored
  }

  onStored(deltas: readonly StoredDelta[]): void {
    this.#deltas = [...this.#deltas, ...deltas]
  }

  /** What the manifest of `checkpoint` lists. */
  listedBy(checkpoint: number, foldedThrough: number): readonly StoredDelta[] {
    const listed = this.#deltas.filter((delta) => delta.checkpoint <= checkpoint && delta.checkpoint > foldedThrough)
    return listed.sort((a, b) => a.checkpoint - b.checkpoint || a.sequence - b.sequence)
  }

  /** The base holds everything up to `checkpoint`. */
  onFolded(checkpoint: number): void {
    this.#deltas = this.#deltas.filter((delta) => delta.checkpoint > checkpoint)
  }

  /** These operators start again from the complete checkpoint `completed`. Returns what they sent after it: nobody will list that. */
  onRestarted(operators: ReadonlySet<string>, completed: number): readonly StoredDelta[] {
    const isPast = (delta: StoredDelta): boolean => delta.checkpoint > completed && operators.has(delta.operator)
    const past = this.#deltas.filter(isPast)
    this.#deltas = this.#deltas.filter((delta) => !isPast(delta))
    return past
  }

  /** Bytes of a checkpoint that have come so far. */
  bytesOf(checkpoint: number): number {
    return this.#deltas.reduce((sum, delta) => (delta.checkpoint === checkpoint ? sum + delta.length : sum), 0)
  }
}
