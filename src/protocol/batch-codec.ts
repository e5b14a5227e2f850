import { assert } from '../core/assert.ts'
import { decodeValue, encodeInPlace } from '../core/value-codec.ts'
import type { Element } from './element.ts'

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
 *   records             flags (1 byte), count (2 unused bytes, 4 bytes), timestamps (8 bytes each, when the flag says so), the values
 *   watermark           7 unused bytes, time (8 bytes)
 *   barrier             7 unused bytes, checkpoint (8 bytes, as a double)
 */
const HEADER_BYTES = 8
const FLAG_TIMESTAMPS = 1

/** Any value the value codec takes, at about 8 M small records a second. */
export class MessagePackCodec implements BatchCodec {
  readonly name = 'msgpackr'
  #bytes = new Uint8Array(1 << 16)
  #view = new DataView(this.#bytes.buffer)

  encode(element: Element): Uint8Array {
    const kind = KINDS.indexOf(element.kind)
    switch (element.kind) {
      case 'records': {
        const { values, timestamps } = element
        assert(values.length === timestamps.length, `a batch of ${values.length} values has ${timestamps.length} timestamps`)
        const packed = encodeInPlace(values)
        const timed = hasTimestamp(timestamps)
        const valuesAt = HEADER_BYTES + (timed ? 8 * values.length : 0)
        this.#reserve(valuesAt + packed.byteLength)
        this.#bytes[0] = kind
        this.#bytes[1] = timed ? FLAG_TIMESTAMPS : 0
        this.#view.setUint32(4, values.length, true)
        if (timed)
          for (let index = 0; index < timestamps.length; index++)
            this.#view.setFloat64(HEADER_BYTES + 8 * index, timestamps[index]!, true)
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
  const timestamps: number[] = []
  for (let index = 0; index < count; index++)
    timestamps.push(timed ? view.getFloat64(HEADER_BYTES + 8 * index, true) : Number.NaN)
  const values = decodeValue(bytes.subarray(HEADER_BYTES + (timed ? 8 * count : 0))) as unknown[]
  assert(values.length === count, `a frame of ${count} records holds ${values.length}`)
  return { kind: 'records', values, timestamps }
}

function hasTimestamp(timestamps: readonly number[]): boolean {
  for (let index = 0; index < timestamps.length; index++) if (!Number.isNaN(timestamps[index]!)) return true
  return false
}
