import { parseArgs } from 'node:util'

/*
 * What every peer does, in one place: the records, the functions, and what must come out. A peer is a program of its own that is told
 * `--records`, `--warm-up`, `--keys` and `--kind` and prints one `PeerOutcome` as a line of JSON.
 *
 * `count`: a running count for each key; a result for each record; a sink that adds the counts up. Every block of `keys` records has each
 * key once, so each key has every count from 1 to records / keys once, and the sum is known before.
 * `chain`: six functions without state, one after the other, and a sink that adds up. Their result repeats every `CHAIN_PERIOD` records.
 */

export type KeyKind = 'string' | 'integer'

export interface Reading<K = string | number> {
  readonly key: K
  readonly value: number
  readonly time: number
}

/** The command line of a peer. */
export interface PeerArguments {
  readonly records: number
  /** So many of them come before the clock starts: threads start, code is compiled, tables grow. */
  readonly warmUp: number
  readonly keys: number
  readonly kind: KeyKind
}

export function peerArguments(): PeerArguments {
  const { values } = parseArgs({
    options: {
      records: { type: 'string', default: '2000000' },
      'warm-up': { type: 'string', default: '1000000' },
      keys: { type: 'string', default: '100000' },
      kind: { type: 'string', default: 'string' },
    },
    // An engine has flags of its own.
    strict: false,
  })
  const kind = values.kind === 'integer' ? 'integer' : 'string'
  return { records: Number(values.records), warmUp: Number(values['warm-up']), keys: Number(values.keys), kind }
}

// A running count

const START_MS = Date.UTC(2026, 0, 1)
/** Prime, so that it visits all keys in an order that no cache foresees; small, so that the products stay whole 31-bit numbers. */
const STRIDE = 7919

/** 11 characters each. */
export function stringKeys(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `user-${String(index).padStart(6, '0')}`)
}

export function integerKeys(count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => 1_000_000 + index)
}

/** Record number `i`. Each block begins at another key, so that whoever makes every second record still has all keys. */
export function readings<K>(keys: readonly K[]): (i: number) => Reading<K> {
  const count = keys.length
  if (count > 250_000 || count % STRIDE === 0) throw new Error(`${count} keys: at most 250000, and no multiple of ${STRIDE}`)
  return (i) => {
    const block = Math.floor(i / count)
    return { key: keys[((i % count) * STRIDE + block) % count]!, value: i % 1000, time: START_MS + i }
  }
}

export function countSum({ records, keys }: PeerArguments): number {
  const perKey = records / keys
  if (!Number.isSafeInteger(perKey)) throw new Error(`--records (${records}) must be a multiple of --keys (${keys})`)
  return (keys * perKey * (perKey + 1)) / 2
}

// A chain without state

export interface Event {
  readonly id: number
  readonly value: number
}

export const eventAt = (i: number): Event => ({ id: i, value: i % 1000 })

export const scale = (event: Event): Event => ({ id: event.id, value: event.value * 3 + 1 })
export const isNoFourth = (event: Event): boolean => event.value % 4 !== 0
export const mix = (event: Event): number => event.value + (event.id % 7)
export const widen = (value: number): number => value * 2 + 1
export const isNoThird = (value: number): boolean => value % 3 !== 0
export const wrap = (value: number): { readonly total: number } => ({ total: value - 1 })

/** After so many records the values and the rests of the ids come again. */
export const CHAIN_PERIOD = 7_000

/** How many results the chain has, and their sum. Written as arithmetic, not by the functions that are measured. */
export function chainTotals({ records }: PeerArguments): { readonly results: number; readonly sum: number } {
  if (records % CHAIN_PERIOD !== 0) throw new Error(`--records (${records}) must be a multiple of ${CHAIN_PERIOD}`)
  let [results, sum] = [0, 0]
  for (let i = 0; i < CHAIN_PERIOD; i++) {
    const tripled = 3 * (i % 1000) + 1
    const mixed = tripled + (i % 7)
    if (tripled % 4 === 0 || (2 * mixed + 1) % 3 === 0) continue
    results++
    sum += 2 * mixed
  }
  const periods = records / CHAIN_PERIOD
  return { results: results * periods, sum: sum * periods }
}
