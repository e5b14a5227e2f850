import type { StoredForm } from './keyed-state.ts'

/**
 * What users know of a value as snapshots hold it: the value, list or map itself, without the stamps and the clean-up timer that stand beside it
 * when it has a ttl. The states themselves pack them (`operators/keyed/state`: `cell.ts`, `list-state.ts`, `map-state.ts`), and whoever reads state without
 * its job takes them apart here. Part of the on-disk format (docs/format.md):
 *
 * - without stamps: the value, an array, a `Map`;
 * - with stamps: `[value, stamp, timer]`, `[values, stamps, timer]`, `[keys, values, stamps, timer]`.
 *
 * What stands in the second place and how many there are tells the three apart, so this needs to know nothing else of the state. What is
 * over and not yet removed is among the rest.
 */
export function plainValue(stored: unknown, stamps: StoredForm['stamps']): unknown {
  if (stamps === undefined || !Array.isArray(stored)) return stored
  const [first, second, ...others] = stored as readonly unknown[]
  if (others.length < 2) return first
  return new Map((first as readonly unknown[]).map((key, place) => [key, (second as readonly unknown[])[place]]))
}
