import type { Column } from './columnar-schema.ts'
import type { FrameMemory } from './frame-buffer.ts'

/*
 * Where the columns of a schema lie. Going through the tree from its root, parents before their children, each column takes
 *   a slot of a byte for each record, when it is nullable: 0 for a value, 1 for null, 2 for undefined
 *   a slot of 1, 32 or 64 bits for each record, when its values have a fixed width
 *   a part behind all slots, when they do not
 * and every slot and part begins at a step of eight bytes. Where a parent is null its children hold zeros, so slots can be read by the number of
 * the record.
 */
export interface Layout {
  /** Bits for each record, by slot. */
  readonly slots: readonly number[]
  /** Columns whose values lie behind the slots. */
  readonly parts: readonly Column[]
}

export const PRESENT = 0
export const NULL = 1
export const UNDEFINED = 2

export function layoutOf(column: Column): Layout {
  const layout = { slots: [] as number[], parts: [] as Column[] }
  addColumn(column, layout)
  return layout
}

function addColumn(column: Column, layout: { readonly slots: number[]; readonly parts: Column[] }): void {
  if (column.nullable) layout.slots.push(8)
  const bits = bitsOf(column)
  if (bits > 0) layout.slots.push(bits)
  if (column.kind === 'text' || column.kind === 'any') layout.parts.push(column)
  for (const child of column.children) addColumn(child, layout)
}

function bitsOf({ kind }: Column): number {
  switch (kind) {
    case 'boolean':
      return 1
    case 'int32':
      return 32
    case 'float64':
    case 'int64':
    case 'date':
      return 64
    default:
      return 0
  }
}

/** Fills `places` with the beginning of each slot and returns where the parts begin. */
export function placeSlots({ slots }: Layout, records: number, at: number, places: number[]): number {
  let next = at
  for (let slot = 0; slot < slots.length; slot++) {
    places[slot] = next
    next += Math.ceil((slots[slot]! * records) / 64) * 8
  }
  return next
}

/** Wipes what would stay between the columns, and bits, which are only ever set. */
export function clearSlots({ slots }: Layout, records: number, { float64 }: FrameMemory, places: readonly number[]): void {
  for (let slot = 0; slot < slots.length; slot++) {
    const [from, steps] = [places[slot]! >>> 3, Math.ceil((slots[slot]! * records) / 64)]
    if (slots[slot] === 1) float64.fill(0, from, from + steps)
    else float64[from + steps - 1] = 0
  }
}

/** Writes and reads the slots of records of one schema. */
export interface RecordCode {
  /** Fills the slots, and `parts` with a list for each part. False when a record does not fit: nothing then counts as written. */
  write(values: readonly unknown[], memory: FrameMemory, places: readonly number[], parts: unknown[][]): boolean
  /** Fills `records`, which is as long as there are records. */
  read(records: unknown[], memory: FrameMemory, places: readonly number[], parts: readonly (readonly unknown[])[]): void
}
