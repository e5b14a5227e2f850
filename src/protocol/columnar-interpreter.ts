import type { RecordCode } from './columnar-layout.ts'
import { NULL, PRESENT, UNDEFINED } from './columnar-layout.ts'
import { hasNames } from './columnar-learning.ts'
import type { Column } from './columnar-schema.ts'
import type { FrameMemory } from './frame-buffer.ts'

/*
 * Columns without generated code: for schemas that were hardly seen yet, and for processes that may not make code from strings. Column by column, where
 * generated code goes record by record; the bytes are the same. In both every value is read from its record once: what is checked is what is written.
 */

/** Stands for a value whose parent is null. */
const ABSENT = Symbol('absent')

/** Where a walk over the columns is. */
interface Walk {
  readonly memory: FrameMemory
  readonly places: readonly number[]
  slot: number
}

interface Writing extends Walk {
  readonly parts: unknown[][]
}

interface Reading extends Walk {
  readonly parts: readonly (readonly unknown[])[]
  part: number
}

export function interpret(column: Column): RecordCode {
  return {
    // A copy has no holes, which `map` and `every` would pass over.
    write: (values, memory, places, parts) => writeColumn(column, [...values], { memory, places, slot: 0, parts }),
    read: (records, memory, places, parts) => {
      const walk: Reading = { memory, places, parts, slot: 0, part: 0 }
      const values = readColumn(column, records.length, walk)
      for (let index = 0; index < records.length; index++) records[index] = values[index]
    },
  }
}

function writeColumn(column: Column, values: readonly unknown[], walk: Writing): boolean {
  const present = column.nullable ? writePresence(values, walk) : values
  switch (column.kind) {
    case 'none':
      return present.every((value) => value === ABSENT)
    case 'any':
      walk.parts.push(present.map((value) => (value === ABSENT ? undefined : value)))
      return true
    case 'text':
      walk.parts.push(present.map((value) => (value === ABSENT ? '' : value)))
      return present.every((value) => typeof value === 'string' || value === ABSENT)
    case 'object':
    case 'tuple':
      return writeBranch(column, present, walk)
    default:
      return writeFixed(column, present, walk)
  }
}

function writePresence(values: readonly unknown[], walk: Writing): readonly unknown[] {
  const at = walk.places[walk.slot++]!
  return values.map((value, index) => {
    walk.memory.bytes[at + index] = value === null ? NULL : value === undefined ? UNDEFINED : PRESENT
    return value === null || value === undefined ? ABSENT : value
  })
}

function writeBranch({ kind, names, children }: Column, values: readonly unknown[], walk: Writing): boolean {
  const fits = (value: unknown): boolean =>
    value === ABSENT || (kind === 'object' ? isObject(value, names) : isTuple(value, children.length))
  if (!values.every(fits)) return false
  return children.every((child, index) => {
    const name = kind === 'object' ? names[index]! : index
    const below = values.map((value) => (value === ABSENT ? ABSENT : (value as Record<string | number, unknown>)[name]))
    return writeColumn(child, below, walk)
  })
}

function isObject(value: unknown, names: readonly string[]): boolean {
  if (typeof value !== 'object' || value === null) return false
  return Object.getPrototypeOf(value) === Object.prototype && hasNames(value, names)
}

function isTuple(value: unknown, length: number): boolean {
  return Array.isArray(value) && value.length === length && Object.getPrototypeOf(value) === Array.prototype
}

function writeFixed({ kind }: Column, values: readonly unknown[], walk: Writing): boolean {
  const at = walk.places[walk.slot++]!
  return values.every((value, index) => {
    switch (kind) {
      case 'int32':
        return writeInt32(value === ABSENT ? 0 : value, walk.memory.int32, (at >>> 2) + index)
      case 'float64':
        return writeFloat64(value === ABSENT ? 0 : value, walk.memory.float64, (at >>> 3) + index)
      case 'date':
        return writeFloat64(value === ABSENT ? 0 : timeOf(value), walk.memory.float64, (at >>> 3) + index)
      case 'int64':
        return writeInt64(value === ABSENT ? 0n : value, walk.memory.int64, (at >>> 3) + index)
      default:
        return writeBoolean(value === ABSENT ? false : value, walk.memory.bytes, at, index)
    }
  })
}

function writeInt32(value: unknown, int32: Int32Array, at: number): boolean {
  if (typeof value !== 'number' || (value | 0) !== value || Object.is(value, -0)) return false
  int32[at] = value
  return true
}

function writeFloat64(value: unknown, float64: Float64Array, at: number): boolean {
  if (typeof value !== 'number') return false
  float64[at] = value
  return true
}

function writeInt64(value: unknown, int64: BigInt64Array, at: number): boolean {
  if (typeof value !== 'bigint' || BigInt.asIntN(64, value) !== value) return false
  int64[at] = value
  return true
}

function writeBoolean(value: unknown, bytes: Uint8Array, at: number, index: number): boolean {
  if (value === true) bytes[at + (index >> 3)]! |= 1 << (index & 7)
  return value === true || value === false
}

const getTime = Date.prototype.getTime

/** The time of a plain date; `undefined` for everything else. */
export function timeOf(value: unknown): number | undefined {
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Date.prototype) return undefined
  return getTime.call(value)
}

function readColumn(column: Column, count: number, walk: Reading): unknown[] {
  const presenceAt = column.nullable ? walk.places[walk.slot++]! : -1
  const values = readPresent(column, count, walk)
  if (presenceAt < 0) return values
  const { bytes } = walk.memory
  return values.map((value, index) => {
    const presence = bytes[presenceAt + index]
    return presence === PRESENT ? value : presence === NULL ? null : undefined
  })
}

function readPresent(column: Column, count: number, walk: Reading): unknown[] {
  switch (column.kind) {
    case 'none':
      return new Array<unknown>(count).fill(undefined)
    case 'any':
    case 'text':
      return [...walk.parts[walk.part++]!]
    case 'object':
    case 'tuple': {
      const children = column.children.map((child) => readColumn(child, count, walk))
      return Array.from({ length: count }, (_, index) => assembled(column, children, index))
    }
    default:
      return readFixed(column, count, walk)
  }
}

function assembled({ kind, names }: Column, children: readonly unknown[][], index: number): unknown {
  if (kind === 'tuple') return children.map((values) => values[index])
  const record: Record<string, unknown> = {}
  for (let child = 0; child < names.length; child++) record[names[child]!] = children[child]![index]
  return record
}

function readFixed({ kind }: Column, count: number, walk: Reading): unknown[] {
  const at = walk.places[walk.slot++]!
  const { bytes, int32, float64, int64 } = walk.memory
  return Array.from({ length: count }, (_, index) => {
    switch (kind) {
      case 'int32':
        return int32[(at >>> 2) + index]
      case 'float64':
        return float64[(at >>> 3) + index]
      case 'date':
        return new Date(float64[(at >>> 3) + index]!)
      case 'int64':
        return int64[(at >>> 3) + index]
      default:
        return ((bytes[at + (index >> 3)]! >> (index & 7)) & 1) === 1
    }
  })
}
