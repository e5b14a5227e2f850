import { existsSync } from 'node:fs'
import { mkdir, open, rename, rm, rmdir, unlink } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { crc32 } from 'node:zlib'
import { diskFull, isNoSpace } from '../core/disk-full.ts'
import { messageOf, SluiceError } from '../core/errors.ts'
import { makeFoldersDurably } from '../core/make-folders.ts'
import type { StateIdentity } from '../state/delta-chunk.ts'
import type { CheckpointStore } from './checkpoint-store.ts'
import { isRoomLeft } from './disk-space.ts'
import type { Manifest } from './manifest.ts'
import { decodeManifest, encodeManifest } from './manifest.ts'
import { savepointContent } from './savepoint-content.ts'
import type { SavepointIndex } from './savepoint-index.ts'
import {
  decodeIndex,
  encodeIndex,
  engineVersion,
  INDEX_BYTES_MAX,
  INDEX_FILE,
  MANIFEST_FILE,
  SAVEPOINT_VERSION,
  unreadableSavepoint,
} from './savepoint-index.ts'
import type { PlacedChunk } from './savepoint-reader.ts'
import { readChunkFile, readWholeFile } from './savepoint-reader.ts'
import { SavepointWriter } from './savepoint-writer.ts'
import type { RegisteredState } from './stored-base.ts'
import type { StoredCheckpoints } from './stored-checkpoints.ts'

/*
 * A savepoint is the state of a job at one checkpoint, in a folder that needs nothing else: neither the store that it came from nor LMDB. What always
 * holds:
 *
 * 1. A folder is a savepoint when it has a `savepoint.json`. That is written last, and the folder gets its name when everything in it is on the
 *    disk; so a savepoint that can be seen is whole.
 * 2. Nothing that was there before is overwritten, and of what a failure leaves nothing stays.
 * 3. Whoever reads one believes nothing: every file is proved by length and checksum.
 */

/** What was written. */
export interface WrittenSavepoint {
  /** Absolute. */
  readonly path: string
  readonly bytes: number
  readonly rows: number
}

/**
 * Writes the state at a checkpoint to a new folder in `directory`. Until it has settled nothing beyond that checkpoint may be folded, and no
 * chunk that the manifest lists may go. Other work goes on between its steps.
 * @throws SluiceError `SAVEPOINT_FAILED`, `DISK_FULL`
 */
export async function writeSavepoint(
  store: StoredCheckpoints,
  manifest: Manifest,
  directory: string,
  progress: (bytes: number) => void = () => undefined,
  fileBytes?: number,
): Promise<WrittenSavepoint> {
  const parent = resolve(directory)
  let partial: string | undefined
  try {
    makeFoldersDurably(parent, 0o700)
    const path = await claimName(parent, `${basename(store.directory)}-${manifest.checkpoint}`)
    partial = partialOf(path)
    const written = await writeFiles(store, manifest, partial, progress, fileBytes)
    await rename(partial, path)
    await syncFolder(parent)
    return { path, ...written }
  } catch (error) {
    if (partial !== undefined) await rm(partial, { recursive: true, force: true }).catch(() => undefined)
    throw failure(error, manifest.checkpoint, parent)
  }
}

async function writeFiles(
  store: StoredCheckpoints,
  manifest: Manifest,
  folder: string,
  progress: (bytes: number) => void,
  fileBytes: number | undefined,
): Promise<{ readonly bytes: number; readonly rows: number }> {
  const writer = new SavepointWriter(folder, fileBytes)
  let [bytes, rows] = [0, 0]
  try {
    const own = encodeManifest({ ...manifest, deltas: [], dropped: [] })
    await writer.file(MANIFEST_FILE, own)
    progress((bytes += own.byteLength))
    for await (const chunk of savepointContent(store, manifest)) {
      await writer.chunk(chunk)
      rows += chunk.rows
      progress((bytes += chunk.bytes.byteLength))
    }
    await writer.finish()
    const index = indexOf(store, manifest, rows, writer.files)
    await writer.file(INDEX_FILE, Buffer.from(encodeIndex(index)))
    await syncFolder(folder)
    return { bytes: index.bytes, rows }
  } finally {
    await writer.abandon()
  }
}

function indexOf(
  store: StoredCheckpoints,
  { checkpoint }: Manifest,
  rows: number,
  files: SavepointIndex['files'],
): SavepointIndex {
  return {
    format: SAVEPOINT_VERSION,
    job: basename(store.directory),
    run: store.run ?? '',
    checkpoint,
    createdAtMs: Date.now(),
    engine: engineVersion(),
    rows,
    bytes: files.reduce((sum, { length }) => sum + length, 0),
    files: [...files],
  }
}

/** The first of these names that nobody has; until the savepoint is whole the place is held by the folder that it is written to. */
async function claimName(parent: string, name: string): Promise<string> {
  for (let number = 1; ; number++) {
    const path = join(parent, number === 1 ? name : `${name}-${number}`)
    if (existsSync(path)) continue
    try {
      await mkdir(partialOf(path), { mode: 0o700 })
      if (!existsSync(path)) return path
      await rmdir(partialOf(path))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
}

function partialOf(path: string): string {
  return join(dirname(path), `.${basename(path)}.partial`)
}

async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function failure(error: unknown, checkpoint: number, directory: string): SluiceError {
  const what = `the savepoint of checkpoint ${checkpoint} cannot be written`
  if (isNoSpace(error) || !isRoomLeft(directory)) return diskFull(what, directory, error)
  const hint = error instanceof SluiceError ? error.hint : `look at the permissions of ${directory}`
  return new SluiceError('SAVEPOINT_FAILED', `${what}: ${messageOf(error)}`, {
    cause: error,
    hint: hint ?? 'the job goes on; what was begun is removed',
  })
}

/** A savepoint, for reading. */
export class Savepoint {
  /** Absolute. */
  readonly path: string
  readonly index: SavepointIndex
  readonly manifest: Manifest

  constructor(path: string, index: SavepointIndex, manifest: Manifest) {
    this.path = path
    this.index = index
    this.manifest = manifest
  }

  get job(): string {
    return this.index.job
  }

  /** The run that it was written by. */
  get run(): string {
    return this.index.run
  }

  /** Reads everything. @throws SluiceError `SAVEPOINT_UNREADABLE`, naming the file */
  async verify(): Promise<void> {
    for await (const _ of this.chunks()) {
      // A chunk that is given out is proved, and so is each file after its last one.
    }
  }

  /** Everything that changes keyed state from nothing to what it was, in order. @throws SluiceError `SAVEPOINT_UNREADABLE`, naming the file */
  async *chunks(): AsyncGenerator<PlacedChunk & { readonly file: number }> {
    for (let file = 1; file < this.index.files.length; file++) {
      const chunks = readChunkFile(this.path, this.index.files[file]!, file, this.manifest.maxParallelism)
      for await (const chunk of chunks) yield { ...chunk, file }
    }
  }
}

/** Opens a savepoint; its manifest is proved, its chunks are when they are read. @throws SluiceError `SAVEPOINT_UNREADABLE`, `FORMAT_UNKNOWN` */
export function openSavepoint(path: string): Savepoint {
  const folder = resolve(path)
  const index = decodeIndex(readWholeFile(folder, INDEX_FILE, INDEX_BYTES_MAX).toString(), folder)
  const [file] = index.files
  if (file === undefined) throw unreadableSavepoint(folder, INDEX_FILE, 'it names no manifest')
  const bytes = readWholeFile(folder, MANIFEST_FILE, file.length)
  if (bytes.byteLength !== file.length || crc32(bytes) !== file.crc32) {
    throw unreadableSavepoint(folder, MANIFEST_FILE, 'its length or its checksum is wrong')
  }
  return new Savepoint(folder, index, manifestOf(bytes, index, folder))
}

function manifestOf(bytes: Uint8Array, { checkpoint }: SavepointIndex, path: string): Manifest {
  const manifest = decoded(bytes, checkpoint, path)
  if (manifest.deltas.length > 0 || manifest.dropped.length > 0) {
    throw unreadableSavepoint(path, MANIFEST_FILE, 'it is not the manifest of a savepoint')
  }
  return manifest
}

function decoded(bytes: Uint8Array, checkpoint: number, path: string): Manifest {
  try {
    return decodeManifest(bytes, checkpoint)
  } catch (error) {
    if (error instanceof SluiceError && error.code === 'FORMAT_UNKNOWN') throw error
    throw unreadableSavepoint(path, MANIFEST_FILE, messageOf(error), error)
  }
}

export interface ImportOptions {
  /** States that the job no longer has: their rows are left out. Default: none. */
  readonly dropped?: readonly RegisteredState[]
  /** The id that the checkpoint gets in this store. Default: the one that it had. */
  readonly checkpoint?: number
}

const IMPORT_AT_ONCE_BYTES = 1 << 20

/**
 * Brings a savepoint into a store that has forgotten everything, where it then is the newest checkpoint, and folded. When this rejects, or the process
 * ends before, the store says that it is half full: `latest` refuses until `forget`.
 * @throws SluiceError `SAVEPOINT_UNREADABLE`, `FORMAT_UNKNOWN`, `DISK_FULL`, `STORE_FAILED`, `FENCED`
 */
export async function importSavepoint(
  store: CheckpointStore,
  savepoint: Savepoint,
  { dropped = [], checkpoint = savepoint.manifest.checkpoint }: ImportOptions = {},
): Promise<void> {
  const isDropped = (operator: string, { kind, name }: StateIdentity): boolean =>
    dropped.some((state) => state.operator === operator && state.kind === kind && state.name === name)
  store.beginImport(savepoint.path)
  let chunks: PlacedChunk[] = []
  let bytes = 0
  for await (const chunk of savepoint.chunks()) {
    chunks.push(chunk)
    bytes += chunk.bytes.byteLength
    if (bytes < IMPORT_AT_ONCE_BYTES) continue
    store.importChunks(chunks, isDropped)
    chunks = []
    bytes = 0
  }
  store.importChunks(chunks, isDropped)
  store.completeImport({ ...savepoint.manifest, checkpoint })
}

/** Removes a savepoint: the files that it names, and its folder when nothing else is in it. @throws SluiceError `SAVEPOINT_UNREADABLE`, `FORMAT_UNKNOWN` */
export async function removeSavepoint(path: string): Promise<void> {
  const { index, path: folder } = openSavepoint(path)
  // The sign that it is one goes first: half a savepoint must not look like one.
  await unlink(join(folder, INDEX_FILE))
  await syncFolder(folder)
  for (const { name } of index.files) await unlink(join(folder, name)).catch(ignoring('ENOENT'))
  await rmdir(folder).catch(ignoring('ENOTEMPTY', 'EEXIST'))
}

function ignoring(...codes: readonly string[]): (error: NodeJS.ErrnoException) => void {
  return (error) => {
    if (!codes.includes(error.code ?? '')) throw error
  }
}
