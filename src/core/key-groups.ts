import { SluiceError } from './errors.ts'
import type { Key } from './keyed-state.ts'

/*
 * Which subtask owns a key. The hash of a key and its key group are part of the on-disk format: frozen.
 *
 * The hash is Java's (a string's code units times 31, a number's bits, a tuple's elements combined as Flink's tuples do), spread by the
 * finaliser of murmur3, so that a key lands in the same key group as on a Flink cluster. Algorithm and test vectors: Apache Flink,
 * `MathUtils.murmurHash` and `KeyGroupRangeAssignment`.
 */

/** The 32-bit hash of a key. @throws SluiceError `INVALID_KEY` for null, undefined, objects, functions and symbols. */
export function hashKey(key: unknown): number {
  switch (typeof key) {
    case 'string':
      return hashString(key)
    case 'number':
      return hashNumber(key)
    case 'boolean':
      return key ? 1231 : 1237
    case 'bigint':
      return hashBigInt(key)
    default:
      if (key instanceof Date) return hashLong(key.getTime())
      if (Array.isArray(key)) return hashTuple(key)
      throw invalidKey(key)
  }
}

function hashString(text: string): number {
  let hash = 0
  for (let index = 0; index < text.length; index++) hash = (Math.imul(hash, 31) + text.charCodeAt(index)) | 0
  return hash
}

const doubleBits = new Float64Array(1)
const intBits = new Int32Array(doubleBits.buffer)

/** As `hashKey`. */
export function hashNumber(value: number): number {
  const int = value | 0
  // Also true for -0, whose bits must not be looked at: it is the same key as 0.
  if (int === value) return int
  doubleBits[0] = value
  return Number.isNaN(value) ? 0x7ff80000 : intBits[0]! ^ intBits[1]!
}

function hashLong(ms: number): number {
  if (!Number.isFinite(ms)) throw new SluiceError('INVALID_KEY', 'a key is an invalid Date')
  return Number(BigInt.asIntN(32, BigInt(ms) ^ (BigInt(ms) >> 32n)))
}

function hashBigInt(value: bigint): number {
  let magnitude = value < 0n ? -value : value
  const words: number[] = []
  for (; magnitude > 0n; magnitude >>= 32n) words.push(Number(BigInt.asIntN(32, magnitude)))
  let hash = 0
  for (let index = words.length - 1; index >= 0; index--) hash = (Math.imul(hash, 31) + words[index]!) | 0
  return value < 0n ? -hash | 0 : hash
}

function hashTuple(parts: readonly unknown[]): number {
  if (parts.length === 0) return 0
  let hash = hashKey(parts[0])
  for (let index = 1; index < parts.length; index++) hash = (Math.imul(hash, 31) + hashKey(parts[index])) | 0
  return hash
}

function invalidKey(key: unknown): SluiceError {
  const what = key === null ? 'null' : typeof key === 'object' ? `an object (${describe(key)})` : typeof key
  return new SluiceError('INVALID_KEY', `a key is ${what}`, {
    hint: 'return a string, number, bigint, boolean, Date, or an array of them from keyBy; filter records without a key before it',
  })
}

function describe(key: unknown): string {
  try {
    return JSON.stringify(key)?.slice(0, 80) ?? String(key)
  } catch {
    return Object.prototype.toString.call(key)
  }
}

/** Spreads a hash over all non-negative 31-bit numbers. */
export function murmur(code: number): number {
  let hash = Math.imul(code, 0xcc9e2d51)
  hash = (hash << 15) | (hash >>> 17)
  hash = Math.imul(hash, 0x1b873593)
  hash = (hash << 13) | (hash >>> 19)
  hash = (Math.imul(hash, 5) + 0xe6546b64) | 0
  hash ^= 4
  hash ^= hash >>> 16
  hash = Math.imul(hash, 0x85ebca6b)
  hash ^= hash >>> 13
  hash = Math.imul(hash, 0xc2b2ae35)
  hash ^= hash >>> 16
  if (hash >= 0) return hash
  return hash === -2147483648 ? 0 : -hash
}

/** The key group of a key: the smallest unit of keyed state that moves between subtasks. */
export function keyGroupOf(key: unknown, maxParallelism: number): number {
  return murmur(hashKey(key)) % maxParallelism
}

/** The subtask that owns a key group. */
export function subtaskOfGroup(group: number, parallelism: number, maxParallelism: number): number {
  return Math.floor((group * parallelism) / maxParallelism)
}

/** First and last key group of a subtask, both included. Agrees with `subtaskOfGroup`. */
export function groupsOfSubtask(subtask: number, parallelism: number, maxParallelism: number): { first: number; last: number } {
  return {
    first: Math.ceil((subtask * maxParallelism) / parallelism),
    last: Math.floor(((subtask + 1) * maxParallelism - 1) / parallelism),
  }
}

/**
 * What identifies a key inside a `Map`. Primitives identify themselves (a Map holds `1` and `'1'` apart and `-0` and `0` together);
 * dates and tuples become tagged text. A string that begins with the tag's own first character is tagged too, so nothing collides.
 */
export function canonicalKey(key: unknown): unknown {
  if (typeof key === 'string') return key.charCodeAt(0) === 0 ? `\0s${key}` : key
  return typeof key === 'object' ? `\0${canonicalText(key)}` : key
}

/**
 * The order of canonical keys: booleans, numbers (`NaN` last), bigints, then text by its code units, dates and tuples by the text that stands
 * for them. Total, and the same in every thread and after every restore, because whatever is done key by key must not depend on the
 * order in which the keys came.
 */
export function compareKeys(a: unknown, b: unknown): number {
  if (typeof a !== typeof b) return TYPE_ORDER.indexOf(typeof a) - TYPE_ORDER.indexOf(typeof b)
  // Both have one type, so the comparison is that of the type; only NaN is neither below, above nor equal to itself.
  if ((a as string) < (b as string)) return -1
  if ((a as string) > (b as string)) return 1
  return a === b ? 0 : Number(Number.isNaN(a)) - Number(Number.isNaN(b))
}

const TYPE_ORDER: readonly string[] = ['boolean', 'number', 'bigint', 'string']

function canonicalText(key: unknown): string {
  switch (typeof key) {
    case 'string':
      return `s${key.length}:${key}`
    case 'number':
      return `n${key === 0 ? 0 : key};`
    case 'bigint':
      return `i${key};`
    case 'boolean':
      return key ? 'b1' : 'b0'
    default:
      if (key instanceof Date) return `d${key.getTime()};`
      if (Array.isArray(key)) return `t${key.length}:${(key as readonly Key[]).map(canonicalText).join('')}`
      throw invalidKey(key)
  }
}
