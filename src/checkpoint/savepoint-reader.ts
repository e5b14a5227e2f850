import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { messageOf, SluiceError } from '../core/errors.ts'
import type { DeltaVisitor } from '../state/delta-reader.ts'
import { readDelta } from '../state/delta-reader.ts'
import type { SavepointFile } from './savepoint-index.ts'
import { newerFormat, SAVEPOINT_VERSION, unreadableSavepoint } from './savepoint-index.ts'
import type { SavepointChunk, SavepointLayer } from './savepoint-writer.ts'
import { CHUNK_FILE_HEADER_BYTES, CHUNK_FILE_MAGIC, FRAME_HEADER_BYTES, LAYER_CODES } from './savepoint-writer.ts'

/*
 * Files of a savepoint, which may come from anywhere. What always holds:
 *
 * 1. Only regular files are read, never links, devices or pipes: opening one of those may hang.
 * 2. Nothing is allocated for a length that the file cannot back.
 * 3. A chunk is given out only when its checksum is right and it can be read to its end. That the file holds no less than it should is known
 *    when all of its chunks have been given.
 */

const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
const BLOCK_BYTES = 1 << 20

/** A chunk, and where it lies in its file. */
export interface PlacedChunk extends SavepointChunk {
  /** Of the frame. */
  readonly offset: number
}

/** A whole small file. @throws SluiceError `SAVEPOINT_UNREADABLE` */
export function readWholeFile(path: string, name: string, bytesMax: number): Buffer {
  return guardedRead(path, name, () => {
    const file = openSync(join(path, name), FLAGS)
    try {
      const stat = fstatSync(file)
      checkStat(stat, path, name)
      if (stat.size > bytesMax) throw unreadableSavepoint(path, name, `it has ${stat.size} bytes, and may have ${bytesMax}`)
      const bytes = Buffer.alloc(stat.size)
      let at = 0
      for (let read = 1; read > 0 && at < bytes.length; at += read) read = readSync(file, bytes, at, bytes.length - at, at)
      if (at < bytes.length) throw unreadableSavepoint(path, name, 'it became shorter while it was read')
      return bytes
    } finally {
      closeSync(file)
    }
  })
}

/** The chunks of a file, in order. @throws SluiceError `SAVEPOINT_UNREADABLE`, `FORMAT_UNKNOWN` */
export async function* readChunkFile(
  path: string,
  file: SavepointFile,
  number: number,
  maxParallelism: number,
): AsyncGenerator<PlacedChunk> {
  const reader = await ChunkFile.open(path, file, maxParallelism)
  try {
    const layer = layerOf(await reader.take(CHUNK_FILE_HEADER_BYTES), path, file.name, number)
    while (reader.left > 0) yield await reader.chunk(layer)
    reader.checkWhole()
  } finally {
    await reader.close()
  }
}

/** The chunk that lies at this place of a file. @throws SluiceError `SAVEPOINT_UNREADABLE` */
export async function readChunkAt(
  path: string,
  file: SavepointFile,
  { layer, offset }: Pick<PlacedChunk, 'layer' | 'offset'>,
  maxParallelism: number,
): Promise<PlacedChunk> {
  const reader = await ChunkFile.open(path, file, maxParallelism, offset, CHUNK_BLOCK_BYTES)
  try {
    return await reader.chunk(layer)
  } finally {
    await reader.close()
  }
}

/** Most chunks are a little longer than 64 KiB. */
const CHUNK_BLOCK_BYTES = 80 << 10

class ChunkFile {
  readonly #path: string
  readonly #file: SavepointFile
  readonly #handle: FileHandle
  readonly #maxParallelism: number
  readonly #blockBytes: number
  /** Read and not taken. */
  #block = Buffer.alloc(0)
  /** Of the next byte that is not in `#block`. */
  #readAt: number
  #at: number
  #crc32 = 0

  private constructor(
    path: string,
    file: SavepointFile,
    handle: FileHandle,
    maxParallelism: number,
    offset: number,
    blockBytes: number,
  ) {
    this.#path = path
    this.#file = file
    this.#handle = handle
    this.#maxParallelism = maxParallelism
    this.#blockBytes = blockBytes
    this.#readAt = offset
    this.#at = offset
  }

  static async open(
    path: string,
    file: SavepointFile,
    maxParallelism: number,
    offset = 0,
    blockBytes = BLOCK_BYTES,
  ): Promise<ChunkFile> {
    const { name, length } = file
    return await guardedAsync(path, name, async () => {
      const handle = await open(join(path, name), FLAGS)
      try {
        const stat = await handle.stat()
        checkStat(stat, path, name)
        if (stat.size !== length) throw unreadableSavepoint(path, name, `it has ${stat.size} bytes and should have ${length}`)
      } catch (error) {
        await handle.close()
        throw error
      }
      return new ChunkFile(path, file, handle, maxParallelism, offset, blockBytes)
    })
  }

  get left(): number {
    return this.#file.length - this.#at
  }

  async take(length: number): Promise<Buffer> {
    if (length > this.left) throw this.#damaged(`it ends in the middle of a chunk, at byte ${this.#at}`)
    if (this.#block.byteLength < length) await this.#fill(length)
    const taken = this.#block.subarray(0, length)
    this.#block = this.#block.subarray(length)
    this.#at += length
    this.#crc32 = crc32(taken, this.#crc32)
    return taken
  }

  async #fill(length: number): Promise<void> {
    const wanted = Math.min(Math.max(length, this.#blockBytes), this.left)
    const block = Buffer.alloc(wanted)
    let filled = this.#block.copy(block)
    while (filled < wanted) {
      const { bytesRead } = await guardedAsync(this.#path, this.#file.name, () =>
        this.#handle.read(block, filled, wanted - filled, this.#readAt),
      )
      if (bytesRead === 0) throw this.#damaged('it became shorter while it was read')
      filled += bytesRead
      this.#readAt += bytesRead
    }
    this.#block = block
  }

  async chunk(layer: SavepointLayer): Promise<PlacedChunk> {
    const offset = this.#at
    const header = await this.take(FRAME_HEADER_BYTES)
    const [length, checksum] = [header.readUInt32LE(0), header.readUInt32LE(4)]
    const body = await this.take(length)
    const problem = (what: string, cause?: unknown): SluiceError => this.#damaged(`its chunk at byte ${offset} ${what}`, cause)
    if (crc32(body) !== checksum) throw problem('is corrupt')
    if (length < 2 || 2 + body.readUInt16LE(0) > length) throw problem('names no operator')
    const idEnd = 2 + body.readUInt16LE(0)
    const bytes = body.subarray(idEnd)
    try {
      readDelta(bytes, checkingGroups(this.#maxParallelism))
    } catch (error) {
      throw problem(`cannot be read: ${messageOf(error)}`, error)
    }
    return { layer, operator: body.toString('utf8', 2, idEnd), bytes, offset }
  }

  /** After the last chunk. */
  checkWhole(): void {
    if (this.#crc32 !== this.#file.crc32) throw this.#damaged('its checksum is wrong')
  }

  async close(): Promise<void> {
    await this.#handle.close().catch(() => undefined)
  }

  #damaged(problem: string, cause?: unknown): SluiceError {
    return unreadableSavepoint(this.#path, this.#file.name, problem, cause)
  }
}

function checkingGroups(maxParallelism: number): DeltaVisitor {
  const check = (first: number, last: number): void => {
    if (first > last || last >= maxParallelism) throw new Error(`there is no key group ${last} of ${maxParallelism}`)
  }
  return {
    row: (_state, group) => check(group, group),
    drop: (_state, first, last) => check(first, last),
  }
}

function layerOf(header: Buffer, path: string, name: string, number: number): SavepointLayer {
  if (header.readUInt32LE(0) !== CHUNK_FILE_MAGIC)
    throw unreadableSavepoint(path, name, 'it does not begin as one of a savepoint')
  const version = header.readUInt16LE(4)
  if (version > SAVEPOINT_VERSION) throw newerFormat(path, version)
  const layer = (['base', 'changes'] as const).find((each) => LAYER_CODES[each] === header[6])
  if (version !== SAVEPOINT_VERSION || layer === undefined || header.readUInt32LE(8) !== number) {
    throw unreadableSavepoint(path, name, 'its header is not that of this file')
  }
  if (header[7] !== 0 || header.readUInt32LE(12) !== 0)
    throw unreadableSavepoint(path, name, 'its header has marks that this program does not know')
  return layer
}

function checkStat(stat: { isFile(): boolean }, path: string, name: string): void {
  if (!stat.isFile()) throw unreadableSavepoint(path, name, 'it is not a file')
}

function guardedRead<R>(path: string, name: string, action: () => R): R {
  try {
    return action()
  } catch (error) {
    throw asUnreadable(error, path, name)
  }
}

async function guardedAsync<R>(path: string, name: string, action: () => Promise<R>): Promise<R> {
  try {
    return await action()
  } catch (error) {
    throw asUnreadable(error, path, name)
  }
}

function asUnreadable(error: unknown, path: string, name: string): SluiceError {
  if (error instanceof SluiceError) return error
  const problem = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'it is missing' : messageOf(error)
  return unreadableSavepoint(path, name, problem, error)
}
