import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { Database, RootDatabase } from 'lmdb'
import { open } from 'lmdb'
import { assert } from '../core/assert.ts'
import { messageOf, SluiceError } from '../core/errors.ts'
import { decodeValue, encodeValue } from '../core/value-codec.ts'
import type { SnapshotChunk } from '../state/snapshot-chunk.ts'
import type { Manifest, StoredChunk } from './manifest.ts'
import { decodeManifest, encodeManifest, unreadable } from './manifest.ts'
import type { ProcessIdentity } from './process-identity.ts'
import { isAlive, thisProcess } from './process-identity.ts'
import { checkStoreFile } from './store-file.ts'

/*
 * The only file that touches LMDB. One environment for each job, three tables:
 *
 *   meta         'owner', 'run', 'attempt', 'latest', 'committed', 'reserved', 'finished'
 *   checkpoints  id -> manifest
 *   chunks       [checkpoint, sequence] -> bytes
 *
 * What always holds:
 * 1. Only the main thread comes here, and it is never terminated: a thread that dies inside a write takes the environment with it.
 * 2. A checkpoint is complete when the synchronous, synced transaction that writes its manifest and moves `latest` has returned. There is no
 *    other sign. Chunks come before, in transactions of their own, and mean nothing until a manifest names them.
 * 3. A manifest is written only while `attempt` and `run` are the writer's own: a newer start fences off an older one.
 * 4. Whatever fails here is final for the process: a failed write or sync is never tried again.
 * 5. Nothing removes what the newest manifest names.
 */

/** Ids that are reserved ahead, so that an id is never used twice and yet not every checkpoint needs a transaction for it. */
const RESERVED_IDS = 10
const CHUNK_FLUSH_BYTES = 4 << 20
const REMOVE_AT_ONCE = 256

/** How the state of a job was found. */
export interface Claim {
  /** Names the run: a fresh start takes a new one. */
  readonly run: string
  /** Number of this start; rises for ever. */
  readonly attempt: number
  /** The newest id that any earlier attempt may have used; -1 when there was none. */
  readonly lastCheckpoint: number
}

export class CheckpointStore {
  readonly directory: string
  readonly #root: RootDatabase<Buffer, string>
  readonly #meta: Database<Buffer, string>
  readonly #checkpoints: Database<Buffer, number>
  readonly #chunks: Database<Buffer, [number, number]>
  #claim: Claim | undefined
  #buffered: { readonly key: [number, number]; readonly bytes: Uint8Array }[] = []
  #bufferedBytes = 0
  #sequence = 0
  #sequenceOf = -1
  #reserved = -1

  private constructor(directory: string, root: RootDatabase<Buffer, string>) {
    this.directory = directory
    this.#root = root
    this.#meta = root.openDB<Buffer, string>({ name: 'meta', encoding: 'binary' })
    this.#checkpoints = root.openDB<Buffer, number>({ name: 'checkpoints', encoding: 'binary' })
    this.#chunks = root.openDB<Buffer, [number, number]>({ name: 'chunks', encoding: 'binary' })
  }

  /** Opens or creates the state of a job. @throws SluiceError `STORE_FAILED` */
  static open(stateDirectory: string, job: string): CheckpointStore {
    const directory = join(stateDirectory, job)
    return guarded(`cannot open the state in ${directory}`, () => {
      mkdirSync(directory, { recursive: true, mode: 0o700 })
      checkStoreFile(join(directory, 'checkpoints.mdb'))
      const options = {
        path: join(directory, 'checkpoints.mdb'),
        noSubdir: true,
        maxDbs: 8,
        overlappingSync: false,
        encoding: 'binary' as const,
      }
      return new CheckpointStore(directory, open<Buffer, string>({ ...options, permissionsMode: 0o600 } as typeof options))
    })
  }

  /**
   * Takes the state for this process and this attempt, in one transaction.
   * @throws SluiceError `JOB_ALREADY_RUNNING` when another live process has it
   */
  claim(newRun: () => string): Claim {
    return this.#write('cannot claim the state', () => {
      const owner = this.#get<ProcessIdentity>('owner')
      if (owner !== undefined && isAlive(owner)) throw alreadyRunning(this.directory, owner)
      this.#put('owner', thisProcess())
      return this.#beginAttempt(newRun)
    })
  }

  /** A restart in place: the same process goes on under a new number. */
  nextAttempt(): Claim {
    return this.#write('cannot begin an attempt', () => {
      this.#checkFence()
      return this.#beginAttempt(() => this.#claim!.run)
    })
  }

  #reserve(used: number): void {
    this.#reserved = used + RESERVED_IDS
    this.#put('reserved', this.#reserved)
  }

  #beginAttempt(newRun: () => string): Claim {
    this.#buffered = []
    this.#bufferedBytes = 0
    const run = this.#get<string>('run') ?? newRun()
    const attempt = (this.#get<number>('attempt') ?? 0) + 1
    const lastCheckpoint = this.#get<number>('reserved') ?? -1
    this.#put('run', run)
    this.#put('attempt', attempt)
    this.#reserve(lastCheckpoint)
    this.#claim = { run, attempt, lastCheckpoint }
    return this.#claim
  }

  /** Whether the last run came to its end, so that the next start begins afresh. */
  get finished(): boolean {
    return this.#get<boolean>('finished') === true
  }

  /** What `forget` would remove: the newest checkpoint and when it completed. */
  get latestCheckpoint(): number | undefined {
    return this.#get<number>('latest')
  }

  /** The newest complete checkpoint. @throws SluiceError `CHECKPOINT_UNREADABLE` */
  latest(): Manifest | undefined {
    const checkpoint = this.latestCheckpoint
    return checkpoint === undefined ? undefined : this.manifest(checkpoint)
  }

  /** Ids of all complete checkpoints, oldest first. */
  retained(): readonly number[] {
    return this.#read(() => [...this.#checkpoints.getKeys()])
  }

  /** @throws SluiceError `CHECKPOINT_UNREADABLE` */
  manifest(checkpoint: number): Manifest {
    const bytes = this.#read(() => this.#checkpoints.get(checkpoint))
    if (bytes === undefined) throw unreadable(checkpoint, 'it has no manifest')
    return decodeManifest(bytes, checkpoint)
  }

  /** The newest checkpoint whose commits are all known to have happened. */
  get committedThrough(): number {
    return this.#get<number>('committed') ?? -1
  }

  /** A chunk, proved whole. @throws SluiceError `CHECKPOINT_UNREADABLE` */
  readChunk(checkpoint: number, chunk: StoredChunk): Uint8Array<ArrayBuffer> {
    const stored = this.#read(() => this.#chunks.get([checkpoint, chunk.sequence]))
    if (stored === undefined) throw unreadable(checkpoint, `its chunk ${chunk.sequence} is missing`)
    if (stored.byteLength !== chunk.length || crc32(stored) !== chunk.crc32)
      throw unreadable(checkpoint, `its chunk ${chunk.sequence} is corrupt`)
    return new Uint8Array(stored)
  }

  /** A checkpoint is about to begin: its id is used from now on, whatever becomes of it. */
  begin(checkpoint: number): void {
    if (checkpoint > this.#reserved) this.#write('cannot reserve ids', () => this.#reserve(checkpoint))
  }

  /** Takes chunks of a checkpoint that is not complete yet; they are written when enough have come together, or with the manifest. */
  addChunks(checkpoint: number, chunks: readonly SnapshotChunk[]): readonly StoredChunk[] {
    if (this.#sequenceOf !== checkpoint) {
      this.#sequenceOf = checkpoint
      this.#sequence = 0
    }
    const stored = chunks.map((chunk) => {
      const sequence = this.#sequence++
      this.#buffered.push({ key: [checkpoint, sequence], bytes: chunk.bytes })
      this.#bufferedBytes += chunk.bytes.byteLength
      const { firstGroup, lastGroup, bytes } = chunk
      return { sequence, firstGroup, lastGroup, length: bytes.byteLength, crc32: crc32(bytes) }
    })
    if (this.#bufferedBytes >= CHUNK_FLUSH_BYTES) this.#write('cannot write a snapshot', () => this.#flushChunks())
    return stored
  }

  #flushChunks(): void {
    for (const { key, bytes } of this.#buffered) this.#chunks.putSync(key, asBuffer(bytes))
    this.#buffered = []
    this.#bufferedBytes = 0
  }

  /** Makes the checkpoint complete: when this returns, it is. @throws SluiceError `FENCED`, `STORE_FAILED` */
  complete(manifest: Manifest): void {
    this.#write(`cannot complete checkpoint ${manifest.checkpoint}`, () => {
      this.#checkFence()
      const latest = this.latestCheckpoint ?? -1
      assert(manifest.checkpoint > latest, `checkpoint ${manifest.checkpoint} completes after ${latest}`)
      this.#flushChunks()
      this.#checkpoints.putSync(manifest.checkpoint, asBuffer(encodeManifest(manifest)))
      this.#put('latest', manifest.checkpoint)
      if (manifest.checkpoint + RESERVED_IDS > this.#reserved) this.#reserve(manifest.checkpoint)
    })
  }

  /** Everything up to `checkpoint` is committed; older checkpoints beyond `retain` go. */
  committed(checkpoint: number, retain: number): void {
    const old = this.retained().slice(0, -retain)
    this.#write('cannot note a commit', () => {
      this.#checkFence()
      this.#put('committed', checkpoint)
      this.#removeManifests(old)
    })
    for (const id of old) this.#removeChunks(id)
  }

  /** Forgets all checkpoints and takes a new run; numbers of attempts and checkpoints go on, so that none is ever used twice. */
  forget(run: string): Claim {
    const old = this.retained()
    this.#write('cannot forget the state', () => {
      this.#checkFence()
      this.#removeManifests(old)
      for (const name of ['latest', 'committed', 'finished']) this.#meta.removeSync(name)
      this.#put('run', run)
      this.#claim = { ...this.#claim!, run }
    })
    this.sweep()
    return this.#claim!
  }

  /** Removes chunks that no manifest names: leftovers of attempts that ended before their checkpoint was complete. */
  sweep(): void {
    const named = new Set(this.retained())
    const leftovers = new Set<number>()
    this.#read(() => {
      for (const [checkpoint] of this.#chunks.getKeys()) if (!named.has(checkpoint)) leftovers.add(checkpoint)
    })
    for (const checkpoint of leftovers) this.#removeChunks(checkpoint)
  }

  /** Gives up chunks that were taken for a checkpoint which was aborted. */
  discard(checkpoint: number): void {
    this.#buffered = this.#buffered.filter(({ key }) => key[0] !== checkpoint)
    this.#bufferedBytes = this.#buffered.reduce((sum, { bytes }) => sum + bytes.byteLength, 0)
    this.#removeChunks(checkpoint)
  }

  /** Manifests go before their chunks: chunks without a manifest are swept one day, a manifest without its chunks is a broken checkpoint. */
  #removeManifests(checkpoints: readonly number[]): void {
    for (const checkpoint of checkpoints) this.#checkpoints.removeSync(checkpoint)
  }

  #removeChunks(checkpoint: number): void {
    for (;;) {
      const range = {
        start: [checkpoint, 0] as [number, number],
        end: [checkpoint + 1, 0] as [number, number],
        limit: REMOVE_AT_ONCE,
      }
      const keys = this.#read(() => [...this.#chunks.getKeys(range)])
      if (keys.length === 0) return
      this.#write('cannot remove old chunks', () => {
        for (const key of keys) this.#chunks.removeSync(key)
      })
    }
  }

  /** Gives the state back, so that another process may take it, and notes in the same step whether the job has come to its end. */
  async release(finished: boolean): Promise<void> {
    try {
      this.#write('cannot release the state', () => {
        if (this.#get<number>('attempt') !== this.#claim?.attempt) return
        if (finished) this.#put('finished', true)
        this.#meta.removeSync('owner')
      })
    } finally {
      await this.#root.close()
    }
  }

  /** Closes without touching anything, for a process that does not own the state. */
  async close(): Promise<void> {
    await this.#root.close()
  }

  #checkFence(): void {
    const [attempt, run] = [this.#get<number>('attempt'), this.#get<string>('run')]
    if (attempt === this.#claim?.attempt && run === this.#claim?.run) return
    throw new SluiceError(
      'FENCED',
      `attempt ${this.#claim?.attempt} is over: attempt ${attempt} of another process has taken the state`,
      {
        hint: 'this process writes no more; its staged output was never visible and is removed by the newer one',
      },
    )
  }

  #get<V>(name: string): V | undefined {
    const bytes = this.#read(() => this.#meta.get(name))
    return bytes === undefined ? undefined : (decodeValue(bytes) as V)
  }

  #put(name: string, value: unknown): void {
    this.#meta.putSync(name, asBuffer(encodeValue(value)))
  }

  #read<R>(action: () => R): R {
    return guarded(`cannot read the state in ${this.directory}`, action)
  }

  #write<R>(what: string, action: () => R): R {
    return guarded(what, () => this.#root.transactionSync(action))
  }
}

function guarded<R>(what: string, action: () => R): R {
  try {
    return action()
  } catch (error) {
    if (error instanceof SluiceError) throw error
    throw new SluiceError('STORE_FAILED', `${what}: ${messageOf(error)}`, {
      cause: error,
      hint: 'look at free space and permissions of the state folder; nothing that was complete is lost, and the next start resumes from it',
    })
  }
}

function alreadyRunning(directory: string, owner: ProcessIdentity): SluiceError {
  return new SluiceError('JOB_ALREADY_RUNNING', `the job with its state in ${directory} is being run by process ${owner.pid}`, {
    hint: `stop process ${owner.pid} first, or give this one a --state-directory of its own`,
  })
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
