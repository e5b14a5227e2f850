/*
 * What the guard holds the engine to. A floor is about half of what a quiet run shows, so it turns red when something takes twice as long, and
 * not because of noise. Where the loss of a mechanism alone would cost less than that, the floor lies between the figures with it and without it.
 */

/** The engine is to be at least `floor` times as fast as the yardstick. */
export interface Floor {
  readonly name: string
  readonly yardstick: string
  readonly floor: number
}

/** The engine is to take at most that many bytes of the heap, beside what the functions of the job take. */
export interface Ceiling {
  readonly name: string
  readonly ceiling: number
}

export const FLOORS: readonly Floor[] = [
  { name: 'codec, integers', yardstick: 'msgpackr', floor: 2.5 },
  { name: 'codec, key, value and time', yardstick: 'msgpackr', floor: 1.7 },
  { name: 'codec, bids', yardstick: 'msgpackr', floor: 2 },
  // Of the plain way it would be 1.
  { name: 'six operators in one loop', yardstick: 'operators that call each other', floor: 1.6 },
  { name: 'six operators in one loop', yardstick: 'a loop by hand', floor: 0.4 },
  { name: 'six operators in one loop', yardstick: 'RxJS', floor: 6 },
  { name: 'keyed count, 1,000 strings', yardstick: 'a Map of objects', floor: 0.2 },
  { name: 'keyed count, 100,000 strings', yardstick: 'a Map of objects', floor: 0.4 },
  { name: 'keyed count, 100,000 integers', yardstick: 'a Map of objects', floor: 0.14 },
  // Without looking ahead it would be 1.
  { name: 'keyed count, 1,000,000 integers', yardstick: 'not looking ahead', floor: 1.1 },
  { name: 'tumbling window, 1,000 keys', yardstick: 'a keyed fold', floor: 0.4 },
  { name: 'ring, a batch in and out', yardstick: 'copying the bytes twice', floor: 0.18 },
  { name: 'snapshot of a row', yardstick: 'JSON.stringify', floor: 0.22 },
  { name: 'source of JSON lines', yardstick: 'a loop by hand', floor: 0.45 },
  { name: 'source of CSV', yardstick: 'a loop by hand', floor: 0.35 },
  { name: 'sink of JSON lines', yardstick: 'a loop by hand', floor: 0.4 },
]

/** A number that lies on the heap takes 16 bytes, the smallest object 24. A fraction becomes such a number when a table or a window hands it out. */
export const CEILINGS: readonly Ceiling[] = [
  { name: 'six operators in one loop, bytes a record', ceiling: 4 },
  { name: 'keyed count, strings, bytes a record', ceiling: 4 },
  { name: 'keyed count, integers, bytes a record', ceiling: 4 },
  { name: 'keyed sum, fractions, bytes a record', ceiling: 36 },
  // The list of what the next snapshot takes is eight; values in an array on the heap would be as much again.
  { name: 'keyed sum, fractions, bytes kept a key', ceiling: 12 },
  { name: 'tumbling window, bytes a record', ceiling: 24 },
  { name: 'encoded, and through the ring, bytes a record', ceiling: 6 },
]

/** A figure beside its bound. */
export interface Verdict {
  readonly what: string
  readonly figure: number
  readonly bound: number
  readonly kind: 'at least' | 'at most'
  readonly holds: boolean
}

export function ratioVerdict({ name, yardstick, floor }: Floor, ratio: number): Verdict {
  return { what: `${name} / ${yardstick}`, figure: ratio, bound: floor, kind: 'at least', holds: ratio >= floor }
}

export function bytesVerdict({ name, ceiling }: Ceiling, bytes: number): Verdict {
  return { what: name, figure: bytes, bound: ceiling, kind: 'at most', holds: bytes <= ceiling }
}

/** A line that says what is wrong. */
export function complaint({ what, figure, bound, kind }: Verdict): string {
  return `${what}: ${figure.toFixed(2)}, and it has to be ${kind} ${bound}`
}

/**
 * Bounds and what is measured, in pairs.
 * @throws Error when a bound has nothing that is measured for it, or the other way round
 */
export function pairsOf<B extends { readonly name: string }, M>(
  bounds: readonly B[],
  measured: readonly M[],
  nameOf: (one: B | M) => string,
): readonly (readonly [bound: B, measured: M])[] {
  const known = new Set(bounds.map(nameOf))
  const unbound = measured.find((one) => !known.has(nameOf(one)))
  if (unbound !== undefined) throw new Error(`the guard has no bound for '${nameOf(unbound)}'`)
  return bounds.map((bound) => {
    const found = measured.find((one) => nameOf(one) === nameOf(bound))
    if (found === undefined) throw new Error(`the guard measures nothing for '${nameOf(bound)}'`)
    return [bound, found]
  })
}
