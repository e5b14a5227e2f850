import { crc32 } from 'node:zlib'
import { messageOf, SluiceError } from '../core/errors.ts'
import { decodeValue, encodeValue } from '../core/value-codec.ts'
import type { NodeDescription } from '../graph/stream-graph.ts'
import type { OperatorSnapshot, SubtaskSnapshot } from '../protocol/messages.ts'
import { isManifest } from './manifest-shape.ts'
import type { RegisteredState } from './stored-base.ts'

/** What makes a checkpoint complete: everything that a restore needs, or the place where it lies. */
export interface Manifest {
  readonly checkpoint: number
  /** Written before the first record: positions and nothing else. */
  readonly initial: boolean
  readonly attempt: number
  readonly completedAtMs: number
  readonly fingerprint: string
  /** The graph, so that a changed job can be told what has changed. */
  readonly graph: readonly NodeDescription[]
  readonly maxParallelism: number
  readonly subtasks: readonly StoredSubtask[]
  /** Everything prepared up to this checkpoint whose commit was not known when it was written. */
  readonly committables: readonly StoredCommittable[]
  /**
   * What has changed in keyed state up to this checkpoint and was not in the base when the manifest was written, in the order in which it
   * applies. Those of checkpoints that the base has meanwhile taken in need not be there any more.
   */
  readonly deltas: readonly StoredDelta[]
  /** States that the job no longer has: what deltas up to `through` say of them counts for nothing. */
  readonly dropped: readonly DroppedState[]
}

/** A subtask's snapshot without what lies elsewhere in the store. */
export interface StoredSubtask extends Omit<SubtaskSnapshot, 'operators'> {
  readonly operators: readonly StoredOperator[]
}

export type StoredOperator = Omit<OperatorSnapshot, 'committables'>

/** A chunk of changes, its place in the store, and what proves that it is whole. */
export interface StoredDelta {
  readonly operator: string
  readonly checkpoint: number
  readonly sequence: number
  readonly firstGroup: number
  readonly lastGroup: number
  readonly rows: number
  /** The chunk is the image of one group of this table, and nothing else. */
  readonly imageOf?: string
  readonly length: number
  readonly crc32: number
}

/** Checkpoint and sequence of a chunk. */
export type ChunkPlace = readonly [number, number]

/**
 * What a checkpoint adds to the base, in the order in which it applies.
 * @param folded the checkpoint up to which the base holds everything; @param folding the last chunk of a later one that it has taken in
 */
export function unfoldedOf(manifest: Manifest, folded: number, folding: ChunkPlace = [-1, -1]): readonly StoredDelta[] {
  const [checkpoint, sequence] = folding
  return manifest.deltas.filter(
    (delta) =>
      delta.checkpoint > folded &&
      (delta.checkpoint > checkpoint || (delta.checkpoint === checkpoint && delta.sequence > sequence)),
  )
}

/** Without images of which there is a newer one: whatever was said of their groups before it counts for nothing. */
export function withoutSuperseded(deltas: readonly StoredDelta[]): readonly StoredDelta[] {
  const newer = new Set<string>()
  const kept = deltas.toReversed().filter(({ operator, imageOf, firstGroup }) => {
    if (imageOf === undefined) return true
    const group = `${operator.length} ${operator} ${firstGroup} ${imageOf}`
    if (newer.has(group)) return false
    newer.add(group)
    return true
  })
  return kept.reverse()
}

export interface DroppedState extends RegisteredState {
  readonly through: number
}

/** Something staged by a sink's writer, waiting for its commit. */
export interface StoredCommittable {
  readonly operator: string
  readonly subtask: number
  /** The checkpoint it was prepared for. */
  readonly checkpoint: number
  readonly bytes: Uint8Array
}

/*
 * On disk (docs/format.md): 'SLMF' (4 bytes), format version (2 bytes), 2 unused bytes, CRC-32 of those and of the manifest (4 bytes), length of the
 * manifest (4 bytes), the manifest, encoded. Little endian. In version 2 the CRC-32 is that of the manifest alone.
 */
const MAGIC = 0x464d4c53
/** Version 1 held keyed state as full snapshots, version 2 knew no images of groups. */
export const FORMAT_VERSION = 3
const OLDEST_READ = 2
/** Name, version and unused bytes. */
const MARK_BYTES = 8
const HEADER_BYTES = 16

export function encodeManifest(manifest: Manifest): Uint8Array {
  const body = encodeValue(manifest)
  const bytes = new Uint8Array(HEADER_BYTES + body.byteLength)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, MAGIC, true)
  view.setUint16(4, FORMAT_VERSION, true)
  view.setUint32(8, checksumOf(bytes, body), true)
  view.setUint32(12, body.byteLength, true)
  bytes.set(body, HEADER_BYTES)
  return bytes
}

/** @throws SluiceError `CHECKPOINT_UNREADABLE`, saying what is wrong with it; `FORMAT_UNKNOWN` */
export function decodeManifest(bytes: Uint8Array, checkpoint: number): Manifest {
  checkFormat(bytes, checkpoint)
  const problem = headerProblem(bytes)
  if (problem !== undefined) throw unreadable(checkpoint, problem)
  let manifest: Manifest
  try {
    manifest = decodeValue(bytes.subarray(HEADER_BYTES)) as Manifest
  } catch (error) {
    throw unreadable(checkpoint, `its manifest cannot be decoded: ${messageOf(error)}`)
  }
  if (!isWhole(manifest)) throw unreadable(checkpoint, 'its manifest has fields that are not those of one')
  if (manifest.checkpoint !== checkpoint)
    throw unreadable(checkpoint, `its manifest is that of checkpoint ${manifest.checkpoint}`)
  return manifest
}

/** One that is nested without end is none. */
function isWhole(manifest: Manifest): boolean {
  try {
    return isManifest(manifest)
  } catch {
    return false
  }
}

function checkFormat(bytes: Uint8Array, checkpoint: number): void {
  if (bytes.byteLength < HEADER_BYTES) return
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint32(0, true) !== MAGIC) return
  const version = view.getUint16(4, true)
  if (version >= OLDEST_READ && version <= FORMAT_VERSION) return
  throw new SluiceError(
    'FORMAT_UNKNOWN',
    `checkpoint ${checkpoint} is in version ${version} of the format, this program reads versions ${OLDEST_READ} to ${FORMAT_VERSION}`,
    { hint: 'nothing was changed; run the version of sluice that wrote it, or forget the state with --fresh' },
  )
}

function headerProblem(bytes: Uint8Array): string | undefined {
  if (bytes.byteLength < HEADER_BYTES) return `its manifest has ${bytes.byteLength} bytes`
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint32(0, true) !== MAGIC) return 'its manifest does not begin as one'
  if (view.getUint16(6, true) !== 0) return 'its manifest has marks that this program does not know'
  const length = view.getUint32(12, true)
  if (length !== bytes.byteLength - HEADER_BYTES)
    return `its manifest should have ${length} bytes and has ${bytes.byteLength - HEADER_BYTES}`
  const body = bytes.subarray(HEADER_BYTES)
  return checksumOf(bytes, body) === view.getUint32(8, true) ? undefined : 'the checksum of its manifest is wrong'
}

function checksumOf(bytes: Uint8Array, body: Uint8Array): number {
  const marks = bytes.subarray(0, MARK_BYTES)
  return marks[4] === OLDEST_READ ? crc32(body) : crc32(body, crc32(marks))
}

/** A checkpoint that must not be used, and what the user can do. */
export function unreadable(checkpoint: number, problem: string): SluiceError {
  return new SluiceError('CHECKPOINT_UNREADABLE', `checkpoint ${checkpoint} cannot be read: ${problem}`, {
    hint: 'nothing was changed; restore the state folder from a copy, or forget the state with --fresh',
  })
}
