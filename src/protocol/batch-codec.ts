import { assert } from '../core/assert.ts'
import { decodeValue, encodeInPlace } from '../core/value-codec.ts'
import type { BatchWatermarks, Element } from './element.ts'

/**
 * Elements as bytes, for channels between threads. Every implementation keeps the contract of `core/value-codec.ts`: what it takes
 * comes back equal, what it cannot take is refused with the path of the field.
 */
export interface BatchCodec {
  readonly name: string
  /** The element's bytes, in a buffer that the next call overwrites. */
  encode(element: Element): Uint8Array
  /** Keeps no reference to `bytes`. */
  decode(bytes: Uint8Array): Element
}

const KINDS = ['records', 'watermark', 'barrier', 'idle', 'active', 'end'] as const

/*
 * A frame: one byte for the kind of element, then
 *   records             flags (1 byte), watermarks (2 unused bytes, count of records 4 bytes), timestamps (8 bytes each, when the flag says so),
 *                       watermarks (their number in 4 bytes, then 4 + 8 bytes each, when the flag says so), the values
 *   watermark           7 unused bytes, time (8 bytes)
 *   barrier             7 unused bytes, checkpoint (8 bytes, as a double)
 */
const HEADER_BYTES = 8
const FLAG_TIMESTAMPS = 1
const FLAG_WATERMARKS = 2

/** Any value the value codec takes, at about 8 M small records a second. */
export class MessagePackCodec implements BatchCodec {
  readonly name = 'msgpackr'
  #bytes = new Uint8Array(1 << 16)
  #view = new DataView(this.#bytes.buffer)

  encode(element: Element): Uint8Array {
    const kind = KINDS.indexOf(element.kind)
    switch (element.kind) {
      case 'records': {
        const { values, timestamps, watermarks } = element
        assert(values.length === timestamps.length, `a batch of ${values.length} values has ${timestamps.length} timestamps`)
        const packed = encodeInPlace(values)
        const timed = hasTimestamp(timestamps)
        const watermarksAt = HEADER_BYTES + (timed ? 8 * values.length : 0)
        const valuesAt = watermarksAt + (watermarks === undefined ? 0 : 4 + 12 * watermarks.after.length)
        this.#reserve(valuesAt + packed.byteLength)
        this.#bytes[0] = kind
        this.#bytes[1] = (timed ? FLAG_TIMESTAMPS : 0) | (watermarks === undefined ? 0 : FLAG_WATERMARKS)
        this.#view.setUint32(4, values.length, true)
        if (timed)
          for (let index = 0; index < timestamps.length; index++)
            this.#view.setFloat64(HEADER_BYTES + 8 * index, timestamps[index]!, true)
        if (watermarks !== undefined) this.#putWatermarks(watermarks, watermarksAt)
        this.#bytes.set(packed, valuesAt)
        return this.#bytes.subarray(0, valuesAt + packed.byteLength)
      }
      case 'watermark':
        return this.#control(kind, element.time)
      case 'barrier':
        return this.#control(kind, element.checkpoint)
      default:
        return this.#control(kind, 0)
    }
  }

  decode(bytes: Uint8Array): Element {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const kind = KINDS[bytes[0]!]
    switch (kind) {
      case 'records':
        return decodeRecords(bytes, view)
      case 'watermark':
        return { kind, time: view.getFloat64(HEADER_BYTES, true) }
      case 'barrier':
        return { kind, checkpoint: view.getFloat64(HEADER_BYTES, true) }
      case 'idle':
      case 'active':
      case 'end':
        return { kind }
      default:
        throw new Error(`broken invariant: a frame of unknown kind ${bytes[0]}`)
    }
  }

  #putWatermarks({ after, times }: BatchWatermarks, at: number): void {
    this.#view.setUint32(at, after.length, true)
    for (let index = 0; index < after.length; index++) {
      this.#view.setUint32(at + 4 + 12 * index, after[index]!, true)
      this.#view.setFloat64(at + 8 + 12 * index, times[index]!, true)
    }
  }

  #control(kind: number, payload: number): Uint8Array {
    this.#bytes[0] = kind
    this.#view.setFloat64(HEADER_BYTES, payload, true)
    return this.#bytes.subarray(0, HEADER_BYTES + 8)
  }

  #reserve(size: number): void {
    if (this.#bytes.byteLength >= size) return
    this.#bytes = new Uint8Array(2 ** Math.ceil(Math.log2(size)))
    this.#view = new DataView(this.#bytes.buffer)
  }
}

function decodeRecords(bytes: Uint8Array, view: DataView): Element {
  const count = view.getUint32(4, true)
  const timed = (bytes[1]! & FLAG_TIMESTAMPS) !== 0
  const watermarksAt = HEADER_BYTES + (timed ? 8 * count : 0)
  const marked = (bytes[1]! & FLAG_WATERMARKS) !== 0
  const valuesAt = watermarksAt + (marked ? 4 + 12 * view.getUint32(watermarksAt, true) : 0)
  // Before anything is made for so many of them: a count may be of any size.
  const values = decodeValue(bytes.subarray(valuesAt)) as unknown[]
  assert(Array.isArray(values) && values.length === count, `a frame of ${count} records holds ${values?.length}`)
  const timestamps: number[] = []
  for (let index = 0; index < count; index++)
    timestamps.push(timed ? view.getFloat64(HEADER_BYTES + 8 * index, true) : Number.NaN)
  if (!marked) return { kind: 'records', values, timestamps }
  return { kind: 'records', values, timestamps, watermarks: decodeWatermarks(view, watermarksAt) }
}

function decodeWatermarks(view: DataView, at: number): BatchWatermarks {
  const [after, times]: [number[], number[]] = [[], []]
  const count = view.getUint32(at, true)
  for (let index = 0; index < count; index++) {
    after.push(view.getUint32(at + 4 + 12 * index, true))
    times.push(view.getFloat64(at + 8 + 12 * index, true))
  }
  return { after, times }
}

function hasTimestamp(timestamps: readonly number[]): boolean {
  for (let index = 0; index < timestamps.length; index++) if (!Number.isNaN(timestamps[index]!)) return true
  return false
}
