import type { Operator, OperatorContext } from '../../src/core/operator.ts'
import { dealt } from '../../src/core/operator.ts'
import type { StoredCall } from './async-call.ts'
import { AsyncCall, restoredCalls } from './async-call.ts'
import { AsyncOperator } from './async-operator.ts'
import type { AsyncFunction, AsyncSettings } from './async-options.ts'
import { OrderedResults, UnorderedResults } from './result-queue.ts'

/**
 * One result for each record, from a function that may take its time: a look-up in a database, a request to a service. Up to `concurrency`
 * records are under way at once in each subtask; when there are as many, the input waits.
 *
 * ```ts
 * from([1, 2, 3]).asyncMap(async (id) => ({ id, name: `user ${id}` }), { concurrency: 10, timeout: '5s', retry: { attempts: 3 } })
 * // -> { id: 1, name: 'user 1' }, { id: 2, name: 'user 2' }, { id: 3, name: 'user 3' }
 * ```
 *
 * - Results keep the timestamps of their records. Ordered, they come in the order of the records; unordered as they are there, but never across
 *   a watermark, so that what is late does not depend on who answers first.
 *   Where a watermark follows each record, that is the order of the records; before `withTimestamps` nothing holds results back, and its
 *   `maxOutOfOrderness` must cover how far answers overtake each other.
 * - The timeout covers all calls for a record. Then the job fails with `ASYNC_TIMEOUT`, or `onTimeout` supplies the result.
 * - A call that fails is made again as `retry` says, with delays that grow; at the end of the input nobody waits for a delay that has begun.
 *   When there are no more attempts, the job fails.
 * - A checkpoint stores the records whose results are not out, and a restore calls the function for them again. So **each result comes out
 *   once, but a call may be made more than once**: where it changes something, send an id that is made from the record (an order number, not
 *   a random one) as its idempotency key.
 * - After a restore with another parallelism the records under way are dealt to the subtasks in turn. A subtask then passes on only watermarks
 *   that all former ones had received.
 */
export function asyncMapOperator(fn: AsyncFunction, settings: AsyncSettings): (context: OperatorContext) => Operator {
  return (context) => new AsyncMap(fn, settings, context)
}

class AsyncMap extends AsyncOperator {
  constructor(fn: AsyncFunction, settings: AsyncSettings, context: OperatorContext) {
    super(fn, settings, context, settings.ordered ? new OrderedResults() : new UnorderedResults())
  }

  onRecord(value: unknown): void {
    const { cell, watermark } = this.context
    this.accept(new AsyncCall([value, cell.timestamp, watermark, cell.split], undefined))
  }

  protected begin(call: AsyncCall): void {
    this.calls.start(call)
  }

  snapshot(): unknown {
    return this.queue.size === 0 ? undefined : Array.from(this.queue, (call) => call.stored)
  }

  restore(states: readonly unknown[], rescaled: boolean): void {
    const stored = dealt((states as readonly (readonly StoredCall[])[]).flat(), this.context, rescaled)
    // The split of a record is known by its number, and may be another subtask's now.
    const calls = stored.map(([value, timestamp, watermark, split]): { call: StoredCall } => ({
      call: [value, timestamp, watermark, rescaled ? NO_SPLIT : split],
    }))
    this.acceptRestored(restoredCalls(calls, this.context.watermark))
  }
}

const NO_SPLIT = -1
