/** Just enough of a Parquet writer to make files that show one thing each. */

export interface TestPage {
  /** Values that are there, encoded plainly by `plain`, or positions in the dictionary. */
  readonly values: readonly unknown[]
  readonly usesDictionary?: boolean
  /** 0 for a null, 1 for a value; in a column that may have nulls. */
  readonly present?: readonly number[]
  readonly version?: 1 | 2
}

export interface TestColumn {
  readonly name: string
  readonly type: 'INT32' | 'INT64' | 'FLOAT' | 'DOUBLE' | 'BYTE_ARRAY'
  readonly convertedType?: number
  readonly isOptional?: boolean
  readonly dictionary?: readonly unknown[]
  readonly pages: readonly TestPage[]
  readonly codec?: { readonly number: number; compress(bytes: Buffer): Buffer }
}

const TYPES = { INT32: 1, INT64: 2, FLOAT: 4, DOUBLE: 5, BYTE_ARRAY: 6 }
const MAGIC = Buffer.from('PAR1')

/** A file with one row group. */
export function parquetFile(columns: readonly TestColumn[]): Buffer {
  const chunks: { column: TestColumn; offset: number; dictionaryOffset: number | undefined; bytes: Buffer }[] = []
  let offset = MAGIC.length
  for (const column of columns) {
    const dictionary = column.dictionary ? dictionaryPage(column, column.dictionary) : Buffer.alloc(0)
    const bytes = Buffer.concat([dictionary, ...column.pages.map((page) => dataPage(column, page))])
    chunks.push({ column, offset: offset + dictionary.length, dictionaryOffset: column.dictionary ? offset : undefined, bytes })
    offset += bytes.length
  }
  const rows = rowsOf(columns[0]!)
  const schema = [
    struct([4, binary('root')], [5, int(columns.length)]),
    ...columns.map((c) =>
      struct([1, int(TYPES[c.type])], [3, int(c.isOptional ? 1 : 0)], [4, binary(c.name)], [6, int(c.convertedType)]),
    ),
  ]
  const chunksMeta = chunks.map(({ column, offset, dictionaryOffset, bytes }) =>
    struct(
      [2, long(offset)],
      [
        3,
        struct(
          [1, int(TYPES[column.type])],
          [2, list(5, [zigzag(0), zigzag(3), zigzag(8)])],
          [3, list(8, [binary(column.name).bytes])],
          [4, int(column.codec?.number ?? 0)],
          [5, long(rowsOf(column))],
          [6, long(bytes.length)],
          [7, long(bytes.length)],
          [9, long(offset)],
          [11, long(dictionaryOffset)],
        ),
      ],
    ),
  )
  const group = struct(
    [
      1,
      list(
        12,
        chunksMeta.map((c) => c.bytes),
      ),
    ],
    [2, long(offset)],
    [3, long(rows)],
  )
  const footer = struct(
    [1, int(1)],
    [
      2,
      list(
        12,
        schema.map((s) => s.bytes),
      ),
    ],
    [3, long(rows)],
    [4, list(12, [group.bytes])],
  ).bytes
  const length = Buffer.alloc(4)
  length.writeUInt32LE(footer.length)
  return Buffer.concat([MAGIC, ...chunks.map((chunk) => chunk.bytes), footer, length, MAGIC])
}

function rowsOf(column: TestColumn): number {
  return column.pages.reduce((sum, page) => sum + (page.present ?? page.values).length, 0)
}

function dictionaryPage(column: TestColumn, values: readonly unknown[]): Buffer {
  const body = Buffer.concat(values.map((value) => plain(column.type, value)))
  const stored = compress(column, body)
  const header = struct(
    [1, int(2)],
    [2, int(body.length)],
    [3, int(stored.length)],
    [7, struct([1, int(values.length)], [2, int(0)])],
  )
  return Buffer.concat([header.bytes, stored])
}

function dataPage(column: TestColumn, page: TestPage): Buffer {
  const { values, present, usesDictionary, version = 1 } = page
  const encoding = int(usesDictionary ? 8 : 0)
  const encoded = usesDictionary ? indexes(values as number[]) : Buffer.concat(values.map((value) => plain(column.type, value)))
  const rows = (present ?? values).length
  const levels = column.isOptional ? runs(present ?? values.map(() => 1), 1) : Buffer.alloc(0)
  if (version === 2) {
    const stored = compress(column, encoded)
    const details = struct(
      [1, int(rows)],
      [2, int(rows - values.length)],
      [3, int(rows)],
      [4, encoding],
      [5, int(levels.length)],
      [6, int(0)],
      [7, { type: column.codec ? 1 : 2, bytes: Buffer.alloc(0) }],
    )
    const header = struct(
      [1, int(3)],
      [2, int(levels.length + encoded.length)],
      [3, int(levels.length + stored.length)],
      [8, details],
    )
    return Buffer.concat([header.bytes, levels, stored])
  }
  const length = Buffer.alloc(4)
  length.writeUInt32LE(levels.length)
  const body = Buffer.concat(column.isOptional ? [length, levels, encoded] : [encoded])
  const stored = compress(column, body)
  const details = struct([1, int(rows)], [2, encoding], [3, int(3)], [4, int(3)])
  const header = struct([1, int(0)], [2, int(body.length)], [3, int(stored.length)], [5, details])
  return Buffer.concat([header.bytes, stored])
}

function compress(column: TestColumn, body: Buffer): Buffer {
  return column.codec ? column.codec.compress(body) : body
}

function plain(type: TestColumn['type'], value: unknown): Buffer {
  const bytes = Buffer.alloc(type === 'INT32' || type === 'FLOAT' ? 4 : 8)
  if (type === 'INT32') bytes.writeInt32LE(value as number)
  if (type === 'INT64') bytes.writeBigInt64LE(BigInt(value as bigint))
  if (type === 'FLOAT') bytes.writeFloatLE(value as number)
  if (type === 'DOUBLE') bytes.writeDoubleLE(value as number)
  if (type !== 'BYTE_ARRAY') return bytes
  const text = Buffer.from(value as string)
  bytes.writeUInt32LE(text.length)
  return Buffer.concat([bytes.subarray(0, 4), text])
}

function indexes(values: readonly number[]): Buffer {
  const bits = Math.max(1, 32 - Math.clz32(Math.max(0, ...values)))
  return Buffer.concat([Buffer.of(bits), runs(values, bits)])
}

/** Repeated values as runs, all others in packed groups of eight. */
export function runs(values: readonly number[], bits: number): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; at < values.length; ) {
    let same = at
    while (same < values.length && values[same] === values[at]) same++
    const isRun = same - at >= 8
    const group = isRun ? values.slice(at, same) : values.slice(at, at + 8)
    parts.push(isRun ? run(group, bits) : packed(group, bits))
    at += group.length
  }
  return Buffer.concat(parts)
}

function run(group: readonly number[], bits: number): Buffer {
  const value = Buffer.alloc(4)
  value.writeUInt32LE(group[0]!)
  return Buffer.concat([varint(BigInt(group.length) << 1n), value.subarray(0, Math.ceil(bits / 8))])
}

function packed(group: readonly number[], bits: number): Buffer {
  const all = group.reduceRight((sum, value) => (sum << BigInt(bits)) | BigInt(value), 0n)
  const bytes = Array.from({ length: bits }, (_, i) => Number((all >> BigInt(8 * i)) & 255n))
  return Buffer.from([3, ...bytes])
}

/** A field of a struct in Thrift's compact protocol; without bytes it is left out. */
interface Value {
  readonly type: number
  readonly bytes: Buffer
}

function struct(...fields: readonly [number, Value | undefined][]): Value {
  const parts: Buffer[] = []
  let last = 0
  for (const [id, value] of fields) {
    if (value === undefined) continue
    parts.push(Buffer.of(((id - last) << 4) | value.type), value.bytes)
    last = id
  }
  return { type: 12, bytes: Buffer.concat([...parts, Buffer.of(0)]) }
}

function int(value: number | undefined): Value | undefined {
  return value === undefined ? undefined : { type: 5, bytes: zigzag(value) }
}

function long(value: number | undefined): Value | undefined {
  return value === undefined ? undefined : { type: 6, bytes: zigzag(value) }
}

function binary(text: string): Value {
  const bytes = Buffer.from(text)
  return { type: 8, bytes: Buffer.concat([varint(BigInt(bytes.length)), bytes]) }
}

function list(type: number, items: readonly Buffer[]): Value {
  const head =
    items.length < 15
      ? Buffer.of((items.length << 4) | type)
      : Buffer.concat([Buffer.of(0xf0 | type), varint(BigInt(items.length))])
  return { type: 9, bytes: Buffer.concat([head, ...items]) }
}

function zigzag(value: number): Buffer {
  return varint(value < 0 ? BigInt(-value) * 2n - 1n : BigInt(value) * 2n)
}

function varint(value: bigint): Buffer {
  const bytes: number[] = []
  for (let rest = value; ; rest >>= 7n) {
    if (rest < 128n) return Buffer.from([...bytes, Number(rest)])
    bytes.push(Number(rest & 127n) | 128)
  }
}
