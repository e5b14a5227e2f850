import type { SluiceError } from './errors.ts'
import type { KeyedContext } from './keyed-state.ts'
import type { RecordStep } from './record-step.ts'
import type { Clock } from './time.ts'

/**
 * Whatever takes records: an operator, or an output that carries them to another task.
 * A call returns when the record has been taken in full; it never waits.
 */
export interface Receiver<T = unknown> {
  onRecord(value: T): void
  /** The same as data, where what it does is simple enough to become part of a loop over the records of a batch. */
  readonly step?: RecordStep | undefined
}

/**
 * The timestamp of the record that is on its way down a chain. It lives beside the record and not in it, so that no operator
 * allocates to pass it on. Who changes it for its receivers puts the old value back before returning.
 */
export interface RecordCell {
  /** The split of the task's source that the record was read from, by its place in the enumeration; -1 behind an exchange. */
  split: number
  /** Event time in milliseconds since 1970, `NaN` when the record has none. */
  timestamp: number
}

/**
 * The splits of the source at the head of a task, for operators that make watermarks. A split that is not in `reading` takes no part in the
 * watermark: it is done, or its turn has not come.
 */
export interface SourceSplits {
  /** The splits that are being read side by side now, by their place in the enumeration. Another array whenever that changes. */
  readonly reading: readonly number[]
  /**
   * For how long in all the split has been asked for records. This clock stands still while the task is held up by a full output, while the
   * split is held back, and while it is not its turn.
   */
  listenedMs(split: number): number
  /** `held` is asked before each read of a split: true, and the split is left alone for the moment. What has been read goes on. */
  holdBack(held: (split: number) => boolean): void
}

/** Where the subtasks of an alignment group, on whatever thread, show each other how far they are. */
export interface WatermarkGroup {
  /** This subtask's watermark: `WATERMARK_NONE` holds all others, `WATERMARK_END` and `NaN` (idle) count no more. */
  show(watermark: number): void
  /** The smallest of all that count, also this subtask's own; `WATERMARK_END` when none does. */
  readonly smallest: number
}

/** What an operator is given when it is made. */
export interface OperatorContext {
  readonly operatorId: string
  readonly subtask: number
  readonly parallelism: number
  readonly clock: Clock
  /** The timestamp of the current record. */
  readonly cell: RecordCell
  /** Takes the operator's results. */
  readonly output: Receiver
  /** Takes the results for a side output; a tag that nobody reads is dropped. */
  side(tag: string): Receiver
  /** State and timers by key; only behind `keyBy`. */
  readonly keyed: KeyedContext | undefined
  /** The splits of the task's source; `undefined` behind an exchange. */
  readonly splits?: SourceSplits | undefined
  /** The group of the operator's node; only when that names one (`alignmentGroup`). */
  readonly watermarkGroup?: WatermarkGroup | undefined
  /** Whether the records that come in have timestamps. */
  readonly timed: boolean
  /** The operator's current watermark: no record at or before it is still expected. */
  readonly watermark: number
  /** For operators that make watermarks: sends one to everything downstream. Smaller or equal ones are ignored. */
  emitWatermark(watermark: number): void
  /** For operators that make watermarks: while idle, this output does not hold back the watermark of those who read it. */
  emitIdle(idle: boolean): void
  /**
   * False when an output is full. An operator that emits many records at once (a window, a timer) stops then and returns `false` from
   * its hook; the task calls again when there is room.
   */
  readonly hasRoom: boolean
  /** Asks the task for no more records; it gives the next when `full` of the operator is false. */
  hold(): void
  /** Asks for a step soon. For operators that wait for promises; may be called at any time. */
  wake(): void
  /** Counts a record that came too late. */
  late(): void
  /**
   * Wraps what a user's function threw, with the operator's id and subtask. A `SluiceError` keeps its code. `isGeneral`: the function was not called for
   * the record at hand, so no job passes over it.
   */
  failure(error: unknown, isGeneral?: boolean): SluiceError
  /** The job passes over records that its functions cannot take. Where one throws in `onRecord` the chain sees to it. */
  readonly passesOverBadRecords: boolean
  /** Passes over a record that came before. @throws SluiceError that of `failure`, when the job or the error does not allow it */
  refuse(value: unknown, error: unknown): void
}

/**
 * One parallel copy of an operator. All calls come from one thread, one after the other, and none may wait for anything.
 *
 * Life: made -> `restore` (when a checkpoint holds something for it) -> `open` -> records and hooks -> `close`.
 *
 * Order between hooks: `onRecord` for the records of a batch, `onBatchEnd` after the batch (also without any record, when splits of the
 * task's source have come to their end), `onWatermark` when the merged watermark of
 * the inputs has risen (all earlier records have been seen by then); at the end of the input it rises to infinity. `snapshot` runs between
 * two of them, never inside one: a record is atomic.
 */
export interface Operator<In = unknown> extends Receiver<In> {
  /** Takes the records of the second input, in operators that have two. */
  onSecond?(value: unknown): void
  /** True when the operator makes its own watermarks: those of its inputs are then not passed on, except the last one. */
  readonly makesWatermarks?: boolean
  /** True when the operator passes watermarks on by itself, also the last one, because results that must come first are still under way. */
  readonly delaysWatermarks?: boolean
  /** Results are under way that must be out before the task may end. Barriers do pass meanwhile. */
  readonly pending?: boolean
  /** After `hold`: true as long as the operator can take no more records. */
  readonly full?: boolean
  /** Emits results that have come in meanwhile from outside, while there is room. Called at each step. True when it emitted any. */
  deliver?(): boolean
  open?(): void
  onBatchEnd?(): void
  /** Fires what is due. False: the outputs are full, call again with the same watermark. Passed downstream only after true. */
  onWatermark?(watermark: number): boolean
  /**
   * The earliest watermark at which `onWatermark` has anything to do, `Infinity` for none. Asked whenever the watermark rises, which may be with
   * every record; one that makes nothing due is not told. Without it the operator is told of each.
   */
  nextEventTime?(): number
  /** The next instant (clock time) at which `onProcessingTime` wants to run; `Infinity` for never. Asked after every step. */
  nextProcessingTime?(): number
  /** Fires what is due by the clock. False: the outputs are full, call again. */
  onProcessingTime?(nowMs: number): boolean
  /** The part of the operator's state that does not belong to a key, as plain data; `undefined` for none. */
  snapshot?(): unknown
  /**
   * What `snapshot` returned: one value when the parallelism is as before, else (`rescaled`) the values of all former subtasks, given to
   * each of the new ones, which take their share (see `dealt`).
   */
  restore?(states: readonly unknown[], rescaled: boolean): void
  close?(): void
}

/** A subtask's share of what all former subtasks held together, dealt in turn. Everything when the parallelism is as before. */
export function dealt<T>(items: readonly T[], context: Pick<OperatorContext, 'subtask' | 'parallelism'>, rescaled: boolean): T[] {
  return rescaled ? items.filter((_, index) => index % context.parallelism === context.subtask) : [...items]
}
