import type { Column } from './columnar-schema.ts'
import { DEPTH_MAX, isOrdinaryName, LEAVES_MAX, leaf } from './columnar-schema.ts'

/*
 * Schemas are learnt from values: the first gives the columns, those that do not fit make them wider. Wider only: from no value seen, over a kind of
 * its own, to `any`. So a stream whose records vary comes to rest after a few steps.
 */

const TUPLE_LENGTH_MAX = 16
const ANY = leaf('any')
const NONE = leaf('none')

/** What may still be looked at below a value: it may hold itself, or one thing many times over. */
interface Room {
  columns: number
  readonly depth: number
}

/** The narrowest column that holds this value. */
export function columnOf(value: unknown): Column {
  return widened(NONE, value)
}

/** The narrowest column that holds this value and all that `column` holds; `column` itself when it does. */
export function widened(column: Column, value: unknown): Column {
  return widen(column, value, { columns: 4 * LEAVES_MAX, depth: DEPTH_MAX })
}

function widen(column: Column, value: unknown, room: Room): Column {
  if (column.kind === 'any') return column
  if (value === null || value === undefined) return column.nullable ? column : { ...column, nullable: true }
  const kind = kindOf(value)
  if (kind === 'object') return widenedObject(column, value as Record<string, unknown>, room)
  if (kind === 'tuple') return widenedTuple(column, value as readonly unknown[], room)
  if (column.kind === kind || (column.kind === 'float64' && kind === 'int32')) return column
  if (column.kind === 'none' || (column.kind === 'int32' && kind === 'float64'))
    return leaf(kind, kind !== 'any' && column.nullable)
  return ANY
}

function kindOf(value: NonNullable<unknown>): Column['kind'] {
  switch (typeof value) {
    case 'number':
      return (value | 0) === value && !Object.is(value, -0) ? 'int32' : 'float64'
    case 'string':
      return 'text'
    case 'boolean':
      return 'boolean'
    case 'bigint':
      return BigInt.asIntN(64, value) === value ? 'int64' : 'any'
    case 'object':
      return kindOfObject(value)
    default:
      return 'any'
  }
}

function kindOfObject(value: object): Column['kind'] {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype) return 'object'
  if (prototype === Date.prototype) return 'date'
  const isShort = Array.isArray(value) && value.length > 0 && value.length <= TUPLE_LENGTH_MAX
  return prototype === Array.prototype && isShort ? 'tuple' : 'any'
}

function widenedObject(column: Column, value: Readonly<Record<string, unknown>>, room: Room): Column {
  const names = column.kind === 'object' ? column.names : namesOf(value)
  if (names === undefined || !hasNames(value, names)) return ANY
  return widenedBranch('object', column, names, (index) => value[names[index]!], room)
}

function widenedTuple(column: Column, value: readonly unknown[], room: Room): Column {
  if (column.kind === 'tuple' && column.children.length !== value.length) return ANY
  const places = new Array<string>(value.length).fill('')
  return widenedBranch('tuple', column, places, (index) => value[index], room)
}

function widenedBranch(
  kind: 'object' | 'tuple',
  column: Column,
  names: readonly string[],
  valueAt: (index: number) => unknown,
  room: Room,
): Column {
  room.columns -= names.length
  if ((column.kind !== kind && column.kind !== 'none') || room.depth === 0 || room.columns < 0) return ANY
  const before = column.kind === kind ? column.children : names.map(() => NONE)
  const children = before.map((child, index) => {
    const below: Room = { columns: room.columns, depth: room.depth - 1 }
    const wider = widen(child, valueAt(index), below)
    room.columns = below.columns
    return wider
  })
  if (column.kind === kind && children.every((child, index) => child === before[index])) return column
  return { kind, nullable: column.nullable, names: kind === 'object' ? names : [], children }
}

/** The names of a plain object; `undefined` when it has none, too many, or one that is not ordinary. */
function namesOf(value: object): readonly string[] | undefined {
  const names = Object.keys(value)
  return names.length > 0 && names.length <= LEAVES_MAX && names.every(isOrdinaryName) ? names : undefined
}

/** Whether these are the names of the object, in this order, and it has no others, nor inherits any. */
export function hasNames(value: object, names: readonly string[]): boolean {
  let index = 0
  for (const name in value) if (name !== names[index++]) return false
  return index === names.length
}
