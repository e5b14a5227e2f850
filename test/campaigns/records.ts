/*
 * The input of the campaign's job. All that its checker knows is this and the committed output: each record follows from its number, so a result that
 * names numbers can be checked by itself.
 */

export interface Measure {
  id: number
  user: string
  kind: string
  amount: number
  at: number
  text: string
}

/** What of the input differs from round to round. */
export interface InputShape {
  readonly seed: number
  /** Of the main stream. */
  readonly records: number
  /** Makes records larger, so that a snapshot does not fit one transaction. */
  readonly weight: number
  /** `tight` makes some records late; `exact` makes none, and then no output asks where between two records a watermark acted. */
  readonly bound: Bound
}

export type Bound = 'tight' | 'exact'
export type StreamName = 'measures' | 'orders' | 'payments'

const START = 1_000_000_000_000
const STEP = 100
/** How far behind an earlier record one may lie. */
export const DISORDER = 30_000
/** What `withTimestamps` of the main stream is told about that. */
export const MAX_OUT_OF_ORDER: Readonly<Record<Bound, number>> = { tight: 8_000, exact: DISORDER }
/** Streams that meet another one are half as long. */
const SALTS: Readonly<Record<StreamName, number>> = { measures: 10, orders: 20, payments: 30 }

export function lengthOf(stream: StreamName, { records }: InputShape): number {
  return stream === 'measures' ? records : Math.floor(records / 2)
}

/** Record number `i` of a stream. */
export function recordOf(stream: StreamName, { seed, weight }: InputShape, i: number): Measure {
  const salt = SALTS[stream]
  return {
    id: i,
    user: `user-${Math.floor(chance(seed, i, salt) ** 1.5 * 80)}-ü`,
    kind: `kind-${Math.floor(chance(seed, i, salt + 1) * 40)}`,
    amount: Math.floor(chance(seed, i, salt + 2) * 10_000) - 3_000,
    at: START + i * STEP - Math.floor(chance(seed, i, salt + 3) ** 2 * DISORDER),
    text: 'x'.repeat(weight * (i % 120)),
  }
}

/** A number that looks like chance and depends on nothing but what it is given. */
function chance(seed: number, i: number, salt: number): number {
  let mixed = Math.imul(i + 1, 0x9e3779b1) ^ Math.imul(seed * 31 + salt, 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d)
  mixed = Math.imul(mixed ^ (mixed >>> 12), 0x297a2d39)
  return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32
}
