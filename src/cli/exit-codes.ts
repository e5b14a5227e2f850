import type { ErrorCode } from '../core/errors.ts'
import { SluiceError } from '../core/errors.ts'

/** What the process ends with; `docs/cli.md` explains them, and a test compares. 128 and more: ended by a signal, as shells say it. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  unknownJob: 3,
  notRunning: 4,
  /** What is stored is damaged, or the job cannot go on with it as it is. */
  unfit: 5,
} as const

const OF_ERRORS: Partial<Readonly<Record<ErrorCode, number>>> = {
  JOB_UNKNOWN: EXIT.unknownJob,
  JOB_NOT_RUNNING: EXIT.notRunning,
  STATE_OF_ANOTHER_GRAPH: EXIT.unfit,
  STATE_INCOMPATIBLE: EXIT.unfit,
  STATE_DROPPED: EXIT.unfit,
  CHECKPOINT_UNREADABLE: EXIT.unfit,
  SAVEPOINT_UNREADABLE: EXIT.unfit,
  FORMAT_UNKNOWN: EXIT.unfit,
}

/** The command line itself is wrong: nothing was done. */
export class UsageError extends SluiceError {
  constructor(message: string, hint: string) {
    super('INVALID_OPTION', message, { hint })
  }
}

/** What the process ends with after an error. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return EXIT.usage
  return (error instanceof SluiceError && OF_ERRORS[error.code]) || EXIT.failed
}
