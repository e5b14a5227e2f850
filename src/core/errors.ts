/**
 * Every way in which Sluice refuses or fails has a code here, and each code has a line in `docs/errors.md` (a test compares them).
 *
 * `restart` says whether running the same records again can help. A malformed line stays malformed, so such an error fails the
 * job at once instead of wasting the restart strategy on it; an exception in a user's function may be a passing one.
 */
const CODES = {
  // The job as written
  NODE_TOO_OLD: { restart: false },
  INVALID_JOB_NAME: { restart: false },
  INVALID_OPTION: { restart: false },
  INVALID_DURATION: { restart: false },
  DUPLICATE_OPERATOR_ID: { restart: false },
  EMPTY_JOB: { restart: false },
  NO_TIMESTAMPS: { restart: false },
  MODULE_UNKNOWN: { restart: false },
  MODULE_FAILED: { restart: false },
  JOB_NOT_REACHED: { restart: false },
  GRAPH_DIFFERS: { restart: false },
  // Records and keys
  INVALID_KEY: { restart: false },
  UNSTABLE_KEY: { restart: false },
  INVALID_TIMESTAMP: { restart: false },
  VALUE_NOT_ENCODABLE: { restart: false },
  MALFORMED_RECORD: { restart: false },
  STATE_WITHOUT_KEY: { restart: false },
  STATE_READ_ONLY: { restart: false },
  // Inputs and outputs
  NO_INPUT_FILES: { restart: false },
  INPUT_UNREADABLE: { restart: true },
  INPUT_CHANGED: { restart: false },
  OUTPUT_OF_ANOTHER_RUN: { restart: false },
  OUTPUT_SHARED: { restart: false },
  OUTPUT_UNWRITABLE: { restart: true },
  COMMIT_LOST: { restart: false },
  COMMIT_FAILED: { restart: true },
  // State and checkpoints
  JOB_ALREADY_RUNNING: { restart: false },
  STATE_OF_ANOTHER_GRAPH: { restart: false },
  STATE_INCOMPATIBLE: { restart: false },
  CHECKPOINT_UNREADABLE: { restart: false },
  CHECKPOINT_FAILED: { restart: true },
  STATE_DROPPED: { restart: false },
  SAVEPOINT_UNREADABLE: { restart: false },
  SAVEPOINT_FAILED: { restart: false },
  FORMAT_UNKNOWN: { restart: false },
  STORE_FAILED: { restart: false },
  DISK_FULL: { restart: true },
  FENCED: { restart: false },
  // The running job
  OPERATOR_FAILED: { restart: true },
  ASYNC_TIMEOUT: { restart: true },
  SOURCE_FAILED: { restart: true },
  TIMER_LOOP: { restart: false },
  TASK_STUCK: { restart: true },
  OUT_OF_MEMORY: { restart: true },
  WORKER_LOST: { restart: true },
  // Asking a job from outside
  JOB_UNKNOWN: { restart: false },
  JOB_NOT_RUNNING: { restart: false },
  CONTROL_FAILED: { restart: false },
} as const

/** The code of a `SluiceError`; stable between versions. */
export type ErrorCode = keyof typeof CODES

/** All codes, in the order of the page that explains them. */
export const ERROR_CODES: readonly ErrorCode[] = Object.keys(CODES) as ErrorCode[]

/** What a `SluiceError` may carry beside its code and message. */
export interface ErrorDetails {
  /** What went wrong underneath. */
  cause?: unknown
  /** Id of the operator in which it happened. */
  operator?: string
  /** Number of the operator's subtask, from 0. */
  subtask?: number
  /** What the reader can do about it. */
  hint?: string
  /** Of a record that cannot be read: its text. Stays in its thread. */
  record?: unknown
  /** Not the fault of the record at hand: no job passes over it. */
  isGeneral?: boolean
}

/** The one error type of the public interface: a stable `code`, where it happened, and what to do. */
export class SluiceError extends Error {
  override readonly name = 'SluiceError'
  readonly code: ErrorCode
  readonly operator: string | undefined
  readonly subtask: number | undefined
  readonly hint: string | undefined
  /** Of a record that cannot be read: its text. */
  declare readonly record?: unknown
  /** Not the fault of the record at hand: no job passes over it. */
  declare readonly isGeneral?: boolean

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.operator = details.operator
    this.subtask = details.subtask
    this.hint = details.hint
    // What most errors have not is not shown of them either.
    if (details.record !== undefined) this.record = details.record
    if (details.isGeneral === true) this.isGeneral = true
  }

  /** Whether replaying from the last checkpoint may get past this error. */
  get canRestart(): boolean {
    return CODES[this.code].restart
  }
}

/**
 * Says where an error happened, unless it says so itself. What is not a `SluiceError` gets `code` and its text behind `what`.
 */
export function locateError(
  error: unknown,
  place: { readonly operator: string; readonly subtask?: number; readonly isGeneral?: boolean },
  code: ErrorCode = 'OPERATOR_FAILED',
  what = `'${place.operator}' failed`,
): SluiceError {
  if (!(error instanceof SluiceError)) {
    const name = error instanceof Error && code === 'OPERATOR_FAILED' ? `${error.name}: ` : ''
    return new SluiceError(code, `${what}: ${name}${messageOf(error)}`, { ...place, cause: error })
  }
  if (error.operator !== undefined) return error
  const details = {
    ...place,
    cause: error.cause,
    record: error.record,
    isGeneral: error.isGeneral === true || place.isGeneral === true,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
  }
  const located = new SluiceError(error.code, error.message, details)
  if (error.stack !== undefined) located.stack = error.stack
  return located
}

/** A `SluiceError` as plain data, for the way between threads and into the checkpoint history. */
export interface WireError {
  code: ErrorCode
  message: string
  stack: string | undefined
  operator: string | undefined
  subtask: number | undefined
  hint: string | undefined
  cause: { name: string; message: string; stack: string | undefined } | undefined
}

/** Turns anything thrown into plain data; what is not a `SluiceError` is given `code`. */
export function toWireError(error: unknown, code: ErrorCode = 'OPERATOR_FAILED'): WireError {
  const known = error instanceof SluiceError ? error : new SluiceError(code, messageOf(error), { cause: error })
  const cause = known.cause
  return {
    code: known.code,
    message: known.message,
    stack: known.stack,
    operator: known.operator,
    subtask: known.subtask,
    hint: known.hint,
    cause:
      cause === undefined
        ? undefined
        : cause instanceof Error
          ? { name: String(cause.name), message: messageOf(cause), stack: cause.stack }
          : { name: 'Error', message: messageOf(cause), stack: undefined },
  }
}

/** The error that `toWireError` described, with the stacks of the thread where it happened. */
export function fromWireError(wire: WireError): SluiceError {
  const details: ErrorDetails = {}
  if (wire.operator !== undefined) details.operator = wire.operator
  if (wire.subtask !== undefined) details.subtask = wire.subtask
  if (wire.hint !== undefined) details.hint = wire.hint
  if (wire.cause !== undefined) {
    const cause = new Error(wire.cause.message)
    cause.name = wire.cause.name
    if (wire.cause.stack !== undefined) cause.stack = wire.cause.stack
    details.cause = cause
  }
  const error = new SluiceError(wire.code, wire.message, details)
  if (wire.stack !== undefined) error.stack = wire.stack
  return error
}

/** The text of anything thrown: an `Error`'s message, else the value itself. */
export function messageOf(error: unknown): string {
  if (error instanceof Error) return String(error.message)
  try {
    return typeof error === 'string' ? error : (JSON.stringify(error) ?? String(error))
  } catch {
    return Object.prototype.toString.call(error)
  }
}
