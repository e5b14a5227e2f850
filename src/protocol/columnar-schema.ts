/*
 * What the records of a batch look like, as a tree of columns: a leaf holds one value of each record, a branch says which names or places the values
 * under it have. What always holds:
 *
 * - A schema says all that is needed to read the columns, and nothing else does: it travels in every frame, as bytes that are its identity.
 * - Names are ordinary ones (`isOrdinaryName`): objects with others travel as msgpackr writes them, and generated code never holds them.
 * - A batch takes at least a bit for each record, so a count of records that came from anywhere is checked against the length of its frame.
 */

/**
 * How the values of a column lie in the frame. `none` is a column of which only nulls were seen, `any` one that msgpackr writes, because its values
 * differ in kind or have no column of their own.
 */
export const KINDS = ['none', 'int32', 'float64', 'boolean', 'int64', 'date', 'text', 'any', 'object', 'tuple'] as const
export type ColumnKind = (typeof KINDS)[number]

export interface Column {
  readonly kind: ColumnKind
  /** Whether a value may be null or undefined instead. */
  readonly nullable: boolean
  /** Of an object. */
  readonly names: readonly string[]
  /** Of an object or tuple, in order. */
  readonly children: readonly Column[]
}

export const LEAVES_MAX = 128
export const DEPTH_MAX = 6
const NAME_LENGTH_MAX = 100
const NULLABLE_FLAG = 0x80

export function leaf(kind: ColumnKind, nullable = false): Column {
  return { kind, nullable, names: [], children: [] }
}

/**
 * A name that a property of generated code may have. Numbers come first in any object, wherever they were written, `__proto__` is no property in a
 * literal, and by `constructor` msgpackr guesses: they are left to the codec that knows about them.
 */
export function isOrdinaryName(name: string): boolean {
  return /^(?!\d+$|__proto__$|constructor$)[^\p{Cc}\p{Cs}\u2028\u2029]{1,100}$/u.test(name) && name.length <= NAME_LENGTH_MAX
}

/** Columns without children. */
function leavesOf(column: Column): readonly Column[] {
  return isBranch(column) ? column.children.flatMap(leavesOf) : [column]
}

export function isBranch({ kind }: Column): boolean {
  return kind === 'object' || kind === 'tuple'
}

function depthOf(column: Column): number {
  return isBranch(column) ? 1 + Math.max(0, ...column.children.map(depthOf)) : 0
}

/** Whether records of this schema can be written in columns. */
export function isColumnar(column: Column): boolean {
  const leaves = leavesOf(column)
  return !column.nullable && leaves.length > 0 && leaves.length <= LEAVES_MAX && depthOf(column) <= DEPTH_MAX && isWhole(column)
}

/** Every branch holds something, and nothing is without a kind that cannot be null. */
function isWhole(column: Column): boolean {
  if (isBranch(column)) return column.children.length > 0 && column.children.every(isWhole)
  return column.kind !== 'none' || column.nullable
}

/** The schema as bytes: for each column its kind with a flag, and for a branch the number of its children, each behind its name. */
export function schemaBytes(column: Column): Uint8Array {
  const bytes: number[] = []
  appendColumn(column, bytes)
  return Uint8Array.from(bytes)
}

function appendColumn(column: Column, bytes: number[]): void {
  bytes.push(KINDS.indexOf(column.kind) | (column.nullable ? NULLABLE_FLAG : 0))
  if (!isBranch(column)) return
  bytes.push(column.children.length)
  column.children.forEach((child, index) => {
    if (column.kind === 'object') {
      const name = Buffer.from(column.names[index]!)
      bytes.push(name.length & 0xff, name.length >>> 8, ...name)
    }
    appendColumn(child, bytes)
  })
}

/** The schema of these bytes. @throws when no codec has written them. */
export function schemaOf(bytes: Uint8Array): Column {
  const cursor = { bytes: Buffer.from(bytes), at: 0 }
  const column = readColumn(cursor, 0)
  if (cursor.at !== bytes.length || !isColumnar(column)) throw new Error('a frame holds a schema that nobody writes')
  return column
}

function readColumn(cursor: { readonly bytes: Buffer; at: number }, depth: number): Column {
  const head = cursor.bytes[cursor.at++]
  const kind = KINDS[(head ?? 0xff) & ~NULLABLE_FLAG]
  if (kind === undefined || depth > DEPTH_MAX) throw new Error('a frame holds a column of unknown kind')
  const [names, children]: [string[], Column[]] = [[], []]
  const column: Column = { kind, nullable: (head! & NULLABLE_FLAG) !== 0, names, children }
  if (!isBranch(column)) return column
  const count = cursor.bytes[cursor.at++] ?? 0
  for (let index = 0; index < count; index++) {
    if (kind === 'object') names.push(readName(cursor))
    children.push(readColumn(cursor, depth + 1))
  }
  if (new Set(names).size !== names.length) throw new Error('a frame holds a schema in which a name comes twice')
  return column
}

function readName(cursor: { readonly bytes: Buffer; at: number }): string {
  const length = (cursor.bytes[cursor.at] ?? 0) | ((cursor.bytes[cursor.at + 1] ?? 0) << 8)
  const from = cursor.at + 2
  cursor.at = from + length
  const name = cursor.bytes.toString('utf8', from, cursor.at)
  if (cursor.at > cursor.bytes.length || !isOrdinaryName(name))
    throw new Error('a frame holds a schema with a name that nobody writes')
  return name
}
