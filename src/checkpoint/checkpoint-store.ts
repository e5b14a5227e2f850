import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { assert } from '../core/assert.ts'
import { diskFull } from '../core/disk-full.ts'
import { SluiceError } from '../core/errors.ts'
import { encodeValue } from '../core/value-codec.ts'
import type { SplitState } from '../protocol/messages.ts'
import { rowKey, rowKeyInPlace, rowValue } from '../state/base-rows.ts'
import type { DeltaChunk, StateIdentity } from '../state/delta-chunk.ts'
import { ROWS_PER_LOOK } from '../state/epochs.ts'
import type { CheckpointRecord } from './checkpoint-history.ts'
import { HISTORY_RECORDS } from './checkpoint-history.ts'
import { isRoomLeft } from './disk-space.ts'
import { environmentPath, guarded, openForWriting } from './environment.ts'
import type { FoldedDrop, FoldedRow } from './fold-batch.ts'
import { FoldBatch } from './fold-batch.ts'
import type { DroppedState, Manifest, StoredDelta } from './manifest.ts'
import { encodeManifest } from './manifest.ts'
import type { ProcessIdentity } from './process-identity.ts'
import { isAlive, thisProcess } from './process-identity.ts'
import type { RegisteredState, StateRegistry } from './stored-base.ts'
import { StoredCheckpoints } from './stored-checkpoints.ts'

/*
 * The writing side of the store. What always holds:
 *
 * 1. Only the main thread comes here, and it is never terminated: a thread that dies inside a write takes the environment with it.
 * 2. A checkpoint is complete when the synchronous, synced transaction that writes its manifest and moves `latest` has returned. There is no
 *    other sign. Chunks come before, in transactions of their own, and mean nothing until a manifest names them.
 * 3. A manifest is written only while `attempt` and `run` are the writer's own: a newer start fences off an older one.
 * 4. Nothing removes what a retained manifest names, unless the base holds it.
 * 5. The base holds everything up to `folded` and the chunks up to `folding`, and nothing that the oldest retained checkpoint does not hold. A chunk
 *    goes in the transaction with its last rows. Folding is redo: doing a chunk again comes to the same.
 */

/** Ids that are reserved ahead, so that an id is never used twice and yet not every checkpoint needs a transaction for it. */
const RESERVED_IDS = 10
const CHUNK_FLUSH_BYTES = 4 << 20
const REMOVE_AT_ONCE = 256
const ROWS_AT_ONCE = 4096
const FOLD_MS = 4
/** A row that is changed has its page written anew, and each that is far from the others one of its own. */
const PAGE_BYTES = 4096

/** How the state of a job was found. */
export interface Claim {
  /** Names the run: a fresh start takes a new one. */
  readonly run: string
  /** Number of this start; rises for ever. */
  readonly attempt: number
  /** The newest id that any earlier attempt may have used; -1 when there was none. */
  readonly lastCheckpoint: number
}

/** Deltas on their way into the base. */
interface Fold {
  readonly through: number
  readonly deltas: readonly StoredDelta[]
  readonly dropped: readonly DroppedState[]
  next: number
  batch: Batch | undefined
}

/** So many bytes of chunks are merged before they go into the base. */
const BATCH_BYTES = 8 << 20

/** Changes that are gathered, and then written. */
interface Batch {
  readonly content: FoldBatch
  bytes: number
  readonly folded: StoredDelta[]
  /** How many of the drops are done. */
  drops: number
  /** Absent until the drops are done. */
  rows: readonly FoldedRow[] | undefined
  nextRow: number
}

/** A chunk that is to go into the base. */
export interface OperatorChunk {
  readonly operator: string
  readonly bytes: Uint8Array
}

export class CheckpointStore extends StoredCheckpoints {
  #claim: Claim | undefined
  #buffered: { readonly key: [number, number]; readonly bytes: Uint8Array }[] = []
  #bufferedBytes = 0
  readonly #sequences = new Map<number, number>()
  #reserved = -1
  #fold: Fold | undefined
  #registry: StateRegistry | undefined

  /** Opens or creates the state of a job. @throws SluiceError `STORE_FAILED` */
  static open(stateDirectory: string, job: string): CheckpointStore {
    const directory = join(stateDirectory, job)
    return new CheckpointStore(directory, openForWriting(directory))
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
    return this.#write('cannot claim the state', () => {
      const owner = this.get<ProcessIdentity>('owner')
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

  /**
   * A part of the job starts again in the same attempt: its number, under which the part's sinks stage, is taken as one of an attempt is, and
   * everything else goes on. @throws SluiceError `FENCED`, `DISK_FULL`, `STORE_FAILED`
   */
  raiseAttempt(): number {
    return this.#write('cannot begin a part anew', () => {
      this.#checkFence()
      const attempt = this.#claim!.attempt + 1
      this.#put('attempt', attempt)
      this.#claim = { ...this.#claim!, attempt }
      return attempt
    })
  }

  #reserve(used: number): void {
    this.#reserved = used + RESERVED_IDS
    this.#put('reserved', this.#reserved)
  }

  #beginAttempt(newRun: () => string): Claim {
    this.#buffered = []
    this.#bufferedBytes = 0
    this.#fold = undefined
    const run = this.get<string>('run') ?? newRun()
    const attempt = (this.get<number>('attempt') ?? 0) + 1
    const lastCheckpoint = this.get<number>('reserved') ?? -1
    this.#put('run', run)
    this.#put('attempt', attempt)
    this.#reserve(lastCheckpoint)
    this.#claim = { run, attempt, lastCheckpoint }
    return this.#claim
  }

  // Checkpoints

  /** A checkpoint is about to begin: its id is used from now on, whatever becomes of it. */
  begin(checkpoint: number): void {
    if (checkpoint > this.#reserved) this.#write('cannot reserve ids', () => this.#reserve(checkpoint))
  }

  /**
   * Takes chunks of a checkpoint that is not complete yet; they are written when enough have come together, or with the manifest.
   * @throws SluiceError `STORE_FAILED`
   */
  addDeltas(checkpoint: number, operator: string, chunks: readonly DeltaChunk[]): readonly StoredDelta[] {
    const stored = chunks.map(({ firstGroup, lastGroup, rows, bytes }) => {
      const sequence = this.#sequences.get(checkpoint) ?? 0
      this.#sequences.set(checkpoint, sequence + 1)
      this.#buffered.push({ key: [checkpoint, sequence], bytes })
      this.#bufferedBytes += bytes.byteLength
      return { operator, checkpoint, sequence, firstGroup, lastGroup, rows, length: bytes.byteLength, crc32: crc32(bytes) }
    })
    if (this.#bufferedBytes >= CHUNK_FLUSH_BYTES) this.#flush()
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
      this.#write('cannot write a snapshot', () => this.#putBuffered(), this.#bufferedBytes)
    } catch (error) {
      if (error instanceof SluiceError && error.code === 'DISK_FULL') return
      throw error
    }
    this.#buffered = []
    this.#bufferedBytes = 0
  }

  #putBuffered(): void {
    for (const { key, bytes } of this.#buffered) this.tables.deltas.putSync(key, asBuffer(bytes))
  }

  /**
   * Makes the checkpoint complete: when this returns, it is. When it throws, nothing of it is there.
   * @throws SluiceError `FENCED`, `DISK_FULL`, `STORE_FAILED`
   */
  complete(manifest: Manifest, record?: CheckpointRecord): void {
    const { checkpoint } = manifest
    const bytes = asBuffer(encodeManifest(manifest))
    const write = (): void => {
      this.#checkFence()
      const latest = this.latestCheckpoint ?? -1
      assert(checkpoint > latest, `checkpoint ${checkpoint} completes after ${latest}`)
      this.#putBuffered()
      this.tables.checkpoints.putSync(checkpoint, bytes)
      this.#put('latest', checkpoint)
      this.#unregister(manifest.dropped, checkpoint)
      if (record !== undefined) this.#putRecord(record)
      if (checkpoint + RESERVED_IDS > this.#reserved) this.#reserve(checkpoint)
    }
    this.#write(`cannot complete checkpoint ${checkpoint}`, write, this.#bufferedBytes + bytes.byteLength)
    this.#buffered = []
    this.#bufferedBytes = 0
    for (const id of this.#sequences.keys()) if (id <= checkpoint) this.#sequences.delete(id)
  }

  /** Notes how a checkpoint failed. */
  failed(record: CheckpointRecord): void {
    this.#write('cannot note a failed checkpoint', () => this.#putRecord(record))
  }

  #putRecord(record: CheckpointRecord): void {
    this.tables.history.putSync([record.triggeredAtMs, record.checkpoint], asBuffer(encodeValue(record)))
    const keys = [...this.tables.history.getKeys()]
    for (const key of keys.slice(0, Math.max(0, keys.length - HISTORY_RECORDS))) this.tables.history.removeSync(key)
  }

  /** Everything up to `checkpoint` is committed; older checkpoints beyond `retain` go. */
  committed(checkpoint: number, retain: number): void {
    this.#write('cannot note a commit', () => {
      this.#checkFence()
      this.#put('committed', checkpoint)
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
    this.#write('cannot note what was read', () => {
      this.#checkFence()
      for (const [source, splits] of reads) {
        const known = new Map(this.reads(source))
        for (const split of splits) known.set(split.index, split)
        this.#put(`read ${source}`, known)
      }
    })
  }

  /** Who may read again needs no notes, and those of an earlier start would only grow old. */
  forgetReads(): void {
    const names = this.read(() => [...this.tables.meta.getKeys()]).filter((name) => name.startsWith('read '))
    if (names.length === 0) return
    this.#write('cannot forget what was read', () => {
      for (const name of names) this.tables.meta.removeSync(name)
    })
  }

  /** Goes back to an older checkpoint that is retained: the newer ones are gone. @throws SluiceError `CHECKPOINT_UNREADABLE` */
  goBackTo(checkpoint: number): void {
    this.manifest(checkpoint)
    this.#write(`cannot go back to checkpoint ${checkpoint}`, () => {
      this.#checkFence()
      for (const id of this.retained()) if (id > checkpoint) this.tables.checkpoints.removeSync(id)
      this.#put('latest', checkpoint)
      this.#put('committed', Math.min(checkpoint, this.committedThrough))
      this.tables.meta.removeSync('finished')
    })
    this.forgetReads()
  }

  /**
   * Forgets all checkpoints and takes a new run; numbers of attempts and checkpoints go on, so that none is ever used twice.
   * @param importing the savepoint that takes their place: a process that ends before its import has begun must not leave a store that looks new
   */
  forget(run: string, importing?: string): Claim {
    this.#write('cannot forget the state', () => {
      this.#checkFence()
      for (const id of this.retained()) this.tables.checkpoints.removeSync(id)
      for (const name of ['latest', 'committed', 'finished', 'folded', 'folding', 'importing']) this.tables.meta.removeSync(name)
      for (const key of [...this.tables.history.getKeys()]) this.tables.history.removeSync(key)
      this.#put(
        'purge',
        this.registry().map((_, number) => number),
      )
      // Should the process end before everything is removed, what is left belongs to nothing.
      this.#put(
        'states',
        this.registry().map(() => undefined),
      )
      if (importing !== undefined) this.#put('importing', importing)
      this.#put('run', run)
      this.#claim = { ...this.#claim!, run }
    })
    this.#registry = undefined
    this.forgetReads()
    this.sweep()
    while (this.purgeStep()) {}
    this.#write('cannot forget the state', () => this.#put('states', []))
    this.#registry = undefined
    return this.#claim!
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
    const keys = this.read(() => [...this.tables.deltas.getKeys()])
    const leftovers = keys.filter(([checkpoint, sequence]) => checkpoint <= folded || !named.has(`${checkpoint}/${sequence}`))
    this.#removeChunks(leftovers)
  }

  #removeChunks(keys: readonly [number, number][]): void {
    for (let from = 0; from < keys.length; from += REMOVE_AT_ONCE) {
      this.#write('cannot remove old chunks', () => {
        for (const key of keys.slice(from, from + REMOVE_AT_ONCE)) this.tables.deltas.removeSync(key)
      })
    }
  }

  // Folding

  /** What a fold would take into the base now: everything up to the oldest retained checkpoint. */
  foldable(): { readonly through: number; readonly bytes: number; readonly chunks: number } | undefined {
    const [oldest] = this.retained()
    if (oldest === undefined || oldest <= this.foldedThrough) return undefined
    const deltas = this.unfolded(this.manifest(oldest))
    return { through: oldest, bytes: deltas.reduce((sum, delta) => sum + delta.length, 0), chunks: deltas.length }
  }

  /**
   * Does a part of a fold: reads a few chunks, forgets a window, or writes rows. True when there is more to do; false when the base holds
   * everything up to the oldest retained checkpoint.
   * @param ms how long a part may take; longer ones take more of the thread and less of the disk's time
   * @throws SluiceError `CHECKPOINT_UNREADABLE`, `DISK_FULL`, `STORE_FAILED`
   */
  foldStep(ms = FOLD_MS): boolean {
    const fold = (this.#fold ??= this.#beginFold())
    if (fold === undefined) return false
    if (fold.batch === undefined && fold.next === fold.deltas.length) this.#finishFold(fold)
    else this.#foldBatch(fold, ms)
    return true
  }

  #beginFold(): Fold | undefined {
    const [oldest] = this.retained()
    if (oldest === undefined || oldest <= this.foldedThrough) return undefined
    const manifest = this.manifest(oldest)
    return { through: oldest, deltas: this.unfolded(manifest), dropped: manifest.dropped, next: 0, batch: undefined }
  }

  #finishFold({ through }: Fold): void {
    this.#write('cannot finish a fold', () => {
      this.#checkFence()
      this.#put('folded', through)
    })
    this.#fold = undefined
  }

  #foldBatch(fold: Fold, ms: number): void {
    const batch = (fold.batch ??= this.#newBatch())
    if (!this.#gather(fold, batch, ms) || !this.#applyBatch(batch, ms)) return
    this.#finishBatch(batch.folded)
    fold.batch = undefined
  }

  #newBatch(): Batch {
    const content = new FoldBatch((operator, state) => this.#numberOf(operator, state))
    return { content, bytes: 0, folded: [], drops: 0, rows: undefined, nextRow: 0 }
  }

  /** Reads chunks until the batch is full. False: not yet. */
  #gather(fold: Fold, batch: Batch, ms: number): boolean {
    const untilMs = performance.now() + ms
    // Once anything of it is written, a batch takes no more.
    const isOpen = batch.drops === 0 && batch.rows === undefined
    while (isOpen && batch.bytes < BATCH_BYTES && fold.next < fold.deltas.length) {
      const delta = fold.deltas[fold.next]!
      batch.content.add(delta.operator, this.readDelta(delta), (state) => isDropped(delta, state, fold.dropped))
      batch.folded.push(delta)
      batch.bytes += delta.length
      fold.next++
      if (performance.now() >= untilMs) return false
    }
    return true
  }

  /** Forgets one window, or writes some rows. False: not all of it yet. */
  #applyBatch(batch: Batch, ms: number): boolean {
    const drop = batch.content.drops[batch.drops]
    if (drop !== undefined) {
      this.#dropRows(drop)
      batch.drops++
      return false
    }
    const rows = (batch.rows ??= [...batch.content.rows()])
    const put = (): number => this.#putRows(rows, batch.nextRow, ms)
    const wantedBytes = Math.min(rows.length - batch.nextRow, ROWS_AT_ONCE) * PAGE_BYTES
    const next = this.#write('cannot bring a snapshot into the base', put, wantedBytes)
    batch.nextRow = next
    return next === rows.length
  }

  /** Returns the place of the first row that is not written. */
  #putRows(rows: readonly FoldedRow[], from: number, ms: number): number {
    this.#checkFence()
    const untilMs = performance.now() + ms
    for (let place = from; place < rows.length; place++) {
      const { number, state, group, namespace, key, value } = rows[place]!
      const row = rowKeyInPlace(number, state, group, namespace, key)
      if (value === undefined) this.tables.state.removeSync(row)
      else this.tables.state.putSync(row, asBuffer(rowValue(key, value)))
      if ((place - from) % ROWS_PER_LOOK === ROWS_PER_LOOK - 1 && performance.now() >= untilMs) return place + 1
    }
    return rows.length
  }

  /** The chunks go in the step that says that the base holds them, so that their place is free for what the base needs. */
  #finishBatch(folded: readonly StoredDelta[]): void {
    const last = folded[folded.length - 1]!
    this.#write('cannot finish a fold', () => {
      this.#checkFence()
      this.#put('folding', [last.checkpoint, last.sequence])
      for (const { checkpoint, sequence } of folded) this.tables.deltas.removeSync([checkpoint, sequence])
    })
  }

  /** In transactions of bounded size: a window may be large. */
  #dropRows({ operator, state, firstGroup, lastGroup, namespace }: FoldedDrop): void {
    const base = this.base(operator)
    const number = this.#numberOf(operator, state)
    for (let group = firstGroup; group <= lastGroup; group++) {
      for (;;) {
        const rows = base.page(state, group, namespace, undefined, ROWS_AT_ONCE).filter((row) => row.namespace === namespace)
        if (rows.length === 0) break
        this.#write('cannot bring a snapshot into the base', () => {
          this.#checkFence()
          for (const { key } of rows) this.tables.state.removeSync(rowKey(number, state, group, namespace, key))
        })
      }
    }
  }

  // Importing a savepoint

  /**
   * A savepoint is about to be brought into this store, which has forgotten everything. Until `completeImport` the store says that it is
   * half full, also after a crash: `latest` refuses then, and `forget` makes it empty again.
   */
  beginImport(savepoint: string): void {
    this.#write('cannot begin an import', () => {
      this.#checkFence()
      const isExpected = [undefined, savepoint].includes(this.importing)
      const isEmpty = this.latestCheckpoint === undefined && isExpected && this.registry().length === 0
      assert(isEmpty, 'a savepoint is imported into an empty store')
      this.#put('importing', savepoint)
    })
  }

  /** Takes chunks of a savepoint into the base, in the order in which they apply. */
  importChunks(chunks: readonly OperatorChunk[], isDropped: (operator: string, state: StateIdentity) => boolean): void {
    const batch = this.#newBatch()
    for (const { operator, bytes } of chunks) batch.content.add(operator, bytes, (state) => isDropped(operator, state))
    while (!this.#applyBatch(batch, FOLD_MS)) {}
  }

  /** Everything is in the base: the checkpoint that the savepoint was is the newest one, and complete. */
  completeImport(manifest: Manifest): void {
    const { checkpoint } = manifest
    this.#write('cannot complete an import', () => {
      this.#checkFence()
      assert(this.importing !== undefined, 'an import completes that has begun')
      this.tables.checkpoints.putSync(checkpoint, asBuffer(encodeManifest(manifest)))
      this.#put('latest', checkpoint)
      this.#put('folded', checkpoint)
      this.tables.meta.removeSync('importing')
      if (checkpoint + RESERVED_IDS > this.#reserved) this.#reserve(checkpoint)
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

  /** The number of a state, which it is given when its first row comes. */
  #numberOf(operator: string, { kind, name }: StateIdentity): number {
    const known = this.registry()
    const number = known.findIndex((each) => each?.operator === operator && each.kind === kind && each.name === name)
    if (number >= 0) return number
    const registry = [...known, { operator, kind, name }]
    this.#write('cannot register a state', () => {
      this.#checkFence()
      this.#put('states', registry)
    })
    this.#registry = registry
    return known.length
  }

  override registry(): StateRegistry {
    return (this.#registry ??= super.registry())
  }

  /** States that a job no longer has lose their numbers with the first checkpoint that does not know them; so they never come back. */
  #unregister(dropped: readonly DroppedState[], checkpoint: number): void {
    const isDropped = (state: RegisteredState | undefined): boolean =>
      state !== undefined &&
      dropped.some(
        ({ operator, kind, name, through }) =>
          through < checkpoint && operator === state.operator && kind === state.kind && name === state.name,
      )
    const numbers = super.registry().flatMap((state, number) => (isDropped(state) ? [number] : []))
    if (numbers.length === 0) return
    // Older checkpoints hold those states, and the base no longer does.
    for (const id of this.retained()) if (id < checkpoint) this.tables.checkpoints.removeSync(id)
    this.#put(
      'states',
      super.registry().map((state, number) => (numbers.includes(number) ? undefined : state)),
    )
    this.#put('purge', [...(this.get<readonly number[]>('purge') ?? []), ...numbers])
    this.#registry = undefined
  }

  /** Removes rows of states that are gone, so many at once. True when there is more to do. */
  purgeStep(): boolean {
    const [number, ...others] = this.get<readonly number[]>('purge') ?? []
    if (number === undefined) return false
    const range = { start: stateStart(number), end: stateStart(number + 1), limit: ROWS_AT_ONCE }
    const keys = this.read(() => [...this.tables.state.getKeys(range)])
    this.#write('cannot remove state', () => {
      for (const key of keys) this.tables.state.removeSync(key)
      if (keys.length < ROWS_AT_ONCE) this.#put('purge', others)
    })
    return true
  }

  // Ending

  /** Gives the state back, so that another process may take it, and notes in the same step whether the job has come to its end. */
  async release(finished: boolean): Promise<void> {
    try {
      this.#write('cannot release the state', () => {
        if (this.get<number>('attempt') !== this.#claim?.attempt) return
        if (finished) this.#put('finished', true)
        this.tables.meta.removeSync('owner')
      })
    } finally {
      await this.close()
    }
  }

  #checkFence(): void {
    const [attempt, run] = [this.get<number>('attempt'), this.get<string>('run')]
    if (attempt === this.#claim?.attempt && run === this.#claim?.run) return
    throw new SluiceError(
      'FENCED',
      `attempt ${this.#claim?.attempt} is over: attempt ${attempt} of another process has taken the state`,
      {
        hint: 'this process writes no more; its staged output was never visible and is removed by the newer one',
      },
    )
  }

  #put(name: string, value: unknown): void {
    this.tables.meta.putSync(name, asBuffer(encodeValue(value)))
  }

  /** @param wantedBytes what it takes on the disk, by about: when it fails and there is less, that is why */
  #write<R>(what: string, action: () => R, wantedBytes = 0): R {
    try {
      return guarded(what, () => this.tables.root.transactionSync(action))
    } catch (error) {
      // What was numbered in a transaction that failed has no number.
      this.#registry = undefined
      if (error instanceof SluiceError && error.code === 'STORE_FAILED' && !isRoomLeft(this.directory, wantedBytes)) {
        throw diskFull(what, this.directory, error)
      }
      throw error
    }
  }
}

/** Whether what a chunk says of a state counts for nothing. */
function isDropped(delta: StoredDelta, { kind, name }: StateIdentity, dropped: readonly DroppedState[]): boolean {
  return dropped.some(
    (each) => each.operator === delta.operator && each.kind === kind && each.name === name && delta.checkpoint <= each.through,
  )
}

function stateStart(number: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(number)
  return bytes
}

function chunkId({ checkpoint, sequence }: StoredDelta): string {
  return `${checkpoint}/${sequence}`
}

function alreadyRunning(directory: string, owner: ProcessIdentity): SluiceError {
  return new SluiceError('JOB_ALREADY_RUNNING', `the job with its state in ${directory} is being run by process ${owner.pid}`, {
    hint: `stop process ${owner.pid} first, or give this one a --state-directory of its own`,
  })
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
