import { SluiceError } from './errors.ts'

/**
 * Refuses a promise where a value is expected: it would count as true, or become a record. Types say so too, but `node job.ts` does not check
 * them.
 * @throws SluiceError `OPERATOR_FAILED`
 */
export function refuseAsync(result: unknown): void {
  if (!(result instanceof Promise)) return
  // Nobody will wait for it, and what it rejects with would end the process.
  result.catch(() => undefined)
  throw new SluiceError('OPERATOR_FAILED', 'an async function was given where a plain one is expected', {
    isGeneral: true,
    hint: 'a plain function must return its result, not a promise of it; for calls to the outside there is asyncMap',
  })
}
