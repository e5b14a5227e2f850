import { DISTINCT_MAX } from './columnar-text.ts'

/*
 * The distinct strings of a column, in a table of slots with a few characters of each as its hash. It gives up as soon as it shows that there are too many of
 * them for a dictionary to pay.
 */

const SLOTS = 1024
const PROBES_MAX = 8
/** Distinct strings that are no sign yet that they are all distinct. */
const DISTINCT_FIRST = 32

export interface Distinct {
  readonly strings: readonly string[]
  /** By string, which of the distinct ones it is. */
  readonly places: Uint8Array
}

/** By slot, the number of the distinct string that took it, and one more. Used again for each column, as the places are. */
const slots = new Uint16Array(SLOTS)
let places = new Uint8Array(1 << 10)

function placesFor(count: number): Uint8Array {
  if (places.length < count) places = new Uint8Array(2 * count)
  return places
}

/** The distinct strings; `undefined` as soon as it shows that there are too many for it to pay. */
export function distinctOf(strings: readonly string[]): Distinct | undefined {
  const distinct: string[] = []
  const taken = placesFor(strings.length)
  slots.fill(0)
  for (let index = 0; index < strings.length; index++) {
    const text = strings[index]!
    const place = placeOf(text, distinct)
    if (place < 0 || distinct.length > DISTINCT_FIRST + (index >>> 2)) return undefined
    taken[index] = place
  }
  return { strings: distinct, places: taken.subarray(0, strings.length) }
}

/** Which of the distinct strings this is, perhaps a new one; -1 when there is no room for it near its slot. */
function placeOf(text: string, distinct: string[]): number {
  let slot = slotOf(text)
  for (let probe = 0; probe < PROBES_MAX; probe++) {
    const place = slots[slot]! - 1
    if (place < 0) {
      if (distinct.length === DISTINCT_MAX) return -1
      slots[slot] = distinct.push(text)
      return distinct.length - 1
    }
    if (distinct[place] === text) return place
    slot = (slot + 1) & (SLOTS - 1)
  }
  return -1
}

/** A few characters are enough to tell apart strings of which there are few. */
function slotOf(text: string): number {
  const { length } = text
  if (length === 0) return 0
  let hash = length
  hash = Math.imul(hash, 31) + text.charCodeAt(0)
  hash = Math.imul(hash, 31) + text.charCodeAt(length >>> 2)
  hash = Math.imul(hash, 31) + text.charCodeAt(length >>> 1)
  hash = Math.imul(hash, 31) + text.charCodeAt(length - 1 - (length >>> 3))
  hash = Math.imul(hash, 31) + text.charCodeAt(length - 1)
  return (hash ^ (hash >>> 10)) & (SLOTS - 1)
}
