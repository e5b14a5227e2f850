import { copyValue } from '../../../src/core/copy-value.ts'
import { openCell } from './cell.ts'
import type { StateDeclaration, StateOptions } from './declaration.ts'
import { checkedOptions } from './declaration.ts'

/** One value for each key. */
export interface ValueState<V> {
  /** The value; changing it changes nothing until it is set again. */
  get(): V | undefined
  set(value: V): void
  clear(): void
}

/**
 * One value for each key.
 *
 * ```ts
 * from(['a', 'b', 'a']).keyBy((word) => word).process({
 *   state: { seen: valueState() },
 *   *onRecord(word, ctx) {
 *     const seen = ctx.state.seen.get() ?? { times: 0 }
 *     seen.times++
 *     ctx.state.seen.set(seen)
 *     yield `${word} ${seen.times}`
 *   },
 * })
 * // -> 'a 1', 'b 1', 'a 2'
 * ```
 *
 * What `get` returns and what `set` is given are copied: state changes by `set` and `clear` alone.
 */
export function valueState<V>(options: StateOptions<V> = {}): StateDeclaration<ValueState<V>> {
  const checked = checkedOptions(options)
  return {
    kind: 'value',
    options: checked,
    open(keyed, name, time) {
      const cell = openCell<V>(keyed, { name, options: checked, time, expiry: time.expiryOf(name, checked) })
      return {
        get: () => copyValue(cell.get()),
        set: (value) => cell.set(copyValue(value)),
        clear: () => cell.clear(),
      }
    },
  }
}
