import type { FileHandle } from 'node:fs/promises'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { SavepointFile } from './savepoint-index.ts'
import { chunkFileName, SAVEPOINT_VERSION } from './savepoint-index.ts'

/*
 * Files with chunks. Part of the on-disk format (docs/format.md). Each begins with
 *
 *   'SLSC' (4 bytes), format version (2), layer (1), 1 unused byte, number of the file (4), 4 unused bytes
 *
 * and goes on with frames: length of the body (4), its CRC-32 (4), body; and a body is: length of the operator's id (2), id, chunk. Little endian.
 * Files of the base come before those of the changes to it.
 */
export const CHUNK_FILE_MAGIC = 0x43534c53
export const CHUNK_FILE_HEADER_BYTES = 16
export const FRAME_HEADER_BYTES = 8
/** A file that has reached this is the last but one. */
export const CHUNK_FILE_BYTES = 64 << 20
const WRITE_AT_ONCE_BYTES = 1 << 20

/**
 * `base`: rows in the order of key group, namespace and key, those of one state to a chunk; no row comes twice. `changes`: rows that replace them,
 * removals and drops, in the order in which they apply.
 */
export type SavepointLayer = 'base' | 'changes'
export const LAYER_CODES: Readonly<Record<SavepointLayer, number>> = { base: 1, changes: 2 }

/** A chunk on its way into a savepoint or out of it. */
export interface SavepointChunk {
  readonly layer: SavepointLayer
  readonly operator: string
  readonly bytes: Uint8Array
}

/** Writes a file of a savepoint: it is on the disk when `finish` has settled. */
class SyncedFile {
  readonly name: string
  readonly #handle: FileHandle
  #pending: Uint8Array[] = []
  #pendingBytes = 0
  #crc32 = 0
  length = 0

  constructor(name: string, handle: FileHandle) {
    this.name = name
    this.#handle = handle
  }

  async write(...parts: readonly Uint8Array[]): Promise<void> {
    for (const part of parts) {
      this.#pending.push(part)
      this.#pendingBytes += part.byteLength
      this.#crc32 = crc32(part, this.#crc32)
      this.length += part.byteLength
    }
    if (this.#pendingBytes >= WRITE_AT_ONCE_BYTES) await this.#flush()
  }

  async #flush(): Promise<void> {
    const bytes = Buffer.concat(this.#pending, this.#pendingBytes)
    this.#pending = []
    this.#pendingBytes = 0
    // One call may write less than it was given.
    for (let at = 0; at < bytes.byteLength; ) at += (await this.#handle.write(bytes, at)).bytesWritten
  }

  async finish(): Promise<SavepointFile> {
    await this.#flush()
    await this.#handle.sync()
    await this.#handle.close()
    return { name: this.name, length: this.length, crc32: this.#crc32 }
  }

  async abandon(): Promise<void> {
    await this.#handle.close().catch(() => undefined)
  }
}

/** Writes the files of a savepoint into a folder, one after the other. */
export class SavepointWriter {
  readonly #folder: string
  readonly #fileBytes: number
  readonly #files: SavepointFile[] = []
  #current: SyncedFile | undefined
  #layer: SavepointLayer = 'base'
  #number = 0

  constructor(folder: string, fileBytes = CHUNK_FILE_BYTES) {
    this.#folder = folder
    this.#fileBytes = fileBytes
  }

  /** Those that are whole. */
  get files(): readonly SavepointFile[] {
    return this.#files
  }

  /** A file that is written at once. */
  async file(name: string, bytes: Uint8Array): Promise<void> {
    this.#current = await this.#open(name)
    await this.#current.write(bytes)
    await this.finish()
  }

  async chunk({ layer, operator, bytes }: SavepointChunk): Promise<void> {
    if (this.#current !== undefined && (layer !== this.#layer || this.#current.length >= this.#fileBytes)) await this.finish()
    this.#current ??= await this.#beginChunkFile(layer)
    const id = Buffer.from(operator)
    const head = Buffer.alloc(FRAME_HEADER_BYTES + 2)
    head.writeUInt16LE(id.byteLength, FRAME_HEADER_BYTES)
    head.writeUInt32LE(2 + id.byteLength + bytes.byteLength, 0)
    head.writeUInt32LE(crc32(bytes, crc32(id, crc32(head.subarray(FRAME_HEADER_BYTES)))), 4)
    await this.#current.write(head, id, bytes)
  }

  async #beginChunkFile(layer: SavepointLayer): Promise<SyncedFile> {
    this.#layer = layer
    this.#number++
    const file = await this.#open(chunkFileName(this.#number))
    const header = Buffer.alloc(CHUNK_FILE_HEADER_BYTES)
    header.writeUInt32LE(CHUNK_FILE_MAGIC, 0)
    header.writeUInt16LE(SAVEPOINT_VERSION, 4)
    header[6] = LAYER_CODES[layer]
    header.writeUInt32LE(this.#number, 8)
    await file.write(header)
    return file
  }

  async #open(name: string): Promise<SyncedFile> {
    return new SyncedFile(name, await open(join(this.#folder, name), 'wx', 0o600))
  }

  /** Ends the current file. */
  async finish(): Promise<void> {
    const current = this.#current
    if (current === undefined) return
    this.#files.push(await current.finish())
    this.#current = undefined
  }

  /** After a failure. */
  async abandon(): Promise<void> {
    await this.#current?.abandon()
  }
}
