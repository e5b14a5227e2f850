import { types } from 'node:util'
import { messageOf, SluiceError } from '../../src/core/errors.ts'
import type { Sink } from '../../src/core/sink.ts'
import { describeOpaque, isOpaque } from './opaque-values.ts'
import { type StagedFile, stagedFileSink } from './staged-files.ts'

/**
 * Writes records as lines of JSON to `part-<subtask>-<checkpoint>.jsonl` in a folder. A file appears when its checkpoint is complete,
 * and never changes after that.
 *
 * ```ts
 * job('slow-flights')
 *   .from(readJsonLines<Flight>('flights/*.jsonl'))
 *   .filter((flight) => flight.delay > 60)
 *   .to(writeJsonLines('out/slow'))
 * ```
 *
 * As with `JSON.stringify`, a `Date` becomes its ISO string, `toJSON` is used where an object has it, `-0` becomes `0`, and properties
 * that are `undefined` or have a symbol as their name are left out. What JSON would silently turn into something else is refused with
 * `VALUE_NOT_ENCODABLE` and the path of the field: a bigint, a function, a symbol, `NaN` and the infinities, an invalid `Date`, a
 * `Map`, a `Set`, binary data, a regular expression, an `Error`, `undefined` in an array or as the whole record, a cycle.
 */
export function writeJsonLines<T = unknown>(folder: string): Sink<T, StagedFile> {
  return stagedFileSink<T>({ kind: 'writeJsonLines', folder, extension: 'jsonl', encoder: () => encodeJsonLine })
}

/** A value as one line of JSON that reads back as the same value. */
export function encodeJsonLine(value: unknown): string {
  return `${value !== undefined && isPlain(value, 0) ? JSON.stringify(value) : stringifyChecked(value)}\n`
}

/** Beyond this depth the thorough way is taken, which also tells deep from endless. */
const PLAIN_DEPTH = 16

/** Whether `JSON.stringify` is sure to write the value exactly. "No" is never wrong; it only costs the thorough way. */
function isPlain(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
    case 'undefined':
      return true
    case 'number':
      return Number.isFinite(value)
    case 'object':
      return value === null || (depth < PLAIN_DEPTH && isPlainObject(value, depth))
    default:
      return false
  }
}

function isPlainObject(value: object, depth: number): boolean {
  const prototype = Object.getPrototypeOf(value)
  if (prototype === Object.prototype || prototype === null) {
    for (const name in value) if (!isPlain(value[name as never], depth + 1)) return false
    return true
  }
  if (prototype === Array.prototype) return isPlainArray(value as readonly unknown[], depth)
  return prototype === Date.prototype && Number.isFinite((value as Date).getTime())
}

function isPlainArray(items: readonly unknown[], depth: number): boolean {
  if ('toJSON' in items) return false
  for (const item of items) if (item === undefined || !isPlain(item, depth + 1)) return false
  return true
}

/** An object that is being written, under the key that led to it. */
interface Ancestor {
  readonly key: string
  readonly value: object
}

/** Writes any value, looking at each part just before it is written, so that `toJSON` is called only once. */
function stringifyChecked(record: unknown): string {
  const ancestors: Ancestor[] = []
  function check(this: object, key: string, value: unknown): unknown {
    while (ancestors.length > 0 && ancestors.at(-1)!.value !== this) ancestors.pop()
    const problem = problemOf(value, this[key as never], ancestors)
    if (problem !== undefined) throw refusal(`${pathOf(ancestors, key)} is ${problem}`)
    if (typeof value === 'object' && value !== null) ancestors.push({ key, value })
    return value
  }
  try {
    return JSON.stringify(record, check)
  } catch (error) {
    if (error instanceof SluiceError) throw error
    throw refusal(`JSON.stringify failed with "${messageOf(error)}"`, error)
  }
}

/** What JSON would do wrong with `value`, which is `original` after a possible `toJSON`. */
function problemOf(value: unknown, original: unknown, ancestors: readonly Ancestor[]): string | undefined {
  if (types.isDate(original) && Number.isNaN(original.getTime())) return 'an invalid Date'
  switch (typeof value) {
    case 'bigint':
    case 'function':
    case 'symbol':
      return `a ${typeof value}`
    case 'number':
      return Number.isFinite(value) ? undefined : String(value)
    case 'undefined':
      // A property is left out, which loses nothing but the difference between missing and undefined.
      return ancestors.length === 0 || Array.isArray(ancestors.at(-1)!.value) ? 'undefined' : undefined
    case 'object':
      return value === null ? undefined : problemOfObject(value, ancestors)
    default:
      return undefined
  }
}

function problemOfObject(value: object, ancestors: readonly Ancestor[]): string | undefined {
  if (ancestors.some((ancestor) => ancestor.value === value)) return 'a cycle: it contains itself'
  return isOpaque(value) ? describeOpaque(value) : undefined
}

/** Such as `the field stops[2].gate`. */
function pathOf(ancestors: readonly Ancestor[], key: string): string {
  if (ancestors.length === 0) return 'the record'
  const keys = [...ancestors.slice(1).map((ancestor) => ancestor.key), key]
  const steps = keys.map((step, index) => {
    if (Array.isArray(ancestors[index]!.value)) return `[${step}]`
    return /^[A-Za-z_$][\w$]*$/.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`
  })
  return `the field ${steps.join('').replace(/^\./, '')}`
}

function refusal(reason: string, cause?: unknown): SluiceError {
  return new SluiceError('VALUE_NOT_ENCODABLE', `writeJsonLines cannot write a record: ${reason}.`, {
    hint: 'Turn the field into something that JSON can hold with map, or leave it out.',
    cause,
  })
}
