import type { BatchCodec } from './batch-codec.ts'
import type { Element } from './element.ts'
import type { RingReader, RingWriter } from './ring.ts'

/**
 * The sending end of a channel between two subtasks. `write` always takes the element, because a record's results cannot be given back
 * half way; in exchange the task stops at the next record once `full` is true. That bounds what waits here to one record's results.
 */
export interface ChannelWriter {
  write(element: Element): void
  /** True while something waits for room in the channel. */
  readonly full: boolean
  /** Passes on what waits. True when nothing is left. */
  flush(): boolean
}

/** The receiving end of a channel. */
export interface ChannelReader {
  /** The next element; `undefined` when none has come. */
  poll(): Element | undefined
  readonly readable: boolean
}

const LOCAL_CAPACITY = 8

/** A channel between two subtasks of one worker: elements pass by reference. */
export class LocalChannel implements ChannelReader, ChannelWriter {
  readonly #elements: Element[] = []

  write(element: Element): void {
    this.#elements.push(element)
  }

  get full(): boolean {
    return this.#elements.length >= LOCAL_CAPACITY
  }

  flush(): boolean {
    return !this.full
  }

  poll(): Element | undefined {
    return this.#elements.shift()
  }

  get readable(): boolean {
    return this.#elements.length > 0
  }
}

/** Sends to another thread: encodes at once, so that the records may be forgotten, and keeps the bytes that found no room. */
export class RemoteWriter implements ChannelWriter {
  readonly #ring: RingWriter
  readonly #codec: BatchCodec
  readonly #wakeReader: () => void
  readonly #waiting: Uint8Array[] = []
  #writtenOfFirst = 0

  constructor(ring: RingWriter, codec: BatchCodec, wakeReader: () => void) {
    this.#ring = ring
    this.#codec = codec
    this.#wakeReader = wakeReader
  }

  write(element: Element): void {
    const bytes = this.#codec.encode(element)
    if (this.#waiting.length > 0) {
      this.#waiting.push(bytes.slice())
      return
    }
    const written = this.#ring.write(bytes, 0)
    if (written < bytes.byteLength) {
      this.#waiting.push(bytes.slice(written))
      this.#writtenOfFirst = 0
    }
    // A part of a message is worth waking for as well: taking it makes the room that the rest needs.
    if (written > 0) this.#wakeReader()
  }

  get full(): boolean {
    return this.#waiting.length > 0
  }

  flush(): boolean {
    let progressed = false
    while (this.#waiting.length > 0) {
      const first = this.#waiting[0]!
      const written = this.#ring.write(first, this.#writtenOfFirst)
      progressed ||= written > this.#writtenOfFirst
      this.#writtenOfFirst = written
      if (written < first.byteLength) break
      this.#waiting.shift()
      this.#writtenOfFirst = 0
    }
    if (progressed) this.#wakeReader()
    return this.#waiting.length === 0
  }
}

/** Receives from another thread, and wakes the writer after making room. */
export class RemoteReader implements ChannelReader {
  readonly #ring: RingReader
  readonly #codec: BatchCodec
  readonly #wakeWriter: () => void

  constructor(ring: RingReader, codec: BatchCodec, wakeWriter: () => void) {
    this.#ring = ring
    this.#codec = codec
    this.#wakeWriter = wakeWriter
  }

  poll(): Element | undefined {
    if (!this.#ring.readable) return undefined
    const bytes = this.#ring.read()
    this.#wakeWriter()
    return bytes === undefined ? undefined : this.#codec.decode(bytes)
  }

  get readable(): boolean {
    return this.#ring.readable
  }
}
