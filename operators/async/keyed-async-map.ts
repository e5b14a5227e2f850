import { canonicalKey } from '../../src/core/key-groups.ts'
import type { KeyedContext, KeyedTable } from '../../src/core/keyed-state.ts'
import type { Operator, OperatorContext } from '../../src/core/operator.ts'
import { keyedContext } from '../keyed/keyed-context.ts'
import type { StoredCall } from './async-call.ts'
import { AsyncCall, restoredCalls } from './async-call.ts'
import { AsyncOperator } from './async-operator.ts'
import type { AsyncFunction, AsyncSettings } from './async-options.ts'
import { UnorderedResults } from './result-queue.ts'

/**
 * As `asyncMap`, with an order for each key: at most one record of a key is under way, the next one is called when it is done, and different
 * keys do not wait for each other.
 *
 * ```ts
 * from(['a1', 'b1', 'a2']).keyBy((id) => id[0]).asyncMap(async (id, ctx) => `${id} of ${ctx.key}`)
 * // -> 'a1 of a', 'b1 of b', 'a2 of a'
 * ```
 *
 * - Results of one key come in the order of its records; those of different keys as they are there, but never across a watermark.
 * - Records that wait for one of their key count as under way: one key that has `concurrency` records holds up the others.
 * - The timeout of a record begins with its first call, not while it waits for another.
 * - The records whose results are not out are keyed state: after a restore with another parallelism they are called where their key is now.
 */
export function keyedAsyncMapOperator(fn: AsyncFunction, settings: AsyncSettings): (context: OperatorContext) => Operator {
  return (context) => new KeyedAsyncMap(fn, settings, context)
}

const TABLE = 'under-way'

class KeyedAsyncMap extends AsyncOperator {
  readonly #keyed: KeyedContext
  /** Written when a snapshot is taken, and only then: between two of them it holds what the last one did. */
  readonly #table: KeyedTable<StoredCall[]>
  /** For each key with a call in flight, the records that wait for it. */
  readonly #lanes = new Map<unknown, AsyncCall[]>()
  readonly #next: AsyncCall[] = []
  #starting = false

  constructor(fn: AsyncFunction, settings: AsyncSettings, context: OperatorContext) {
    super(fn, settings, context, new UnorderedResults())
    this.#keyed = keyedContext(context)
    this.#table = this.#keyed.table(TABLE)
  }

  open(): void {
    const stored: { call: StoredCall; key: unknown }[] = []
    this.#keyed.forEachKey(TABLE, (key) => {
      for (const call of this.#table.get()!) stored.push({ call, key })
    })
    this.acceptRestored(restoredCalls(stored, this.context.watermark))
  }

  onRecord(value: unknown): void {
    const { cell, watermark } = this.context
    this.accept(new AsyncCall([value, cell.timestamp, watermark, cell.split], this.#keyed.key))
  }

  protected begin(call: AsyncCall): void {
    const lane = canonicalKey(call.key)
    const waiting = this.#lanes.get(lane)
    if (waiting !== undefined) {
      waiting.push(call)
      return
    }
    this.#lanes.set(lane, [])
    this.calls.start(call)
  }

  protected override completed(call: AsyncCall): void {
    const lane = canonicalKey(call.key)
    const next = this.#lanes.get(lane)!.shift()
    if (next === undefined) this.#lanes.delete(lane)
    else this.#start(next)
  }

  /** A call may be complete when it returns, and so may all that follow it: they are started one after the other, not one inside the other. */
  #start(call: AsyncCall): void {
    this.#next.push(call)
    if (this.#starting) return
    this.#starting = true
    for (let next = this.#next.shift(); next !== undefined; next = this.#next.shift()) this.calls.start(next)
    this.#starting = false
  }

  snapshot(): undefined {
    this.#keyed.forEachKey(TABLE, () => this.#table.delete())
    for (const call of this.queue) {
      this.#keyed.setKey(call.key)
      const calls = this.#table.edit()
      if (calls === undefined) this.#table.set([call.stored])
      else calls.push(call.stored)
    }
  }
}
