import type { StoredForm } from '../core/keyed-state.ts'
import { decodeValue, encodeInPlace } from '../core/value-codec.ts'

/**
 * A piece of a snapshot's keyed state on its way into the checkpoint store: about 64 KiB, self-contained, ordered by key group.
 * Tasks hand chunks to the main thread; the store knows only their key groups and bytes.
 */
export interface SnapshotChunk {
  readonly firstGroup: number
  readonly lastGroup: number
  readonly bytes: Uint8Array<ArrayBuffer>
}

/** Entries of one state and one key group. */
export interface StateSection {
  readonly kind: 'table' | 'pane' | 'event-timer' | 'processing-timer'
  /** Name of the state, or of a row of timers. */
  readonly name: string
  readonly group: number
  /** Window of a pane, time of timers, 0 for tables. */
  readonly namespace: number
  readonly keys: readonly unknown[]
  /** By position of the keys; empty for timers. */
  readonly values: readonly unknown[]
  /** How a table holds its values; absent for plain ones of version 1. */
  readonly form?: StoredForm
}

const CHUNK_BYTES = 1 << 16
const SECTION_ENTRIES_MAX = 1024

/** Packs sections into chunks. A chunk is a row of sections, each a length (4 bytes) and its encoded value. */
export class ChunkWriter {
  readonly #chunks: SnapshotChunk[] = []
  #bytes = new Uint8Array(CHUNK_BYTES * 2)
  #length = 0
  #firstGroup = 0
  #lastGroup = 0

  /** Sections must come in the order of their key groups. */
  add(section: StateSection): void {
    // Large values go in smaller steps, so that a chunk does not become many times its size.
    let entries = SECTION_ENTRIES_MAX
    for (let from = 0; from < section.keys.length; ) {
      const to = Math.min(from + entries, section.keys.length)
      const { kind, name, group, namespace, form } = section
      const fields: unknown[] = [kind, name, group, namespace, section.keys.slice(from, to), section.values.slice(from, to)]
      if (form !== undefined) fields.push(form.version, form.stamps)
      const encoded = encodeInPlace(fields)
      if (encoded.byteLength > CHUNK_BYTES && to - from > 1) {
        entries = Math.max(1, Math.floor(((to - from) * CHUNK_BYTES) / (2 * encoded.byteLength)))
        continue
      }
      this.#append(group, encoded)
      from = to
    }
  }

  finish(): readonly SnapshotChunk[] {
    this.#cut()
    return this.#chunks
  }

  #append(group: number, encoded: Uint8Array): void {
    const needed = this.#length + 4 + encoded.byteLength
    if (needed > this.#bytes.byteLength) {
      const larger = new Uint8Array(2 ** Math.ceil(Math.log2(needed)))
      larger.set(this.#bytes.subarray(0, this.#length))
      this.#bytes = larger
    }
    if (this.#length === 0) this.#firstGroup = group
    this.#lastGroup = group
    new DataView(this.#bytes.buffer).setUint32(this.#length, encoded.byteLength, true)
    this.#bytes.set(encoded, this.#length + 4)
    this.#length = needed
    if (this.#length >= CHUNK_BYTES) this.#cut()
  }

  #cut(): void {
    if (this.#length === 0) return
    this.#chunks.push({ firstGroup: this.#firstGroup, lastGroup: this.#lastGroup, bytes: this.#bytes.slice(0, this.#length) })
    this.#length = 0
  }
}

/** The sections of a chunk. */
export function* readChunk(bytes: Uint8Array): Generator<StateSection> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let at = 0; at < bytes.byteLength; ) {
    const length = view.getUint32(at, true)
    const fields = decodeValue(bytes.subarray(at + 4, at + 4 + length)) as [
      StateSection['kind'],
      string,
      number,
      number,
      unknown[],
      unknown[],
      StoredForm['version']?,
      StoredForm['stamps']?,
    ]
    const [kind, name, group, namespace, keys, values, version, stamps] = fields
    yield { kind, name, group, namespace, keys, values, ...(version === undefined ? {} : { form: { version, stamps } }) }
    at += 4 + length
  }
}
