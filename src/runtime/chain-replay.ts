import { decodeValue } from '../core/value-codec.ts'
import type { ChainedInFlight, InFlightBatch } from '../protocol/messages.ts'
import type { ChainEntry, OperatorChain } from './operator-chain.ts'
import type { TaskBatch } from './task-parts.ts'

/**
 * Hands to operators in the middle of a chain what was on its way to them when the restored snapshot was taken: at the parallelism of then each was
 * the first of a task of its own, at that of now no channel leads to it. What always holds:
 *
 * 1. Who is further on in the chain gets its records first: what those before it emit comes behind them, as it did in the channels.
 * 2. Until an operator has got all of it, those before it are not open. So neither their results nor the watermarks that they had given out can
 *    come before a record that was on its way behind these.
 * 3. Meanwhile no snapshot is taken and nothing else is handled: what is left lies in no channel, and no snapshot would hold it.
 */
export class ChainReplay {
  readonly #chain: OperatorChain
  readonly #left: { readonly operator: string; readonly batch: InFlightBatch }[]
  /** The operator whose turn it is. */
  entry: ChainEntry | undefined
  /** The chain is one, and everything in the middle of it has been handed over. */
  done = false

  /** @param inFlight those last that come first in the chain */
  constructor(chain: OperatorChain, inFlight: readonly ChainedInFlight[]) {
    this.#chain = chain
    this.#left = inFlight.flatMap(({ operator, batches }) => batches.map((batch) => ({ operator, batch })))
  }

  /** The next batch, for `entry`. `undefined` when there is none: the whole chain is open now. */
  next(): TaskBatch | undefined {
    const next = this.#left.shift()
    if (next === undefined) {
      this.entry = undefined
      this.done = true
      this.#chain.open()
      return undefined
    }
    this.entry = this.#chain.openUpTo(next.operator)
    return { ...next.batch, values: decodeValue(next.batch.values) as readonly unknown[] }
  }
}
