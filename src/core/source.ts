/**
 * A replayable input. The engine calls, in this order:
 *
 * 1. `enumerate` once on the main thread, before the first record of a fresh start. The splits it returns are stored in checkpoint 0
 *    and never asked for again, so a file that appears later is not read by half of the replays.
 * 2. `open` in the subtask that owns a split, with `undefined` at first and with a stored position after a restore. A subtask reads
 *    its splits one after the other, in the order of `enumerate` (or `inTurn`); splits are dealt to subtasks in turn. When the
 *    parallelism has changed, splits that different subtasks were reading may come together in one: it reads these in turn until they are
 *    done, and then the rest one after the other, so that event time goes on where it stood.
 * 3. `poll` again and again until it answers `null`, and `position` after each answer has been handed on in full.
 * 4. `close`, also after an error.
 *
 * Splits and positions are plain data (they are encoded into checkpoints). Opening the same split at the same position must give the
 * same records again: that is what exactly-once rests on.
 */
export interface Source<T, Split = unknown, Position = unknown> {
  /** The verb of the source, such as `readText`; part of the operator's id. */
  readonly kind: string
  /** What belongs to the graph's fingerprint and the plan: plain JSON, no functions. */
  readonly settings?: Readonly<Record<string, unknown>>
  /**
   * A subtask reads its splits in turn, a batch of each, instead of one after the other: for splits that never end, and for those that
   * cover the same stretch of time.
   */
  readonly inTurn?: boolean
  /** All splits of the input, in the order in which they should be read. */
  enumerate(context: EnumerateContext): readonly Split[] | Promise<readonly Split[]>
  /** Begins to read a split at `position`, or at its start when there is none. */
  open(
    split: Split,
    position: Position | undefined,
    context: SourceContext,
  ): SplitReader<T, Position> | Promise<SplitReader<T, Position>>
}

/** What `enumerate` may know. */
export interface EnumerateContext {
  /** Subtasks that will share the splits. */
  readonly parallelism: number
}

/** What a split reader may know. */
export interface SourceContext {
  readonly operator: string
  readonly subtask: number
  /** Milliseconds since 1970; virtual in tests. */
  now(): number
  /** Whether a `MALFORMED_RECORD` is passed over; see `poll`. */
  readonly passesOverBadRecords?: boolean
}

/** Reads one split. */
export interface SplitReader<T, Position = unknown> {
  /**
   * Up to about `max` records; an empty array when there is nothing just now (the engine asks again after a few milliseconds);
   * `null` at the end of the split. May return a promise, but a synchronous answer is cheaper. The engine does not call it again
   * before the promise has settled and the records have been handed on. The array belongs to the engine from then on.
   *
   * A record that cannot be read is a `SluiceError` of code `MALFORMED_RECORD`, with what there is of it as its `record`, thrown when those before it
   * have been given out. `position` then stands behind it: a job that passes over bad records goes on from there.
   */
  poll(max: number): readonly T[] | null | Promise<readonly T[] | null>
  /** Where to go on after the last array that `poll` returned. */
  position(): Position
  /** Releases files and connections. */
  close?(): void | Promise<void>
}
