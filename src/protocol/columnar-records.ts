import { assert } from '../core/assert.ts'
import { decodeValue, encodeInPlace } from '../core/value-codec.ts'
import { generate, mayGenerate } from './columnar-generator.ts'
import { interpret } from './columnar-interpreter.ts'
import type { Layout, RecordCode } from './columnar-layout.ts'
import { clearSlots, layoutOf, placeSlots } from './columnar-layout.ts'
import type { Column } from './columnar-schema.ts'
import { schemaBytes } from './columnar-schema.ts'
import { TextReader } from './columnar-text-reader.ts'
import { TextWriter } from './columnar-text-writer.ts'
import type { FrameReader, FrameWriter } from './frame-buffer.ts'
import { inSteps } from './frame-buffer.ts'

/** How code for records is come by: `adaptive` makes it for schemas that come often, where the process may. */
export type CodeMode = 'adaptive' | 'generated' | 'interpreted'

/** Records of a schema before code is made for it: making it costs about as much as interpreting so many. */
const RECORDS_BEFORE_CODE = 256
const CODE_MAX = 256

/** Code by schema, for all channels of the thread. */
const codeBySchema = new Map<string, RecordCode>()
let generates: boolean | undefined

function codeOf(column: Column, schema: string): RecordCode {
  let code = codeBySchema.get(schema)
  if (code !== undefined) return code
  code = generate(column)
  if (codeBySchema.size === CODE_MAX) codeBySchema.delete(codeBySchema.keys().next().value!)
  codeBySchema.set(schema, code)
  return code
}

/** Records of one schema, to bytes and back. */
export class RecordColumns {
  readonly column: Column
  readonly schema: Uint8Array
  readonly #layout: Layout
  readonly #mode: CodeMode
  readonly #textReaders: readonly TextReader[]
  readonly #textWriters: readonly TextWriter[]
  readonly #places: number[] = []
  #code: RecordCode
  #isGenerated = false
  #records = 0

  constructor(column: Column, mode: CodeMode, schema: Uint8Array = schemaBytes(column)) {
    this.column = column
    this.schema = schema
    this.#mode = mode
    this.#layout = layoutOf(column)
    this.#textReaders = this.#layout.parts.map(() => new TextReader())
    this.#textWriters = this.#layout.parts.map(() => new TextWriter())
    this.#code = interpret(column)
  }

  /** Writes records from `at` on, and returns where they end; -1 when one does not fit. @throws when a value cannot be encoded */
  write(frame: FrameWriter, values: readonly unknown[], at: number): number {
    const code = this.#codeFor(values.length)
    const partsAt = placeSlots(this.#layout, values.length, at, this.#places)
    const memory = frame.reserve(partsAt)
    clearSlots(this.#layout, values.length, memory, this.#places)
    const parts: unknown[][] = []
    if (!code.write(values, memory, this.#places, parts)) return -1
    let end = partsAt
    for (let part = 0; part < parts.length; part++) {
      const isText = this.#layout.parts[part]!.kind === 'text'
      end = isText ? this.#textWriters[part]!.write(frame, parts[part] as string[], end) : writeAny(frame, parts[part]!, end)
    }
    return end
  }

  /** Fills `records` from what lies at `at`. @throws when it is damaged */
  read(frame: FrameReader, at: number, records: number, recordsOf: (count: number) => unknown[]): unknown[] {
    const places = this.#places
    let partAt = placeSlots(this.#layout, records, at, places)
    frame.need(at, partAt - at)
    const parts: (readonly unknown[])[] = []
    for (let part = 0; part < this.#layout.parts.length; part++) {
      if (this.#layout.parts[part]!.kind === 'text') {
        const reader = this.#textReaders[part]!
        parts.push(reader.read(frame, partAt, records))
        partAt = reader.end
      } else {
        parts.push(readAny(frame, partAt, records))
        partAt = anyEnd(frame, partAt)
      }
    }
    const made = recordsOf(records)
    this.#codeFor(records).read(made, frame.memory, places, parts)
    this.end = partAt
    return made
  }

  /** Where what was read last ends. */
  end = 0

  #codeFor(records: number): RecordCode {
    if (this.#isGenerated || this.#mode === 'interpreted') return this.#code
    this.#records += records
    if (this.#mode === 'adaptive' && this.#records < RECORDS_BEFORE_CODE) return this.#code
    if (this.#mode === 'generated' || (generates ??= mayGenerate())) {
      this.#code = codeOf(this.column, Buffer.from(this.schema).toString('latin1'))
      this.#isGenerated = true
    }
    return this.#code
  }
}

/** Values that have no column of their own: the length of what msgpackr makes of them (8 bytes), then that. */
export function writeAny(frame: FrameWriter, values: readonly unknown[], at: number): number {
  const packed = encodeInPlace(values)
  const end = inSteps(at + 8 + packed.byteLength)
  const { bytes, uint32, float64 } = frame.reserve(end)
  float64[(end >>> 3) - 1] = 0
  uint32[at >>> 2] = packed.byteLength
  uint32[(at >>> 2) + 1] = 0
  bytes.set(packed, at + 8)
  return end
}

export function readAny(frame: FrameReader, at: number, count: number): unknown[] {
  const length = frame.uint32(at)
  frame.need(at + 8, length)
  const values = decodeValue(new Uint8Array(frame.memory.bytes.buffer, at + 8, length)) as unknown[]
  assert(Array.isArray(values) && values.length === count, `a frame of ${count} values holds ${values?.length}`)
  return values
}

export function anyEnd(frame: FrameReader, at: number): number {
  return inSteps(at + 8 + frame.uint32(at))
}
