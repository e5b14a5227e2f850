import { SluiceError } from '../../src/core/errors.ts'
import type { OperatorContext } from '../../src/core/operator.ts'

/** The last instant that a `Date` can be; beyond it the ends of windows would soon be no exact numbers any more. */
const LATEST_TIMESTAMP = 8.64e15

/** Refuses a time that no window can be found for. @throws SluiceError `NO_TIMESTAMPS`, `INVALID_TIMESTAMP` */
export function checkTimestamp(time: number, context: OperatorContext): void {
  if (!(Math.abs(time) <= LATEST_TIMESTAMP)) throw context.failure(invalidTimestamp(time))
}

function invalidTimestamp(time: number): SluiceError {
  if (Number.isFinite(time)) return new SluiceError('INVALID_TIMESTAMP', `the timestamp of a record is ${time}, which is no date`)
  return new SluiceError('NO_TIMESTAMPS', 'a record without a timestamp came to an event-time window', {
    hint: 'call .withTimestamps((record) => milliseconds, { maxOutOfOrderness }) before it; also behind global and count windows, whose results have no time of their own',
  })
}
