import { assert } from '../core/assert.ts'
import type { BatchCodec } from './batch-codec.ts'
import type { BatchWatermarks, Element } from './element.ts'
import { noTimestamps } from './element.ts'
import { FrameReader, FrameWriter, inSteps } from './frame-buffer.ts'

/*
 * A frame, in steps of eight bytes: the kind of element (1 byte), flags (1 byte), 2 unused bytes, count of records (4 bytes), then
 *   records             timestamps (8 bytes each, when the flag says so), watermarks (when the flag says so: their number in 8 bytes, their places in
 *                       4 bytes each up to the next step, their times in 8 bytes each), the values as the codec writes them
 *   watermark           time (8 bytes)
 *   barrier             checkpoint (8 bytes, as a double)
 */
const KINDS = ['records', 'watermark', 'barrier', 'idle', 'active', 'end'] as const
const HEADER_BYTES = 8
const FLAG_TIMESTAMPS = 1
const FLAG_WATERMARKS = 2
/** Flags of the codec that wrote the values: no codec reads those of another. */
const FLAGS_OF_FORMAT = 0xf0

/** Everything of a frame but the values of its records, which differ by codec. */
export abstract class FrameCodec implements BatchCodec {
  abstract readonly name: string
  /** Tells the frames of this codec from those of others. */
  protected abstract readonly format: number
  protected readonly writer: FrameWriter = new FrameWriter()
  protected readonly reader: FrameReader = new FrameReader()

  /** Writes values from `at` on, a multiple of eight, and returns where they end. */
  protected abstract writeValues(values: readonly unknown[], at: number): number
  /** Reads `count` values from `at` on. */
  protected abstract readValues(count: number, at: number): unknown[]

  encode(element: Element): Uint8Array {
    switch (element.kind) {
      case 'records': {
        const { values, timestamps, watermarks } = element
        assert(values.length === timestamps.length, `a batch of ${values.length} values has ${timestamps.length} timestamps`)
        const timestampsEnd = this.#writeTimestamps(timestamps)
        const valuesAt = watermarks === undefined ? timestampsEnd : this.#writeWatermarks(watermarks, timestampsEnd)
        const end = this.writeValues(values, valuesAt)
        const timed = timestampsEnd > HEADER_BYTES ? FLAG_TIMESTAMPS : 0
        this.#writeHeader(0, this.format | timed | (watermarks === undefined ? 0 : FLAG_WATERMARKS), values.length)
        return this.#written(end)
      }
      case 'watermark':
        return this.#control(1, element.time)
      case 'barrier':
        return this.#control(2, element.checkpoint)
      default:
        return this.#control(KINDS.indexOf(element.kind), 0)
    }
  }

  decode(bytes: Uint8Array): Element {
    this.reader.open(bytes)
    const { begin, memory } = this.reader
    this.reader.need(begin, HEADER_BYTES)
    const kind = KINDS[memory.bytes[begin]!]
    switch (kind) {
      case 'records':
        return this.#readRecords(memory.bytes[begin + 1]!)
      case 'watermark':
        return { kind, time: this.reader.float64(begin + HEADER_BYTES) }
      case 'barrier':
        return { kind, checkpoint: this.reader.float64(begin + HEADER_BYTES) }
      case 'idle':
      case 'active':
      case 'end':
        return { kind }
      default:
        throw new Error(`broken invariant: a frame of unknown kind ${memory.bytes[begin]}`)
    }
  }

  #writeHeader(kind: number, flags: number, count: number): void {
    const { bytes, uint32 } = this.writer.memory
    uint32[0] = 0
    uint32[1] = count
    bytes[0] = kind
    bytes[1] = flags
  }

  #written(end: number): Uint8Array {
    return new Uint8Array(this.writer.memory.bytes.buffer, 0, end)
  }

  #control(kind: number, payload: number): Uint8Array {
    this.#writeHeader(kind, 0, 0)
    this.writer.memory.float64[1] = payload
    return this.#written(HEADER_BYTES + 8)
  }

  /** Returns where they end; where they begin when no record has one. */
  #writeTimestamps(timestamps: readonly number[]): number {
    if (timestamps === noTimestamps(timestamps.length)) return HEADER_BYTES
    const { float64 } = this.writer.reserve(HEADER_BYTES + 8 * timestamps.length)
    let timed = false
    for (let index = 0; index < timestamps.length; index++) {
      const timestamp = timestamps[index]!
      timed ||= !Number.isNaN(timestamp)
      float64[1 + index] = timestamp
    }
    return timed ? HEADER_BYTES + 8 * timestamps.length : HEADER_BYTES
  }

  #writeWatermarks({ after, times }: BatchWatermarks, at: number): number {
    const timesAt = at + 8 + inSteps(4 * after.length)
    const end = timesAt + 8 * times.length
    const { uint32, float64 } = this.writer.reserve(end)
    float64[at >>> 3] = 0
    uint32[at >>> 2] = after.length
    float64[(timesAt >>> 3) - 1] = 0
    uint32[at >>> 2] = after.length
    for (let index = 0; index < after.length; index++) {
      uint32[(at >>> 2) + 2 + index] = after[index]!
      float64[(timesAt >>> 3) + index] = times[index]!
    }
    return end
  }

  #readRecords(flags: number): Element {
    assert((flags & FLAGS_OF_FORMAT) === this.format, `a frame of the format ${flags >>> 4} for the codec ${this.name}`)
    const count = this.reader.uint32(this.reader.begin + 4)
    const timestampsAt = this.reader.begin + HEADER_BYTES
    const timed = (flags & FLAG_TIMESTAMPS) !== 0
    const watermarksAt = timestampsAt + (timed ? 8 * count : 0)
    if ((flags & FLAG_WATERMARKS) === 0) {
      // Values first: before anything is made for so many records, that many must have been there.
      const values = this.readValues(count, watermarksAt)
      return { kind: 'records', values, timestamps: this.#readTimestamps(timed, timestampsAt, count) }
    }
    const marks = this.reader.uint32(watermarksAt)
    const timesAt = watermarksAt + 8 + inSteps(4 * marks)
    const values = this.readValues(count, timesAt + 8 * marks)
    const timestamps = this.#readTimestamps(timed, timestampsAt, count)
    return { kind: 'records', values, timestamps, watermarks: this.#readWatermarks(watermarksAt + 8, timesAt, marks) }
  }

  #readTimestamps(timed: boolean, at: number, count: number): readonly number[] {
    if (!timed) return noTimestamps(count)
    this.reader.need(at, 8 * count)
    const timestamps = numbers(count)
    const { float64 } = this.reader.memory
    for (let index = 0, from = at >>> 3; index < count; index++) timestamps[index] = float64[from + index]!
    return timestamps
  }

  #readWatermarks(afterAt: number, timesAt: number, marks: number): BatchWatermarks {
    this.reader.need(timesAt, 8 * marks)
    const { uint32, float64 } = this.reader.memory
    const [after, times]: [number[], number[]] = [[], []]
    for (let index = 0; index < marks; index++) {
      after.push(uint32[(afterAt >>> 2) + index]!)
      times.push(float64[(timesAt >>> 3) + index]!)
    }
    return { after, times }
  }
}

const MANY = 1 << 10
const NO_NUMBERS: readonly number[] = Array.from({ length: MANY }, () => Number.NaN)

/** So many `NaN`s. A copy of an array of doubles is one too, and to fill it costs a quarter of what it costs to make one by `push`. */
function numbers(count: number): number[] {
  if (count <= MANY) return NO_NUMBERS.slice(0, count)
  const made: number[] = []
  for (let index = 0; index < count; index++) made.push(Number.NaN)
  return made
}
