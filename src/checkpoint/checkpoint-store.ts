import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { assert } from '../core/assert.ts'
import { SluiceError } from '../core/errors.ts'
import { encodeValue } from '../core/value-codec.ts'
import type { SplitState } from '../protocol/messages.ts'
import type { DeltaChunk, StateIdentity } from '../state/delta-chunk.ts'
import { BaseWriter } from './base-writer.ts'
import type { CheckpointRecord } from './checkpoint-history.ts'
import { HISTORY_RECORDS } from './checkpoint-history.ts'
import type { Tables } from './environment.ts'
import { environmentPath, openForWriting } from './environment.ts'
import type { Foldable, OperatorChunk } from './folder.ts'
import { Folder } from './folder.ts'
import type { DroppedState, Manifest, StoredDelta } from './manifest.ts'
import { encodeManifest } from './manifest.ts'
import { chunkKeys } from './meta-values.ts'
import type { ProcessIdentity } from './process-identity.ts'
import type { Claim } from './store-writes.ts'
import { asBuffer, StoreWrites } from './store-writes.ts'
import type { StateRegistry } from './stored-base.ts'
import { StoredCheckpoints } from './stored-checkpoints.ts'
import type { Surroundings } from './surroundings.ts'
import { thisMachine } from './surroundings.ts'

export type { OperatorChunk } from './folder.ts'
export type { Claim } from './store-writes.ts'

/*
 * The writing side of the store. What always holds:
 *
 * 1. Only the main thread comes here, and it is never terminated: a thread that dies inside a write takes the environment with it.
 * 2. A checkpoint is complete when the synchronous, synced transaction that writes its manifest and moves `latest` has returned. There is no
 *    other sign. Chunks come before, in transactions of their own, and mean nothing until a manifest names them.
 * 3. A manifest is written only while `attempt` and `run` are the writer's own: a newer start fences off an older one.
 * 4. Nothing removes what a retained manifest names, unless the base holds it.
 *
 * Chunks of checkpoints go from here into the base: `folder.ts` says which and when, `base-writer.ts` how.
 */

/** Ids that are reserved ahead, so that an id is never used twice and yet not every checkpoint needs a transaction for it. */
const RESERVED_IDS = 10

/** An attempt that is on the disk. */
interface Begun {
  readonly claim: Claim
  /** Ids up to this one are reserved. */
  readonly reserved: number
}

interface BufferedChunk {
  readonly key: [number, number]
  readonly bytes: DeltaChunk['bytes']
  readonly written: (bytes: DeltaChunk['bytes']) => void
}

export class CheckpointStore extends StoredCheckpoints {
  #buffered: BufferedChunk[] = []
  #bufferedBytes = 0
  readonly #sequences = new Map<number, number>()
  #reserved = -1
  readonly #writes: StoreWrites
  readonly #base: BaseWriter
  readonly #folder: Folder

  readonly #surroundings: Surroundings

  private constructor(directory: string, tables: Tables, surroundings: Surroundings) {
    super(directory, tables)
    this.#surroundings = surroundings
    this.#writes = new StoreWrites(tables, directory, surroundings)
    this.#base = new BaseWriter(this.#writes)
    this.#folder = new Folder(this, this.#writes, this.#base)
  }

  /** Opens or creates the state of a job. @throws SluiceError `STORE_FAILED` */
  static open(stateDirectory: string, job: string): CheckpointStore {
    const directory = join(stateDirectory, job)
    return new CheckpointStore(directory, openForWriting(directory), thisMachine)
  }

  /** The same over tables that are open, on a machine that somebody plays. */
  static over(directory: string, tables: Tables, surroundings: Surroundings): CheckpointStore {
    return new CheckpointStore(directory, tables, surroundings)
  }

  /** Where other threads find the environment. */
  get path(): string {
    return environmentPath(this.directory)
  }

  /**
   * Takes the state for this process and this attempt, in one transaction.
   * @throws SluiceError `JOB_ALREADY_RUNNING` when another live process has it
   */
  claim(newRun: () => string): Claim {
    this.#checkReadable()
    const begun = this.#writes.transact('cannot claim the state', () => {
      const owner = this.get<ProcessIdentity>('owner')
      if (owner !== undefined && this.#surroundings.isAlive(owner)) throw alreadyRunning(this.directory, owner)
      this.#writes.put('owner', this.#surroundings.identity())
      return this.#putAttempt(newRun)
    })
    return this.#begin(begun)
  }

  /**
   * LMDB knows readers by the number of their process. Where one of another container has the same number, this process cannot read, and a claim
   * would end that one without going on by itself.
   */
  #checkReadable(): void {
    const owner = this.#writes.transact('cannot look at the state', () => this.get<ProcessIdentity>('owner'))
    if (owner?.pid !== this.#surroundings.identity().pid) return
    try {
      this.get('owner')
    } catch (error) {
      throw runningElsewhere(this.directory, owner, error)
    }
  }

  /** A restart in place: the same process goes on under a new number. */
  nextAttempt(): Claim {
    const begun = this.#writes.transact('cannot begin an attempt', () => {
      this.#writes.checkFence()
      return this.#putAttempt(() => this.#writes.claim!.run)
    })
    return this.#begin(begun)
  }

  /**
   * A part of the job starts again in the same attempt: its number, under which the part's sinks stage, is taken as one of an attempt is, and
   * everything else goes on. @throws SluiceError `FENCED`, `DISK_FULL`, `STORE_FAILED`
   */
  raiseAttempt(): number {
    const attempt = this.#writes.claim!.attempt + 1
    this.#writes.transact('cannot begin a part anew', () => {
      this.#writes.checkFence()
      this.#writes.put('attempt', attempt)
    })
    // Not before it is on the disk: whose number is not there is fenced off.
    this.#writes.claim = { ...this.#writes.claim!, attempt }
    return attempt
  }

  /** To be called in a transaction. What it gives back is reserved when that is on the disk. */
  #reserve(used: number): number {
    const reserved = Math.max(this.#reserved, used + RESERVED_IDS)
    if (reserved > this.#reserved) this.#writes.put('reserved', reserved)
    return reserved
  }

  #putAttempt(newRun: () => string): Begun {
    const run = this.get<string>('run') ?? newRun()
    const attempt = (this.get<number>('attempt') ?? 0) + 1
    const lastCheckpoint = this.get<number>('reserved') ?? -1
    this.#writes.put('run', run)
    this.#writes.put('attempt', attempt)
    return { claim: { run, attempt, lastCheckpoint }, reserved: this.#reserve(lastCheckpoint) }
  }

  #begin({ claim, reserved }: Begun): Claim {
    this.#buffered = []
    this.#bufferedBytes = 0
    this.#folder.reset()
    this.#reserved = reserved
    this.#writes.claim = claim
    return claim
  }

  // Checkpoints

  /** A checkpoint is about to begin: its id is used from now on, whatever becomes of it. */
  begin(checkpoint: number): void {
    if (checkpoint > this.#reserved) this.#reserved = this.#writes.transact('cannot reserve ids', () => this.#reserve(checkpoint))
  }

  /**
   * Takes chunks of a checkpoint that is not complete yet; they are written when enough have come together, or with the manifest.
   * @param written is told of the bytes of each that is worth it, when they are on the disk and nobody looks at them here any more
   * @throws SluiceError `STORE_FAILED`
   */
  addDeltas(
    checkpoint: number,
    operator: string,
    chunks: readonly DeltaChunk[],
    written: BufferedChunk['written'] = () => undefined,
  ): readonly StoredDelta[] {
    const stored = chunks.map(({ bytes, ...chunk }) => {
      const sequence = this.#sequences.get(checkpoint) ?? 0
      this.#sequences.set(checkpoint, sequence + 1)
      this.#buffered.push({ key: [checkpoint, sequence], bytes, written })
      this.#bufferedBytes += bytes.byteLength
      return { operator, checkpoint, sequence, ...chunk, length: bytes.byteLength, crc32: crc32(bytes) }
    })
    if (this.#bufferedBytes >= this.#surroundings.sizes.chunkFlushBytes) this.#flush()
    return stored
  }

  /** Chunks that no manifest names and none will: those of a part of the job that starts again. */
  forgetDeltas(deltas: readonly StoredDelta[]): void {
    const ids = new Set(deltas.map(chunkId))
    this.#buffered = this.#buffered.filter(({ key: [checkpoint, sequence], bytes }) => {
      const stays = !ids.has(`${checkpoint}/${sequence}`)
      if (!stays) this.#bufferedBytes -= bytes.byteLength
      return stays
    })
    this.#removeChunks(deltas.map(({ checkpoint, sequence }) => [checkpoint, sequence]))
  }

  /** A full disk is not told here: what finds no room stays in memory, and the manifest's transaction meets the same wall or finds it gone. */
  #flush(): void {
    try {
      this.#writes.transact('cannot write a snapshot', () => this.#putBuffered(), this.#bufferedBytes)
    } catch (error) {
      if (error instanceof SluiceError && error.code === 'DISK_FULL') return
      throw error
    }
    this.#letGo()
  }

  #putBuffered(): void {
    for (const { key, bytes } of this.#buffered) this.tables.deltas.putSync(key, asBuffer(bytes))
  }

  /** All that was buffered is on the disk. */
  #letGo(): void {
    const buffered = this.#buffered
    this.#buffered = []
    this.#bufferedBytes = 0
    const { reusedBytesMin } = this.#surroundings.sizes
    for (const { bytes, written } of buffered) if (bytes.buffer.byteLength >= reusedBytesMin) written(bytes)
  }

  /**
   * Makes the checkpoint complete: when this returns, it is. When it throws, nothing of it is there.
   * @throws SluiceError `FENCED`, `DISK_FULL`, `STORE_FAILED`
   */
  complete(manifest: Manifest, record?: CheckpointRecord): void {
    const { checkpoint } = manifest
    const bytes = asBuffer(encodeManifest(manifest))
    const write = (): number => {
      this.#writes.checkFence()
      const latest = this.latestCheckpoint ?? -1
      assert(checkpoint > latest, `checkpoint ${checkpoint} completes after ${latest}`)
      this.#putBuffered()
      this.tables.checkpoints.putSync(checkpoint, bytes)
      this.#writes.put('latest', checkpoint)
      this.#unregister(manifest.dropped, checkpoint)
      if (record !== undefined) this.#putRecord(record)
      return this.#reserve(checkpoint)
    }
    this.#reserved = this.#writes.transact(
      `cannot complete checkpoint ${checkpoint}`,
      write,
      this.#bufferedBytes + bytes.byteLength,
    )
    this.#folder.onCompleted(manifest)
    this.#letGo()
    for (const id of this.#sequences.keys()) if (id <= checkpoint) this.#sequences.delete(id)
  }

  /** Notes how a checkpoint failed. */
  failed(record: CheckpointRecord): void {
    this.#writes.transact('cannot note a failed checkpoint', () => this.#putRecord(record))
  }

  #putRecord(record: CheckpointRecord): void {
    this.tables.history.putSync([record.triggeredAtMs, record.checkpoint], asBuffer(encodeValue(record)))
    const keys = [...this.tables.history.getKeys()]
    for (const key of keys.slice(0, Math.max(0, keys.length - HISTORY_RECORDS))) this.tables.history.removeSync(key)
  }

  /** Everything up to `checkpoint` is committed; older checkpoints beyond `retain` go. */
  committed(checkpoint: number, retain: number): void {
    this.#writes.transact('cannot note a commit', () => {
      this.#writes.checkFence()
      this.#writes.put('committed', checkpoint)
      for (const id of this.#outlived(retain)) this.tables.checkpoints.removeSync(id)
    })
  }

  /** What is neither among the newest nor still to be folded from is let go; its chunks go when they are folded. */
  #outlived(retain: number): readonly number[] {
    return this.retained().slice(0, -retain)
  }

  /** How far the splits of a source were read, by their index, when nothing may be read twice. */
  reads(source: string): ReadonlyMap<number, SplitState> {
    return this.get<Map<number, SplitState>>(`read ${source}`) ?? new Map()
  }

  /** Notes how far sources have read; when this returns, it is on the disk. @throws SluiceError `FENCED`, `DISK_FULL`, `STORE_FAILED` */
  noteReads(reads: ReadonlyMap<string, readonly SplitState[]>): void {
    this.#writes.transact('cannot note what was read', () => {
      this.#writes.checkFence()
      for (const [source, splits] of reads) {
        const known = new Map(this.reads(source))
        for (const split of splits) known.set(split.index, split)
        this.#writes.put(`read ${source}`, known)
      }
    })
  }

  /** Who may read again needs no notes, and those of an earlier start would only grow old. */
  forgetReads(): void {
    const names = this.read(() => [...this.tables.meta.getKeys()]).filter((name) => name.startsWith('read '))
    if (names.length === 0) return
    this.#writes.transact('cannot forget what was read', () => {
      for (const name of names) this.tables.meta.removeSync(name)
    })
  }

  /** Goes back to an older checkpoint that is retained: the newer ones are gone. @throws SluiceError `CHECKPOINT_UNREADABLE` */
  goBackTo(checkpoint: number): void {
    this.manifest(checkpoint)
    this.#writes.transact(`cannot go back to checkpoint ${checkpoint}`, () => {
      this.#writes.checkFence()
      for (const id of this.retained()) if (id > checkpoint) this.tables.checkpoints.removeSync(id)
      this.#writes.put('latest', checkpoint)
      this.#writes.put('committed', Math.min(checkpoint, this.committedThrough))
      this.tables.meta.removeSync('finished')
    })
    this.forgetReads()
  }

  /**
   * Forgets all checkpoints and takes a new run; numbers of attempts and checkpoints go on, so that none is ever used twice.
   * @param importing the savepoint that takes their place: a process that ends before its import has begun must not leave a store that looks new
   */
  forget(run: string, importing?: string): Claim {
    this.#writes.transact('cannot forget the state', () => {
      this.#writes.checkFence()
      for (const id of this.retained()) this.tables.checkpoints.removeSync(id)
      for (const name of ['latest', 'committed', 'finished', 'folded', 'folding', 'importing']) this.tables.meta.removeSync(name)
      for (const key of [...this.tables.history.getKeys()]) this.tables.history.removeSync(key)
      this.#base.unregisterAll()
      if (importing !== undefined) this.#writes.put('importing', importing)
      this.#writes.put('run', run)
    })
    this.#writes.claim = { ...this.#writes.claim!, run }
    this.#folder.reset()
    this.forgetReads()
    this.sweep()
    while (this.purgeStep()) {}
    this.#writes.transact('cannot forget the state', () => this.#writes.put('states', []))
    this.#base.forgetNumbers()
    return this.#writes.claim!
  }

  /** Removes chunks that no manifest names: leftovers of attempts that ended before their checkpoint was complete. */
  sweep(): void {
    let named: Set<string>
    try {
      named = new Set(this.retained().flatMap((id) => this.manifest(id).deltas.map(chunkId)))
    } catch (error) {
      // Which chunks a damaged manifest names cannot be known, so all of them stay.
      if (error instanceof SluiceError && error.code === 'CHECKPOINT_UNREADABLE') return
      throw error
    }
    const folded = this.foldedThrough
    const keys = chunkKeys(this.read(() => [...this.tables.deltas.getKeys()]))
    const leftovers = keys.filter(([checkpoint, sequence]) => checkpoint <= folded || !named.has(`${checkpoint}/${sequence}`))
    this.#removeChunks(leftovers)
  }

  #removeChunks(keys: readonly [number, number][]): void {
    const { removeAtOnce } = this.#surroundings.sizes
    for (let from = 0; from < keys.length; from += removeAtOnce) {
      this.#writes.transact('cannot remove old chunks', () => {
        for (const key of keys.slice(from, from + removeAtOnce)) this.tables.deltas.removeSync(key)
      })
    }
  }

  // Folding

  /** What a fold would take into the base now: everything up to the oldest retained checkpoint. */
  foldable(): Foldable | undefined {
    return this.#folder.foldable()
  }

  /**
   * Does a part of a fold. True when there is more to do; false when the base holds everything up to the oldest retained checkpoint.
   * @param ms how long a part may take, by default a few; longer ones take more of the thread and less of the disk's time
   * @throws SluiceError `CHECKPOINT_UNREADABLE`, `FENCED`, `DISK_FULL`, `STORE_FAILED`
   */
  foldStep(ms?: number): boolean {
    return this.#folder.step(ms)
  }

  /** Removes rows of states that are gone, so many at once. True when there is more to do. */
  purgeStep(): boolean {
    return this.#base.purgeStep()
  }

  override registry(): StateRegistry {
    return this.#base.registry()
  }

  // Importing a savepoint

  /**
   * A savepoint is about to be brought into this store, which has forgotten everything. Until `completeImport` the store says that it is
   * half full, also after a crash: `latest` refuses then, and `forget` makes it empty again.
   */
  beginImport(savepoint: string): void {
    this.#writes.transact('cannot begin an import', () => {
      this.#writes.checkFence()
      const isExpected = [undefined, savepoint].includes(this.importing)
      const isEmpty = this.latestCheckpoint === undefined && isExpected && this.registry().length === 0
      assert(isEmpty, 'a savepoint is imported into an empty store')
      this.#writes.put('importing', savepoint)
    })
  }

  /** Takes chunks of a savepoint into the base, in the order in which they apply. */
  importChunks(chunks: readonly OperatorChunk[], isDropped: (operator: string, state: StateIdentity) => boolean): void {
    this.#folder.import(chunks, isDropped)
  }

  /** Everything is in the base: the checkpoint that the savepoint was is the newest one, and complete. */
  completeImport(manifest: Manifest): void {
    const { checkpoint } = manifest
    this.#reserved = this.#writes.transact('cannot complete an import', () => {
      this.#writes.checkFence()
      assert(this.importing !== undefined, 'an import completes that has begun')
      this.tables.checkpoints.putSync(checkpoint, asBuffer(encodeManifest(manifest)))
      this.#writes.put('latest', checkpoint)
      this.#writes.put('folded', checkpoint)
      this.tables.meta.removeSync('importing')
      return this.#reserve(checkpoint)
    })
  }

  /** The savepoint that was being imported when the process ended, if one was: what the base holds of it is worth nothing. */
  get importing(): string | undefined {
    return this.get<string>('importing')
  }

  /** @throws SluiceError `CHECKPOINT_UNREADABLE`, `FORMAT_UNKNOWN`; `SAVEPOINT_UNREADABLE` when an import was interrupted */
  override latest(): Manifest | undefined {
    const { importing } = this
    if (importing === undefined) return super.latest()
    throw new SluiceError(
      'SAVEPOINT_UNREADABLE',
      `the import of the savepoint ${importing} into ${this.directory} was interrupted`,
      {
        hint: `import it again with --from ${importing}, or begin anew with --fresh`,
      },
    )
  }

  /** States that a job no longer has lose their numbers with the first checkpoint that does not know them; so they never come back. */
  #unregister(dropped: readonly DroppedState[], checkpoint: number): void {
    if (!this.#base.unregister(dropped, checkpoint)) return
    // Older checkpoints hold those states, and the base no longer does.
    for (const id of this.retained()) if (id < checkpoint) this.tables.checkpoints.removeSync(id)
  }

  // Ending

  /** Gives the state back, so that another process may take it, and notes in the same step whether the job has come to its end. */
  async release(finished: boolean): Promise<void> {
    try {
      this.#writes.transact('cannot release the state', () => {
        if (this.get<number>('attempt') !== this.#writes.claim?.attempt) return
        if (finished) this.#writes.put('finished', true)
        this.tables.meta.removeSync('owner')
      })
    } finally {
      await this.close()
    }
  }
}

function chunkId({ checkpoint, sequence }: StoredDelta): string {
  return `${checkpoint}/${sequence}`
}

function runningElsewhere(directory: string, { pid, host }: ProcessIdentity, cause: unknown): SluiceError {
  const where = `the job with its state in ${directory} is being run in another container (${host})`
  return new SluiceError('JOB_ALREADY_RUNNING', `${where}, by a process that has the number ${pid} there, as this one has here`, {
    cause,
    hint: 'stop it first, or give this one a --state-directory of its own',
  })
}

function alreadyRunning(directory: string, owner: ProcessIdentity): SluiceError {
  return new SluiceError('JOB_ALREADY_RUNNING', `the job with its state in ${directory} is being run by process ${owner.pid}`, {
    hint: `stop process ${owner.pid} first, or give this one a --state-directory of its own`,
  })
}
