import { readFileSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import { SluiceError } from '../core/errors.ts'

/*
 * `savepoint.json`, by which a folder is a savepoint. It is written last, and says of every other file how long it is and what its checksum is; its
 * own checksum is over the rest of it, so that a changed word in it does not go unseen. Part of the on-disk format (docs/format.md).
 */

export const INDEX_FILE = 'savepoint.json'
export const MANIFEST_FILE = 'manifest'
/** Of `savepoint.json` and of the files with chunks. */
export const SAVEPOINT_VERSION = 1

/** Far more than the index of a savepoint of many terabytes. */
export const INDEX_BYTES_MAX = 16 << 20

/** A file of a savepoint, and what proves that it is whole. */
export interface SavepointFile {
  readonly name: string
  readonly length: number
  readonly crc32: number
}

export interface SavepointIndex {
  readonly format: number
  readonly job: string
  readonly run: string
  readonly checkpoint: number
  readonly createdAtMs: number
  /** The version of sluice that wrote it. */
  readonly engine: string
  /** Of keyed state; changes that the base did not hold count beside what they change. */
  readonly rows: number
  /** Of all files but this one. */
  readonly bytes: number
  /** The manifest first, then those with chunks in the order in which they apply. */
  readonly files: readonly SavepointFile[]
}

/** `state-00001.chunk` is the first. */
export function chunkFileName(number: number): string {
  return `state-${String(number).padStart(5, '0')}.chunk`
}

export function encodeIndex(index: SavepointIndex): string {
  return `${JSON.stringify({ ...index, crc32: crc32(JSON.stringify(index)) }, null, 2)}\n`
}

/** @throws SluiceError `SAVEPOINT_UNREADABLE`, `FORMAT_UNKNOWN` */
export function decodeIndex(text: string, path: string): SavepointIndex {
  const fields = parsed(text)
  if (fields === undefined) throw unreadableSavepoint(path, INDEX_FILE, 'it is not a JSON object')
  const { crc32: checksum, ...rest } = fields
  if (typeof rest['format'] === 'number' && rest['format'] > SAVEPOINT_VERSION) throw newerFormat(path, rest['format'])
  if (crc32(JSON.stringify(rest)) !== checksum) throw unreadableSavepoint(path, INDEX_FILE, 'its checksum is wrong')
  if (!isIndex(rest)) throw unreadableSavepoint(path, INDEX_FILE, 'it is not as this program writes it')
  return rest
}

function parsed(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

function isIndex(value: Readonly<Record<string, unknown>>): value is Readonly<Record<string, unknown>> & SavepointIndex {
  const { format, job, run, checkpoint, createdAtMs, engine, rows, bytes, files } = value
  return (
    format === SAVEPOINT_VERSION &&
    [job, run, engine].every((text) => typeof text === 'string') &&
    [checkpoint, createdAtMs, rows, bytes].every(isCount) &&
    Array.isArray(files) &&
    files.every((file, place) => isObject(file) && isFile(file, place))
  )
}

/** Names are not the writer's choice, so none leads out of the folder. */
function isFile({ name, length, crc32: checksum }: Readonly<Record<string, unknown>>, place: number): boolean {
  return name === (place === 0 ? MANIFEST_FILE : chunkFileName(place)) && isCount(length) && isCount(checksum)
}

export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A savepoint that must not be used, and the file because of which. */
export function unreadableSavepoint(path: string, file: string, problem: string, cause?: unknown): SluiceError {
  return new SluiceError('SAVEPOINT_UNREADABLE', `the savepoint ${path} cannot be read: ${file}: ${problem}`, {
    ...(cause === undefined ? {} : { cause }),
    hint: 'nothing was changed; give the folder of a whole savepoint, or restore this one from a copy',
  })
}

export function newerFormat(path: string, version: number): SluiceError {
  return new SluiceError(
    'FORMAT_UNKNOWN',
    `the savepoint ${path} is in version ${version} of the format, this program reads version ${SAVEPOINT_VERSION}`,
    { hint: 'nothing was changed; run the version of sluice that wrote it' },
  )
}

/** The version of this program. Compiled files lie one folder deeper than the sources. */
export function engineVersion(): string {
  const depth = import.meta.url.endsWith('.ts') ? '../..' : '../../..'
  const manifest = JSON.parse(readFileSync(new URL(`${depth}/package.json`, import.meta.url), 'utf8')) as { version: string }
  return manifest.version
}
