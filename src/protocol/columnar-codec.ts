import type { CodeMode } from './columnar-records.ts'
import { anyEnd, RecordColumns, readAny, writeAny } from './columnar-records.ts'
import { schemaOf } from './columnar-schema.ts'
import type { Group, Grouped } from './columnar-shapes.ts'
import { Shapes } from './columnar-shapes.ts'
import { inSteps } from './frame-buffer.ts'
import { FrameCodec } from './frame-codec.ts'

/*
 * Records in columns: all values of a field lie together, as numbers of a fixed width or as one block of strings. What always holds:
 *
 * - A frame says itself how it is to be read: the schema travels with every group of records. Neither side has to know what the other has seen, and a
 *   reader that has seen a schema before finds its code by the schema's bytes.
 * - Whatever the value codec takes comes back equal, and what it refuses is refused with its words: a field whose values have no column of their own
 *   becomes a column that msgpackr writes, and a record that is like no other, or like too few, goes to a group that msgpackr writes.
 * - Both sides hold little: shapes and readers are bounded in number, the last dictionary of each column of strings in size.
 *
 * The values of a frame, in steps of eight bytes: the number of groups (4 bytes), 4 unused bytes; where there are several, the number of its group for each
 * record (1 byte each); and each group: how it is written (4 bytes), its records (4 bytes), then
 *   packed      as `writeAny` writes them
 *   columns     the length of the schema (4 bytes), 4 unused bytes, the schema, the slots and parts of `columnar-layout.ts`
 */
const PACKED = 0
const COLUMNS = 1
const GROUP_BYTES = 8
const GROUPS_MAX = 255
/** Readers of schemas that a reader keeps. */
const READERS_MAX = 64

/** Records of one shape at 3 to 12 times the speed of msgpackr, all others at its own. */
export class ColumnarCodec extends FrameCodec {
  readonly name = 'columnar'
  protected readonly format = 0x20
  readonly #mode: CodeMode
  readonly #shapes: Shapes
  readonly #readers = new Map<string, RecordColumns>()
  /** Where the group that was written or read last ends. */
  #end = 0

  constructor(mode: CodeMode = 'adaptive') {
    super()
    this.#mode = mode
    this.#shapes = new Shapes(mode)
  }

  protected writeValues(values: readonly unknown[], at: number): number {
    if (values.length === 0) return at
    this.#shapes.onBatch()
    try {
      return this.#writeLikeLast(values, at) ?? this.#writeGrouped(values, at)
    } catch {
      // Something in it cannot be encoded, or only in another form: msgpackr takes the batch as a whole or says what it is, and where.
      return this.#writePacked(values, at)
    }
  }

  /** Nearly every batch: all its records are of the shape of those before. */
  #writeLikeLast(values: readonly unknown[], at: number): number | undefined {
    const { first } = this.#shapes
    if (first === undefined || first.isPacked) return undefined
    const end = this.#writeColumns(first.columns, values, this.#writeCount(1, at))
    return end < 0 ? undefined : end
  }

  #writeGrouped(values: readonly unknown[], at: number): number {
    const grouped = this.#shapes.group(values)
    let end = this.#writeCount(grouped.groups.length, at)
    if (grouped.groups.length > 1) end = this.#writeGroupOf(grouped, end)
    for (const group of grouped.groups) end = this.#writeGroup(group, end)
    return end
  }

  #writeCount(groups: number, at: number): number {
    const { uint32 } = this.writer.reserve(at + 8)
    uint32[at >>> 2] = groups
    uint32[(at >>> 2) + 1] = 0
    return at + 8
  }

  #writeGroupOf({ groupOf }: Grouped, at: number): number {
    const end = inSteps(at + groupOf.length)
    const { bytes, float64 } = this.writer.reserve(end)
    float64[(end >>> 3) - 1] = 0
    bytes.set(groupOf, at)
    return end
  }

  #writeGroup(group: Group, at: number): number {
    if (group.shape !== undefined && !group.shape.isPacked) {
      let end = this.#writeColumns(group.shape.columns, group.values, at)
      if (end < 0 && this.#shapes.widen(group)) end = this.#writeColumns(group.shape.columns, group.values, at)
      if (end >= 0) return end
    }
    this.#writeGroupHeader(PACKED, group.values.length, at)
    return writeAny(this.writer, group.values, at + GROUP_BYTES)
  }

  #writeGroupHeader(form: number, records: number, at: number): void {
    const { uint32 } = this.writer.reserve(at + GROUP_BYTES)
    uint32[at >>> 2] = form
    uint32[(at >>> 2) + 1] = records
  }

  /** Returns -1 when a record does not fit. */
  #writeColumns(columns: RecordColumns, values: readonly unknown[], at: number): number {
    const { schema } = columns
    const schemaAt = at + GROUP_BYTES + 8
    const columnsAt = inSteps(schemaAt + schema.length)
    const { bytes, uint32, float64 } = this.writer.reserve(columnsAt)
    uint32[at >>> 2] = COLUMNS
    uint32[(at >>> 2) + 1] = values.length
    uint32[(at >>> 2) + 2] = schema.length
    uint32[(at >>> 2) + 3] = 0
    float64[(columnsAt >>> 3) - 1] = 0
    bytes.set(schema, schemaAt)
    return columns.write(this.writer, values, columnsAt)
  }

  #writePacked(values: readonly unknown[], at: number): number {
    const groupAt = this.#writeCount(1, at)
    this.#writeGroupHeader(PACKED, values.length, groupAt)
    return writeAny(this.writer, values, groupAt + GROUP_BYTES)
  }

  protected readValues(count: number, at: number): unknown[] {
    if (count === 0) return []
    const groups = this.reader.uint32(at)
    if (groups === 1) return this.#readGroup(at + 8, count)
    if (groups === 0 || groups > GROUPS_MAX) throw new Error(`a frame of ${groups} groups`)
    return this.#readGroups(groups, count, at + 8)
  }

  #readGroups(groups: number, count: number, at: number): unknown[] {
    this.reader.need(at, count)
    this.#end = inSteps(at + count)
    const lists: unknown[][] = []
    for (let group = 0; group < groups; group++) lists.push(this.#readGroup(this.#end, undefined))
    const { bytes } = this.reader.memory
    const taken = new Uint32Array(groups)
    const values = recordsOf(count)
    for (let index = 0; index < count; index++) {
      const group = bytes[at + index]!
      if (group >= groups || taken[group]! >= lists[group]!.length)
        throw new Error('a frame whose groups hold other records than it')
      values[index] = lists[group]![taken[group]!++]
    }
    return values
  }

  #readGroup(at: number, expected: number | undefined): unknown[] {
    const form = this.reader.uint32(at)
    const count = this.reader.uint32(at + 4)
    if (expected !== undefined && count !== expected) throw new Error(`a frame of ${expected} records holds ${count}`)
    if (form === PACKED) {
      this.#end = anyEnd(this.reader, at + GROUP_BYTES)
      return readAny(this.reader, at + GROUP_BYTES, count)
    }
    if (form !== COLUMNS) throw new Error('a frame with a group that nobody writes')
    const length = this.reader.uint32(at + GROUP_BYTES)
    const schemaAt = at + GROUP_BYTES + 8
    this.reader.need(schemaAt, length)
    const columns = this.#readerOf(schemaAt, length)
    const records = columns.read(this.reader, inSteps(schemaAt + length), count, recordsOf)
    this.#end = columns.end
    return records
  }

  #readerOf(at: number, length: number): RecordColumns {
    const { bytes } = this.reader.memory
    const schema = bytes.toString('latin1', at, at + length)
    const known = this.#readers.get(schema)
    if (known !== undefined) return known
    const own = Uint8Array.from(bytes.subarray(at, at + length))
    const columns = new RecordColumns(schemaOf(own), this.#mode, own)
    if (this.#readers.size === READERS_MAX) this.#readers.delete(this.#readers.keys().next().value!)
    this.#readers.set(schema, columns)
    return columns
  }
}

const MANY = 1 << 10
const NO_RECORDS: readonly unknown[] = Array.from({ length: MANY }, () => undefined)

/** A list of so many records that are to be filled in: a copy has no holes, and costs less than to make it by `push`. */
function recordsOf(count: number): unknown[] {
  if (count <= MANY) return NO_RECORDS.slice(0, count)
  const made: unknown[] = []
  for (let index = 0; index < count; index++) made.push(undefined)
  return made
}
