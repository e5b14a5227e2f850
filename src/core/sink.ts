/**
 * An output whose records become visible only when the checkpoint that contains them is complete.
 *
 * A sink has two halves that meet in the checkpoint. The *writer* lives in each subtask and stages records out of sight. At a barrier
 * it hands over *committables*: plain data that says what was staged. They are stored in the checkpoint's manifest. When that is
 * durable, the *committer*, one per sink and always on the main thread, makes them visible.
 *
 * A committable can reach `commit` more than once: after a crash between the visible effect and the note that it happened, the next
 * start commits again what the manifest lists. So `commit` must be idempotent, and must accept handles of an earlier process.
 */
export interface Sink<T, Committable = unknown> {
  /** The verb of the sink, such as `writeText`; part of the operator's id. */
  readonly kind: string
  /** What belongs to the graph's fingerprint and the plan: plain JSON, no functions. */
  readonly settings?: Readonly<Record<string, unknown>>
  createWriter(context: SinkWriterContext): SinkWriter<T, Committable>
  createCommitter(context: SinkCommitterContext): SinkCommitter<Committable>
}

/** What a writer may know. */
export interface SinkWriterContext {
  readonly job: string
  /** Names the run: a fresh start takes a new one, a resume keeps it. */
  readonly run: string
  /** Number of this (re)start; rises for ever. */
  readonly attempt: number
  readonly operator: string
  readonly subtask: number
}

/** Stages the records of one subtask. All calls come from one thread, one after the other. */
export interface SinkWriter<T, Committable = unknown> {
  /** Stages one record. May throw a `SluiceError`; may block for one write of a block, not for a network. */
  readonly write: (value: T) => void
  /**
   * The barrier of `checkpoint` has come: everything written so far belongs to it, everything later to the next one. The cut is made
   * before this function returns; what takes time (a sync) goes into the promise, beside the next records. Once it has settled, the
   * staged output must survive a crash. Nothing staged means no committables.
   */
  prepareCommit(checkpoint: number): readonly Committable[] | Promise<readonly Committable[]>
  /** The attempt is over. Releases what is open; what was not prepared may be removed. */
  close(): void
}

/** What a committer may know. */
export interface SinkCommitterContext {
  readonly job: string
  readonly run: string
  readonly operator: string
  /** Writes a line about the commit for the person who watches the job. */
  warn(message: string): void
}

/** How the output is found when a run begins. */
export interface SinkOpening<Committable = unknown> {
  /** Number of the attempt that begins. What writers of this run staged under a higher one belongs to a process that has taken over: it stays. */
  readonly attempt: number
  /** No checkpoint of this run exists yet: visible output must come from somebody else. */
  readonly fresh: boolean
  /** The user allowed what is there to be replaced (`--overwrite`). */
  readonly overwrite: boolean
  /** Committables that the newest manifest lists and whose commit is not known to have happened. They are committed right after. */
  readonly pending: readonly Committable[]
}

/** Makes staged output visible. Calls never overlap. */
export interface SinkCommitter<Committable = unknown> {
  /**
   * Before anything of a run is forgotten or removed, at any sink: throws what `open` would refuse, and changes nothing.
   */
  check?(opening: SinkOpening<Committable>): void | Promise<void>
  /**
   * Before the workers of an attempt start: checks the target, and removes staged leftovers of dead attempts, all but `pending`. Also before the
   * part of a job that the sink is in starts again by itself.
   * @throws SluiceError `OUTPUT_OF_ANOTHER_RUN` when a fresh start finds visible output and may not overwrite it.
   */
  open(opening: SinkOpening<Committable>): void | Promise<void>
  /** Makes these visible, in order. Idempotent. After it settles the effect must survive a crash. */
  commit(committables: readonly Committable[]): void | Promise<void>
  /** The job is over, well or badly. With `finished`, nothing staged is left that anyone will commit. */
  close?(finished: boolean): void | Promise<void>
}
