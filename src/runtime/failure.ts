import { messageOf, SluiceError } from '../core/errors.ts'

/** Says where an error happened, unless it says so itself. What is not a `SluiceError` came from a user's function. */
export function locate(error: unknown, operator: string, subtask: number): SluiceError {
  if (error instanceof SluiceError) {
    if (error.operator !== undefined) return error
    const hint = error.hint === undefined ? {} : { hint: error.hint }
    const located = new SluiceError(error.code, error.message, { operator, subtask, cause: error.cause, ...hint })
    if (error.stack !== undefined) located.stack = error.stack
    return located
  }
  const name = error instanceof Error ? `${error.name}: ` : ''
  return new SluiceError('OPERATOR_FAILED', `'${operator}' failed: ${name}${messageOf(error)}`, {
    operator,
    subtask,
    cause: error,
  })
}
