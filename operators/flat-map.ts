import { SluiceError } from '../src/core/errors.ts'
import type { Operator, OperatorContext, Receiver } from '../src/core/operator.ts'
import { refuseAsync } from '../src/core/refuse-async.ts'
import type { RecordContext } from './record-context.ts'
import { CurrentRecord } from './record-context.ts'

/**
 * Any number of results for each record: whatever the function returns is iterated over. A generator reads well.
 *
 * ```ts
 * from(['to be', 'or not']).flatMap((line) => line.split(' ')) // -> 'to', 'be', 'or', 'not'
 * ```
 */
export function flatMapOperator<T, R>(
  fn: (value: T, context: RecordContext) => Iterable<R>,
): (context: OperatorContext) => Operator<T> {
  return (context) => {
    const record = new CurrentRecord(context)
    const { output } = context
    return {
      step: {
        kind: 'flat-map',
        fn,
        context: record,
        failure: (error) => context.failure(error),
        output,
        iterate: (results, receiver) => emitAll(results, receiver, context),
      },
      onRecord(value) {
        let results: Iterable<R>
        try {
          results = fn(value, record)
        } catch (error) {
          throw context.failure(error)
        }
        emitAll(results, output, context)
      },
    }
  }
}

/** Hands on what an iterable of the user yields; what it throws is the user's, what the receiver throws is not. */
export function emitAll(results: Iterable<unknown>, output: Receiver, context: Pick<OperatorContext, 'failure'>): void {
  if (Array.isArray(results)) {
    for (let index = 0; index < results.length; index++) output.onRecord(results[index])
    return
  }
  let iterator: Iterator<unknown>
  try {
    if (typeof results?.[Symbol.iterator] !== 'function') throw notIterable(results)
    iterator = results[Symbol.iterator]()
  } catch (error) {
    throw context.failure(error)
  }
  for (let next = step(iterator, context); !next.done; next = step(iterator, context)) output.onRecord(next.value)
}

function step(iterator: Iterator<unknown>, context: Pick<OperatorContext, 'failure'>): IteratorResult<unknown> {
  try {
    return iterator.next()
  } catch (error) {
    throw context.failure(error)
  }
}

function notIterable(results: unknown): SluiceError {
  refuseAsync(results)
  const isAsync = typeof (results as { [Symbol.asyncIterator]?: unknown } | null)?.[Symbol.asyncIterator] === 'function'
  return new SluiceError(
    'OPERATOR_FAILED',
    `a function returned ${isAsync ? 'an async iterator' : typeof results}, not an iterable of results`,
    {
      isGeneral: true,
      hint: 'return an array, be a generator (*onRecord), or return nothing and call ctx.emit; for calls to the outside there is asyncMap',
    },
  )
}
